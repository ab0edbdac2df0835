"""What became of a release, for its page: the verdict in one sentence, what to do next, what took how long."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.rollout.sentence import verdict_of
from mlops_steps.delivery.unit import Outcome, Unit
from mlops_steps.errors import MlopsError
from mlops_steps.report.html import FOLDER
from mlops_steps.report.html.facts import Facts, Span, Verdict
from mlops_steps.report.html.folder import collect
from mlops_steps.report.html.view import next_step, title
from mlops_steps.report.html.write import write
from mlops_steps.report.model import Report
from mlops_steps.system.text import one_line

_PARTS = (("deploy", "deployment"), ("smoke_test", "smoke test"), ("restore", "restore"))


def facts_of(record: ReleaseRecord | None, settings: Settings, reports: Sequence[Report]) -> Facts:
    """The facts of the page. A record of another release than that of the reports says nothing of them."""
    if record is None or not _is_of(record, reports):
        return Facts()
    bundle = f"bundle {record.bundle.id}" if record.bundle else ""
    service = f"API service {record.package.service}, version {record.package.version}" if record.package else ""
    return Facts(
        verdict=_verdict(record, settings, reports),
        subject=", ".join(text for text in (bundle, service) if text),
        lines=tuple((name, value) for name, value in _lines(record) if value),
        spans=tuple(_spans(record, reports)),
        changes=tuple(record.bundle.changes) if record.bundle else (),
    )


def write_page(folder: Path, settings: Settings | None, *, record: Path | None = None, pictures: bool = False) -> Facts:
    """Writes the page of the reports in the folder, and returns the facts on it.

    ``record``: another one than that of the configuration. One that cannot be read is left out. Raises
    :class:`ReportError` when the page cannot be written.
    """
    found = collect(folder)
    facts = Facts()
    if settings is not None:
        with suppress(MlopsError):
            facts = facts_of(ReleaseRecord.load(record or settings.record), settings, found.reports)
    write(found, facts, folder / FOLDER, pictures=pictures)
    return facts


def _is_of(record: ReleaseRecord, reports: Sequence[Report]) -> bool:
    known = {record.bundle.id if record.bundle else "", record.package.version if record.package else ""} - {""}
    return any(report.properties.get(name) in known for report in reports for name in ("bundle", "version"))


def _lines(record: ReleaseRecord) -> list[tuple[str, str]]:
    build, bundle = record.build, record.bundle
    approved = [f"{stage.approval.by}, {when(stage.approval.at)}" for stage in record.stages.values() if stage.approval]
    return [
        ("commit of the project", (record.project_commit or "")[:12]),
        ("commit of the pipeline", (build.commit or "")[:12]),
        ("build", build.url or build.number or ""),
        ("packaged", when(bundle.created) if bundle else ""),
        ("approved by", "; ".join(approved)),
        ("SHA-256", f"{bundle.sha256[:16]}…" if bundle else ""),
    ]


def _verdict(record: ReleaseRecord, settings: Settings, reports: Sequence[Report]) -> Verdict | None:
    """What counts most: a service's or a project's change of what is live, the latest one first."""
    changed = [
        (name, unit)
        for stages in (record.stages, record.api_stages)
        for name, stage in stages.items()
        for unit in stage.units.values()
    ]
    release = _release_stages(settings)
    of_release = [one for one in changed if one[0] in release or one[1].restores]
    in_waves = {name: stage for name, stage in record.stages.items() if stage.rollout and len(stage.units) > 1}
    found = [_of_unit(record, *one, reports) for one in of_release if one[0] not in in_waves or one[1].kind != "bundle"]
    found += [
        verdict_of(name, stage, stage.rollout, when(stage.rollout.since), next_step(reports, last=True))
        for name, stage in in_waves.items()
        if stage.rollout
    ]
    told = [verdict for verdict in found if verdict]
    told.sort(key=lambda verdict: ("doubt", "bad", "open", "good").index(verdict.level))
    if told and told[0].level in ("doubt", "bad"):
        return told[0]
    failed = [report for report in reports if report.failed]
    live = max((seconds(unit.since) for _, unit in of_release if unit.phase is Phase.LIVE), default=0.0)
    if told and not any(report.started > live for report in failed):
        also = f" {_count(failed)} failed before it, and did not stop it." if failed else ""
        return Verdict("good", " ".join(dict.fromkeys(one.sentence for one in told)) + also)
    if failed:
        return _stopped(record, failed[0], told[-1] if told else None, reports)
    return _so_far(record)


def _count(failed: Sequence[Report]) -> str:
    count = sum(len(report.failed) for report in failed)
    return f"{count} {'check' if count == 1 else 'checks'} of {' and '.join(title(report) for report in failed)}"


def _release_stages(settings: Settings) -> set[str]:
    try:
        return {settings.release_stage().name}
    except MlopsError:
        return set()


def _of_unit(record: ReleaseRecord, name: str, unit: Unit, reports: Sequence[Report]) -> Verdict | None:
    what = "bundle" if unit.kind == "bundle" else "version"
    before = f"{what} {unit.previous.version}" if unit.previous and unit.previous.version else "nothing"
    version = f"{what.capitalize()} {unit.version}"
    if unit.phase is Phase.LIVE:
        tested = f", {how}" if (how := _how_tested(record, unit)) else ""
        return Verdict("good", f"{version} has been live on {name} since {when(unit.since)}{tested}.")
    if unit.phase is Phase.RESTORED:
        why = f": {unit.why}" if unit.why else ""
        sentence = (
            f"{version} is not live on {name}{why.rstrip('.')}. Live since {when(unit.since)}: {before}, verified."
        )
        return Verdict("bad", sentence, next_step(reports, last=True))
    if unit.phase is Phase.IN_DOUBT:
        why = f": {unit.why}" if unit.why else ""
        sentence = f"It is in doubt what is live on {name}{why.rstrip('.')}. A person must act."
        return Verdict("doubt", sentence, next_step(reports, last=True) or f"run `mlops-steps recover --stage {name}`")
    if unit.pending:
        sentence = (
            f"The change of {name} to {what} {unit.version} has not ended ({unit.phase}); before it, {before} was live."
        )
        return Verdict("doubt", sentence, f"if no build is at work: run `mlops-steps recover --stage {name}`")
    return None


def _how_tested(record: ReleaseRecord, unit: Unit) -> str:
    """How the version was tested on its way: scenarios and gates of the stages before, the smoke test after it."""
    said = []
    for name, stage in record.stages.items():
        test = stage.test
        if test and test.result == "passed" and test.bundle == unit.version:
            gates = f" and {len(test.gates)} gates" if test.gates else ""
            said.append(f"tested on {name} ({test.message or 'passed'}{gates})")
    if unit.smoke_test and unit.smoke_test.result == "passed":
        said.append("smoke test passed")
    return ", ".join(said)


def _stopped(record: ReleaseRecord, failed: Report, live: Verdict | None, reports: Sequence[Report]) -> Verdict:
    """A step has failed, and what is live was not changed by it."""
    what = f"Bundle {record.bundle.id}" if record.bundle else "The release"
    first, *others = failed.failed
    says = one_line(f"{first.name}: {first.message}", 300).rstrip(".")
    more = f" (and {len(others)} more)" if others else ""
    verb = "was stopped by" if live is None else "has failed in"
    sentence = f"{what} {verb} {title(failed)}: {says}{more}."
    replaces = record.bundle.replaces if record.bundle else None
    if live is not None:
        sentence += f" {live.sentence}"
    elif replaces:
        sentence += f" Production is untouched: bundle {replaces} was live when this one was packaged."
    elif replaces == "":
        sentence += " Nothing is live in production."
    else:
        sentence += " It has not been released."
    return Verdict("bad", sentence, next_step(reports))


def _so_far(record: ReleaseRecord) -> Verdict | None:
    if record.bundle is None:
        return None
    tested = [name for name in record.stages if record.tested(name)]
    how = f"has passed its tests on {' and '.join(tested)}" if tested else "is packaged"
    return Verdict("open", f"Bundle {record.bundle.id} {how}; it is not released.")


def _spans(record: ReleaseRecord, reports: Sequence[Report]) -> list[Span]:
    """The parts of the changes, below the steps that made them."""
    titles = [title(report) for report in reports]
    found = []
    for prefix, stages in (("", record.stages), ("api-", record.api_stages)):
        for name, stage in stages.items():
            step = next((one for one in _steps_of(prefix, name) if one in titles), "")
            parts = [(label, getattr(unit, field)) for unit in stage.units.values() for field, label in _PARTS]
            known = [_span(label, part, step) for label, part in parts if part]
            found += known if step and len(known) > 1 else []
    return found


def _steps_of(prefix: str, stage: str) -> list[str]:
    return [f"{prefix}{step} on {stage}" for step in ("release", "rollback", "recover", "deploy")]


def _span(label: str, part: Outcome, step: str) -> Span:
    return Span(label, seconds(part.started), seconds(part.ended) if part.ended else None, part.result, step)


def seconds(moment: str) -> float:
    """Seconds since 1970 of a time of the record; 0 for what is none."""
    try:
        return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def when(moment: str) -> str:
    """A time of the record for people: ``2026-01-31 12:00 UTC``."""
    return f"{moment[:10]} {moment[11:16]} UTC" if seconds(moment) else moment
