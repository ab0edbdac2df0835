"""What must hold for the archive of a bundle before anybody unpacks it. Knows zip files, not DSS.

The steps hand archives on to nodes, the sandbox unpacks them itself; both ask here first. Nothing is written, and
memory does not grow with the archive.

Programs that unpack a zip differ in what they believe: the directory at its end, or the header before each entry. So
both must say the same, extra fields included, and between the entries there must be no room for one that only some
would see. Nor may there be two ends, or one that describes another directory.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlops_steps.archive import end_record, extra_fields

MAX_ENTRIES = 500_000
# Bytes of the directory at the end, which is the one part that has to be held in memory as a whole.
MAX_DIRECTORY = 64 * 1024 * 1024
# Deflate reaches 1:1032 on zeros alone; real bundles stay far below this, and small archives may do as they like.
MAX_RATIO = 250
RATIO_FROM_BYTES = 64 * 1024 * 1024
MAX_COMPONENT_BYTES = 255

_CHUNK = 1024 * 1024
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE = re.compile(r"[A-Za-z]:")
_HEADER = struct.Struct("<4s5H3L2H")
_HEADER_MARK = b"PK\x03\x04"
# The entry is, it is strongly, its header is.
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_FOLLOW = 0x8


class BadArchive(Exception):
    """The archive must not be unpacked. Its text is one line."""


class Damaged(BadArchive):
    """It is not a whole zip archive."""


class Harmful(BadArchive):
    """It is built to do harm, or looks like it."""


@contextmanager
def checked(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, opened after all of it was read and found harmless; every checksum was compared.

    Raises :class:`Harmful` for absolute paths, ``..``, drives, backslashes, links, devices, duplicate names, a name
    that is both file and folder, extreme compression, more bytes than announced, hidden entries, a second end and
    encryption, :class:`Damaged` for what is not a whole zip. In the block too, an archive that cannot be read is
    :class:`Damaged`.
    """
    with _opened(path) as (file, archive):
        size = path.stat().st_size
        check_entries(archive, size)
        if wrong := end_record.contradiction(file, archive):
            raise Harmful(wrong)
        end = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            end = _check_data(file, info, end)
        if end > archive.start_dir:
            raise Harmful("an entry lies over its directory")
        if end < archive.start_dir:
            raise Harmful(f"there are {archive.start_dir - end} bytes before its directory that are of no entry")
        yield archive


