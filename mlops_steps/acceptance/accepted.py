"""Which version of DSS was accepted on which stage: a file beside ``mlops.yml``, to be committed with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import yaml

from mlops_steps.acceptance.model import Finding, Verdict
from mlops_steps.config import Settings
from mlops_steps.errors import ConfigError
from mlops_steps.system.files import write_atomically

#: The file, beside ``mlops.yml``.
NAME = "mlops-accepted.yml"

_HEAD = "# Written by `mlops-steps accept`; commit it. `mlops-steps doctor` compares it with the nodes.\n"


@dataclass(frozen=True)
class Accepted:
    """The last whole run of `accept` on a stage. ``differs``: the assumptions that did not hold."""

    version: str
    at: str
    differs: tuple[str, ...] = ()


def path_of(settings: Settings) -> Path:
    """Where the file is."""
    return settings.root / NAME


def read(settings: Settings) -> dict[str, Accepted]:
    """What was accepted, by stage; nothing where there is no file, or none that can be read."""
    try:
        document = yaml.safe_load(path_of(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    stages = document.get("stages") if isinstance(document, dict) else None
    found = {}
    for stage, entry in (stages if isinstance(stages, dict) else {}).items():
        if isinstance(entry, dict) and isinstance(entry.get("version"), str):
            differs = entry.get("differs")
            names = tuple(str(name) for name in differs) if isinstance(differs, list) else ()
            found[str(stage)] = Accepted(entry["version"], str(entry.get("at", "")), names)
    return found


def note(settings: Settings, stage: str, version: str, findings: Sequence[Finding]) -> None:
    """Notes a run of `accept`. Raises :class:`ConfigError` when the file cannot be written."""
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = read(settings)
    known[stage] = Accepted(version, at, tuple(one.name for one in findings if one.verdict is Verdict.DIFFERS))
    stages = {
        name: {"version": one.version, "at": one.at, **({"differs": list(one.differs)} if one.differs else {})}
        for name, one in sorted(known.items())
    }
    text = _HEAD + yaml.safe_dump({"stages": stages}, sort_keys=False)
    try:
        write_atomically(path_of(settings), text.encode())
    except OSError as error:
        raise ConfigError(f"{path_of(settings)} could not be written: {error.strerror or error}") from error
