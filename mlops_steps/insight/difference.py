"""What differs between two bundles, object by object, read from their archives. Asks no node."""

from __future__ import annotations

import difflib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlops_steps.archive.contents import BadArchive, check_entries
from mlops_steps.errors import CheckFailed
from mlops_steps.report.attachments import Change, Difference
from mlops_steps.system.text import shorten_middle

CONFIG = "project_config/"
MANIFEST = "export-manifest.json"
# What a folder of the project holds, in the order of the output.
_KINDS = {
    "recipes": "recipe",
    "lib": "library",
    "variables": "variables",
    "localvariables": "local variables",
    "saved_models": "model",
    "datasets": "dataset",
    "managed_folders": "managed folder",
    "scenarios": "scenario",
    "api_services": "API service",
    "params": "project settings",
}
_UPLOADS = "uploads/"
# Differ in every bundle, and say nothing of the project.
_NOISE_FILES = ("changelog.json", MANIFEST, f"{CONFIG}version-tags.json")
_NOISE_FOLDERS = (f"{CONFIG}.git/", "timelines/")
_NOISE_KEYS = frozenset({"versionTag", "creationTag", "lastModifiedOn", "lastModifiedBy", "checklists"})
# Bytes of one file that is compared line by line, of all of them, and of one shown difference.
_LARGEST_FILE = 1024 * 1024
_LARGEST_TOTAL = 64 * 1024 * 1024
_LARGEST_TEXT = 8_000
_MOST = 500
_CONTEXT = 2  # lines around a change
_SECRET_NAME = re.compile(r"(?i)passw(?:or)?d|pwd|secret|api_?key|token|credential")
_SECRET = re.compile(
    r"""(?ix) ( (?:passw(?:or)?d|pwd|secret|api_?key|token|credential)\w*['"\]]*\s*[=:]\s*[rbf]?['"] ) [^'"]+ """
)
_HIDDEN = "********"

_What = Literal["added", "removed", "changed"]


def compare(old: tuple[str, Path], new: tuple[str, Path], commits: Sequence[str] = ()) -> Difference:
    """What the newer archive has otherwise than the older one; both are a name and a path.

    Values whose name is that of a secret are not shown. Raises :class:`CheckFailed` for an archive that is not safe to
    read.
    """
    before, after = _read(*old), _read(*new)
    changes = list(_changes(before, after))
    changes.sort(key=lambda change: [*_KINDS.values(), change.kind].index(change.kind))
    return Difference(
        old=old[0],
        new=new[0],
        commits=tuple(commits)[:_MOST],
        changes=tuple(changes[:_MOST]),
        left_out=max(0, len(changes) - _MOST),
    )


@dataclass(frozen=True)
class _Bundle:
    """Checksums of all files by name, and the texts of those that can be shown."""

    sums: Mapping[str, tuple[int, int]]
    path: Path


def _read(name: str, path: Path) -> _Bundle:
    with opened(name, path) as archive:
        entries = {
            info.filename: (info.CRC, info.file_size)
            for info in archive.infolist()
            if not info.is_dir() and info.filename not in _NOISE_FILES and not info.filename.startswith(_NOISE_FOLDERS)
        }
        manifest = read_json(archive.read(MANIFEST)) if MANIFEST in archive.NameToInfo else {}
    version = manifest.get("generatedWithDSSVersion") if isinstance(manifest, dict) else None
    entries["DSS version"] = (zlib.crc32(str(version or "").encode()), 0)
    return _Bundle(entries, path)


class opened:  # noqa: N801
    """An archive, checked, with what goes wrong in one line."""

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path = name, path
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._archive = zipfile.ZipFile(self._path)
            check_entries(self._archive, self._path.stat().st_size)
        except (BadArchive, zipfile.BadZipFile, OSError, ValueError) as error:
            raise self._refused(error) from None
        return self._archive

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._archive is not None:
            self._archive.close()
        if isinstance(error, (BadArchive, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)):
            raise self._refused(error) from None

    def _refused(self, error: BaseException) -> CheckFailed:
        text = str(error).partition("\n")[0][:200]
        return CheckFailed(f"{self._name}: the archive cannot be read: {text}")


