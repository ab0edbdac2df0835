"""Archives that nobody may unpack are found before anybody does."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from mlops_steps import archive
from mlops_steps.archive import BadArchive, Damaged, Harmful, checked
from tests.archives import DAMAGED, FROM_PROGRAMS, HARMFUL, Entry, bundle, descriptor, harmless, zipped


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
    monkeypatch.setattr(archive, "_CHUNK", chunk)
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
    monkeypatch.setattr(archive, "RATIO_FROM_BYTES", size)
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
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 10_000)
    data = zipped([Entry(f"uploads/{number}") for number in range(300)])
    with pytest.raises(Harmful, match="its directory takes"):
        check(tmp_path / "b.zip", data)


def test_an_archive_with_too_many_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
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
