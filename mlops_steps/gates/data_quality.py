"""The gate ``data_quality``: the rules of datasets, computed on the node of the candidate."""

from __future__ import annotations

from mlops_steps.config.gates import DataQualityGate
from mlops_steps.dss import data_quality
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.model import GateCheck, GateResult, GateVerdict, worst_of
from mlops_steps.gates.samples import Samples
from mlops_steps.system.waiting import Deadline


def measure(gate: DataQualityGate, samples: Samples, deadline: Deadline) -> GateResult:
    """Each rule is a test case. Its errors fail; its warnings where ``warnings`` says so.

    Raises :class:`CheckFailed` when a dataset has no rule, :class:`NodeError` when the node cannot compute them.
    """
    version = samples.candidate
    if gate.scenario:
        samples.prepare(version, gate.scenario, deadline)
    checks: list[GateCheck] = []
    for dataset in dict.fromkeys(gate.datasets):
        found = data_quality.compute(version.node, version.project_key, dataset, deadline)
        checks += [_check(gate, dataset, rule) for rule in found]
    verdict = worst_of(checks)
    failed = [check for check in checks if check.verdict is not GateVerdict.PASSED]
    message = f"{len(checks) - len(failed)} of {len(checks)} rules of {len(gate.datasets)} datasets hold"
    if failed:
        message += f"; first: {failed[0].name}: {failed[0].message}"
    return GateResult(
        verdict,
        message,
        float(len(failed)),
        f"no rule ends with {'a warning or ' if gate.warnings == 'fail' else ''}an error",
        source=f"data quality rules of {', '.join(gate.datasets)}, {version}",
        error=CheckFailed(message) if verdict is GateVerdict.UNMEASURED else None,
        checks=tuple(checks),
    )


def _check(gate: DataQualityGate, dataset: str, rule: data_quality.RuleResult) -> GateCheck:
    good = ("OK", "WARNING") if gate.warnings == "pass" else ("OK",)
    if rule.outcome in good:
        verdict = GateVerdict.PASSED
    elif rule.outcome in ("ERROR", "WARNING"):
        verdict = GateVerdict.FAILED
    else:
        # EMPTY: there is nothing to look at, so that nothing is known of the data.
        verdict = GateVerdict.UNMEASURED
    said = f"{rule.outcome}: {rule.message}" if rule.outcome else rule.message
    return GateCheck(f"{dataset}: {rule.name}", verdict, said)
