"""A request ends in time, whatever arrives and however long it goes on arriving."""

from __future__ import annotations

import resource
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from dataikuapi import DSSClient

from mlops_steps.dss.bundles import download
from mlops_steps.dss.http import HttpLimits, NodeSession, explain
from mlops_steps.dss.session import Dss
from mlops_steps.errors import Unreachable
from mlops_steps.system.waiting import Deadline
from tests.dss.conftest import Scripted, answer
from tests.support.endless import KINDS, EndlessProxy

# Seconds: far above the limit of one second, far below that of a socket, so that a busy machine changes nothing.
LONG = 15.0


@pytest.fixture
def endless() -> Iterator[EndlessProxy]:
    with closing(EndlessProxy()) as proxy:
        yield proxy


def session(read: float = 1.0) -> NodeSession:
    return NodeSession(HttpLimits(connect=20.0, read=read, retries=0, max_wait=0.0))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_an_end_is_given_up(endless: EndlessProxy, kind: str, method: str) -> None:
    endless.kind = kind
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    with pytest.raises(requests.RequestException) as caught, session() as asked:
        asked.request(method, f"{endless.url}/x")
    assert time.monotonic() - start < LONG
    garbled = "the answer was cut or garbled (ProtocolError)"
    assert explain(caught.value) == (garbled if kind == "long chunk extension" else "no answer in time")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB"


@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline_ends_it_too(endless: EndlessProxy, kind: str) -> None:
    endless.kind = kind
    start = time.monotonic()
    with session(read=60.0) as asked, pytest.raises(requests.RequestException), asked.within(Deadline(0.5)):
        asked.request("GET", f"{endless.url}/x")
    assert time.monotonic() - start < LONG


@pytest.mark.parametrize("kind", KINDS)
def test_so_does_one_over_tls(certificates: Path, kind: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "node.pem")
    with closing(EndlessProxy(context=context)) as endless, session() as asked:
        endless.kind = kind
        asked.verify = str(certificates / "ca.pem")
        start = time.monotonic()
        with pytest.raises(requests.RequestException):
            asked.request("GET", f"{endless.url}/x")
        assert time.monotonic() - start < LONG
        assert endless.endless == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_download_ends_at_its_deadline(endless: EndlessProxy, kind: str, tmp_path: Path) -> None:
    endless.kind = kind
    client = DSSClient(endless.url, api_key="k" * 32)
    client._session = session(read=60.0)
    start = time.monotonic()
    with Dss("design", endless.url, client, client._session) as dss, pytest.raises(Unreachable):
        download(dss, "P", "b1", Deadline(1.0), into=tmp_path / "bundle.zip")
    assert time.monotonic() - start < LONG


def test_a_proxy_whose_answer_to_connect_never_ends_is_given_up(
    endless: EndlessProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless.kind = "head"
    monkeypatch.setenv("HTTPS_PROXY", endless.url)
    start = time.monotonic()
    with pytest.raises(requests.RequestException), session() as asked:
        asked.request("GET", "https://node.invalid/x")
    assert time.monotonic() - start < LONG
    assert endless.asked[0].startswith("CONNECT node.invalid:443 ")


def test_a_connection_is_used_again_and_no_threads_are_left(scripted: Scripted) -> None:
    scripted.replies = [answer()]
    with session() as asked:
        asked.request("GET", f"{scripted.url}/x")
        before = threading.active_count()
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            asked.request("GET", f"{scripted.url}/x")
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_before + 1
        assert sum(thread.name == "request limits" for thread in threading.enumerate()) == 1
    assert threading.active_count() <= before + 1, "those of the server end"


def test_a_slow_answer_within_the_limit_is_whole(scripted: Scripted) -> None:
    def slowly(connection: object) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}":
            connection.send(bytes([byte]))  # type: ignore[attr-defined]
            time.sleep(0.005)

    scripted.replies = [slowly]
    with session(read=30.0) as asked:
        assert asked.request("GET", f"{scripted.url}/x").json() == {}
