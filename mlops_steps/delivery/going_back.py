"""A rollback on purpose: an earlier version becomes live, and is verified. For every kind of target."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import Change, previous_of
from mlops_steps.delivery.quarantine import lift, quarantine
from mlops_steps.delivery.restore import restore
from mlops_steps.delivery.targets.base import Live
from mlops_steps.errors import CheckFailed
from mlops_steps.system.interrupts import Interrupts
from mlops_steps.system.waiting import Deadline


def go_back(
    change: Change,
    to: str | None,
    published: list[str],
    deadline: Deadline,
    signals: Interrupts,
    *,
    only: str | None = None,
    because: str = "",
) -> str:
    """Makes an earlier version live, healthy and verified: ``to``, or the one that was live before.

    ``published`` are the versions on the deployer; ``only``: the version that must be live now; ``because``: why, if
    not on purpose. Returns what is live.

    Raises :class:`CheckFailed` when there is no such version (nothing was changed), :class:`ProductionInDoubt` when the
    rollback did not succeed.
    """
    found = find(change, to, published, deadline, only=only)
    return go_back_to(change, found, signals, because=because)


@dataclass(frozen=True)
class Found:
    """What a rollback goes back to: ``version``, from ``left``; ``done``: it is there already."""

    live: Live
    version: str
    left: str | None
    done: bool


def find(change: Change, to: str | None, published: list[str], deadline: Deadline, *, only: str | None = None) -> Found:
    """Looks for the version to go back to, and changes nothing. Raises :class:`CheckFailed` when there is none."""
    target, report, name = change.target, change.report, change.target.words.version
    with target.within(deadline), report.case("find"):
        live = target.observe()
        if only and live.version != only:
            raise CheckFailed(
                f"{target.stage}: {live} now, and not {name} {only} that was looked at; nothing was changed",
                live=str(live),
            )
        version = _find(change, live, to, published)
        done = live.is_healthy(version) and not change.pending and evidence.verified(target, live)
        # An attempt that was interrupted has made it live already; what it came from is in the deployer's evidence.
        left = evidence.version_before(target, live, version) if live.version == version else live.version
    report.set(**{name: version, f"previous_{name}": left})
    return Found(live, version, left, done)


def go_back_to(change: Change, found: Found, signals: Interrupts, *, because: str = "") -> str:
    """Makes what was found live, and verifies it. Raises :class:`ProductionInDoubt`."""
    target, console, name = change.target, change.console, change.target.words.version
    live, version, left = found.live, found.version, found.left
    if found.done:
        console.good(f"{live}: nothing to do")
        return str(live)
    console.line(f"live on {target.stage} now: {live}")
    change.failed, change.because = f"the rollback to {name} {version} did not succeed", because or "asked for"
    if left != version and change.blames:
        quarantine(change, left, because or "rolled back on purpose")
    # `recover` must not take what is live for somebody else's when this rollback is interrupted.
    previous, noted = previous_of(live, version, enabled=True), change.unit.previous
    if noted and noted.version == version:
        previous = previous.model_copy(update={"state": noted.state})
    change.go_back(left, live, previous, f"rollback from {name} {left}")
    with signals.handled() as held, held.shielded():
        now = restore(change, f"rollback from {name} {left}")
        lift(change, version)
    console.good(f"rolled back: {now}, verified")
    return now


def _find(change: Change, live: Live, to: str | None, published: list[str]) -> str:
    target, name = change.target, change.target.words.version
    if live.deployment is None:
        raise CheckFailed(f"{target.stage}: {target.owner} has no deployment on {target.infra}")
    version = (
        valid_bundle_id(to)
        if to
        else _recorded(change, live) or evidence.version_before(target, live, live.version or "")
    )
    if version is None:
        raise CheckFailed(
            f"{target.stage}: neither the record nor {target.words.history} names an earlier {name}",
            live=str(live),
            next_step=f"choose one with --to: {_newest(published)}",
        )
    if version not in published:
        raise CheckFailed(
            f"{name} {version} is not on the {target.words.deployer}; nothing was changed",
            live=str(live),
            next_step=f"choose one with --to: {_newest(published)}",
        )
    return version


def _recorded(change: Change, live: Live) -> str | None:
    """The version that the record says was live before, when the record is about what is live now."""
    recorded, before = change.recorded_version, change.noted_before
    return before if recorded and recorded == live.version != before else None


def _newest(published: list[str]) -> str:
    return ", ".join(sorted(published, reverse=True)[:10]) or "none is published"
