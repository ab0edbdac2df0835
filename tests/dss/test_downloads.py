"""A damaged download is tried again and ends as a node's error; only a whole archive that differs is another one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from dataikuapi import DSSClient

from mlops_steps.dss.bundles import download, published_archive
from mlops_steps.dss.downloads import Archive
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss
from mlops_steps.errors import NodeError
from mlops_steps.system.waiting import Deadline
from tests.archive.archives import harmless
from tests.dss.conftest import Reply, Scripted, answer

GOOD, OTHER = harmless("P"), harmless("OTHER")
EXPECTED = Archive(hashlib.sha256(GOOD).hexdigest(), len(GOOD))
MIDDLE = GOOD.index(b"export-manifest.json") + len("export-manifest.json") + 2


def archive(content: bytes, kind: str = "application/octet-stream") -> Reply:
    return answer(200, content, kind)


GARBLED = {
    "null": archive(b"null", "application/json"),
    "null as bytes": archive(b"null"),
    "nothing": archive(b""),
    "nothing, as JSON": archive(b"", "application/json"),
    "a page": archive(b"<html>log in</html>", "text/html; charset=utf-8"),
    "the first half": archive(GOOD[: len(GOOD) // 2]),
    "the second half": archive(GOOD[len(GOOD) // 2 :]),
    "one byte": archive(GOOD[:1]),
    "cut": answer(200, GOOD[:-5], "application/zip", Content_Length=str(len(GOOD))),
    "other bytes": archive(GOOD[:MIDDLE] + b"\xff\xff\xff" + GOOD[MIDDLE + 3 :]),
}


@pytest.fixture
def deployer(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Dss:
    monkeypatch.setattr("tenacity.wait_random_exponential.__call__", lambda *_: 0.01)
    client = DSSClient(scripted.url, api_key="k" * 32)
    client._session = NodeSession(HttpLimits(connect=20.0, read=20.0, retries=0, max_wait=0.0))
    return Dss("design", scripted.url, client, client._session)


@pytest.mark.parametrize("garbled", GARBLED)
def test_a_garbled_download_is_repeated(scripted: Scripted, deployer: Dss, garbled: str, tmp_path: Path) -> None:
    scripted.replies = [GARBLED[garbled], archive(GOOD)]
    path = tmp_path / "bundle.zip"
    assert download(deployer, "P", "b", Deadline(60), path) == EXPECTED
    assert path.read_bytes() == GOOD
    assert len(scripted.requests) == 2


@pytest.mark.parametrize("garbled", GARBLED)
def test_one_that_stays_garbled_is_an_error_of_the_node(
    scripted: Scripted, deployer: Dss, garbled: str, tmp_path: Path
) -> None:
    scripted.replies = [GARBLED[garbled]]
    with pytest.raises(NodeError, match="bundle b"):
        download(deployer, "P", "b", Deadline(60), tmp_path / "bundle.zip")
    assert len(scripted.requests) == (2 if garbled == "other bytes" else 4)


@pytest.mark.parametrize("garbled", GARBLED)
def test_a_garbled_download_is_not_taken_for_another_archive(
    scripted: Scripted, deployer: Dss, garbled: str, tmp_path: Path
) -> None:
    scripted.replies = [GARBLED[garbled], archive(GOOD)]
    assert published_archive(deployer, "P", "b", EXPECTED, Deadline(60), tmp_path) == EXPECTED
    scripted.requests.clear()
    scripted.replies = [GARBLED[garbled]]
    with pytest.raises(NodeError):
        published_archive(deployer, "P", "b", EXPECTED, Deadline(60), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_whole_archive_is_found_and_one_look_is_enough_for_the_right_one(
    scripted: Scripted, deployer: Dss, tmp_path: Path
) -> None:
    scripted.replies = [archive(OTHER)]
    found = published_archive(deployer, "P", "b", EXPECTED, Deadline(60), tmp_path)
    assert found.sha256 == hashlib.sha256(OTHER).hexdigest()
    assert list(tmp_path.iterdir()) == []
    scripted.requests.clear()
    scripted.replies = [archive(GOOD)]
    assert published_archive(deployer, "P", "b", EXPECTED, Deadline(60), tmp_path) == EXPECTED
    assert len(scripted.requests) == 1
