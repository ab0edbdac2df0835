"""Files that are written whole or not at all, and files that hold a secret."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from mlops_steps.errors import ConfigError

# Bytes of a file with a secret; what is longer is none.
_LARGEST_SECRET = 16 * 1024


def write_atomically(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Writes a file and flushes it to disk, so that a reader, and a crash at any moment, sees the old file or the new.

    The parent folder is made if it is missing. The file gets ``mode`` less the process's umask. Raises ``OSError``
    (a full disk, no permission …); the old file is then as it was and nothing else is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the file system allows it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_secret(path: Path) -> str:
    """The text of a file that holds a key, a line or two.

    Raises :class:`ValueError` that says why it cannot be read. A pipe or a device is refused: it might never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("not a regular file")
            return stream.read(_LARGEST_SECRET).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not a text file") from None
    except OSError as error:
        raise ValueError(error.strerror or "not a text file") from None


def current_folder() -> Path:
    """The current folder. Raises :class:`ConfigError` when it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder does not exist any more", next_step="run it again in another") from None
