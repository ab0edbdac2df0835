"""status: what is live where, since when, from which commit and build, and whether it was tested."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from json import dumps

from mlops_steps.config import InfraSettings, Settings
from mlops_steps.delivery import release_notes
from mlops_steps.delivery.record import ReleaseRecord, load_for
from mlops_steps.delivery.service_status import ServiceStatus, service_status
from mlops_steps.delivery.targets.base import DIRECT, Live
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.dss import bundles, scenarios
from mlops_steps.dss.session import connect
from mlops_steps.errors import ConfigError, MlopsError, NodeError
from mlops_steps.steps.context import Context
from mlops_steps.system.pace import pace
from mlops_steps.system.parallel import gather
from mlops_steps.system.text import nearest, one_line
from mlops_steps.system.waiting import BackgroundCall, Deadline

# Characters of one text of a node, and of a sentence of ours that may hold one.
_LONGEST = 200
_LONGEST_PROBLEM = 1000


@dataclass(frozen=True)
class StageStatus:
    """One row. ``since`` is the start of the last successful update; ``problem`` why the rest is not known."""

    stage: str
    infra: str
    bundle: str | None = None
    health: str | None = None
    since: str | None = None
    commit: str | None = None
    build: str | None = None
    tested: str | None = None
    problem: str | None = None


def run(context: Context, *, json: bool = False, infra: str | None = None) -> None:
    """Prints a row for each infrastructure of each stage, or for ``infra`` alone, as a table or as JSON.

    Raises :class:`NodeError` when a stage could not be asked; its row says why.
    """
    found, services = ask(context, infra), ask_services(context) if infra is None else []
    if json:
        context.console.result(dumps([*as_dicts(found), *map(asdict, services)], indent=2))
    else:
        context.console.result("\n\n".join([table(found), *([service_table(services)] if services else [])]))
    check(found, services)


def ask(context: Context, infra: str | None = None) -> list[StageStatus]:
    """Asks all infrastructures and returns a row for each; one whose nodes cannot be asked says so in ``problem``.

    Raises :class:`ConfigError` when a key is missing or cannot be read.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    units = [(stage, unit) for stage in settings.stages() for unit in stage.units()]
    names = [name for _, unit in units for name in (unit.place, unit.infra) if name]
    if infra is not None and infra not in names:
        raise ConfigError(f"no stage has an infrastructure {infra!r}{nearest(infra, names)}")
    asked = [(stage, unit) for stage, unit in units if infra in (None, unit.place, unit.infra)]
    answers = gather([functools.partial(_answer, settings, record, stage.name, unit) for stage, unit in asked])
    found = []
    for (stage, unit), answer in zip(asked, answers, strict=True):
        try:
            with report.case(unit.name):
                if isinstance(answer, MlopsError):
                    raise answer
                found.append(answer)
        except ConfigError:
            raise
        except MlopsError as error:
            console.warn(f"{unit.name}: {error.message}")
            found.append(StageStatus(stage.name, str(unit.infra), problem=error.message))
    return found


def _answer(settings: Settings, record: ReleaseRecord, stage: str, unit: InfraSettings) -> StageStatus | MlopsError:
    try:
        return _row(settings, record, stage, unit)
    except MlopsError as error:
        return error


def ask_services(context: Context) -> list[ServiceStatus]:
    """The same for the stages of the API service; none where there is no service."""
    settings, report, console = context.settings, context.report, context.console
    if settings.api.service is None:
        return []
    record = load_for(settings.record, settings.project)
    stages = settings.api.stages
    asked = {stage: BackgroundCall(functools.partial(service_status, settings, record, stage)) for stage in stages}
    found = []
    for stage, call in asked.items():
        try:
            with report.case(f"API service, {stage}"):
                found.append(call.result())
        except ConfigError:
            raise
        except MlopsError as error:
            console.warn(f"API service, {stage}: {error.message}")
            infra = stages[stage].infra
            found.append(ServiceStatus(settings.api.required_service(), stage, infra, problem=error.message))
    return found


