"""A version that was rolled back is quarantined: no release of it, or of its commit, unless forced with a reason.

The release record says so, and a note on the deployer (:mod:`mlops_steps.dss.quarantines`), which every agent can read.
The note is written in the request that gives the stage back to others (:mod:`mlops_steps.delivery.exclusive`): it costs
a restore no time.
"""

from __future__ import annotations

from mlops_steps.delivery import release_notes
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import Claimable, whoami
from mlops_steps.delivery.record import Build, Forced, Quarantined, Stage
from mlops_steps.delivery.unit import now
from mlops_steps.dss import api_services, bundles, quarantines
from mlops_steps.dss.quarantines import Quarantine
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed, MlopsError, Refusal
from mlops_steps.policy.effective import resolve
from mlops_steps.policy.people import may_not_force
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def quarantine(change: Change, version: str | None, why: str) -> None:
    """Quarantines the version, which is about to be rolled back. The caller saves the record, and holds the claim."""
    if version is None:
        return
    target, part = change.target, _part(change)
    known = part.quarantined
    # A restore that is resumed keeps what was said first.
    if known is None or known.version != version or not change.unit.given_up:
        known = Quarantined(
            version=version, commit=_commit(change, version), infra=target.infra, at=now(), by=whoami(), why=why
        )
        part.quarantined = known
    target.quarantine = Quarantine(
        known.version, known.commit, known.infra, known.at, known.by, known.why.partition("\n")[0]
    )
    change.console.warn(
        f"{target.words.version} {version} is quarantined: it is not released again, nor is another one of its commit"
    )


def again(change: Change, version: str | None) -> None:
    """A version that the record says was quarantined is still being rolled back: the note is written once more."""
    known = _part(change).quarantined
    if known and known.version == version:
        quarantine(change, version, known.why)


def withdraw(change: Change) -> None:
    """Nothing was changed, so nothing is rolled back. The caller saves the record."""
    if change.target.quarantine is None and len(_part(change).units) > 1:
        return  # it is of another infrastructure
    change.target.quarantine = None
    _part(change).quarantined = None


def lift(change: Change, version: str | None) -> None:
    """The version is live and verified, so it is not quarantined any more. The caller saves the record."""
    change.target.lifted = version
    known = _part(change).quarantined
    if known and known.version == version:
        _part(change).quarantined = None


def known_bad(change: Change, version: str) -> bool:
    """Whether the record says that this version is quarantined."""
    known = _part(change).quarantined
    return known is not None and known.version == version


def quarantined(change: Change, place: Claimable, version: str, commit: str | None) -> Quarantine | None:
    """The note that stands in the way of a release of the version; ``None`` also where one has begun already."""
    if change.pending:
        return None
    notes = _notes(change, place)
    found = next((note for note in reversed(notes) if note.version == version), None)
    if found is None and commit:
        found = next((note for note in reversed(notes) if _commit_of(change, note, version) == commit), None)
    return found


def check_quarantine(
    change: Change, place: Claimable, version: str, commit: str | None, force: str | None, build: Build
) -> None:
    """Raises :class:`CheckFailed` when the version, or its commit, is quarantined and is not forced by one who may.

    What an earlier attempt has begun is finished. ``place`` is the target of the change; ``force`` is the reason, which
    is noted in the record. The caller saves it before its first change. Raises :class:`NodeError`.
    """
    report, target, name = change.report, change.target, change.target.words.version
    found = quarantined(change, place, version, commit)
    if found is None:
        return
    same = "" if found.version == version else f", and {name} {version} is of the same commit {str(commit)[:8]}"
    with report.case("quarantine") as case:
        report.set(quarantine=str(found))
        if force is None:
            raise CheckFailed(
                f"{name} {version} is quarantined: {found}{same}; {target.stage} is untouched",
                next_step="make the candidate better on the Design node, then run the pipeline again; or force it with "
                f"a reason, if you may ({resolve(target.settings).line('may_force').shown}): --force 'why'",
            )
        if refused := may_not_force(resolve(target.settings), build.started_by):
            raise CheckFailed(f"{name} {version} is quarantined: {found}: {refused}; {target.stage} is untouched")
        by = (build.started_by or [""])[0]
        part = _part(change)
        freeze = part.forced.freeze if part.forced else ""
        part.forced = Forced(by=by, reason=force, freeze=freeze, quarantine=str(found))
        report.set(forced_by=by, forced_because=force)
        case.stdout = f"{found}{same}: forced by {by}: {force}"
        change.console.warn(case.stdout)


def _part(change: Change) -> Stage:
    return change.record.stage(change.target.stage, change.target.words.kind)


def _notes(change: Change, place: Claimable) -> list[Quarantine]:
    """Those on the deployer, and that of the record."""
    known = _part(change).quarantined
    notes = [Quarantine(known.version, known.commit, known.infra, known.at, known.by, known.why)] if known else []
    try:
        with place.within(Deadline(pace().look)):
            return [*notes, *quarantines.read(place.notes, place.project, place.of)]
    except Refusal as error:
        if error.status != 404:  # nothing was ever deployed there
            change.console.warn(f"it is not known what is quarantined: {error.message}")
        return notes


def _commit(change: Change, version: str) -> str:
    """The commit of a version that the record is about."""
    record, package = change.record, change.record.package
    if change.recorded_version != version:
        return ""
    found = record.project_commit if change.target.words.kind == "bundle" else package and package.project_commit
    return found or ""


def _commit_of(change: Change, note: Quarantine, candidate: str) -> str:
    """The commit of a version that was rolled back; if the note has none, by its release notes on the Design node."""
    if note.commit or note.version == candidate:
        return note.commit
    settings = change.target.settings
    try:
        with connect(settings, settings.node("design")) as design, design.within(Deadline(pace().look)):
            if change.target.words.kind == "bundle":
                notes = bundles.all_release_notes(design, settings.project)
            else:
                notes = api_services.release_notes(design, settings.project, settings.api.required_service())
    except MlopsError as error:
        change.console.warn(f"the commit of {note.version} is not known: {error.message}")
        return ""
    return release_notes.origin(notes.get(note.version, "")).commit or ""
