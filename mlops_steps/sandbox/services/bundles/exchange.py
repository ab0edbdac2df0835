"""Replacing one folder by another in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


def exchange(first: Path, second: Path) -> None:
    """Exchanges two existing folders of one file system: nobody ever sees one of them missing.

    Raises ``OSError``; with ``ENOSYS`` where the system can't do it, and then nothing has changed.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError) as error:
        raise OSError(errno.ENOSYS, "renameat2 is not available") from error
    done = rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(errno.ENOSYS if code in _NOT_SUPPORTED else code, os.strerror(code), str(first))


def replace_folder(new: Path, place: Path, backup: Path) -> None:
    """Puts ``new`` in ``place`` and what was there into ``backup``.

    Where folders can't be exchanged there is a moment without ``place``; :func:`restore_folder` mends a crash in it.
    """
    try:
        exchange(new, place)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        place.rename(backup)
        new.rename(place)
    else:
        new.rename(backup)


def restore_folder(place: Path, backup: Path) -> None:
    """After a crash: brings the old folder back when there is no other."""
    if backup.exists() and not place.exists():
        backup.rename(place)
