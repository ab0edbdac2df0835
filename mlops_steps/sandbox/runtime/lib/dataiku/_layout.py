"""Where the data of a project lies on a node. Shared by the node and by its child processes; standard library only."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

# Types of connection whose data lie in files of the node.
FILE_CONNECTIONS = ("Filesystem",)
FOLDER_CONNECTION = "filesystem_folders"
MANAGED_CONNECTION = "filesystem_managed"


class LayoutError(Exception):
    """Data that cannot be reached. The message names the object and says why."""


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """A JSON object to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=2)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written. ``header`` says whether the first line holds the names."""

    separator: str = "\t"
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    header: bool = False
    skip_before: int = 0
    skip_after: int = 0
    compressed: bool = False

    @classmethod
    def of(cls, definition: Mapping[str, Any], label: str) -> CsvFormat:
        """The format of a dataset's definition."""
        if definition.get("formatType", "csv") != "csv":
            raise LayoutError(f"{label}: format {definition['formatType']!r} is not supported by the sandbox, only csv")
        params = definition.get("formatParams") or {}
        unix = params.get("style") == "unix"
        encoding = str(params.get("charset", "utf8")).lower()
        return cls(
            separator=params.get("separator", "\t"),
            quote=params.get("quoteChar", '"'),
            escape=params.get("escapeChar", "\\") if unix else None,
            # A byte order mark would otherwise become part of the first column's name.
            encoding="utf-8-sig" if encoding in ("utf8", "utf-8") else encoding,
            header=bool(params.get("parseHeaderRow", False)),
            skip_before=int(params.get("skipRowsBeforeHeader", 0)),
            skip_after=int(params.get("skipRowsAfterHeader", 0)),
            compressed=bool(params.get("compress")),
        )

    def reader_arguments(self) -> dict[str, Any]:
        """Arguments of ``csv.reader`` and ``csv.writer``."""
        return {
            "delimiter": self.separator,
            "quotechar": self.quote,
            "doublequote": self.escape is None,
            "escapechar": self.escape,
        }


@dataclass(frozen=True)
class DatasetData:
    """A dataset's files, format and columns."""

    name: str
    directory: Path
    format: CsvFormat
    columns: list[dict[str, Any]]
    writable: bool

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column["name"] for column in self.columns]

    def files(self) -> list[Path]:
        """The data files, in order of name. Empty when nothing was built or uploaded."""
        if not self.directory.is_dir():
            return []
        return sorted(
            path for path in self.directory.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))
        )

    def rows(self) -> Iterator[list[str]]:
        """The rows as text, without headers.

        :raises LayoutError: there are no data.
        """
        files = self.files()
        if not files:
            raise LayoutError(f"dataset {self.name} has no data")
        for path in files:
            yield from self._rows_of(path)

    def _rows_of(self, path: Path) -> Iterator[list[str]]:
        with open_data(path, self.format.encoding) as stream:
            reader = csv.reader(stream, **self.format.reader_arguments())
            skip = self.format.skip_before + int(self.format.header) + self.format.skip_after
            for number, row in enumerate(reader):
                if number >= skip and row:
                    yield row


