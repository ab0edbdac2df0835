"""What every step is given: ``run(context, stage, **options)``; a step that belongs to no stage has no ``stage``."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlops_steps.config import Settings
from mlops_steps.delivery.record import Build
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts


@dataclass(frozen=True)
class Context:
    """The run of one step.

    ``signals`` raise :class:`~mlops_steps.system.interrupts.Stop` in the step, unless it shields itself from them.
    ``build`` is the Jenkins build that runs it; all its fields are ``None`` outside of Jenkins.
    """

    settings: Settings
    report: Report
    console: Console
    signals: Interrupts = field(default_factory=Interrupts)
    build: Build = field(default_factory=Build)
