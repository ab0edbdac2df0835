from __future__ import annotations

import logging
import socket
import time

import pytest
import requests

from mlops_steps.dss.http import BadAnswer, HttpLimits, NodeSession, Refused, explain
from mlops_steps.system import secrets
from mlops_steps.system.waiting import Deadline
from tests.dss.conftest import Scripted, answer, drip, reset, silence, traces

KEY = "Marked-Key-Of-A-Node-0123456789abcdef"


def session(retries: int = 3, read: float = 5.0, max_wait: float = 20.0) -> NodeSession:
    return NodeSession(HttpLimits(connect=2.0, read=read, retries=retries, max_wait=max_wait))


@pytest.mark.parametrize(
    "fault",
    [
        reset,
        answer(502, b"<html>proxy</html>", "text/html"),
        answer(503, b'{"message": "starting"}'),
        answer(504),
        answer(500, b'{"errorType": "oops", "message": "x"}'),
        answer(429),
        answer(200, b"<html>please log in</html>", "text/html"),
        answer(200, b'{"a": [1, 2'),
        answer(200, b""),
        answer(200, b'{"a": 1}', Content_Length="500"),
    ],
    ids=["reset", "502 page", "503", "504", "500", "429", "200 page", "garbled", "empty", "cut"],
)
def test_a_read_that_fails_once_is_repeated_and_logged(
    scripted: Scripted, fault: object, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.replies = [fault, answer(200, b'{"fine": true}')]  # type: ignore[list-item]
    with caplog.at_level(logging.WARNING):
        response = session().request("GET", f"{scripted.url}/dip/publicapi/x")
    assert response.json() == {"fine": True}
    assert len(scripted.requests) == 2
    assert "attempt 2 follows" in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", [reset, answer(503), answer(200, b"{{")], ids=["reset", "503", "garbled"])
def test_a_request_that_changes_something_is_never_repeated(scripted: Scripted, method: str, fault: object) -> None:
    scripted.replies = [fault, answer()]  # type: ignore[list-item]
    with pytest.raises((requests.RequestException, Refused)):
        session().request(method, f"{scripted.url}/projects/P/bundles/exported/b1")
    assert len(scripted.requests) == 1


def test_saving_deployment_settings_may_be_repeated_because_it_sets_a_state(scripted: Scripted) -> None:
    scripted.replies = [reset, answer()]
    session().request("PUT", f"{scripted.url}/project-deployer/deployments/d1/settings", params={"x": 1})
    assert len(scripted.requests) == 2


def test_a_refused_connection_is_tried_again_for_every_method_because_nothing_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(requests.ConnectionError) as caught:
        session(retries=1).request("POST", f"http://127.0.0.1:{port}/x")
    assert "refused" in explain(caught.value)
    assert time.monotonic() - start < 10


def test_retry_after_is_honoured(scripted: Scripted) -> None:
    scripted.replies = [answer(429, Retry_After="1"), answer()]
    start = time.monotonic()
    session().request("POST", f"{scripted.url}/x")
    assert 0.9 < time.monotonic() - start < 5


def test_a_retry_after_beyond_the_limit_is_not_waited_for(scripted: Scripted) -> None:
    scripted.replies = [answer(503, Retry_After="3600")]
    start = time.monotonic()
    with pytest.raises(Refused):
        session(max_wait=2.0).request("GET", f"{scripted.url}/x")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("hang", [silence, drip])
def test_an_answer_that_never_comes_or_never_ends_is_given_up(scripted: Scripted, hang: object) -> None:
    scripted.replies = [hang]  # type: ignore[list-item]
    start = time.monotonic()
    with pytest.raises(requests.RequestException) as caught:
        session(retries=0, read=1.0).request("GET", f"{scripted.url}/x")
    assert time.monotonic() - start < 3
    assert explain(caught.value) == "no answer in time"


def test_a_deadline_ends_requests_and_their_repetitions(scripted: Scripted) -> None:
    scripted.replies = [silence]
    limited = session(retries=10, read=30.0)
    start = time.monotonic()
    with pytest.raises(requests.RequestException), limited.within(Deadline(1.0)):
        limited.request("GET", f"{scripted.url}/x")
    assert time.monotonic() - start < 3


def test_a_redirect_is_refused_so_that_the_key_goes_nowhere_else(scripted: Scripted) -> None:
    scripted.replies = [answer(302, Location="http://other.example/login")]
    keyed = session()
    keyed.auth = ("secret-key", "")
    with pytest.raises(Refused, match=r"redirect to http://other\.example/login"):
        keyed.request("GET", f"{scripted.url}/x")
    assert len(scripted.requests) == 1


def test_a_refusal_carries_the_text_of_dss_and_the_status(scripted: Scripted) -> None:
    scripted.replies = [answer(404, b'{"errorType": "NotFound", "message": "short", "detailedMessage": "long"}')]
    with pytest.raises(Refused, match="NotFound: long") as caught:
        session().request("GET", f"{scripted.url}/x")
    assert caught.value.status == 404


def test_the_page_of_a_proxy_is_not_poured_into_the_log(scripted: Scripted) -> None:
    scripted.replies = [answer(403, b"<html>" + b"x" * 5000, "text/html")]
    with pytest.raises(Refused) as caught:
        session().request("GET", f"{scripted.url}/x")
    assert str(caught.value) == "HTTP 403 Some"


def test_an_endless_answer_is_cut_off(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_steps.dss.http.LARGEST_ANSWER", 1000)
    scripted.replies = [answer(200, b" " * 5000)]
    with pytest.raises(BadAnswer, match="longer than 1000 bytes"):
        session(retries=0).request("GET", f"{scripted.url}/x")


def test_a_stream_is_left_to_its_reader(scripted: Scripted) -> None:
    scripted.replies = [answer(200, b"PK" * 1000, "application/zip")]
    with session().request("GET", f"{scripted.url}/x", stream=True) as response:
        assert b"".join(response.iter_content(100)) == b"PK" * 1000


@pytest.mark.parametrize("before", range(260, 301, 10))
def test_a_key_across_the_end_of_what_is_shown_is_masked_too(scripted: Scripted, before: int) -> None:
    secrets.register(KEY)
    scripted.replies = [answer(403, b"x" * before + KEY.encode() + b" refused", "text/plain")]
    with pytest.raises(Refused) as caught:
        session().request("GET", f"{scripted.url}/x")
    assert not traces(KEY, str(caught.value))
    assert len(str(caught.value)) < 330


def test_the_text_of_a_refusal_is_one_line_without_terminal_escapes(scripted: Scripted) -> None:
    scripted.replies = [answer(403, b"\x1b[31mno\r\n\r\nreally\x07", "text/plain")]
    with pytest.raises(Refused) as caught:
        session().request("GET", f"{scripted.url}/x")
    assert str(caught.value) == "HTTP 403 Some: no really"
