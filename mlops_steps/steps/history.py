"""history: who released what, when, what was rolled back and why; and the four figures of delivery."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from json import dumps
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery import release_notes
from mlops_steps.delivery.record import LARGEST, ReleaseRecord
from mlops_steps.delivery.recorded_changes import recorded
from mlops_steps.dss import api_services, bundles
from mlops_steps.dss.session import connect
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.insight import delivery_figures, looks, past_updates
from mlops_steps.insight.delivery_figures import Commit, Figures
from mlops_steps.insight.history import PastChange, changes
from mlops_steps.jenkins import access
from mlops_steps.report import attachments
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline, duration

_DEFAULT = "90d"
_DAYS = {"d": 1, "w": 7}
_MOST_COMMITS = 1000
_LIMIT = 300.0  # seconds for all that the nodes are asked


def run(
    context: Context,
    *,
    since: str | None = None,
    job: str | None = None,
    records: str | None = None,
    all_: bool = False,
    json: bool = False,
) -> None:
    """Prints the changes of the release stage and the figures, and keeps the changes for the page of the release.

    ``since``: days (``90d``), weeks (``12w``) or a date. ``job``: a job whose builds have archived records;
    ``records``: a folder that holds some. ``all_``: all projects on the infrastructure of the stage. Changes nothing.
    Raises :class:`NodeError` when the deployer cannot be asked.
    """
    settings, report, console = context.settings, context.report, context.console
    now = time.time()
    begin = _since(since or _DEFAULT, now)
    stages = _stages(settings)
    report.set(infrastructure=", ".join(infra for _, infra in stages.values()), since=_day(begin))
    with report.case("records") as case:
        known = list(_records(settings, console, job or os.environ.get("JOB_NAME"), records, begin))
        case.stdout = f"{len(known)} release records"
    with report.case("history") as case:
        histories = _histories(settings, known, all_=all_)
        late = _late(settings, records)
        for name in stages.keys() & histories.keys():
            histories[name] = [replace(one, late=late.get(one.version or "", "")) for one in histories[name]]
        commits = {project: _commits(settings, project, past) for project, past in histories.items()}
        shown = {project: [one for one in past if one.ended >= begin] for project, past in histories.items()}
        found = {
            project: delivery_figures.figures({project: past}, commits, begin, now)
            for project, past in histories.items()
        }
        over_all = delivery_figures.figures(histories, commits, begin, now)
        case.stdout = _in_words(shown, found, over_all if all_ else None)
        report.attach().releases.extend(
            change.as_release(stage)
            for name, (stage, _) in stages.items()
            for change in shown.get(name, [])
            if change.what != "updated again"
        )
    console.result(_as_json(shown, found, over_all, begin) if json else case.stdout)


def _stages(settings: Settings) -> dict[str, tuple[str, str]]:
    """The stage that is released to, for people, and its infrastructure: of the project, and of its API service.

    Raises :class:`ConfigError` when there is neither.
    """
    api = settings.api
    found: dict[str, tuple[str, str]] = {}
    if settings.stages() or not (api.service and api.stages):
        stage = settings.release_stage()
        found[settings.project] = (stage.name, str(stage.infra))
    if api.service and api.stages:
        name = api.release_stage_name()
        found[past_updates.service_name(settings)] = (f"{name}, API service", api.stage(name).infra)
    return found


def _since(text: str, now: float) -> float:
    """The moment that ``--since`` names. Raises :class:`ConfigError`."""
    if match := re.fullmatch(r"([0-9]{1,4})([dw])", text):
        return now - 86_400.0 * int(match[1]) * _DAYS[match[2]]
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise ConfigError(f"--since {text[:50]!r}: neither days (90d), weeks (12w) nor a date (2026-01-31)") from None


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def _records(
    settings: Settings, console: Console, job: str | None, folder: str | None, since: float
) -> Iterator[ReleaseRecord]:
    """The project's records: this workspace's, those of the folder, and those that the job's builds have archived."""
    for path in [settings.record, *(sorted(Path(folder).rglob("*.json")) if folder else [])]:
        try:
            record = ReleaseRecord.load(path)
        except MlopsError as error:
            if path == settings.record:
                console.warn(error.message)
            continue  # a folder of artifacts holds other files too
        if record is not None and record.project == settings.project:
            yield record
    if not job or not access.is_configured(os.environ):
        console.line("the records of earlier builds are not asked for: that needs a job and access to Jenkins")
        return
    place = os.path.relpath(settings.record, settings.root)
    from mlops_steps.jenkins import archived
    from mlops_steps.jenkins.session import Session

    session = Session(access.from_environment(os.environ))
    try:
        for one in archived.files(session, job, place, since, LARGEST):
            try:
                record = ReleaseRecord.parse(one.data, f"{place} of {one.build}")
            except MlopsError as error:
                console.warn(error.message)
                continue
            if record.project == settings.project:
                record.build.url = record.build.url or one.build.url
                yield record
    finally:
        session.close()


