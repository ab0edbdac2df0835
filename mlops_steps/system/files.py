"""Files that are written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlops_steps.errors import ConfigError


def write_atomically(path: Path, data: bytes | Iterable[bytes], *, mode: int = 0o640) -> None:
    """Writes a file and flushes it to disk, so that a reader, and a crash at any moment, sees the old file or the new.

    ``data`` may come in pieces. The parent folder is made if it is missing. The file gets ``mode`` less the process's
    umask. Raises ``OSError`` (a full disk, no permission …); the old file is then as it was and nothing else is left
    behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(path.parent)


@contextmanager
def locked(path: Path, limit: float = 5.0) -> Iterator[None]:
    """Keeps other processes that lock the same file out for the block, where the file system allows it.

    Waits ``limit`` seconds at most for the one that has the lock: it is held for moments, and to write without it is
    better than not to write.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    except OSError:
        yield
        return
    try:
        end = time.monotonic() + limit
        while not _taken(handle) and time.monotonic() < end:
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _flush_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the file system allows it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def current_folder() -> Path:
    """The current folder. Raises :class:`ConfigError` when it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder does not exist any more", next_step="run it again in another") from None