def check(found: list[StageStatus], services: Sequence[ServiceStatus] = ()) -> None:
    """Raises :class:`NodeError` when a stage could not be asked: which, and why."""
    rows: list[StageStatus | ServiceStatus] = [*found, *services]
    silent = [f"{row.stage} ({row.problem})" for row in rows if row.problem]
    if silent:
        raise NodeError(f"could not ask {'; '.join(silent)}", next_step="run `mlops-steps doctor`")


def _row(settings: Settings, record: ReleaseRecord, stage: str, unit: InfraSettings) -> StageStatus:
    with open_target(settings, stage, str(unit.infra)) as target, target.within(Deadline(pace().look)):
        live = target.observe()
        ours = record.bundle is not None and record.bundle.id == live.version
        made = _origin(settings, live.version)
        return StageStatus(
            stage=stage,
            infra=live.infra,
            bundle=live.version,
            health=live.health.status if live.health else None,
            since=_since(target, live),
            commit=made.commit,
            build=made.build,
            tested=_tested(settings, record, stage) if ours else _tested_on_node(target, live),
        )


def _origin(settings: Settings, bundle: str | None) -> release_notes.Origin:
    """Where the bundle comes from, by its release notes on the Design node, if it is there still."""
    if bundle is None:
        return release_notes.Origin()
    try:
        with connect(settings, settings.node("design")) as design, design.within(Deadline(pace().look)):
            return release_notes.origin(bundles.release_notes(design, settings.project, bundle))
    except MlopsError:
        return release_notes.Origin()


def _tested_on_node(target: BundleTarget, live: Live) -> str | None:
    """What DSS itself says of the test scenarios that ran on this stage with this bundle (DSS 13 and later)."""
    if live.deployment is None or live.version is None or target.words is DIRECT:
        return None
    try:
        outcomes = scenarios.testing_status(target.deployer, live.deployment.id, live.version)
    except MlopsError:
        return None
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()) if count) or "no"


def _since(target: BundleTarget, live: Live) -> str | None:
    started = target.newest_change(live)
    return datetime.fromtimestamp(started / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ") if started else None


def _tested(settings: Settings, record: ReleaseRecord, stage: str) -> str:
    for name in [row.name for row in settings.stages()]:
        if record.tested(name):
            return f"passed on {name}"
        if name == stage:
            break
    return "no"


def as_dicts(found: list[StageStatus]) -> list[dict[str, str | None]]:
    """The rows as plain data, for ``--json``: what the nodes say in them masked, each on one line."""
    return [{name: _presentable(name, value) for name, value in asdict(row).items()} for row in found]


def table(found: list[StageStatus]) -> str:
    """The rows as a table for people."""
    heads = ["stage", "infrastructure", "live", "health", "since", "commit", "build", "tested"]
    return _aligned([heads, *([value or "-" for value in _values(row)] for row in as_dicts(found))])


def service_table(found: list[ServiceStatus]) -> str:
    """The same for the stages of the API service."""
    lines = [["API service", "stage", "infrastructure", "live", "health", "since", "API nodes"]]
    for row in found:
        nodes = ", ".join(f"{node}: {said}" for node, said in row.nodes.items())
        texts = [row.service, row.stage, row.infra, row.live, row.health, row.since, nodes]
        lines.append([one_line(text, _LONGEST) if text else "-" for text in texts])
    return _aligned(lines)


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _values(row: dict[str, str | None]) -> list[str | None]:
    live = "(not known)" if row["problem"] else row["bundle"] or "nothing"
    commit = (row["commit"] or "")[:8]
    return [row["stage"], row["infra"], live, row["health"], row["since"], commit, row["build"], row["tested"]]


def _presentable(name: str, value: str | None) -> str | None:
    return None if value is None else one_line(value, _LONGEST_PROBLEM if name == "problem" else _LONGEST)
