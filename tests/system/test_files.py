"""Files that hold a secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlops_steps.system.files import read_secret


def test_a_file_is_read_with_or_without_its_byte_order_mark_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfa-key\n")
    (tmp_path / "link").symlink_to("key")
    assert read_secret(tmp_path / "link") == "a-key\n"


@pytest.mark.timeout(10)
def test_what_may_never_end_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="not a regular file"):
            read_secret(path)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        read_secret(tmp_path / "binary")
    with pytest.raises(ValueError, match="No such file or directory"):
        read_secret(tmp_path / "nothing")
    with pytest.raises(ValueError, match="Not a directory"):
        read_secret(tmp_path / "binary" / "key")
