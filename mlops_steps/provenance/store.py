"""Where statements lie: ``<folder of the record>/statements/<project>/<what>.intoto.json``, all about one bundle.

``what`` is ``package``, ``test-<stage>`` or ``release-<stage>``. A name is written once for each run of its step; what
an earlier run said is replaced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mlops_steps.errors import ConfigError
from mlops_steps.provenance.envelope import LARGEST, SigningKey
from mlops_steps.provenance.statements import Statement
from mlops_steps.system.files import write_atomically
from mlops_steps.system.text import one_line

SUFFIX = ".intoto.json"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\.intoto\.json")
# Bytes of all statements that travel with a record.
_MOST = 1024 * 1024


def folder(record: Path, project: str) -> Path:
    """The folder of the statements that belong to the release record of the project."""
    return record.parent / "statements" / project


def write(folder: Path, what: str, statement: Statement, key: SigningKey | None) -> Path:
    """Writes the statement, signed if there is a key. Raises :class:`ConfigError` when that fails."""
    path = folder / f"{what}{SUFFIX}"
    payload = statement.payload()
    try:
        _make(folder)
        write_atomically(path, key.sign(payload) if key else payload + b"\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write the statement {one_line(str(path), 300)}: {error.strerror}",
            next_step="make room or rights, then run the step again",
        ) from None
    return path


def paths(folder: Path) -> list[Path]:
    """The statements that there are, by name."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())


def read(path: Path) -> bytes | None:
    """What the file holds, one byte more than a statement may have at most; ``None`` when it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(LARGEST + 1)
    return None


def texts(folder: Path) -> dict[str, str]:
    """The statements as text, by file name; not what is too large for one, and at most a megabyte in all."""
    found: dict[str, str] = {}
    left = _MOST
    for path in paths(folder):
        data = read(path)
        if data is None or len(data) > min(LARGEST, left):
            continue
        with suppress(UnicodeDecodeError):
            found[path.name] = data.decode()
            left -= len(data)
    return found


def put(folder: Path, statements: Mapping[str, str]) -> None:
    """Makes these the statements in the folder, by file name. Raises ``OSError``."""
    for path in paths(folder):
        if path.name not in statements:
            path.unlink(missing_ok=True)
    for name, text in statements.items():
        if _NAME.fullmatch(name):
            _make(folder)
            write_atomically(folder / name, text.encode())


def digests(folder: Path, *whats: str) -> dict[str, str]:
    """The SHA-256 of these statements' files, as far as they are there, by file name."""
    found = {f"{what}{SUFFIX}": read(folder / f"{what}{SUFFIX}") for what in whats}
    return {name: hashlib.sha256(data).hexdigest() for name, data in found.items() if data is not None}


def forget(folder: Path, what: str = "*") -> None:
    """Removes a statement that does not count any more, or all of them. Raises :class:`ConfigError`."""
    for path in folder.glob(f"{what}{SUFFIX}"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot remove the old statement {path}: {error.strerror}") from None


def _make(folder: Path) -> None:
    """Not for everybody, whatever the umask."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for made in (folder.parent, folder):
        made.mkdir(mode=0o750, exist_ok=True)
