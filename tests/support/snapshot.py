"""Folders are put back to what they were: only what differs is written again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: What shows that a file was touched: its inode, its size, the time of its last change (nanoseconds).
Mark = tuple[int, int, int]


class Snapshot:
    """What some folders hold at one moment. Nobody may write to them while it is taken or put back."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._directories: set[str] = set()
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._marks: dict[str, Mark] = {}
        for folder in folders:
            for entry in _walk(folder):
                if entry.is_symlink():
                    self._links[entry.path] = str(Path(entry.path).readlink())
                elif entry.is_dir():
                    self._directories.add(entry.path)
                else:
                    self._files[entry.path] = Path(entry.path).read_bytes()
                    self._marks[entry.path] = _mark(entry)

    def put_back(self) -> None:
        """Makes the folders hold what they held."""
        found: dict[str, Mark] = {}
        directories: set[str] = set()
        for folder in self._folders:
            for entry in _walk(folder, below=self._directories):
                if entry.is_symlink():
                    if self._links.get(entry.path) != str(Path(entry.path).readlink()):
                        Path(entry.path).unlink()
                elif entry.is_dir():
                    if entry.path in self._directories:
                        directories.add(entry.path)
                    else:
                        shutil.rmtree(entry.path)
                elif entry.path in self._files:
                    found[entry.path] = _mark(entry)
                else:
                    Path(entry.path).unlink()
        for path in sorted(self._directories - directories):
            Path(path).mkdir(0o700)
        for path, content in self._files.items():
            if found.get(path) != self._marks[path]:
                Path(path).unlink(missing_ok=True)
                Path(path).write_bytes(content)
                self._marks[path] = _mark(Path(path))
        for path, target in self._links.items():
            if not Path(path).is_symlink():
                Path(path).symlink_to(target)


def _walk(folder: str | Path, below: set[str] | None = None) -> list[os.DirEntry[str]]:
    """All entries, a folder before what is in it; ``below``: only what is in one of these folders."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            found.append(entry)
            if entry.is_dir(follow_symlinks=False) and (below is None or entry.path in below):
                found += _walk(entry.path, below)
    return found


def _mark(entry: os.DirEntry[str] | Path) -> Mark:
    status = entry.stat(follow_symlinks=False)
    return status.st_ino, status.st_size, status.st_mtime_ns
