"""Archives that nobody may unpack are found before anybody does."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from mlops_steps.archive import contents
from mlops_steps.archive.contents import BadArchive, Damaged, Harmful, checked
from tests.archive.archives import (
    ALL_WIDE,
    DAMAGED,
    FROM_PROGRAMS,
    HARMFUL,
    Entry,
    bundle,
    descriptor,
    ended,
    harmless,
    shifted,
    wide_end,
    zipped,
)


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with checked(path):
        pass


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_archive_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    make, reason = HARMFUL[kind]
    with pytest.raises(Harmful) as refusal:
        check(tmp_path / "b.zip", make("P"))
    assert reason in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_archive_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Damaged) as refusal:
        check(tmp_path / "b.zip", DAMAGED[kind]("P"))
    assert str(refusal.value).isprintable()


def test_a_harmless_archive_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(harmless("P"))
    with checked(tmp_path / "b.zip") as found:
        assert "uploads/déjà vu.csv" in found.namelist()


@pytest.mark.parametrize("kind", FROM_PROGRAMS)
def test_what_programs_write_is_accepted(tmp_path: Path, kind: str) -> None:
    check(tmp_path / "b.zip", bundle("P", FROM_PROGRAMS[kind], Entry("uploads/next")))


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 1024])
@pytest.mark.parametrize("mark", [b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"])
def test_a_mark_over_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, mark: bytes
) -> None:
    monkeypatch.setattr(contents, "_CHUNK", chunk)
    content = b"abcd" + mark
    stored = Entry("uploads/a", content, method=0, flags=8, behind=descriptor(content, len(content)))
    with pytest.raises(Harmful, match="looks like another entry"):
        check(tmp_path / "b.zip", bundle("P", stored))


def test_an_entry_that_reaches_into_the_directory_is_refused(tmp_path: Path) -> None:
    directory = 46 + len("a")
    data = bytearray(zipped([Entry("a", b"", method=0, own_extra=struct.pack("<HH", 0xCAFE, directory))]))
    struct.pack_into("<H", data, 28, 4 + directory)
    with pytest.raises(Harmful, match="lies over its directory"):
        check(tmp_path / "b.zip", bytes(data))


def test_a_size_that_is_in_no_extra_field_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 2**32 - 1
    monkeypatch.setattr(contents, "RATIO_FROM_BYTES", size)
    with pytest.raises(Harmful, match="another size or checksum in its own header"):
        check(tmp_path / "b.zip", zipped([Entry("a", size=size)]))


def test_an_archive_within_an_archive_is_accepted_where_sizes_go_before(tmp_path: Path) -> None:
    check(tmp_path / "b.zip", bundle("P", Entry("uploads/inner.zip", harmless("P"), method=0)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_a_program_writes_in_a_stream_is_accepted(tmp_path: Path, method: int) -> None:
    class Pipe(io.RawIOBase):
        """Cannot go back: checksums and sizes follow each entry then."""

        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as written:  # type: ignore[arg-type]
        written.writestr("a", "content" * 100)
        written.mkdir("folder") if hasattr(written, "mkdir") else None
        with written.open("big", "w", force_zip64=True) as file:
            file.write(b"0123456789" * 300_000)
    check(tmp_path / "b.zip", pipe.data)


def test_an_archive_of_many_sizes_is_read_to_its_end(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 8192
    sizes = [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2 * 1024 * 1024]
    entries = [Entry(f"{method}-{size}", noise[:size], method=method) for size in sizes for method in (0, 8)]
    check(tmp_path / "b.zip", zipped(entries))


def test_a_directory_that_would_fill_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MAX_DIRECTORY", 10_000)
    data = zipped([Entry(f"uploads/{number}") for number in range(300)])
    with pytest.raises(Harmful, match="its directory takes"):
        check(tmp_path / "b.zip", data)


def test_an_archive_with_too_many_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_ENTRIES", 3)
    with pytest.raises(Harmful, match="4 entries; at most 3"):
        check(tmp_path / "b.zip", zipped([Entry(f"{number}") for number in range(4)]))


@pytest.mark.parametrize(("method", "flags"), [(0, 0), (0, 8), (8, 0)])
def test_memory_does_not_grow_with_the_archive(tmp_path: Path, method: int, flags: int) -> None:
    content = b"".join(bytes([number]) * 1024 * 1024 for number in range(40))
    path = tmp_path / "b.zip"
    behind = descriptor(content, len(content)) if flags else b""
    path.write_bytes(zipped([Entry("big", content, method=method, flags=flags, behind=behind)]))
    del content
    tracemalloc.start()
    try:
        with checked(path):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive), checked(tmp_path / "nothing.zip"):
        pass


@pytest.mark.parametrize("by", [1, 22, 500, 65_000])
@pytest.mark.parametrize("wide", [False, True])
def test_an_archive_that_tells_of_a_directory_elsewhere_is_refused(tmp_path: Path, by: int, wide: bool) -> None:
    data = shifted(harmless("P"), by)
    data = ended(data, b" " * by, before=wide_end(data), **ALL_WIDE) if wide else ended(data, b" " * by)
    with pytest.raises(Harmful, match="another directory"):
        check(tmp_path / "b.zip", data)


def test_an_archive_behind_other_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Harmful):
        check(tmp_path / "b.zip", b"#!/bin/sh\n" + harmless("P"))


@pytest.mark.parametrize(
    "told",
    [
        {"disk": 1},
        {"start_disk": 1},
        {"here": 4},
        {"listed": 4},
        {"listed": 6},
        {"at": 0},
        {"at": 2**32 - 1},
        {"listed": 2**16 - 1},
        {"length": 1},
        ALL_WIDE | {"size": 0},
        {"size": 0},
    ],
    ids=str,
)
def test_an_end_that_tells_anything_else_is_refused(tmp_path: Path, told: dict[str, int]) -> None:
    with pytest.raises(Harmful):
        check(tmp_path / "b.zip", ended(harmless("P"), **told))


@pytest.mark.parametrize(
    "told",
    [
        {"disk": 1},
        {"start_disk": 1},
        {"here": 4},
        {"listed": 4},
        {"listed": 2**16 + 5},
        {"at": 0},
        {"at": 2**32 - 1},
        {"record": 45},
        {"record": 2**40},
        {"locator_disk": 1},
        {"record_at": 0},
        {"disks": 0},
        {"disks": 2},
        {"size": 0},
    ],
    ids=str,
)
def test_a_zip64_end_that_tells_anything_else_is_refused(tmp_path: Path, told: dict[str, int]) -> None:
    # zipfile itself finds some of it.
    with pytest.raises(BadArchive):
        check(tmp_path / "b.zip", ended(harmless("P"), before=wide_end(harmless("P"), **told), **ALL_WIDE))


@pytest.mark.parametrize("told", [{"disk": 1}, {"here": 4}, {"listed": 4}, {"size": 1}, {"at": 0}], ids=str)
def test_an_end_that_contradicts_the_zip64_one_is_refused(tmp_path: Path, told: dict[str, int]) -> None:
    with pytest.raises(Harmful, match="another directory"):
        check(tmp_path / "b.zip", ended(harmless("P"), before=wide_end(harmless("P")), **told))


def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Harmful, match="behind its end"):
        check(tmp_path / "b.zip", ended(harmless("P"), b"comment", behind=b"more"))


def _listed_with_comment(data: bytes, comment: bytes, told: int | None = None) -> bytes:
    """The archive, of which the last entry in the directory has a comment, ``told`` to be that long."""
    size, at = struct.unpack_from("<LL", data, len(data) - 10)
    last = data.rindex(b"PK\x01\x02")
    found = bytearray(data[:-22] + comment + data[-22:])
    struct.pack_into("<H", found, last + 32, len(comment) if told is None else told)
    struct.pack_into("<LL", found, len(found) - 10, size + len(comment), at)
    return bytes(found)


def test_an_end_in_the_comment_of_another_is_refused(tmp_path: Path) -> None:
    """A program that searches from the front finds the first one, from the back the second."""
    inner = ended(harmless("P"), length=22)[-22:]
    with pytest.raises(Harmful, match="another end"):
        check(tmp_path / "b.zip", _listed_with_comment(harmless("P"), inner))


@pytest.mark.parametrize("comment", [b"PK\x05\x06", b"ab PK\x05\x06 cd" * 20, b"PK\x05\x06" + b"\0" * 40])
def test_a_comment_that_looks_like_an_end_is_refused(tmp_path: Path, comment: bytes) -> None:
    with pytest.raises(BadArchive):
        check(tmp_path / "b.zip", ended(harmless("P"), comment))


def test_a_comment_that_is_an_empty_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Harmful):
        check(tmp_path / "b.zip", ended(harmless("P"), zipped([])))


def test_a_last_entry_that_reaches_over_the_end_is_refused(tmp_path: Path) -> None:
    check(tmp_path / "b.zip", _listed_with_comment(harmless("P"), b"comment"))
    with pytest.raises(Harmful, match="another directory"):
        check(tmp_path / "b.zip", _listed_with_comment(harmless("P"), b"comment", 20))


def test_a_zip64_end_that_only_some_would_see_is_refused(tmp_path: Path) -> None:
    hidden = wide_end(harmless("P"), mark=b"PK\x06\x00", record_at=0)
    with pytest.raises(Harmful, match="another directory"):
        check(tmp_path / "b.zip", _listed_with_comment(harmless("P"), hidden))


@pytest.mark.parametrize("comment", [b"", b"made by us", b"x" * 65_535])
@pytest.mark.parametrize("told", [{}, ALL_WIDE, {"at": 2**32 - 1}, {"disk": 2**16 - 1}], ids=str)
def test_a_zip64_end_that_tells_the_same_is_accepted(tmp_path: Path, comment: bytes, told: dict[str, int]) -> None:
    check(tmp_path / "b.zip", ended(harmless("P"), comment, before=wide_end(harmless("P")), **told))
    check(tmp_path / "b.zip", ended(harmless("P"), comment))


@pytest.mark.parametrize("utf_8", [False, True])
def test_a_last_entry_whose_name_is_not_ascii_is_accepted(tmp_path: Path, utf_8: bool) -> None:
    data = bytearray(zipped([Entry("é", b"", method=0)]))
    for flags in (7, data.index(b"PK\x01\x02") + 9):
        data[flags] = 0x08 if utf_8 else 0
    check(tmp_path / "b.zip", bytes(data))


def test_an_archive_without_entries_is_accepted(tmp_path: Path) -> None:
    check(tmp_path / "b.zip", zipped([]))


@pytest.mark.parametrize("entries", [65_535, 65_536])
def test_what_python_writes_with_many_entries_is_accepted(tmp_path: Path, entries: int) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as written:
        for number in range(entries):
            written.writestr(zipfile.ZipInfo(f"{number}"), b"")
        written.comment = b"made by us"
    assert (b"PK\x06\x06" in (tmp_path / "b.zip").read_bytes()) == (entries > 65_535)
    with checked(tmp_path / "b.zip") as found:
        assert len(found.namelist()) == entries
