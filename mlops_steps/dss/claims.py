"""Who is at work on an infrastructure, written where every agent can read it: in the tags of the published project, or
of the published API service.

A lock in the file system holds on one machine only. The Project Deployer has no locks, and the settings of a
deployment must not be touched for one (a deployment whose settings were changed may count as out of sync). Tags of the
published project change nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mlops_steps.dss.deployers import PROJECTS, Deployer
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import NodeError, NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

_PREFIX = "mlops-steps"
_MARK = "|"


@dataclass(frozen=True)
class Claim:
    """One process's claim on an infrastructure. ``until`` (seconds since 1970) is when it must have ended."""

    infra: str
    token: str
    place: str
    owner: str
    build: str
    until: int

    @property
    def tag(self) -> str:
        """The tag that stands for it."""
        return _MARK.join([_PREFIX, *(_as_kept(str(getattr(self, field.name))) for field in fields(self))])

    def as_kept(self) -> Claim:
        """The claim as its tag gives it back: long names are cut."""
        return Claim.of(self.tag) or self

    @classmethod
    def of(cls, tag: object) -> Claim | None:
        """The claim that a tag stands for, or ``None``."""
        parts = tag.split(_MARK) if isinstance(tag, str) else []
        if len(parts) != 1 + len(fields(cls)) or parts[0] != _PREFIX or not parts[-1].isdecimal():
            return None
        infra, token, place, owner, build = parts[1:-1]
        return cls(infra, token, place, owner, build, until=int(parts[-1][:15]))

    def __str__(self) -> str:
        return f"{self.build} ({self.owner})" if self.build else self.owner


def read(deployer: Dss, project_key: str, infras: Iterable[str], of: Deployer = PROJECTS) -> list[Claim]:
    """The claims on the infrastructures. Raises :class:`NodeError`."""
    wanted = {_as_kept(infra) for infra in infras}
    found = _claims(_tags(_settings(deployer, project_key, of).get_raw()))
    return [claim for claim in found if claim.infra in wanted]


def write(
    deployer: Dss,
    project_key: str,
    mine: Sequence[Claim],
    check: Callable[[list[Claim]], None],
    of: Deployer = PROJECTS,
) -> None:
    """Puts the claims in the place of all others on their infrastructures, all at once: there is no half of them.

    A lost answer is not an error: read it back. ``check`` is given those others just before, and may raise. Raises
    :class:`NodeError`.
    """
    infras = {claim.infra for claim in mine}
    settings = _settings(deployer, project_key, of)
    check([other for other in _claims(_tags(settings.get_raw())) if other.infra in infras])
    try:
        _save(deployer, project_key, settings, lambda other: other.infra not in infras, [claim.tag for claim in mine])
    except (Unreachable, NonsenseAnswer) as error:
        log.info("%s; looking whether it was done", error)


def tags(deployer: Dss, project_key: str, of: Deployer = PROJECTS) -> list[Any]:
    """All tags, those of others included. Raises :class:`NodeError`."""
    return _tags(_settings(deployer, project_key, of).get_raw())


def remove(
    deployer: Dss,
    project_key: str,
    mine: Sequence[Claim],
    deadline: Deadline,
    of: Deployer = PROJECTS,
    amend: Callable[[list[Any]], list[Any]] = list,
) -> None:
    """Takes the claims away, if they are there, and reads back that they are gone; asks again until the deadline.

    ``amend`` is what is done to the other tags in the same request; done twice, it must change nothing more.
    Each request gets a third of the time at most, so that one without an answer leaves time for another.
    Raises :class:`NodeError` when one is still there, or may be.
    """
    what = f"take the note of {mine[0]} away from project {project_key}"
    problem: NodeError = NodeError(f"{deployer}: cannot {what}: the node does not keep the change")
    changed = False
    while True:
        try:
            with deployer.within(deadline, read=max(deadline.seconds / 3, 0.1)):
                settings = _settings(deployer, project_key, of)
                if not settings.get_raw():
                    raise NonsenseAnswer(f"{deployer}: cannot {what}: the settings are empty")
                found = _tags(settings.get_raw())
                if not set(mine) & set(_claims(found)) and amend(found) == found:
                    return
                if changed:
                    time.sleep(min(pace().first, deadline.remaining))
                _save(deployer, project_key, settings, lambda other: other not in mine, [], amend)
                changed = True
        except (Unreachable, NonsenseAnswer, Refusal) as error:
            if isinstance(error, Refusal) and error.status < 500:
                raise
            problem = error
            time.sleep(min(pace().first, deadline.remaining))
        if deadline.passed:
            raise problem


def _save(
    deployer: Dss,
    project_key: str,
    settings: Any,
    keep: Callable[[Claim], bool],
    more: list[str],
    amend: Callable[[list[Any]], list[Any]] = list,
) -> None:
    raw = settings.get_raw()
    kept = [tag for tag in _tags(raw) if (claim := Claim.of(tag)) is None or keep(claim)]
    with deployer.asking(f"note who is at work on project {project_key}"):
        raw["tags"] = amend(kept) + more
        settings.save()


def _settings(deployer: Dss, project_key: str, of: Deployer) -> Any:
    with deployer.asking(f"read the settings of the published project {project_key}"):
        settings = of.published(deployer.client, project_key).get_settings()
        expect(settings.get_raw(), dict, "the settings")
        _tags(settings.get_raw())
        return settings


def _tags(raw: dict[str, Any]) -> list[Any]:
    return expect(raw.get("tags") or [], list, "the tags")


def _as_kept(value: str) -> str:
    return one_line(value.replace(_MARK, " "), 120)


def _claims(tags: list[Any]) -> list[Claim]:
    return [claim for tag in tags if (claim := Claim.of(tag)) is not None]
