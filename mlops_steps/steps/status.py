"""status: what is live where, since when, from which commit and build, and whether it was tested."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from mlops_steps.config import Settings
from mlops_steps.console import Console
from mlops_steps.dss import updates
from mlops_steps.errors import MlopsError
from mlops_steps.record import ReleaseRecord, load_for
from mlops_steps.report.model import Report
from mlops_steps.steps.target import Live, Target, open_target
from mlops_steps.waiting import Aside, Deadline

_LIMIT = 60.0


@dataclass(frozen=True)
class StageStatus:
    """One row. ``since`` is the end of the last successful update; ``problem`` why the rest is not known."""

    stage: str
    infra: str
    bundle: str | None = None
    health: str | None = None
    since: str | None = None
    commit: str | None = None
    build: str | None = None
    tested: str | None = None
    problem: str | None = None


def run(settings: Settings, report: Report, console: Console) -> list[StageStatus]:
    """Asks all stages at once and returns a row for each. Raises the :class:`NodeError` of a stage that can't be asked.

    The rows are complete then too: see :func:`rows`.
    """
    found = rows(settings, report)
    for row in found:
        if row.problem:
            console.warn(f"{row.stage}: {row.problem}")
    return found


def rows(settings: Settings, report: Report) -> list[StageStatus]:
    """A row for each stage; one whose nodes cannot be asked says so in ``problem``."""
    record = load_for(settings.record, settings.project)
    asked = [(stage, Aside(lambda name=stage.name: _row(settings, record, name))) for stage in settings.stages()]  # type: ignore[misc]
    found = []
    for stage, aside in asked:
        try:
            with report.case(stage.name):
                found.append(aside.result())
        except MlopsError as error:
            found.append(StageStatus(stage.name, str(stage.infra), problem=error.message))
    return found


def _row(settings: Settings, record: ReleaseRecord, stage: str) -> StageStatus:
    with open_target(settings, stage) as target, target.within(Deadline(_LIMIT)):
        live = target.observe()
        ours = record.bundle is not None and record.bundle.id == live.bundle
        return StageStatus(
            stage=stage,
            infra=live.infra,
            bundle=live.bundle,
            health=live.health.status if live.health else None,
            since=_since(target, live),
            commit=record.project_commit if ours else None,
            build=record.build.number if ours else None,
            tested=_tested(settings, record, stage) if ours else None,
        )


def _since(target: Target, live: Live) -> str | None:
    if live.deployment is None:
        return None
    for past in updates.history(target.deployer, live.deployment.id):
        if past.status.upper() in ("SUCCESS", "WARNING", "DONE"):
            return datetime.fromtimestamp(past.started / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    return None


def _tested(settings: Settings, record: ReleaseRecord, stage: str) -> str:
    for name in [row.name for row in settings.stages()]:
        if record.tested(name):
            return f"passed on {name}"
        if name == stage:
            break
    return "no"


def as_dicts(found: list[StageStatus]) -> list[dict[str, str | None]]:
    """The rows as plain data, for ``--json``."""
    return [asdict(row) for row in found]