def _changes(before: _Bundle, after: _Bundle) -> Iterator[Change]:
    names = sorted(before.sums.keys() | after.sums.keys())
    different = [name for name in names if before.sums.get(name) != after.sums.get(name)]
    old, new = _texts(before, different), _texts(after, different)
    objects: dict[tuple[str, str], list[str]] = {}
    for name in different:
        objects.setdefault(_object(name), []).append(name)
    for (kind, label), files in objects.items():
        was, is_ = any(name in before.sums for name in files), any(name in after.sums for name in files)
        # An object that only has got or lost one of its files was there all the time.
        whole = {name for name in names if _object(name) == (kind, label)}
        was = was or any(name in before.sums for name in whole)
        is_ = is_ or any(name in after.sums for name in whole)
        text = "\n".join(part for name in files if (part := _unified(name, old.get(name), new.get(name))))
        note = _note(kind, files, old, new, after)
        if text or note or any(name not in old and name not in new for name in files):
            what: _What = "changed" if was and is_ else "added" if is_ else "removed"
            yield Change(kind=kind, name=label, what=what, note=note, text=shorten_middle(text, _LARGEST_TEXT))


def _object(name: str) -> tuple[str, str]:
    """The kind and the name of the object that a file belongs to."""
    if name == "DSS version":
        return "DSS version", "of the Design node"
    if name.startswith(_UPLOADS):
        return "uploaded files of dataset", name.split("/")[1]
    inner = name.removeprefix(CONFIG)
    folder, slash, rest = inner.partition("/")
    if inner == name:
        return "file", name
    if not slash:
        stem = folder.rpartition(".")[0] or folder
        return (_KINDS[stem], "of the project") if stem in _KINDS else ("file", inner)
    if folder == "lib":
        return _KINDS[folder], rest
    stem = rest.partition("/")[0]
    return _KINDS.get(folder, folder.replace("_", " ")), stem.rpartition(".")[0] or stem


def _texts(bundle: _Bundle, names: Sequence[str]) -> dict[str, Any]:
    """The text of a file, or its document where it is JSON, without what differs in every bundle."""
    left, found = _LARGEST_TOTAL, {}
    with opened(bundle.path.name, bundle.path) as archive:
        for name in names:
            info = archive.NameToInfo.get(name)
            if info is None or name.startswith(_UPLOADS) or info.file_size > min(_LARGEST_FILE, left):
                continue
            left -= info.file_size
            data = archive.read(info)
            if b"\0" in data:
                continue
            document = read_json(data) if name.endswith(".json") else None
            found[name] = data.decode("utf-8", "replace") if document is None else _without_noise(document)
        if MANIFEST in archive.NameToInfo:
            manifest = read_json(archive.read(MANIFEST))
            if isinstance(manifest, dict):
                found["DSS version"] = str(manifest.get("generatedWithDSSVersion") or "")
    return found


def read_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _without_noise(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _HIDDEN if isinstance(inner, str) and inner and _SECRET_NAME.search(key) else _without_noise(inner)
            for key, inner in value.items()
            if key not in _NOISE_KEYS
        }
    return [_without_noise(item) for item in value] if isinstance(value, list) else value


def _unified(name: str, old: Any, new: Any) -> str:
    """The changed lines with a few around them; empty where nothing that counts differs."""
    if name == "DSS version" or old == new:
        return ""
    before, after = _lines(old), _lines(new)
    lines = list(difflib.unified_diff(before, after, lineterm="", n=_CONTEXT))[2:]
    shown = [_SECRET.sub(rf"\g<1>{_HIDDEN}", line) for line in lines]
    return "\n".join([name.removeprefix(CONFIG), *shown]) if shown else ""


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return text.splitlines()


def _note(kind: str, files: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any], after: _Bundle) -> str:
    """What matters most of a change, in a few words: the version of a model, of DSS, the size of a file."""
    if kind == "DSS version":
        return f"{old.get('DSS version') or 'unknown'} → {new.get('DSS version') or 'unknown'}"
    if kind == "model":
        versions = [next((str(texts[name]["activeVersion"]) for name in files if _has_version(texts.get(name))), "")
                    for texts in (old, new)]  # fmt: skip
        if versions[0] != versions[1]:
            return f"version {versions[0] or 'none'} → {versions[1] or 'none'}"
    unseen = [name for name in files if name not in old and name not in new and name in after.sums]
    return f"{len(unseen)} files, {sum(after.sums[name][1] for name in unseen)} bytes" if unseen else ""


def _has_version(document: Any) -> bool:
    return isinstance(document, dict) and "activeVersion" in document


def in_words(found: Difference) -> str:
    """The difference as text for a terminal."""
    lines = [f"{found.old} → {found.new}"]
    if found.commits:
        lines += ["", "commits", *(f"  {line}" for line in found.commits)]
    for change in found.changes:
        lines += ["", f"{change.what}: {change.kind} {change.name}" + (f" ({change.note})" if change.note else "")]
        lines += [f"  {line}" for line in change.text.splitlines()]
    if not found.changes:
        lines += ["", "nothing differs in recipes, library, variables, models and the other objects"]
    if found.left_out:
        lines += ["", f"{found.left_out} more changes are not shown"]
    return "\n".join(lines)
