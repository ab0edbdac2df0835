"""Bundle archives that must be refused, each for one reason, and one that must not.

They are put together byte by byte, because no library writes what an attacker would.
"""

from __future__ import annotations

import json
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

LINK, DEVICE, BLOCK_DEVICE, PIPE, SOCKET = stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK


@dataclass(frozen=True)
class Entry:
    """One entry. What is None is as it should be; what is called ``own_…`` stands in the entry's own header.

    ``at``: the offset that the directory tells. ``hidden``: the directory does not tell of it. ``behind``: what follows
    the data.
    """

    name: str
    content: bytes = b"x"
    mode: int = 0
    flags: int = 0
    method: int = 8
    size: int | None = None
    crc: int | None = None
    packed: bytes | None = None
    own_name: str | None = None
    own_size: int | None = None
    own_packed: int | None = None
    own_crc: int | None = None
    own_flags: int | None = None
    own_extra: bytes = b""
    extra: bytes = b""
    behind: bytes = b""
    at: int | None = None
    hidden: bool = False


def zipped(entries: Sequence[Entry]) -> bytes:
    """The archive of these entries."""
    body, directory, listed = bytearray(), bytearray(), 0
    for entry in entries:
        packed = entry.packed if entry.packed is not None else _packed(entry)
        size = len(entry.content) if entry.size is None else entry.size
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        name = entry.name.encode()
        own_name = (entry.own_name or entry.name).encode()
        flags = entry.flags | 0x800
        offset = len(body) if entry.at is None else entry.at
        if entry.at is None:
            body += _own_header(entry, flags, (crc, len(packed), size), own_name) + packed + entry.behind
        if not entry.hidden:
            listed += 1
            told = (0x31E, 20, flags, entry.method, 0, 0x21, crc, len(packed), size, len(name))
            rest = (len(entry.extra), 0, 0, 0, entry.mode << 16, offset)
            directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *told, *rest) + name + entry.extra
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, listed, listed, len(directory), len(body), 0)
    return bytes(body + directory + end)


def _own_header(entry: Entry, flags: int, true: tuple[int, int, int], name: bytes) -> bytes:
    own = (entry.own_crc, entry.own_packed, entry.own_size)
    told = [right if other is None else other for other, right in zip(own, true, strict=True)]
    own_flags = flags if entry.own_flags is None else entry.own_flags | 0x800
    before = (20, own_flags, entry.method, 0, 0x21)
    lengths = (len(name), len(entry.own_extra))
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *before, *told, *lengths) + name + entry.own_extra


def block(kind: int, content: bytes) -> bytes:
    """One block of an extra field."""
    return struct.pack("<HH", kind, len(content)) + content


def wide(*sizes: int) -> bytes:
    """The block of an extra field that has sizes of 64 bits."""
    return block(1, struct.pack(f"<{len(sizes)}Q", *sizes))


def unicode_path(name: str, of: str) -> bytes:
    """The block of an extra field that has another name for an entry of this name."""
    return block(0x7075, struct.pack("<BL", 1, zlib.crc32(of.encode())) + name.encode())


def descriptor(content: bytes, packed: int, *, marked: bool = True, form: str = "LL") -> bytes:
    """What programs that cannot go back write behind the data."""
    told = struct.pack(f"<L{form}", zlib.crc32(content), packed, len(content))
    return b"PK\x07\x08" * marked + told


def shifted(data: bytes, by: int) -> bytes:
    """The archive, of which the end and the directory tell places that many bytes further on."""
    found = bytearray(data)
    end = len(data) - 22
    listed, size, at = struct.unpack_from("<HLL", data, end + 10)
    struct.pack_into("<L", found, end + 16, at + by)
    position = end - size
    for _ in range(listed):
        lengths = struct.unpack_from("<3H", data, position + 28)
        (offset,) = struct.unpack_from("<L", data, position + 42)
        struct.pack_into("<L", found, position + 42, offset + by)
        position += 46 + sum(lengths)
    return bytes(found)


