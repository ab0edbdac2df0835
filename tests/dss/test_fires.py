from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dataikuapi import DSSClient
from dataikuapi.dss.scenario import DSSScenarioRun

from mlops_steps.dss import fires
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss
from mlops_steps.errors import NonsenseAnswer
from tests.dss.conftest import Scripted, answer


def node(result: Any) -> Dss:
    """A node whose only run of the scenario carries the token ``t`` and has ended with ``result``."""
    run = {"runId": "r", "trigger": {"params": {"mlopsStepsRun": "t"}}, "result": result}
    scenario = SimpleNamespace(get_last_runs=lambda limit: [DSSScenarioRun(None, run)][:limit])
    project = SimpleNamespace(get_scenario=lambda _id: scenario)

    @contextmanager
    def asking(what: str) -> Any:
        try:
            yield
        except (KeyError, TypeError) as error:
            raise NonsenseAnswer(f"{what}: {error!r}") from None

    return cast(Dss, SimpleNamespace(client=SimpleNamespace(get_project=lambda _key: project), asking=asking))


def test_a_run_is_found_by_its_token_and_one_that_failed_may_be_passed_over() -> None:
    failed = node({"outcome": "FAILED"})
    assert fires.find(failed, "P", "S", "t") is not None
    assert fires.find(failed, "P", "S", "t", unless_failed=True) is None
    assert fires.find(node({"outcome": "SUCCESS"}), "P", "S", "t", unless_failed=True) is not None
    assert fires.find(failed, "P", "S", "another") is None
    assert fires.outcomes(failed, "P", "S") == [("t", "FAILED")]


@pytest.mark.parametrize("result", [{}, None, 7])
def test_a_run_without_an_outcome_is_a_nonsense_answer(result: Any) -> None:
    with pytest.raises(NonsenseAnswer):
        fires.find(node(result), "P", "S", "t")


def test_what_is_read_of_the_runs_does_not_grow_with_the_history(scripted: Scripted) -> None:
    def runs(connection: socket.socket) -> None:
        limit = int(scripted.requests[-1].partition("limit=")[2].partition("&")[0])
        rows = [{"runId": str(number), "trigger": {}, "result": {"outcome": "SUCCESS"}} for number in range(limit)]
        answer(200, json.dumps(rows).encode())(connection)

    scripted.replies = [runs]
    client = DSSClient(scripted.url, api_key="k" * 32)
    client._session = NodeSession(HttpLimits(connect=20.0, read=20.0, retries=0, max_wait=0.0))
    with Dss("prod", scripted.url, client, client._session) as dss:
        assert fires.find(dss, "P", "S", "a token") is None
        assert fires.outcomes(dss, "P", "S") == []
    assert [line.partition("?")[2] for line in scripted.requests] == ["limit=50&onlyFinishedRuns=False"] * 2
