"""The note of who is at work is taken away, or it is said that it was not."""

from __future__ import annotations

import json

import pytest
from dataikuapi import DSSClient

from mlops_steps.dss import claims
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss
from mlops_steps.errors import NodeError
from mlops_steps.system.waiting import Deadline
from tests.dss.conftest import Reply, Scripted, answer, silence

MINE = Claim("auto-prod", "0123456789ab", "host:1:2", "process 1 on host", "job #1", 2_000_000_000)


def settings(*tags: str) -> Reply:
    return answer(200, json.dumps({"id": "P", "tags": list(tags)}).encode())


WITH, WITHOUT = settings("theirs", MINE.tag), settings("theirs")
EMPTY, SAVED, PAGE = answer(200, b"{}"), answer(200, b""), answer(200, b"<html>proxy</html>", "text/html")
REFUSED = answer(503, b"starting", "text/plain")


def remove(scripted: Scripted, seconds: float = 3.0) -> None:
    client = DSSClient(scripted.url, api_key="k" * 32)
    session = NodeSession(HttpLimits(connect=10.0, read=60.0, retries=3, max_wait=60.0))
    client._session = session
    with Dss("design", scripted.url, client, session) as dss:
        claims.remove(dss, "P", [MINE], Deadline(seconds))


def puts(scripted: Scripted) -> int:
    return sum(line.startswith("PUT") for line in scripted.requests)


@pytest.mark.parametrize(
    ("replies", "saved"),
    [
        ([WITH, SAVED, WITHOUT], 1),
        ([WITHOUT], 0),
        ([WITH, PAGE, WITHOUT], 1),
        ([WITH, REFUSED, WITH, SAVED, WITHOUT], 2),
        ([WITH, PAGE, WITH, SAVED, WITHOUT], 2),
        ([WITH, SAVED, WITH, PAGE, WITH, SAVED, WITHOUT], 3),
        ([EMPTY, WITH, SAVED, WITHOUT], 1),
        ([answer(200, b"null"), answer(200, b'{"tags": 7}'), WITH, SAVED, EMPTY, WITHOUT], 1),
        ([WITH, silence, WITH, SAVED, WITHOUT], 2),
        ([silence, WITH, SAVED, WITHOUT], 1),
    ],
    ids=["plain", "gone", "lost", "refused", "nonsense", "not kept", "empty", "nonsense read", "no write", "silent"],
)
def test_the_note_is_taken_away_whatever_the_node_answers_in_between(
    scripted: Scripted, replies: list[Reply], saved: int
) -> None:
    scripted.replies = replies
    remove(scripted)
    assert puts(scripted) == saved
    assert len(scripted.requests) == len(replies)


@pytest.mark.parametrize(
    "replies",
    [[WITH, PAGE] * 200, [WITH, SAVED] * 200, [EMPTY], [answer(200, b"null")], [PAGE]],
    ids=["nonsense", "not kept", "empty", "null", "page"],
)
def test_a_note_that_may_be_left_behind_is_an_error(scripted: Scripted, replies: list[Reply]) -> None:
    scripted.replies = replies
    with pytest.raises(NodeError):
        remove(scripted, 1.0)