def ended(data: bytes, comment: bytes = b"", *, before: bytes = b"", behind: bytes = b"", **told: int) -> bytes:
    """The archive with another end record: what is not ``told`` is as in the one that it has.

    ``before`` and ``behind`` the record stand these bytes.
    """
    here = dict(zip(_END, struct.unpack("<4x4H2LH", data[-22:]), strict=True)) | {"length": len(comment)} | told
    return data[:-22] + before + struct.pack("<4s4H2LH", b"PK\x05\x06", *here.values()) + comment + behind


def wide_end(data: bytes, mark: bytes = b"PK\x06\x06", **told: int) -> bytes:
    """The ZIP64 end record and its locator, to be put before the end record of the archive."""
    disk, start_disk, here, listed, size, at, _ = struct.unpack("<4x4H2LH", data[-22:])
    true = (44, 45, 45, disk, start_disk, here, listed, size, at, 0, len(data) - 22, 1)
    names = ("record", "made", "needed", *_END[:6], "locator_disk", "record_at", "disks")
    values = tuple((dict(zip(names, true, strict=True)) | told).values())
    return struct.pack("<4sQ2H2L4Q", mark, *values[:9]) + struct.pack("<4sLQL", b"PK\x06\x07", *values[9:])


_END = ("disk", "start_disk", "here", "listed", "size", "at", "length")
#: The end record, when all of it stands in the ZIP64 one.
ALL_WIDE = {"here": 0xFFFF, "listed": 0xFFFF, "size": 0xFFFFFFFF, "at": 0xFFFFFFFF}


