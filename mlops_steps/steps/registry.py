"""Every step, one row each.

The command line, the parameters of the Groovy steps, their help files, the keys that Jenkins binds and what a run does
when it is interrupted are derived from these rows. A step is the function ``run`` of the module that has its name;
the module is imported when the step runs.
"""

from __future__ import annotations

from mlops_steps.steps.rows import looks, projects, services
from mlops_steps.steps.rows.row import COMMON, STAGE, WAIT, Asks, Changes, Kind, Option, Step

__all__ = ["COMMON", "STAGE", "STEPS", "WAIT", "Asks", "Changes", "Kind", "Option", "Step"]

#: In the order in which help shows them: the pipeline of a project, what looks, the pipeline of an API service.
STEPS: dict[str, Step] = {step.name: step for step in (*projects.ROWS, *looks.ROWS, *services.ROWS)}
