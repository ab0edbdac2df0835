"""What the end of a zip file tells of its directory, against what ``zipfile`` made of it.

``zipfile`` goes back from the end by the directory's size; other programs go where the end says, to as many entries as
it says. Facts only; :mod:`mlops_steps.archive.contents` decides.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from typing import IO

_END = struct.Struct("<4s4H2LH")
MARK = b"PK\x05\x06"
_MARKS = re.compile(re.escape(MARK))
_MAX_COMMENT = 0xFFFF
# Bytes of the end, its mark included, with the longest comment.
LONGEST = _END.size + _MAX_COMMENT
# Instead of a number: it is in the ZIP64 record.
_ELSEWHERE = (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
# The ZIP64 record, its mark, the bytes that follow its length, and what says where it is.
_WIDE = struct.Struct("<4sQ2H2L4Q")
_WIDE_MARK = b"PK\x06\x06"
_WIDE_LENGTH = 44
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MARK = b"PK\x06\x07"
# An entry of the directory: what is fixed, and where the lengths of name, extra field and comment stand in it.
_LISTED_BYTES = 46
_LENGTHS = struct.Struct("<3H")
_LENGTHS_AT = 28
_UTF_8 = 0x800

_OTHER = "its end describes another directory than it has"


def contradiction(file: IO[bytes], archive: zipfile.ZipFile) -> str | None:
    """Why other programs may find another directory than the one that was read; ``None`` when they cannot."""
    size = file.seek(0, os.SEEK_END)
    end = size - _END.size - len(archive.comment)
    first = max(0, size - _END.size - _MAX_COMMENT)
    tail = _at(file, first, size - first)
    if any(_is_other_end(tail, mark.start(), end - first) for mark in _MARKS.finditer(tail)):
        return "it has another end within its comment or before its end"
    mark, *stated, comment_length = _END.unpack_from(tail, end - first)
    if mark != MARK or comment_length != len(archive.comment):
        return "it has bytes behind its end"
    locator = _at(file, end - _LOCATOR.size, _LOCATOR.size)
    is_wide = locator.startswith(_LOCATOR_MARK)
    directory_end = end - _LOCATOR.size - _WIDE.size if is_wide else end
    count = len(archive.infolist())
    true = (0, 0, count, count, directory_end - archive.start_dir, archive.start_dir)
    if is_wide and not _is_wide_end(_at(file, directory_end, _WIDE.size), locator, directory_end, true):
        return _OTHER
    for number, right, elsewhere in zip(stated, true, _ELSEWHERE, strict=True):
        if number != right and not (is_wide and number == elsewhere):
            return _OTHER
    return None if _is_last_whole(file, archive, directory_end) else _OTHER


def _at(file: IO[bytes], position: int, size: int) -> bytes:
    if position < 0:
        return b""
    file.seek(position)
    return file.read(size)


def _is_other_end(tail: bytes, position: int, end: int) -> bool:
    """Whether a program may take the mark at this position for the end, which is at ``end``.

    Before the end, only one with a comment that goes to the last byte: an archive within the archive has marks, too.
    """
    if position >= end:
        return position > end
    *_, comment_length = _END.unpack_from(tail, position)
    return bool(position + _END.size + comment_length == len(tail))


def _is_wide_end(record: bytes, locator: bytes, position: int, true: tuple[int, ...]) -> bool:
    """Whether the ZIP64 record and its locator tell the truth."""
    if len(record) < _WIDE.size:
        return False
    mark, length, _, _, *stated = _WIDE.unpack(record)
    _, disk, told_position, disks = _LOCATOR.unpack(locator)
    is_found = (disk, told_position, disks) == (0, position, 1)
    return is_found and (mark, length, *stated) == (_WIDE_MARK, _WIDE_LENGTH, *true)


def _is_last_whole(file: IO[bytes], archive: zipfile.ZipFile, directory_end: int) -> bool:
    """Whether the last entry of the directory ends with it: ``zipfile`` cuts one that is said to be longer."""
    if not archive.infolist():
        return True
    last = archive.infolist()[-1]
    name = last.orig_filename.encode("utf-8" if last.flag_bits & _UTF_8 else "cp437")
    lengths = (len(name), len(last.extra), len(last.comment))
    listed = _at(file, directory_end - sum(lengths) - _LISTED_BYTES, _LISTED_BYTES)
    return len(listed) == _LISTED_BYTES and _LENGTHS.unpack_from(listed, _LENGTHS_AT) == lengths