def check_entries(archive: zipfile.ZipFile, archive_size: int) -> None:
    """Checks names, kinds and sizes as the directory of the archive tells them. Raises :class:`Harmful`."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise Harmful(f"it has {len(infos)} entries; at most {MAX_ENTRIES} are accepted")
    total = sum(info.file_size for info in infos)
    if total > RATIO_FROM_BYTES and total > MAX_RATIO * archive_size:
        raise Harmful(f"{archive_size} bytes would become {total} bytes")
    files: set[str] = set()
    folders: set[str] = set()
    parents: set[str] = set()
    for info in infos:
        _check_entry(info)
        name = info.filename.rstrip("/")
        parents.update(_parents(name))
        if name in files or name in folders:
            raise Harmful(f"{_shown(name)} is in it twice")
        (folders if info.is_dir() else files).add(name)
    both = files & parents
    if both:
        raise Harmful(f"{_shown(min(both))} is both a file and a folder")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], zipfile.ZipFile]]:
    try:
        with _Bounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            yield file, archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError) as error:
        raise Damaged(_line(error)) from None
    except (ValueError, OverflowError, RuntimeError, struct.error, zlib.error) as error:
        raise Damaged(_line(error)) from None


class _Bounded(io.BufferedReader):
    """A file that is not read in big pieces: ``zipfile`` reads the whole directory of an archive in one."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise Harmful(f"its directory takes {size} bytes; at most {MAX_DIRECTORY} are accepted")
        return super().read(size)


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.filename
    with _blaming(info):
        _check_listed_extra(info)
    # zipfile cuts names at a NUL, and may take another one from an extra field; orig_filename is what other programs
    # see.
    for path in {info.orig_filename, name}:
        _check_path(path)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Harmful(f"{_shown(name)} is a link or a device")
    if info.flag_bits & _ENCRYPTED:
        raise Harmful(f"{_shown(name)} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Harmful(f"{_shown(name)} is compressed by method {info.compress_type}; stored and deflated are accepted")
    if info.is_dir() and info.file_size:
        raise Harmful(f"the folder {_shown(name)} has content")


def _check_listed_extra(info: zipfile.ZipInfo) -> None:
    if extra_fields.has_other_name(info.extra, info.orig_filename):
        raise Harmful(f"{_shown(info.filename)} has another name in its extra field")
    if extra_fields.has_other_sizes(info):
        raise Harmful(f"{_shown(info.filename)} has another size in its extra field")


@contextmanager
def _blaming(info: zipfile.ZipInfo) -> Iterator[None]:
    try:
        yield
    except extra_fields.Malformed:
        raise Harmful(f"{_shown(info.filename)} has a malformed extra field") from None


def _check_path(path: str) -> None:
    parts = path.rstrip("/").split("/")
    if _FORBIDDEN.search(path):
        raise Harmful(f"the name {_shown(path)} has characters that are not accepted")
    if _DRIVE.match(path) or any(part in ("", ".", "..") for part in parts):
        raise Harmful(f"the path {_shown(path)} leads out of the project")
    if any(len(part.encode("utf-8", "surrogateescape")) > MAX_COMPONENT_BYTES for part in parts):
        raise Harmful(f"the name {_shown(path)} is too long")


def _check_data(file: IO[bytes], info: zipfile.ZipInfo, end_before: int) -> int:
    """Reads one entry through; returns where it ends, which is where the next entry must begin."""
    name = _shown(info.filename)
    gap = info.header_offset - end_before
    if gap < 0:
        raise Harmful(f"{name} lies over another entry")
    if gap:
        raise Harmful(f"there are {gap} bytes before {name} that are of no entry")
    own = _check_header(file, info)
    pieces = _unpacked(file, info, own.start)
    if own.sizes_follow and info.compress_type == zipfile.ZIP_STORED:
        pieces = _without_marks(pieces, name)
    found, crc = 0, 0
    for piece in pieces:
        found += len(piece)
        crc = zlib.crc32(piece, crc)
        if found > info.file_size:
            raise Harmful(f"{name} holds more than the {info.file_size} bytes that it announces")
    if found < info.file_size:
        raise Damaged(f"{name} holds {found} of the {info.file_size} bytes that it announces")
    if crc != info.CRC:
        raise Damaged(f"{name} has a wrong checksum")
    return _check_descriptor(file, info, own)


@dataclass(frozen=True)
class _Own:
    """What the entry's own header tells. ``wide``: its sizes are in the extra field."""

    start: int
    sizes_follow: bool
    wide: bool


def _check_header(file: IO[bytes], info: zipfile.ZipInfo) -> _Own:
    """Compares the entry's own header with the directory."""
    name = _shown(info.filename)
    file.seek(info.header_offset)
    raw = file.read(_HEADER.size)
    if len(raw) < _HEADER.size or raw[:4] != _HEADER_MARK:
        raise Damaged(f"{name} has no header")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _HEADER.unpack(raw)
    own_name = file.read(name_length)
    if info.orig_filename not in (own_name.decode("utf-8", "replace"), own_name.decode("cp437")):
        raise Harmful(f"{name} has another name in its own header")
    if flags & _ENCRYPTED:
        raise Harmful(f"{name} is encrypted by its own header")
    wide = _own_wide_sizes(info, file.read(extra_length))
    follow = bool(flags & _SIZES_FOLLOW)
    if method != info.compress_type or not extra_fields.agree(info, crc, [(size, packed), *wide], follow=follow):
        raise Harmful(f"{name} has another size or checksum in its own header")
    return _Own(info.header_offset + len(raw) + name_length + extra_length, follow, bool(wide))


def _own_wide_sizes(info: zipfile.ZipInfo, extra: bytes) -> list[tuple[int, int]]:
    with _blaming(info):
        if extra_fields.has_other_name(extra, info.orig_filename):
            raise Harmful(f"{_shown(info.filename)} has another name in its extra field")
        return extra_fields.wide_sizes(extra)


def _check_descriptor(file: IO[bytes], info: zipfile.ZipInfo, own: _Own) -> int:
    """Compares what follows the data with the directory; returns where it ends."""
    end = own.start + info.compress_size
    if not own.sizes_follow:
        return end
    file.seek(end)
    length = extra_fields.descriptor_length(file.read(extra_fields.DESCRIPTOR_BYTES), info, wide=own.wide)
    if length is None:
        raise Harmful(f"{_shown(info.filename)} has another size or checksum behind its data")
    return end + length


def _without_marks(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The data of a stored entry whose size follows them: they end where a program thinks that it sees their end."""
    before = b""
    for piece in pieces:
        seen = before + piece
        if extra_fields.MARKS.search(seen):
            raise Harmful(f"{name} holds what looks like another entry")
        before = seen[-3:]
        yield piece


def _unpacked(file: IO[bytes], info: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    """The entry's content in pieces; one that does not end where it is said to end raises."""
    file.seek(start)
    left = info.compress_size
    if info.compress_type == zipfile.ZIP_STORED:
        while left:
            left -= len(piece := _read(file, min(left, _CHUNK)))
            yield piece
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = b""
    while not inflate.eof and (rest or left):
        if not rest:
            left -= len(rest := _read(file, min(left, _CHUNK)))
        yield inflate.decompress(rest, _CHUNK)
        rest = inflate.unconsumed_tail
    while not inflate.eof and (piece := inflate.decompress(b"", _CHUNK)):
        yield piece
    if not inflate.eof:
        raise Damaged(f"{_shown(info.filename)} ends too early")
    if left or inflate.unused_data:
        raise Harmful(f"{_shown(info.filename)} has bytes behind its end")


def _read(file: IO[bytes], size: int) -> bytes:
    piece = file.read(size)
    if not piece:
        raise Damaged("it ends too early")
    return piece


def _parents(name: str) -> Iterator[str]:
    position = name.find("/")
    while position != -1:
        yield name[:position]
        position = name.find("/", position + 1)


def _shown(name: str) -> str:
    """The name on one line, cut."""
    return ascii(name if len(name) <= 80 else f"{name[:80]}…")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
