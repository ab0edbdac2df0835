"""What the code of a scenario uses: ``from dataiku.scenario import Scenario``."""

from __future__ import annotations

from .scenario import BuildFlowItemsStepDefHelper, Scenario, StepDefHelper
from .step import BuildFlowItemsStepResult, StepFailedException, StepHandle, StepResult

__all__ = [
    "BuildFlowItemsStepDefHelper",
    "BuildFlowItemsStepResult",
    "Scenario",
    "StepDefHelper",
    "StepFailedException",
    "StepHandle",
    "StepResult",
]
