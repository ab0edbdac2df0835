"""Managed folders."""

# The signatures are those of DSS, also where the sandbox has no use for an argument.
# ruff: noqa: ARG002

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ._context import Unsupported, context, split_reference
from ._layout import inside


class Folder:
    """A managed folder of the project, by its id or its name."""

    def __init__(self, lookup: str, project_key: str | None = None, ignore_flow: bool = False):
        key, name = split_reference(lookup, project_key)
        self._context = context(key)
        places = self._context.places
        self.project_key = self._context.project_key
        self.short_name = places.lookup("managed_folders", name, "managed folder")
        self.full_name = f"{self.project_key}.{self.short_name}"
        self.ignore_flow = ignore_flow
        self._root = places.folder(self.short_name)

    def _check(self, direction: str) -> Path:
        references = (self.short_name, self.full_name)
        self._context.check_declared(direction, references, f"managed folder {self.get_name()}", self.ignore_flow)
        self._root.mkdir(parents=True, exist_ok=True)
        return self._root

    # ---- what it is

    def get_id(self) -> str:
        """The id."""
        return self.short_name

    def get_name(self) -> str:
        """The name that users see."""
        definition = self._context.places.definition("managed_folders", self.short_name, "managed folder")
        return str(definition.get("name", self.short_name))

    def get_info(self, sensitive_info: bool = False) -> dict[str, Any]:
        """Id, project, name, type, and the path in the file system."""
        return {
            "id": self.short_name,
            "projectKey": self.project_key,
            "name": self.get_name(),
            "type": "Filesystem",
            "accessInfo": {"root": str(self._root)},
        }

    def get_path(self) -> str:
        """The folder in the file system."""
        return str(self._check("inputs"))

    def list_paths_in_partition(self, partition: str = "") -> list[str]:
        """The files, each with a leading slash."""
        root = self._check("inputs")
        return sorted("/" + str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def get_path_details(self, path: str = "/", partition: str | None = None) -> dict[str, Any]:
        """Whether a path exists, whether it is a directory, its size in bytes."""
        target = inside(self._check("inputs"), path)
        return {
            "exists": target.exists(),
            "directory": target.is_dir(),
            "fullPath": path,
            "size": target.stat().st_size if target.is_file() else 0,
        }

    # ---- read

    def get_download_stream(self, path: str) -> IO[bytes]:
        """A file as a binary stream; a context manager."""
        target = inside(self._check("inputs"), path)
        if not target.is_file():
            raise FileNotFoundError(f"managed folder {self.get_name()} has no file {path}")
        return target.open("rb")

    def read_json(self, path: str) -> Any:
        """A JSON file."""
        with self.get_download_stream(path) as stream:
            return json.load(stream)

    # ---- write

    def upload_stream(self, path: str, f: Any) -> None:
        """Writes a file from a stream, or from bytes or text."""
        target = inside(self._check("outputs"), path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.part")
        with temporary.open("wb") as out:
            if isinstance(f, (bytes, bytearray)):
                out.write(f)
            elif isinstance(f, str):
                out.write(f.encode())
            elif isinstance(f, io.TextIOBase):
                out.write(f.read().encode())
            else:
                shutil.copyfileobj(f, out)
        temporary.replace(target)

    def upload_data(self, path: str, data: bytes) -> None:
        """Writes a file from bytes."""
        self.upload_stream(path, data)

    def upload_file(self, path: str, file_path: str) -> None:
        """Writes a file from a file of the machine."""
        with open(file_path, "rb") as stream:
            self.upload_stream(path, stream)

    def write_json(self, path: str, obj: Any) -> None:
        """Writes a JSON file."""
        self.upload_stream(path, json.dumps(obj))

    def get_writer(self, path: str) -> FolderWriter:
        """A binary writer of one file; a context manager."""
        return FolderWriter(self, path)

    def delete_path(self, path: str) -> None:
        """Deletes a file or a directory; nothing happens when there is none."""
        target = inside(self._check("outputs"), path)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def clear(self) -> None:
        """Deletes all files."""
        shutil.rmtree(self._check("outputs"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"dataiku.Folder.{name} is not supported by the sandbox")


class FolderWriter:
    """Collects what is written and puts it into the folder when it is closed."""

    def __init__(self, folder: Folder, path: str):
        self._folder = folder
        self._path = path
        self._buffer = io.BytesIO()

    def write(self, data: bytes) -> int:
        """Writes bytes."""
        return self._buffer.write(data)

    def close(self) -> None:
        """Puts the file into the folder."""
        self._folder.upload_stream(self._path, self._buffer.getvalue())

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.close()
