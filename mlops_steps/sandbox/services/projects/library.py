"""The project's library: the files under ``lib/``, as ``dss/projectlibrary.py`` of the client asks for them."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.runtime.lib.dataiku._layout import LayoutError, inside
from mlops_steps.sandbox.services.projects.model import Project


class Library:
    """Reads and changes library files. Paths are relative to ``lib/``, with or without a leading slash."""

    def __init__(self, project: Project, user: str = "admin") -> None:
        self.project = project
        self.user = user
        self.root = project.library_dir

    def tree(self) -> list[dict[str, Any]]:
        """Files and folders; a folder has ``children``."""
        return _children(self.root) if self.root.is_dir() else []

    def read(self, path: str, encoding: str | None = None) -> dict[str, Any]:
        """A file as text, or with ``base64`` as such."""
        target = self._existing(path)
        if target.is_dir():
            raise bad_request(f"{path} is a folder of the library")
        content = target.read_bytes()
        if encoding == "base64":
            return {"name": target.name, "data": base64.b64encode(content).decode(), "hasData": True}
        try:
            return {"name": target.name, "data": content.decode("utf-8"), "hasData": True}
        except UnicodeDecodeError:
            raise bad_request(f"{path} is not text: ask for it in base64") from None

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, a new one or an old one."""
        with self._changes(f"Edited library file {path}"):
            target = self._path(path)
            if target.is_dir():
                raise conflict(f"{path} is a folder of the library")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def add_folder(self, path: str) -> None:
        """Creates a folder. Git does not keep it before it holds a file."""
        with self._changes(f"Added library folder {path}"):
            target = self._path(path)
            if target.is_file():
                raise conflict(f"{path} is a file of the library")
            target.mkdir(parents=True, exist_ok=True)

    def delete(self, path: str) -> None:
        """Deletes a file or a folder."""
        with self._changes(f"Deleted library item {path}"):
            target = self._existing(path)
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink()

    def rename(self, path: str, new_name: str) -> None:
        """Gives a file or folder another name in its folder."""
        if not new_name or "/" in new_name:
            raise bad_request(f"{new_name!r} is not a file name")
        self._move(path, str(Path(path).parent / new_name), f"Renamed library item {path} to {new_name}")

    def move(self, path: str, folder: str) -> None:
        """Moves a file or folder into another folder."""
        if not self._existing(folder).is_dir():
            raise bad_request(f"{folder} is not a folder of the library")
        self._move(path, f"{folder}/{Path(path).name}", f"Moved library item {path} to {folder}")

    def _move(self, path: str, new_path: str, message: str) -> None:
        with self._changes(message):
            source, target = self._existing(path), self._path(new_path)
            if target.exists():
                raise conflict(f"{new_path} already exists in the library")
            source.rename(target)

    def _path(self, path: str) -> Path:
        try:
            target = inside(self.root, path)
        except LayoutError as error:
            raise bad_request(str(error)) from None
        if target == self.root.resolve() and path.strip("/"):
            raise bad_request(f"{path!r} is not a path in the library")
        return target

    def _existing(self, path: str) -> Path:
        target = self._path(path)
        if not target.exists():
            raise not_found(f"library of project {self.project.key}: {path} does not exist")
        return target

    def _changes(self, message: str) -> _Change:
        return _Change(self.project, message, self.user)


class _Change:
    """Holds the project's lock while its files change, and commits at the end."""

    def __init__(self, project: Project, message: str, user: str) -> None:
        self.project, self.message, self.user = project, message, user

    def __enter__(self) -> None:
        self.project.node.lock(self.project.key).acquire()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self.project.commit(self.message, self.user, ["lib"])
        finally:
            self.project.node.lock(self.project.key).release()


def _children(folder: Path) -> list[dict[str, Any]]:
    items = []
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__":
            continue
        item: dict[str, Any] = {"name": path.name, "path": path.name}
        if path.is_dir():
            item["children"] = _children(path)
        items.append(item)
    return items
