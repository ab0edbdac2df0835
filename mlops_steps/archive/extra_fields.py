"""What else a zip entry says of itself: in its extra fields, and in the descriptor behind its data.

Programs that go from header to header believe these, and ``zipfile`` does not read them, or not in every version of
Python. Bytes in, facts out; :mod:`mlops_steps.archive.contents` decides.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterator

_WIDE_SIZES = 0x0001
_UNICODE_PATH = 0x7075
# Version and checksum of the name that it replaces.
_BEFORE_NAME = 5
_MARK = b"PK\x07\x08"
# Instead of a size: it is in the extra field.
_ELSEWHERE = 0xFFFFFFFF
DESCRIPTOR_BYTES = 24

# Where programs end an entry of unknown size: the marks of a directory, of a header, of a descriptor.
MARKS = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x07\x08)")


class Malformed(Exception):
    """The extra field is not made of whole blocks."""


def wide_sizes(extra: bytes) -> list[tuple[int, int]]:
    """Size and packed size from the entry's own extra field, as often as they are in it. Raises :class:`Malformed`."""
    contents = [content for kind, content in _blocks(extra) if kind == _WIDE_SIZES]
    if any(len(content) != 16 for content in contents):
        raise Malformed
    return [(size, packed) for content in contents for size, packed in [struct.unpack("<QQ", content)]]


def agree(info: zipfile.ZipInfo, crc: int, sizes: list[tuple[int, int]], *, follow: bool) -> bool:
    """Whether the numbers of the entry's own header are those of the directory.

    ``sizes``: the pair of 32 bits, then those of :func:`wide_sizes`. ``follow``: what is 0 stands behind the data.
    """
    narrow, *wide = sizes
    # Only sizes may be elsewhere, never the checksum; and without the extra field they are nowhere.
    if _ELSEWHERE in narrow and not wide:
        return False
    listed = (info.file_size, info.compress_size)
    stated = [(crc, info.CRC), *(pair for pair in zip(narrow, listed, strict=True) if pair[0] != _ELSEWHERE)]
    stated += [pair for both in wide for pair in zip(both, listed, strict=True)]
    return all(own == other or (follow and own == 0) for own, other in stated)


def has_other_name(extra: bytes, name: str) -> bool:
    """Whether the extra field has another name than this one. Raises :class:`Malformed`."""
    own = name.encode("utf-8", "surrogateescape")
    return any(kind == _UNICODE_PATH and content[_BEFORE_NAME:] != own for kind, content in _blocks(extra))


def has_other_sizes(info: zipfile.ZipInfo) -> bool:
    """Whether the extra field of the directory has numbers that ``zipfile`` did not take. Raises :class:`Malformed`."""
    return any(not _taken(content, info) for kind, content in _blocks(info.extra) if kind == _WIDE_SIZES)


def descriptor_length(data: bytes, info: zipfile.ZipInfo, *, wide: bool) -> int | None:
    """The bytes that the descriptor takes with which these data begin; ``None`` when they are no right one.

    ``wide``: the entry's own extra field has its sizes, so those of the descriptor have 64 bits as well.
    """
    sizes = "QQ" if wide or max(info.file_size, info.compress_size) >= _ELSEWHERE else "LL"
    stated = struct.pack(f"<L{sizes}", info.CRC, info.compress_size, info.file_size)
    # The mark is optional, but who searches for the end of stored data knows it by nothing else.
    forms = [_MARK + stated] if info.compress_type == zipfile.ZIP_STORED else [_MARK + stated, stated]
    return next((len(form) for form in forms if data.startswith(form)), None)


def _blocks(extra: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(extra):
        if len(extra) - position < 4:
            raise Malformed
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if len(extra) - position < length:
            raise Malformed
        yield kind, extra[position : position + length]
        position += length


def _taken(content: bytes, info: zipfile.ZipInfo) -> bool:
    """Whether the numbers are the entry's, in the order of the format; each may be missing. The disk's ends them."""
    count, rest = divmod(len(content), 8)
    if rest not in (0, 4):
        raise Malformed
    known = iter((info.file_size, info.compress_size, info.header_offset))
    return all(number in known for number in struct.unpack_from(f"<{count}Q", content))
