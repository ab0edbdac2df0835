"""What came of a step, in the few words that the Jenkins library needs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from mlops_steps.commands.groovy import approval
from mlops_steps.commands.groovy.request import Request
from mlops_steps.commands.groovy.travel import Travel
from mlops_steps.config import Settings
from mlops_steps.config.policy import GROUP
from mlops_steps.delivery.approving import in_words
from mlops_steps.delivery.record import Bundle, ReleaseRecord, build_from
from mlops_steps.delivery.unit import Kind
from mlops_steps.errors import MlopsError
from mlops_steps.policy.effective import resolve
from mlops_steps.provenance import store
from mlops_steps.report import attachments, html, junit
from mlops_steps.report.model import Report
from mlops_steps.system.files import current_folder, write_atomically
from mlops_steps.system.text import one_line

#: How a step ended, by its exit code. The report says more.
VERDICTS = {
    0: "done",
    1: "a check failed",
    2: "wrong usage or configuration",
    3: "a node refused or could not be reached",
    4: "ROLLED BACK",
    5: "PRODUCTION IN DOUBT, a person must act",
    129: "interrupted",
    130: "interrupted",
    143: "interrupted",
}
#: The reports that this build has published so far; each agent gets them, so that its page is whole.
PUBLISHED_VARIABLE = "MLOPS_REPORTS"

_LONGEST = 400
_SIGNALLED = 129


class Before:
    """The record as it was before the step; ``arrived``: it came with the build."""

    def __init__(self, settings: Settings | None, *, arrived: bool = False) -> None:
        self.arrived = arrived
        self._path = settings.record if settings else None
        self._content = self._read()

    def _read(self) -> bytes | None:
        with suppress(OSError):
            return self._path.read_bytes() if self._path else None
        return None

    @property
    def changed(self) -> bool:
        """Whether the step wrote the record."""
        return self._read() != self._content


def outcome(
    code: int,
    request: Request,
    settings: Settings | None,
    steps: tuple[str, ...],
    before: Before,
    travel: Travel | None = None,
    *,
    interrupted: bool = False,
) -> dict[str, str]:
    """Names and values, each of one line. Paths are relative to the current folder.

    ``steps`` are those that may have written a report; ``interrupted``: the step itself was, and was recovered.
    """
    folder = settings.reports if settings else Path("reports")
    reports = [path for step in steps if (path := folder / Report("", step, request.stage).file_name).is_file()]
    last = _properties(reports[-1]) if reports else {}
    found = {"verdict": _verdict(code, last)}
    published = os.environ.get(PUBLISHED_VARIABLE, "").split(",")
    attached = [attachments.place(path) for path in reports]
    plans, kept = _named(last, "plan_file"), _named(last, "accepted_file", "shapes_file")
    all_reports = [*published, *(_relative(path) for path in (*reports, *attached, *plans) if path.is_file())]
    if reports:
        found["report"] = ",".join(_relative(path) for path in reports)
        found["reports"] = ",".join(dict.fromkeys(name for name in all_reports if name))
    if settings is None:
        return found
    found |= what_there_is(settings)
    record = _record(settings, before)
    with suppress(MlopsError):
        found |= approval.question(settings, record, request.text("config"), request.project)
    # Reports too: `mlops-steps report` makes the page of an old build of them.
    archived = [*([settings.record] if record else []), *reports, *attached, *plans, *kept, *_page(folder)]
    if record:
        found["record"] = _relative(settings.record)
    if record and record.bundle:
        found["bundle"] = record.bundle.id
        archived += store.paths(store.folder(settings.record, settings.project))
        with suppress(OSError):
            archived.append(_checksum(settings, record.bundle))
    elif record and record.package:
        found["bundle"] = record.package.version
    if record and request.stage:
        found["state"] = _state(record, request, last)
    if travel is not None:
        found |= _stash(travel, all_reports, with_record=record is not None)
    found["archive"] = _there([_relative(path) for path in archived])
    found["description"] = _description(code, settings, record, last, interrupted=interrupted or code >= _SIGNALLED)
    return found


def _named(properties: dict[str, str], *names: str) -> list[Path]:
    """The files that a report names, as far as they lie in the workspace."""
    found = [Path(properties[name]) for name in names if properties.get(name)]
    if not found:
        return []
    inside = current_folder().resolve()
    return [path for path in found if path.is_file() and path.resolve().is_relative_to(inside)]


def what_there_is(settings: Settings) -> dict[str, str]:
    """What the project has to release, to which stages, and how far it goes by itself."""
    found = {}
    with suppress(MlopsError):
        policy = resolve(settings)
        found["automation"] = policy.automation
        found["approvers"] = ",".join(name.removeprefix(GROUP) for name in policy.approvers)
    with suppress(MlopsError):
        release = settings.release_stage().name
        stages = [stage.name for stage in settings.stages()]
        found["releaseStage"] = release
        found["testStages"] = " ".join(stages[: stages.index(release)])
    api = settings.api
    service = next((name for name in api.stages if api.is_release_stage(name)), None) if api.service else None
    if service:
        names = list(api.stages)
        found["apiReleaseStage"] = service
        found["apiTestStages"] = " ".join(names[: names.index(service)])
    # A service may go to production alone: then no node has an infrastructure for bundles.
    found["units"] = " ".join(["bundle"] * bool(settings.stages() or not service) + ["service"] * bool(service))
    return found


def noted(settings: Settings, travel: Travel) -> dict[str, str]:
    """What Jenkins keeps of the record before a change: names and values, as of :func:`outcome`."""
    published = os.environ.get(PUBLISHED_VARIABLE, "").split(",")
    return {"archive": _relative(settings.record), **_stash(travel, published, with_record=True)}


def _stash(travel: Travel, reports: list[str], *, with_record: bool) -> dict[str, str]:
    """What the next steps need, under a name of its own, and the stashes that it makes superfluous."""
    try:
        name, copy = travel.leave(with_record=with_record)
    except OSError:
        return {}
    names = {"stashName": name, "stashReplaces": ",".join(travel.names)}
    return {"stash": _there([_relative(copy), *reports]), **names}


def _there(names: list[str]) -> str:
    return ",".join(dict.fromkeys(name for name in names if name and Path(name).is_file()))


def _properties(report: Path) -> dict[str, str]:
    try:
        return junit.read(report).properties
    except MlopsError:
        return {}


def _verdict(code: int, last: dict[str, str]) -> str:
    verdict = VERDICTS.get(code, f"ended with exit code {code}")
    return one_line(f"{verdict}: {last['error']}" if code and "error" in last else verdict, _LONGEST)


def _record(settings: Settings, before: Before) -> ReleaseRecord | None:
    """The record, when it is this build's: a workspace may still hold that of an earlier one."""
    try:
        record = ReleaseRecord.load(settings.record)
    except MlopsError:
        return None
    if record is None:
        return None
    build = build_from(os.environ)
    ours = build.number is not None and (record.build.number, record.build.job) == (build.number, build.job)
    return record if ours or before.changed or before.arrived else None


