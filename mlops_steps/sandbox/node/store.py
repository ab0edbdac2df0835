"""Files that are either the old or the new version, never half of one."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from mlops_steps.sandbox.node.errors import DssError, bad_request

PRIVATE_FILE = 0o600
PRIVATE_DIR = 0o700
COPY_CHUNK = 1024 * 1024

# Leading dots are refused: they would hide files and make "." and "..".
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")


def now_ms() -> int:
    """The time in milliseconds since 1970, as DSS writes times."""
    return int(time.time() * 1000)


def iso_time(milliseconds: int) -> str:
    """A time as manifests and import states of real nodes have it: ``2020-04-29T22:51:35.217+0000``, in UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}+0000"


def milliseconds(value: Any) -> int | None:
    """A time that a document gives in milliseconds or as text (:func:`iso_time`); ``None`` when it is neither."""
    if isinstance(value, int):
        return value
    try:
        return round(datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000)
    except ValueError:
        return None


def safe_name(value: str, what: str) -> str:
    """Returns ``value`` when it can be part of a file name; ``what`` names it in the message.

    Raises :class:`DssError` (400) otherwise.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise bad_request(
            f"Invalid {what} {str(value)[:140]!r}: use 1 to 128 letters, digits, '_', '-' and '.', not starting with "
            "'.' or '-'"
        )
    return value


def read_json(path: Path, default: Any = None) -> Any:
    """The document in ``path``, or ``default`` when there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return default
    try:
        return json.loads(text)
    except ValueError as error:
        raise DssError(500, "java.io.IOException", f"{path.name} of the sandbox is damaged: {error}") from error


def write_json(path: Path, document: Any) -> None:
    """Writes ``document`` so that a crash leaves the old file or the new one, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(PRIVATE_FILE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def save_stream(source: BinaryIO, path: Path) -> int:
    """Copies ``source`` into a new file in constant memory and returns its size in bytes. No half file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(source, file, COPY_CHUNK)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return size


def sync_dir(path: Path) -> None:
    """Makes renames inside ``path`` survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
