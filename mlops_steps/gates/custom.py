"""The gate ``custom``: a function of the team's own."""

from __future__ import annotations

import dataclasses
import math

from mlops_steps.config import Settings
from mlops_steps.config.gates import CustomGate
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.model import GateContext, GateResult
from mlops_steps.gates.samples import Samples
from mlops_steps.system.team_code import team_function
from mlops_steps.system.waiting import Deadline


def measure(gate: CustomGate, samples: Samples, settings: Settings, deadline: Deadline) -> GateResult:
    """Calls the function. Raises :class:`ConfigError` when it is not there, and what it raises."""
    function = team_function(gate.function, settings.root, f"gate {gate.name}")
    context = GateContext(
        settings.project,
        samples.candidate.stage,
        samples.candidate.bundle,
        samples,
        gate.options,
        deadline,
    )
    found = function(context)
    if not isinstance(found, GateResult):
        raise CheckFailed(f"{gate.function} must return a GateResult, not {type(found).__name__}")
    if found.value is not None and not math.isfinite(found.value):
        raise CheckFailed(f"{gate.function} measured {found.value}, which is not a number")
    return dataclasses.replace(found, source=found.source or gate.function)