def _endless(content: bytes) -> bytes:
    """All of the content, but the compressed stream never says that it ends."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(content) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _packed(entry: Entry) -> bytes:
    if entry.method == 0:
        return entry.content
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(entry.content) + compressor.flush()


def bundle(project: str, *more: Entry, manifest: bytes | None = None) -> bytes:
    """A bundle of the project with further entries."""
    told = json.dumps({"originalProjectKey": project, "bundleId": "v1"}).encode() if manifest is None else manifest
    params = json.dumps({"name": "Evil", "settings": {}}).encode()
    return zipped([Entry("export-manifest.json", told), Entry("project_config/params.json", params), *more])


def harmless(project: str) -> bytes:
    """A bundle like those that DSS exports."""
    return bundle(
        project,
        Entry("uploads/", b"", mode=stat.S_IFDIR | 0o755, method=0),
        Entry("uploads/déjà vu.csv", b"a,b\n" * 1000, mode=stat.S_IFREG | 0o644),
        Entry("uploads/stored", b"as it is", method=0),
    )


def _bomb(project: str) -> bytes:
    """A megabyte that would become 80 terabytes: all entries share the data of the first one."""
    first = Entry("uploads/0", size=2**32 - 2, own_size=2**32 - 2)
    at = bundle(project, first).index(b"uploads/0") - 30
    return bundle(project, first, *(replace(first, name=f"uploads/{number}", at=at) for number in range(1, 20_000)))


def _overlapping(project: str) -> bytes:
    return bundle(project, Entry("uploads/a"), Entry("uploads/b", at=0, own_name="export-manifest.json"))


def _adding(*entries: Entry) -> Callable[[str], bytes]:
    return lambda project: bundle(project, *entries)


_MORE = b"0123456789" * 50

# The data of one entry by the directory; who believes 4 bytes sees an entry behind them.
_EVIL = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0x21, zlib.crc32(b"boom"), 4, 4, 10, 0) + b"../../evilboom"
_INNER = b"\xff" * 4 + _EVIL
_FULL = 0xFFFFFFFF
_UP = "../../../etc/cron.d/evil"
_FOLLOWS: dict[str, Any] = {"flags": 8, "own_crc": 0, "own_packed": 0, "own_size": 0}
_SIZES_64: dict[str, Any] = {"own_packed": _FULL, "own_size": _FULL}
_STORED = Entry("uploads/a", _INNER, method=0)
_X = len(_packed(Entry("", b"x")))

_OWN_HEADER: dict[str, tuple[Entry, str]] = {
    "own wide sizes": (replace(_STORED, **_SIZES_64, own_extra=wide(4, 4)), "another size or checksum"),
    "own wide sizes, no checksum": (
        replace(_STORED, **_SIZES_64, own_crc=_FULL, own_extra=wide(4, 4)),
        "another size or checksum",
    ),
    "own wide sizes beside right ones": (replace(_STORED, own_extra=wide(4, 4)), "another size or checksum"),
    "own wide sizes that are empty": (replace(_STORED, own_extra=wide(0, 0)), "another size or checksum"),
    "own wide sizes twice": (
        replace(_STORED, **_SIZES_64, own_extra=wide(len(_INNER), len(_INNER)) + wide(4, 4)),
        "another size or checksum",
    ),
    "one own wide size": (replace(_STORED, **_SIZES_64, own_extra=wide(len(_INNER))), "malformed extra field"),
    "no checksum in its header": (Entry("uploads/a", own_crc=_FULL), "another size or checksum"),
    "no sizes in its header": (Entry("uploads/a", **_SIZES_64), "another size or checksum"),
    "encrypted by its header": (Entry("uploads/a", own_flags=1), "is encrypted"),
    "strongly encrypted by its header": (Entry("uploads/a", own_flags=0x40), "is encrypted"),
    "masked by its header": (Entry("uploads/a", own_flags=0x2000), "is encrypted"),
    "other wide size in the directory": (Entry("uploads/a", extra=wide(4)), "another size in its extra field"),
    "other wide sizes in the directory": (Entry("uploads/a", extra=wide(1, 4)), "another size in its extra field"),
    "cut wide size in the directory": (Entry("uploads/a", extra=block(1, b"12345")), "malformed extra field"),
    "own Unicode path": (
        Entry("uploads/a", own_extra=unicode_path(_UP, "uploads/a")),
        "another name in its extra field",
    ),
    "Unicode path": (Entry("uploads/a", extra=unicode_path(_UP, "uploads/a")), "another name in its extra field"),
    "Unicode path twice": (
        Entry("uploads/a", own_extra=unicode_path(_UP, "uploads/a"), extra=unicode_path(_UP, "uploads/a")),
        "another name in its extra field",
    ),
    "Unicode path of another name": (
        Entry("uploads/a", own_extra=unicode_path(_UP, "uploads/b")),
        "another name in its extra field",
    ),
    "Unicode path behind others": (
        Entry("uploads/a", own_extra=block(0xCAFE, b"") + block(0x5455, b"\0" * 5) + unicode_path(_UP, "uploads/a")),
        "another name in its extra field",
    ),
    "cut Unicode path": (Entry("uploads/a", own_extra=block(0x7075, b"\1")), "another name in its extra field"),
    "own extra field too long": (
        Entry("uploads/a", own_extra=struct.pack("<HH", 0x5455, 90) + b"short"),
        "malformed extra field",
    ),
    "own extra field with a rest": (Entry("uploads/a", own_extra=block(0x5455, b"") + b"PK"), "malformed extra field"),
    "extra field with a rest": (Entry("uploads/a", extra=b"PK"), "malformed extra field"),
    "stored, looks ended": (
        replace(
            _STORED,
            content=b"abcd" + descriptor(b"abcd", 4) + _EVIL,
            **_FOLLOWS,
            behind=descriptor(b"abcd" + descriptor(b"abcd", 4) + _EVIL, 20 + len(_EVIL)),
        ),
        "looks like another entry",
    ),
    "stored, holds a header": (
        replace(_STORED, **_FOLLOWS, behind=descriptor(_INNER, len(_INNER))),
        "looks like another entry",
    ),
    "stored, descriptor without mark": (
        Entry("uploads/a", b"x", method=0, **_FOLLOWS, behind=descriptor(b"x", 1, marked=False)),
        "another size or checksum behind its data",
    ),
    "other sizes behind it": (
        Entry("uploads/a", **_FOLLOWS, behind=descriptor(b"y", _X)),
        "another size or checksum behind its data",
    ),
    "nothing behind it": (Entry("uploads/a", **_FOLLOWS), "another size or checksum behind its data"),
    "sizes behind it too wide": (
        Entry("uploads/a", **_FOLLOWS, behind=descriptor(b"x", _X, form="QQ")),
        "another size or checksum behind its data",
    ),
    "sizes behind it not wide": (
        Entry("uploads/a", flags=8, own_crc=0, **_SIZES_64, own_extra=wide(0, 0), behind=descriptor(b"x", _X)),
        "another size or checksum behind its data",
    ),
    "more behind it": (
        Entry("uploads/a", **_FOLLOWS, behind=descriptor(b"x", _X) + b"PK\x03\x04"),
        "4 bytes before its directory that are of no entry",
    ),
    "room behind it": (Entry("uploads/a", behind=b"PK\x03\x04" + b"\0" * 20), "24 bytes before its directory"),
}

#: What programs write that people use.
FROM_PROGRAMS: dict[str, Entry] = {
    "Python, large file": Entry("a", **_SIZES_64, own_extra=wide(1, _X)),
    "Python, stream": Entry("a", **_FOLLOWS, behind=descriptor(b"x", _X)),
    "Python, stored stream": Entry("a", method=0, **_FOLLOWS, behind=descriptor(b"x", 1)),
    "Python, large stream": Entry(
        "a", flags=8, own_crc=0, **_SIZES_64, own_extra=wide(0, 0), behind=descriptor(b"x", _X, form="QQ")
    ),
    "Java": Entry(
        "a/", b"", **_FOLLOWS, extra=block(0xCAFE, b""), own_extra=block(0xCAFE, b""), behind=descriptor(b"", 2)
    ),
    "commons-compress": Entry("a", own_extra=wide(1, _X)),
    "commons-compress, always wide": Entry("a", **_SIZES_64, own_extra=wide(1, _X), extra=wide(1, _X)),
    "Info-ZIP": Entry(
        "a",
        own_extra=block(0x5455, b"\x03" + b"\xa9f\x06k" * 2) + block(0x7875, b"\1\4" + b"\0" * 4 + b"\4" + b"\0" * 4),
        extra=block(0x5455, b"\x03\xa9f\x06k") + block(0x7875, b"\1\4" + b"\0" * 4 + b"\4" + b"\0" * 4),
    ),
    "Info-ZIP, large": Entry("a", **_SIZES_64, own_extra=wide(1, _X), extra=wide(1)),
    "Info-ZIP, large stream": Entry(
        "a", flags=8, own_crc=0, **_SIZES_64, own_extra=wide(1, 0), behind=descriptor(b"x", _X, form="QQ")
    ),
    "Info-ZIP, stored stream": Entry("a", method=0, flags=8, own_crc=0, behind=descriptor(b"x", 1)),
    "Info-ZIP, Unicode path": Entry("é", own_extra=unicode_path("é", "é"), extra=unicode_path("é", "é")),
    "no mark before the sizes": Entry("a", **_FOLLOWS, behind=descriptor(b"x", _X, marked=False)),
}

#: By the reason: how the archive is made (of a project's key), and what is said of it.
HARMFUL: dict[str, tuple[Callable[[str], bytes], str]] = {
    "absolute": (_adding(Entry("/etc/passwd")), "leads out of the project"),
    "drive": (_adding(Entry("C:/windows")), "leads out of the project"),
    "drive without a slash": (_adding(Entry("c:evil")), "leads out of the project"),
    "parent": (_adding(Entry("uploads/../../../escaped")), "leads out of the project"),
    "parent folder": (_adding(Entry("../", b"")), "leads out of the project"),
    "dot": (_adding(Entry("uploads/./a")), "leads out of the project"),
    "empty part": (_adding(Entry("uploads//a")), "leads out of the project"),
    "backslash": (_adding(Entry("uploads\\..\\a")), "characters that are not accepted"),
    "UNC path": (_adding(Entry("\\\\server\\share")), "characters that are not accepted"),
    "control character": (_adding(Entry("uploads/a\nb")), "characters that are not accepted"),
    "NUL": (_adding(Entry("uploads/a\0.txt")), "characters that are not accepted"),
    "long name": (_adding(Entry("uploads/" + "a" * 300)), "is too long"),
    "link": (_adding(Entry("uploads/link", b"/etc/passwd", LINK | 0o777)), "is a link or a device"),
    "device": (_adding(Entry("uploads/device", b"", DEVICE | 0o666)), "is a link or a device"),
    "block device": (_adding(Entry("uploads/disk", b"", BLOCK_DEVICE | 0o666)), "is a link or a device"),
    "pipe": (_adding(Entry("uploads/pipe", b"", PIPE | 0o666)), "is a link or a device"),
    "socket": (_adding(Entry("uploads/socket", b"", SOCKET | 0o666)), "is a link or a device"),
    "twice": (_adding(Entry("uploads/a", b"1"), Entry("uploads/a", b"2")), "is in it twice"),
    "file and folder": (_adding(Entry("uploads/a"), Entry("uploads/a/b")), "is both a file and a folder"),
    "file and folder of one name": (_adding(Entry("uploads/a"), Entry("uploads/a/", b"")), "is in it twice"),
    "folder with content": (_adding(Entry("uploads/a/", b"content")), "has content"),
    "encrypted": (_adding(Entry("uploads/a", flags=1)), "is encrypted"),
    "other compression": (_adding(Entry("uploads/a", method=12)), "is compressed by method 12"),
    "bomb": (_bomb, "bytes would become"),
    "overlapping": (_overlapping, "lies over another entry"),
    # The checksum is that of the first bytes: who stops at the announced size sees nothing wrong.
    "more than announced": (
        _adding(Entry("uploads/a", _MORE, size=10, crc=zlib.crc32(_MORE[:10]))),
        "holds more than the 10 bytes that it announces",
    ),
    "more than announced, stored": (
        _adding(Entry("uploads/a", _MORE, size=10, crc=zlib.crc32(_MORE[:10]), method=0)),
        "holds more than the 10 bytes that it announces",
    ),
    "bytes behind the end": (_adding(Entry("uploads/a", packed=_packed(Entry("", b"x")) + b"more")), "behind its end"),
    "another name in its header": (_adding(Entry("uploads/a", own_name="../../../a")), "another name in its own"),
    "another size in its header": (_adding(Entry("uploads/a", own_size=5_000)), "another size or checksum"),
    "hidden entry": (_adding(Entry("../../evil", hidden=True), Entry("uploads/a")), "that are of no entry"),
    "hidden entry at the end": (_adding(Entry("../../evil", hidden=True)), "that are of no entry"),
    "directory elsewhere": (lambda project: ended(shifted(harmless(project), 500), b" " * 700), "another directory"),
    **{kind: (_adding(entry), reason) for kind, (entry, reason) in _OWN_HEADER.items()},
}

#: What is no whole zip archive.
DAMAGED: dict[str, Callable[[str], bytes]] = {
    "empty": lambda _project: b"",
    "no zip": lambda _project: b"<html>Please log in</html>",
    "cut": lambda project: harmless(project)[:200],
    "wrong checksum": _adding(Entry("uploads/a", crc=1)),
    "less than announced": _adding(Entry("uploads/a", size=1_000)),
    "extra field too long": _adding(Entry("uploads/a", extra=struct.pack("<HH", 0x5455, 90))),
    "garbled": _adding(Entry("uploads/a", packed=b"\xff" * 20)),
    "ends too early": _adding(Entry("uploads/a", _MORE, packed=_packed(Entry("", _MORE))[:-3])),
    "does not end": _adding(Entry("uploads/a", _MORE, packed=_endless(_MORE))),
}
