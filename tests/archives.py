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

LINK, DEVICE, BLOCK_DEVICE, PIPE, SOCKET = stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK


@dataclass(frozen=True)
class Entry:
    """One entry. What is None is as it should be; ``own_name`` stands in the entry's own header.

    ``at``: the offset that the directory tells. ``hidden``: the directory does not tell of it.
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
        own_size = size if entry.own_size is None else entry.own_size
        flags = entry.flags | 0x800
        offset = len(body) if entry.at is None else entry.at
        own = (20, flags, entry.method, 0, 0x21, crc, len(packed), own_size, len(own_name), 0)
        if entry.at is None:
            body += struct.pack("<4s5H3L2H", b"PK\x03\x04", *own) + own_name + packed
        if not entry.hidden:
            listed += 1
            told = (0x31E, 20, flags, entry.method, 0, 0x21, crc, len(packed), size, len(name), 0, 0, 0, 0)
            directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *told, entry.mode << 16, offset) + name
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, listed, listed, len(directory), len(body), 0)
    return bytes(body + directory + end)


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
}

#: What is no whole zip archive.
DAMAGED: dict[str, Callable[[str], bytes]] = {
    "empty": lambda _project: b"",
    "no zip": lambda _project: b"<html>Please log in</html>",
    "cut": lambda project: harmless(project)[:200],
    "wrong checksum": _adding(Entry("uploads/a", crc=1)),
    "less than announced": _adding(Entry("uploads/a", size=1_000)),
    "garbled": _adding(Entry("uploads/a", packed=b"\xff" * 20)),
    "ends too early": _adding(Entry("uploads/a", _MORE, packed=_packed(Entry("", _MORE))[:-3])),
    "does not end": _adding(Entry("uploads/a", _MORE, packed=_endless(_MORE))),
}
