"""The gate ``project_standards``: the checks of Project Standards, as they ran when the bundle was made."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from mlops_steps.config import Settings
from mlops_steps.config.gates import ProjectStandardsGate, StandardsSeverity
from mlops_steps.dss import project_standards
from mlops_steps.dss.project_standards import SINCE, CheckRun
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.model import GateCheck, GateResult, GateVerdict, worst_of
from mlops_steps.gates.samples import Samples
from mlops_steps.system.waiting import Deadline

#: By the number that DSS gives: 0 is no issue.
_SEVERITIES = ("none", *get_args(StandardsSeverity))


def measure(gate: ProjectStandardsGate, settings: Settings, samples: Samples, deadline: Deadline) -> GateResult:
    """Each check is a test case. Skipped where the Project Deployer is of a version before Project Standards.

    Raises :class:`CheckFailed` when there is no report, or it holds no check; :class:`NodeError` when the deployer
    cannot be asked.
    """
    deployer, bundle = samples.deployer, samples.candidate.bundle
    with deployer.within(deadline):
        runs = project_standards.report_of(deployer, settings.project, bundle)
    if runs is None and project_standards.too_old(deployer):
        return GateResult(
            GateVerdict.SKIPPED,
            f"the Project Deployer is DSS {deployer.version}; Project Standards came with DSS {SINCE}",
        )
    if runs is None:
        raise CheckFailed(
            f"the Project Deployer has no Project Standards report of bundle {bundle}",
            next_step="package it again: the checks run when a Design node of DSS 14 or later makes the bundle",
        )
    if not runs:
        raise CheckFailed(
            f"no check of Project Standards applies to project {settings.project}",
            next_step="give the scope of the project checks in DSS, or remove this gate",
        )
    names = Counter(run.name for run in runs)
    checks = [_check(gate, run, unique=names[run.name] == 1) for run in runs]
    verdict = worst_of(checks)
    worst = max((run.severity or 0 for run in runs), default=0)
    bad = [check for check in checks if check.verdict in (GateVerdict.FAILED, GateVerdict.UNMEASURED)]
    message = f"{len(checks) - len(bad)} of {len(checks)} checks pass or do not apply"
    if bad:
        message += f"; first: {bad[0].name}: {bad[0].message}"
    return GateResult(
        verdict,
        message,
        float(worst),
        f"severity below {gate.fail_at} ({_SEVERITIES.index(gate.fail_at)})",
        source=f"Project Standards report of bundle {bundle}",
        error=CheckFailed(message) if verdict is GateVerdict.UNMEASURED else None,
        checks=tuple(checks),
    )


def _check(gate: ProjectStandardsGate, run: CheckRun, *, unique: bool) -> GateCheck:
    name = run.name if unique else f"{run.name} ({run.check})"
    if run.status == "NOT_APPLICABLE":
        return GateCheck(name, GateVerdict.SKIPPED, run.message or "does not apply to this project")
    if run.status != "RUN_SUCCESS" or run.severity is None or not 0 <= run.severity < len(_SEVERITIES):
        said = f"{run.status or 'no status'}, severity {run.severity}" if run.status == "RUN_SUCCESS" else run.status
        return GateCheck(name, GateVerdict.UNMEASURED, f"{said or 'no status'}: {run.message}")
    failed = run.severity >= _SEVERITIES.index(gate.fail_at)
    said = f"severity {_SEVERITIES[run.severity]} ({run.severity}): {run.message}"
    return GateCheck(name, GateVerdict.FAILED if failed else GateVerdict.PASSED, said)