def _late(settings: Settings, folder: str | None) -> dict[str, str]:
    """The late verdicts on releases, by what `monitor` has left in this workspace and in the folder."""
    found = []
    for place in ([Path(folder)] if folder else []) + [settings.reports]:
        for path in sorted(place.rglob("mlops-monitor-*.json")):
            with suppress(MlopsError):
                found.append(attachments.read(path).looks)
    known = sorted(found, key=lambda kept: kept[-1].at if kept else "")
    return looks.late_words({version: one for kept in known for version, one in looks.verdicts(kept).items()})


def _histories(settings: Settings, known: list[ReleaseRecord], *, all_: bool) -> dict[str, list[PastChange]]:
    """The changes of the release stage by project, and those of the API service; a project of others has no record."""
    found: dict[str, list[PastChange]] = {}
    for project, past in past_updates.of_projects(settings, all_=all_).items():
        own = known if project == settings.project else []
        stage = settings.release_stage().name
        found[project] = changes(past, [one for record in own for one in recorded(record, stage)])
    service = past_updates.of_service(settings) if settings.api.service and settings.api.stages else None
    if service is not None:
        name, stage = past_updates.service_name(settings), settings.api.release_stage_name()
        told = [one for record in known for one in recorded(record, stage, "api service", name)]
        found[name] = changes(service, told)
    return found


def _commits(settings: Settings, project: str, past: list[PastChange]) -> list[Commit]:
    """The project's commits, the newest first; and tells each change of which one it is. None where nobody says."""
    try:
        with connect(settings, settings.node("design")) as design, design.within(Deadline(pace().look)):
            if of_service := project == _service(settings):
                notes = api_services.release_notes(design, settings.project, settings.api.required_service())
            else:
                notes = bundles.all_release_notes(design, project)
            own = settings.project if of_service else project
            found = bundles.project_commits(design, own, _MOST_COMMITS)
    except MlopsError:
        return []
    origins = {bundle: release_notes.origin(text) for bundle, text in notes.items()}
    for place, change in enumerate(past):
        origin = origins.get(change.version or "")
        if origin and origin.commit and not change.commit:
            past[place] = replace(change, commit=origin.commit)
    return [Commit(one["id"], _seconds(one["time"])) for one in found]


def _service(settings: Settings) -> str | None:
    return past_updates.service_name(settings) if settings.api.service else None


def _seconds(moment: str) -> float:
    try:
        return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def _in_words(shown: dict[str, list[PastChange]], found: dict[str, Figures], over_all: Figures | None) -> str:
    parts = [_table([change for past in shown.values() for change in past], with_project=len(shown) > 1)]
    parts += ["\n".join(delivery_figures.in_words(project, figures)) for project, figures in found.items()]
    if over_all:
        parts.append("\n".join(delivery_figures.in_words(f"all {len(found)} projects", over_all)))
    return "\n\n".join(parts)


def _table(past: list[PastChange], *, with_project: bool) -> str:
    if not past:
        return "no change in this time"
    what = "version" if any(change.project.startswith(past_updates.SERVICE) for change in past) else "bundle"
    lines = [[*(["project"] if with_project else []), "when", what, "what", "took", "by", "who", "build", "why"]]
    for change in sorted(past, key=lambda one: one.began, reverse=True):
        took = duration(round(change.ended - change.began, 1)) if change.ended > change.began else ""
        cells = [change.at, change.version, change.what, took, change.source, change.who, change.build, change.said]
        row = [*([change.project] if with_project else []), *cells]
        lines.append([one_line(cell, 120) if cell else "-" for cell in row])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _as_json(shown: dict[str, list[PastChange]], found: dict[str, Figures], over_all: Figures, since: float) -> str:
    past = [{**asdict(change), "at": change.at} for past in shown.values() for change in past]
    figures = {**{project: one.as_dict() for project, one in found.items()}}
    return dumps({"since": _day(since), "changes": past, "figures": figures, "all": over_all.as_dict()}, indent=2)
