"""Verifies what is live on a stage: its smoke test, and a look after it."""

from __future__ import annotations

from mlops_steps.delivery.targets.base import Target
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, duration


def verify(target: Target, report: Report, console: Console, version: str, deadline: Deadline) -> None:
    """Smoke-tests the version that the last update has made live, and looks whether it is live and healthy still.

    The smoke test of that update is awaited, whoever started it and whatever for, and not run a second time.
    """
    with target.within(deadline):
        update = target.update_name(version)
    token, prefix = (f"{update}.release", f"{update}.") if update else (None, None)
    smoke(target, report, console, limit=deadline.remaining, token=token, prefix=prefix)
    target.check_still_live(version, Deadline(max(deadline.remaining, pace().grace)))


def smoke(
    target: Target,
    report: Report,
    console: Console,
    *,
    name: str = "smoke-test",
    limit: float | None = None,
    token: str | None = None,
    prefix: str | None = None,
    alone: bool = False,
) -> None:
    """Smoke-tests what is live; a test case called ``name`` reports how it went.

    ``limit`` (seconds) shortens that of the target. A run that carries the ``token`` already, or one that begins
    with ``prefix``, is awaited instead of starting another; with ``alone`` one that does not is aborted.
    Raises :class:`CheckFailed` when it does not succeed, :class:`NodeError` when the node cannot be asked.
    """
    longest = target.limits.verify
    seconds = min(longest, limit if limit is not None else longest)
    with report.case(name) as case, console.waiting(target.smoke_test) as wait:
        result = target.run_smoke_test(max(seconds, 1.0), wait.state, token=token, prefix=prefix, alone=alone)
        case.stdout = result.log
        if not result.passed:
            raise CheckFailed(
                f"{target.smoke_test}: {result.outcome}: {result.message}", details=result.log.splitlines()[-15:]
            )
        console.line(f"{target.smoke_test}: {result.outcome} in {duration(result.seconds)}")
