"""Which versions were rolled back, written where every agent can read it: beside the notes of who is at work
(:mod:`mlops_steps.dss.claims`), in the tags of the published project, or of the published API service.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from mlops_steps.dss import claims
from mlops_steps.dss.deployers import PROJECTS, Deployer
from mlops_steps.dss.session import Dss
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import one_line

_PREFIX = "mlops-steps-quarantine"
_MARK = "|"
#: So many notes are kept, the newest ones.
_MOST = 20
_LONGEST = 160


@dataclass(frozen=True)
class Quarantine:
    """A version that was rolled back: where, when (UTC), by whom, why. ``commit`` is empty where it is not known."""

    version: str
    commit: str
    infra: str
    at: str
    by: str
    why: str

    @property
    def tag(self) -> str:
        """The tag that stands for it: long texts are cut."""
        return _MARK.join([_PREFIX, *(_as_kept(str(getattr(self, field.name))) for field in fields(self))])

    @classmethod
    def of(cls, tag: object) -> Quarantine | None:
        """What a tag says, or ``None``."""
        parts = tag.split(_MARK) if isinstance(tag, str) else []
        if len(parts) != 1 + len(fields(cls)) or parts[0] != _PREFIX or not parts[1]:
            return None
        return cls(*parts[1:])

    def __str__(self) -> str:
        return f"{self.version} was rolled back on {self.infra} at {self.at}, by {self.by}: {self.why}"


def read(deployer: Dss, key: str, of: Deployer = PROJECTS) -> list[Quarantine]:
    """The notes of the published project, or service, the oldest first. Raises :class:`NodeError`."""
    return _of(claims.tags(deployer, key, of))


def amended(tags: list[Any], new: Quarantine | None, lifted: str | None) -> list[Any]:
    """The tags with the note ``new``, and without that of the version ``lifted``. Twice is as good as once."""
    kept = [tag for tag in tags if (known := Quarantine.of(tag)) is None or known.version != lifted]
    if new is None or new.tag in kept:
        return kept
    kept = [tag for tag in kept if (known := Quarantine.of(tag)) is None or known.version != new.version]
    oldest = [note.tag for note in _of(kept)][: -(_MOST - 1)]
    return [*(tag for tag in kept if tag not in oldest), new.tag]


def _of(tags: list[Any]) -> list[Quarantine]:
    return sorted((note for tag in tags if (note := Quarantine.of(tag)) is not None), key=lambda note: note.at)


def _as_kept(value: str) -> str:
    return one_line(redact(value).replace(_MARK, " "), _LONGEST)
