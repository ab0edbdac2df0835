"""Project Standards: the report that the Project Deployer has of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import Refusal

#: The first version of DSS that has them.
SINCE = 14
# What a node answers to a request that it does not know.
_UNKNOWN_REQUEST = frozenset({400, 404, 405, 501})


@dataclass(frozen=True)
class CheckRun:
    """How a check has run. ``status`` is RUN_SUCCESS, RUN_ERROR or NOT_APPLICABLE.

    ``severity`` is from 0 (no issue) to 5 (critical); ``None`` when the node gives none.
    """

    check: str
    name: str
    status: str
    severity: int | None
    message: str


def too_old(dss: Dss) -> bool:
    """Whether the node, by the version that its last answer names, is older than Project Standards."""
    major = dss.version.partition(".")[0]
    return major.isdecimal() and int(major) < SINCE


def report_of(deployer: Dss, project_key: str, bundle_id: str) -> list[CheckRun] | None:
    """The checks that were run when the bundle was made; ``None`` when the deployer has no report of it.

    ``None`` also from a deployer that is too old (see :func:`too_old`). Raises :class:`NodeError`.
    """
    what = f"read the Project Standards report of bundle {bundle_id} of project {project_key}"
    try:
        with deployer.asking(what):
            published = deployer.client.get_projectdeployer().get_project(project_key)
            report = published.get_project_standards_report(bundle_id, as_type="dict")
            if report is None:
                return None
            runs = expect(report, dict, "the report").get("bundleChecksRunInfo") or {}
            return [_run(str(check), expect(run, dict, "a run")) for check, run in expect(runs, dict, "it").items()]
    except Refusal as error:
        if error.status in _UNKNOWN_REQUEST and too_old(deployer):
            return None
        raise


def _run(check_id: str, run: dict[str, Any]) -> CheckRun:
    result, check = run.get("result") or {}, run.get("check") or {}
    severity = result.get("severity")
    known = isinstance(severity, int) and not isinstance(severity, bool)
    return CheckRun(
        check_id,
        str(check.get("name") or check_id),
        str(result.get("status") or ""),
        severity if known else None,
        str(result.get("message") or ""),
    )