def open_data(path: Path, encoding: str) -> IO[str]:
    """A data file as text; ``.gz`` is unpacked on the way."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


@dataclass(frozen=True)
class Places:
    """A project's folders on a node, and the node's connections (without their secrets)."""

    project_key: str
    config_dir: Path
    uploads_dir: Path
    data_dir: Path
    connections: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Any] = field(default_factory=dict)
    node: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Places:
        """The places that :meth:`to_document` wrote."""
        return cls(
            project_key=document["projectKey"],
            config_dir=Path(document["configDir"]),
            uploads_dir=Path(document["uploadsDir"]),
            data_dir=Path(document["dataDir"]),
            connections=document["connections"],
            values=document["variables"],
            node=document.get("node", ""),
        )

    def to_document(self) -> dict[str, Any]:
        """The places as JSON, for a child process."""
        return {
            "projectKey": self.project_key,
            "configDir": str(self.config_dir),
            "uploadsDir": str(self.uploads_dir),
            "dataDir": str(self.data_dir),
            "connections": dict(self.connections),
            "variables": dict(self.values),
            "node": self.node,
        }

    # ---- objects of the project

    def definition(self, folder: str, name: str, label: str) -> dict[str, Any]:
        """The definition of an object of the project.

        :raises LayoutError: there is none.
        """
        path = self.config_dir / folder / f"{name}.json"
        if not _plain(name) or not path.is_file():
            raise LayoutError(f"{label} {name} does not exist in project {self.project_key}")
        return read_document(path)

    def lookup(self, folder: str, id_or_name: str, label: str) -> str:
        """The id of an object that is called by its id or by its name.

        :raises LayoutError: there is none.
        """
        if _plain(id_or_name) and (self.config_dir / folder / f"{id_or_name}.json").is_file():
            return id_or_name
        for path in sorted((self.config_dir / folder).glob("*.json")):
            if read_document(path).get("name") == id_or_name:
                return path.stem
        raise LayoutError(f"{label} {id_or_name} does not exist in project {self.project_key}")

    def connection(self, name: str | None, label: str) -> Mapping[str, Any]:
        """The connection that an object names.

        :raises LayoutError: the node does not have it, or it holds no files.
        """
        where = f"node {self.node}" if self.node else "this node"
        found = self.connections.get(name or "")
        if found is None:
            raise LayoutError(f"{label}: connection {name!r} does not exist on {where}")
        if found.get("type") not in FILE_CONNECTIONS:
            raise LayoutError(
                f"{label}: connection {name!r} has type {found.get('type')!r}, which the sandbox cannot use"
            )
        return found

    # ---- data

    def dataset(self, name: str) -> DatasetData:
        """The data of a dataset.

        :raises LayoutError: it does not exist, or the sandbox cannot reach its data.
        """
        definition = self.definition("datasets", name, "dataset")
        label = f"dataset {name}"
        params = definition.get("params") or {}
        kind = definition.get("type")
        if definition.get("partitioning", {}).get("dimensions"):
            raise LayoutError(f"{label}: partitions are not supported by the sandbox")
        if kind == "UploadedFiles":
            directory, writable = self.uploads_dir / name, False
        elif kind == "FilesInFolder":
            directory, writable = self.folder(params.get("folderSmartId", "")), False
        elif kind == "Filesystem":
            directory = self._in_connection(params, definition, label, "managed_datasets", name)
            writable = bool(definition.get("managed"))
        else:
            # A connection that is missing matters more to the reader than a type that the sandbox does not know.
            if params.get("connection"):
                self.connection(params["connection"], label)
            raise LayoutError(f"{label}: datasets of type {kind!r} are not supported by the sandbox")
        columns = (definition.get("schema") or {}).get("columns") or []
        return DatasetData(name, directory, CsvFormat.of(definition, label), columns, writable)

    def folder(self, folder_id: str) -> Path:
        """The files of a managed folder, by its id or name.

        :raises LayoutError: it does not exist, or names a connection that the node does not have.
        """
        identity = self.lookup("managed_folders", folder_id.rpartition(".")[2] or folder_id, "managed folder")
        definition = self.definition("managed_folders", identity, "managed folder")
        params = definition.get("params") or {}
        label = f"managed folder {definition.get('name', identity)}"
        return self._in_connection(params, {"managed": True}, label, "managed_folders", identity)

    def model(self, model_id: str) -> Path:
        """The folder of a saved model's versions."""
        return self.data_dir / "saved_models" / model_id / "versions"

    def evaluation_store(self, store_id: str) -> Path:
        """The folder with the evaluations of a store."""
        return self.data_dir / "model_evaluation_stores" / store_id

    def _in_connection(
        self, params: Mapping[str, Any], definition: Mapping[str, Any], label: str, kind: str, name: str
    ) -> Path:
        name_of_connection = params.get("connection")
        connection = self.connection(name_of_connection, label)
        root = (connection.get("params") or {}).get("root")
        if definition.get("managed") and (not root or name_of_connection in (MANAGED_CONNECTION, FOLDER_CONNECTION)):
            return self.data_dir / kind / name
        if not root:
            raise LayoutError(f"{label}: connection {name_of_connection!r} has no root folder")
        inside = self.expand(str(params.get("path", ""))).lstrip("/")
        path = (Path(root) / inside).resolve()
        if not path.is_relative_to(Path(root).resolve()):
            raise LayoutError(f"{label}: path {params.get('path')!r} leaves its connection")
        return path

    def expand(self, text: str) -> str:
        """``${variable}`` replaced by its value; unknown ones stay as they are."""

        def value(match: re.Match[str]) -> str:
            found = self.values.get(match.group(1), match.group(0))
            return found if isinstance(found, str) else json.dumps(found)

        return re.sub(r"\$\{([^}]+)\}", value, text)


def _plain(name: str) -> bool:
    return bool(name) and "/" not in name and "\\" not in name and not name.startswith(".")


def inside(root: Path, path: str) -> Path:
    """A path of a managed folder or a library, inside ``root``.

    :raises LayoutError: it leaves the folder.
    """
    target = (root / path.lstrip("/")).resolve()
    if not target.is_relative_to(root.resolve()) or "\x00" in path:
        raise LayoutError(f"path {path!r} leaves its folder")
    return target
