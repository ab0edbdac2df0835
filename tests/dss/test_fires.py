from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dataikuapi.dss.scenario import DSSScenarioRun

from mlops_steps.dss import fires
from mlops_steps.dss.session import Dss
from mlops_steps.errors import NonsenseAnswer


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
