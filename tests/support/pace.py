"""The pace of steps in tests."""

from __future__ import annotations

from mlops_steps.system.pace import Pace

#: Short pauses between questions, and short limits where no setting changes them.
QUICK = Pace(longest=0.4, settle=0.02, again=0.3, agree=0.5, grace=1.0, release_note=3.0, lost=1.0, look=3.0)
