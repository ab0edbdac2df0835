"""The gate ``metric``: a metric of the candidate's active model version, against a limit."""

from __future__ import annotations

import math

from mlops_steps.config.gates import MetricGate
from mlops_steps.dss import models
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.gates.samples import Samples
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import Deadline


def measure(gate: MetricGate, samples: Samples, deadline: Deadline) -> GateResult:
    """Raises :class:`CheckFailed` when the model or the metric is missing, or the metric is not a number."""
    version = samples.candidate
    with version.node.within(deadline):
        found = models.active_version(version.node, version.project_key, gate.model)
    names = {name.lower(): name for name in found.metrics}
    if gate.metric.lower() not in names:
        raise CheckFailed(
            f"version {found.version} of model {gate.model} has no metric {gate.metric}"
            f"{nearest(gate.metric, found.metrics)}",
            details=[f"metrics: {', '.join(sorted(found.metrics)) or 'none'}"],
        )
    value = found.metrics[names[gate.metric.lower()]]
    if not math.isfinite(value):
        raise CheckFailed(f"metric {gate.metric} of version {found.version} of model {gate.model} is not a number")
    low, high = gate.at_least, gate.at_most
    good = (low is None or value >= low) and (high is None or value <= high)
    limits = {"at least": low, "at most": high}
    limit = " and ".join(f"{word} {number:g}" for word, number in limits.items() if number is not None)
    return GateResult(
        GateVerdict.PASSED if good else GateVerdict.FAILED,
        f"{gate.metric} of model {gate.model} is {value:.4g} (required: {limit})",
        value,
        limit,
        source=f"active version {found.version} of saved model {gate.model}, {version}",
    )