def _page(folder: Path) -> list[Path]:
    """The page of the release, and what lies beside it."""
    return sorted((folder / html.FOLDER).glob("*"))


def _state(record: ReleaseRecord, request: Request, last: dict[str, str]) -> str:
    """What the record says of the step's stage, as JSON in one line: for a fleet, whose records are many."""
    kind: Kind = "api service" if request.step.of_service else "bundle"
    archive = record.package if request.step.of_service else record.bundle
    part = record.stage(request.stage or "", kind)  # this record is not written any more
    version = (archive.id if isinstance(archive, Bundle) else archive.version) if archive else ""
    live = last.get("live") or part.summary(version) or ""
    found = {"version": version, "before": ", ".join(dict.fromkeys(part.before)), "live": live}
    return json.dumps({name: one_line(text, _LONGEST) for name, text in found.items()})


def _checksum(settings: Settings, bundle: Bundle) -> Path:
    """Writes the file that `sha256sum --check` reads, beside the record."""
    path = settings.record.with_name("bundle.sha256")
    write_atomically(path, f"{bundle.sha256}  {bundle.id}.zip\n".encode())
    return path


def _description(
    code: int, settings: Settings, record: ReleaseRecord | None, last: dict[str, str], *, interrupted: bool
) -> str:
    """Project, bundle, and what is live; 4, 5 and an interruption leap to the eye."""
    parts = [VERDICTS[code]] if code in (4, 5) else ["INTERRUPTED"] if interrupted else []
    bundle = record.bundle.id if record and record.bundle else None
    parts.append(f"{settings.project}, bundle {bundle}" if bundle else settings.project)
    if record:
        parts += [f"{name}: {state}" for name, stage in record.stages.items() if (state := stage.summary(bundle))]
    if record:
        parts += _of_service(settings, record)
    if code in (4, 5) and "live" in last:
        parts.append(f"live now: {last['live']}")
    return one_line(" | ".join(parts), _LONGEST)


def _of_service(settings: Settings, record: ReleaseRecord) -> list[str]:
    """The version and its stages; a rollback in a build of its own has stages alone."""
    package = record.package
    version = package.version if package else None
    states = {name: stage.summary(version) for name, stage in record.api_stages.items()}
    said = [f"{name}: {state}" for name, state in states.items() if state]
    if package:
        return [in_words(package), *said]
    return [f"API service {settings.api.service}", *said] if said else []


def _relative(path: Path) -> str:
    return os.path.relpath(path)
