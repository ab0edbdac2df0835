"""What was in a folder is in it again, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from tests.support.snapshot import Snapshot


def content(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_whatever_was_done_to_a_folder_is_undone(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("kept", "changed", "removed", "replaced", "a/deep/file"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("kept")
    before = content(tmp_path)
    snapshot = Snapshot(tmp_path)
    for _ in range(2):
        (tmp_path / "changed").write_text("CHANGED")
        (tmp_path / "removed").unlink()
        (tmp_path / "replaced").unlink()
        (tmp_path / "replaced").mkdir()
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").write_text("new")
        (tmp_path / "a" / "deep" / "file").unlink()
        (tmp_path / "a" / "deep").rmdir()
        (tmp_path / "empty").rmdir()
        (tmp_path / "link").unlink()
        snapshot.put_back()
        assert content(tmp_path) == before
        assert (tmp_path / "link").readlink() == Path("kept")


def test_what_was_not_touched_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    snapshot = Snapshot(tmp_path)
    inode = (tmp_path / "file").stat().st_ino
    snapshot.put_back()
    assert (tmp_path / "file").stat().st_ino == inode


def test_a_change_in_place_that_keeps_the_size_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    snapshot = Snapshot(tmp_path)
    with (tmp_path / "file").open("r+") as file:
        file.write("TEXT")
    snapshot.put_back()
    assert (tmp_path / "file").read_text() == "text"
