"""The release record on its way through a build, from agent to agent, workspace to workspace, and parallel stages.

Each step leaves a copy of the record, and of the statements about its bundle, in a stash of its own. A stash never
replaces another, which Jenkins would warn of, and which would lose the record when a step that has none stashes its
reports. Before a step, the copies that this workspace has not seen yet are unstashed, and merged here: each part (what
is said of the bundle, of the API service, of each stage, and each statement) is taken from the copy in which
it is the newest, by its generation: how many steps have changed it.

``MLOPS_STASHES`` holds the names of the stashes that count, with commas. A copy is a file in the folder ``stashed``
beside the record. ``base.json`` there is what this workspace has last merged or left. A
statement is the part ``statement:<file>``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.delivery.record import LARGEST, lock_of
from mlops_steps.delivery.record_parts import joined, parts
from mlops_steps.provenance import store
from mlops_steps.system.files import locked, write_atomically

VARIABLE = "MLOPS_STASHES"

_STATEMENT = "statement:"  # no stage is named like that


@dataclass(frozen=True)
class Copy:
    """A record as a dictionary (``None``: there is none), statements by file name, and the generation of each part."""

    record: dict[str, Any] | None = None
    generations: Mapping[str, int] = field(default_factory=dict)
    build: str = ""
    statements: Mapping[str, str] = field(default_factory=dict)

    def part(self, name: str) -> Any:
        """A part of the record, or a statement; ``None`` when there is none."""
        if name.startswith(_STATEMENT):
            return self.statements.get(name.removeprefix(_STATEMENT))
        return parts(self.record).get(name)

    def followed_by(self, record: dict[str, Any] | None, statements: Mapping[str, str], build: str) -> Copy:
        """The copy after a step that has left this record and these statements: what it has changed is newer by one."""
        after = Copy(record, build=build, statements=statements)
        files = [_STATEMENT + name for name in (*self.statements, *statements)]
        names = list(dict.fromkeys([*parts(self.record), *parts(record), *files]))  # stages keep their order
        changed = {name: self.part(name) != after.part(name) for name in names}
        # What was taken out earlier stays taken out.
        generations = {name: self.generations.get(name, 0) + changed[name] for name in names}
        return Copy(record, {**self.generations, **generations}, build, statements)

    def write(self, path: Path) -> None:
        """Writes the copy. Raises :class:`OSError`."""
        content = {"record": self.record, "generations": dict(self.generations), "build": self.build}
        write_atomically(path, json.dumps({**content, "statements": dict(self.statements)}).encode())

    @classmethod
    def read(cls, path: Path) -> Copy | None:
        """Reads a copy; ``None`` when there is none, or when it is not one."""
        data = _json(path)
        record, generations = (data or {}).get("record"), (data or {}).get("generations")
        if not isinstance(generations, dict) or not all(isinstance(one, int) for one in generations.values()):
            return None
        if record is not None and not (isinstance(record, dict) and isinstance(record.get("stages", {}), dict)):
            return None
        statements = (data or {}).get("statements", {})
        if not isinstance(statements, dict) or not all(isinstance(text, str) for text in statements.values()):
            return None
        return cls(record, generations, str((data or {}).get("build", "")), statements)


def merged(copies: Sequence[Copy], build: str) -> Copy:
    """The newest parts of all copies; of two that are equally new, that of the later copy."""
    newest: dict[str, Copy] = {}
    for copy in copies:
        for name, generation in copy.generations.items():
            if name not in newest or generation >= newest[name].generations[name]:
                newest[name] = copy
    found = {name: part for name, copy in newest.items() if (part := copy.part(name)) is not None}
    files = {name: text for name, text in found.items() if name.startswith(_STATEMENT)}
    record = joined({name: part for name, part in found.items() if name not in files})
    statements = {name.removeprefix(_STATEMENT): text for name, text in files.items()}
    return Copy(record, {name: copy.generations[name] for name, copy in newest.items()}, build, statements)


class Travel:
    """The copies of one record in one workspace."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._record = settings.record
        self._folder = settings.record.parent / "stashed"
        self._statements = store.folder(settings.record, settings.project)
        self._build = f"{environ.get('JOB_NAME', '')}#{environ.get('BUILD_NUMBER', '')}"
        place = hashlib.sha256(os.path.relpath(settings.record).encode()).hexdigest()[:8]
        self._prefix = f"mlops-{place}-"  # records of several projects in one build do not mix
        named = environ.get(VARIABLE, "").split(",")
        self.names = [name for name in named if re.fullmatch(re.escape(self._prefix) + r"[0-9a-f]{16}", name)]

    @property
    def missing(self) -> list[str]:
        """The stashes that this workspace has not got yet."""
        return [name for name in self.names if not self._copy(name).is_file()]

    def arrive(self) -> bool:
        """Puts together the record of this build. Whether there was anything to put together."""
        with locked(lock_of(self._record)):
            return self._arrive()

    def _arrive(self) -> bool:
        copies = [copy for name in self.names if (copy := Copy.read(self._copy(name))) is not None]
        if not copies:
            return False
        here = self._base()
        if here is not None:
            copies.append(here.followed_by(_json(self._record), store.texts(self._statements), self._build))
        found = merged(copies, self._build)
        if found.record is not None and found.record != _json(self._record):
            write_atomically(self._record, json.dumps(found.record, indent=2).encode() + b"\n")
        store.put(self._statements, found.statements)
        found.write(self._folder / "base.json")
        for old in self._folder.glob("mlops-*.json"):
            if old.stem not in self.names and old.stem.startswith(self._prefix):
                with suppress(OSError):
                    old.unlink()
        return True

    def leave(self, *, with_record: bool) -> tuple[str, Path]:
        """Writes the copy for the next steps: the name of its stash, and its file. Raises :class:`OSError`."""
        with locked(lock_of(self._record)):
            return self._leave(with_record=with_record)

    def _leave(self, *, with_record: bool) -> tuple[str, Path]:
        base = self._base() or Copy()
        record = _json(self._record) if with_record else base.record
        statements = store.texts(self._statements) if with_record else base.statements
        copy = base.followed_by(record, statements, self._build)
        name = self._prefix + secrets.token_hex(8)
        copy.write(self._copy(name))
        copy.write(self._folder / "base.json")
        return name, self._copy(name)

    def _base(self) -> Copy | None:
        found = Copy.read(self._folder / "base.json")
        return found if found is not None and found.build == self._build else None

    def _copy(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > 2 * LARGEST:
            return None
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
