"""What was live when, who changed it, and by which pipeline: from the deployer's updates and from release records.

The deployer's history has every change, also those that came by no pipeline. The records say of theirs why, from which
build, and who approved. Knows no node and no clock: everything is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal

from mlops_steps.delivery.recorded_changes import Recorded
from mlops_steps.report.attachments import PastRelease

What = Literal["released", "released again", "rolled back", "updated again", "failed", "canary"]
Source = Literal["pipeline", "by hand", "not known"]

#: Seconds that the clocks of an agent and of the deployer may differ.
_CLOCKS = 120.0
#: Records hold whole seconds.
_WHOLE = 1.0


@dataclass(frozen=True)
class Update:
    """An update of a deployment, as the deployer has kept it. Times are seconds since 1970.

    ``shares`` are the versions that shared the calls of an API service from then on, with their shares (0 to 1).
    """

    project: str
    began: float
    ended: float
    succeeded: bool
    version: str | None
    who: str = ""
    shares: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class PastChange:
    """A change of what is live. ``before`` is what was live; ``why`` is why it was rolled back or has failed.

    ``late``: how good its predictions were, once their labels had arrived.
    """

    project: str
    began: float
    ended: float
    version: str | None
    before: str | None
    what: What
    source: Source
    who: str = ""
    build: str = ""
    commit: str = ""
    why: str = ""
    late: str = ""

    @property
    def said(self) -> str:
        """Why, and the late verdict."""
        return "; ".join(part for part in (self.why, self.late) if part)

    @property
    def at(self) -> str:
        """When it ended, in UTC."""
        return in_utc(self.ended)

    def as_release(self, stage: str) -> PastRelease:
        """For the page of a release."""
        good = self.what not in ("rolled back", "failed")
        said = "; ".join(part for part in (self.said, "" if self.source == "pipeline" else self.source) if part)
        return PastRelease(
            at=self.at, stage=stage, version=self.version, result=self.what, good=good, who=self.who, note=said
        )


def in_utc(seconds: float) -> str:
    """``2026-01-31 12:00:00Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def changes(updates: Iterable[Update], records: Sequence[Recorded]) -> list[PastChange]:
    """The changes of one project on one stage, the oldest first.

    A version that was never live before is released. One that was live before what it replaces is rolled back to; one
    that came after it, and had been rolled back, is released again. A canary is one change, however many its
    steps; what answers alone after it was released, or was rolled back to. Where records are known since then, a change
    that none of them tells of was made by hand.
    """
    ordered = _named(sorted(updates, key=lambda one: one.began))
    tells = _told(ordered, records)
    known_since = min((one.began for one in records), default=None)
    order: list[str | None] = []
    live: str | None = None
    found: list[PastChange] = []
    compared = False
    for place, update in enumerate(ordered):
        told = tells.get(place)
        if update.succeeded and update.shares and not dict(update.shares).get(str(update.version)):
            compared = True  # without a call of a user
            continue
        what = _what(update, live, order)
        tried = bool(found) and found[-1].what == "canary"
        if tried and what == "canary" and found[-1].version == update.version:
            found[-1] = replace(found[-1], ended=max(update.began, update.ended))
            continue
        restores = (told is not None and told.restore and not compared) or (tried and what == "updated again")
        if restores and what not in ("failed", "canary"):
            what = "rolled back"
        compared = False
        source: Source = "not known"
        if told:
            source = "pipeline"
        elif known_since is not None and update.began >= known_since - _CLOCKS:
            source = "by hand"
        found.append(
            PastChange(
                update.project,
                update.began,
                max(update.began, update.ended),
                update.version,
                live,
                what,
                source,
                (told.who if told else "") or update.who,
                told.build if told else "",
                told.commit if told else "",
                told.why if told else "",
            )
        )
        if update.succeeded and not update.shares:
            live = update.version
            if live not in order:
                order.append(live)
    return found


def _named(updates: Sequence[Update]) -> list[Update]:
    """The updates; one after which several versions share the calls gets the one that was not live."""
    live, found = None, []
    for update in updates:
        if update.shares:
            new = [version for version, _ in update.shares if version != live]
            update = replace(update, version=new[-1] if new else live)
        elif update.succeeded:
            live = update.version
        found.append(update)
    return found


def _what(update: Update, live: str | None, order: list[str | None]) -> What:
    if not update.succeeded:
        return "failed"
    if update.shares:
        return "canary"
    if update.version == live:
        return "updated again"
    if update.version not in order:
        return "released"
    return "rolled back" if live in order and order.index(update.version) < order.index(live) else "released again"


def _told(updates: Sequence[Update], records: Sequence[Recorded]) -> dict[int, Recorded]:
    """What records say of the updates, by the place of each.

    A record tells of all updates of its version between its two moments (a restore may need several); where there are
    none, because two clocks differ, of the nearest one.
    """
    found: dict[int, Recorded] = {}
    for record in records:
        of_version = [
            place
            for place, one in enumerate(updates)
            if (one.project, one.version) == (record.project, record.version) and place not in found
        ]
        ended = max(record.began, record.ended)
        within = [place for place in of_version if record.began - _WHOLE <= updates[place].began <= ended + _WHOLE]
        near = [place for place in of_version if abs(updates[place].began - record.began) <= _CLOCKS]
        nearest = sorted(near, key=lambda place: abs(updates[place].began - record.began))[:1]
        found |= dict.fromkeys(within or nearest, record)
    return found
