"""Whatever a node answers, what asks it ends with a result or with an error for people, and soon."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import requests
from dataikuapi import DSSClient

from mlops_steps.dss import (
    automation,
    bundles,
    data_quality,
    deployments,
    discovery,
    evaluations,
    govern,
    models,
    probe,
    project_standards,
    projects,
    scenarios,
    updates,
)
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss
from mlops_steps.errors import MlopsError
from mlops_steps.system import waiting
from mlops_steps.system.waiting import Deadline
from tests.support.counts import count
from tests.support.generated import numbers

CASES = 1_000

#: Words that DSS uses, so that answers come near to real ones.
WORDS = [
    "bundles", "bundleId", "id", "packages", "projectKey", "activeBundleState", "deploymentBasicInfo", "infraBasicInfo",
    "publishedProjectKey", "infraId", "enabled", "health", "healthMessages", "messages", "severity", "title", "message",
    "startTimestamp", "status", "hasResult", "alive", "jobId", "result", "infoMessages", "scenario", "outcome", "start",
    "end", "runId", "trigger", "entries", "commitId", "timestamp", "nodeType", "canDeploy", "name", "markedAsTest",
    "recipe", "payload", "params", "inputs", "outputs", "main", "items", "ref", "type", "settings", "codeEnvs",
    "python", "mode", "envName", "envLang", "children", "data", "exportManifest", "releaseNotes", "P", "infra", "D",
    "checks", "computeDate", "bundleChecksRunInfo", "check", "uiArtifacts", "artifact", "fields", "governed_by",
    "signoffId", "stepId", "evaluation", "metrics", "modelRef", "fullId", "univariateDriftResult", "columns",
    "driftModelResult", "referenceSampleSize", "currentSampleSize", "populationStabilityIndex", "ksTestPvalue",
    "nbScenariosPerOutcome", "lightStatus", "stepRuns", "scenarioRun", "cancelled", "stage", "automationNodeUrl",
]  # fmt: skip
SCALARS = [
    None, True, False, 0, -1, 3, 1.5, 1e300, -(10**30), 2**63, "", "SUCCESS", "HEALTHY", "EXPLICIT_ENV", "TEST_SMOKE",
    "../../x", "a/b", "a?b", "a\nb", "x" * 5000, "\x00", "\ud800", *WORDS,
]  # fmt: skip


def garbage(random: Random, depth: int = 0) -> Any:
    """Any JSON, of the words that DSS uses. Made by hand: strategies would take ten times as long."""
    kind = random.random() * (1 + depth / 3)
    if kind < 0.45:
        words = random.sample(WORDS, random.randint(0, 25 if depth == 0 else 8))
        return {word: garbage(random, depth + 1) for word in words}
    if kind < 0.65:
        return [garbage(random, depth + 1) for _ in range(random.randint(0, 3))]
    return random.choice(SCALARS)


class Garbage(NodeSession):
    """Answers each request with what it was given; notes what would change something."""

    def __init__(self) -> None:
        super().__init__(HttpLimits(1, 1, 0, 0))
        self.answers: list[Any] = []
        self.asked = 0

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        assert self.asked < 2_000, "asks without end"
        response = requests.Response()
        response.status_code, response.url = 200, url
        response.request = requests.Request(method, url).prepare()  # type: ignore[assignment]
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(answer).encode()
        return response


SCENARIOS = projects.ScenarioFilter(lambda _id, marked: marked, ("TEST_*",), "TEST_SMOKE")


def quiet(_text: str) -> None:
    pass


QUESTIONS: dict[str, Callable[[Dss], Any]] = {
    "active bundle": lambda dss: automation.active_bundle(dss, "P"),
    "exported bundles": lambda dss: bundles.exported_bundles(dss, "P"),
    "published bundles": lambda dss: bundles.published_bundles(dss, "P"),
    "commits": lambda dss: bundles.project_commits(dss, "P"),
    "release notes": lambda dss: bundles.release_notes(dss, "P", "D"),
    "find a deployment": lambda dss: deployments.find(dss, "P", "infra", None, "D"),
    "read a deployment": lambda dss: deployments.read(dss, "D", "P", "infra"),
    "health": lambda dss: deployments.health(dss, "D"),
    "history": lambda dss: updates.history(dss, "D"),
    "an update": lambda dss: updates.details(dss, "D", 1),
    "run an update": lambda dss: updates.update(dss, "D", Deadline(0.02), quiet),
    "wait for an update": lambda dss: updates.wait_until_idle(dss, "D", Deadline(0.02), quiet),
    "infrastructures": discovery.infrastructures,
    "probe": probe.probe,
    "does a project exist": lambda dss: probe.project_exists(dss, "P"),
    "discovery": discovery.infrastructures_by_stage,
    "project keys": projects.list_keys,
    "a whole project": lambda dss: projects.read(dss, "P", SCENARIOS, Deadline(5)),
    "scenarios": lambda dss: scenarios.list_scenarios(dss, "P"),
    "testing status": lambda dss: scenarios.testing_status(dss, "D", "B"),
    "active model version": lambda dss: models.active_version(dss, "P", "id"),
    "data quality": lambda dss: data_quality.compute(dss, "P", "D", Deadline(0.02)),
    "project standards": lambda dss: project_standards.report_of(dss, "P", "B"),
    "govern policy": lambda dss: govern.policy_of(dss, "infra"),
    "governance status": lambda dss: govern.messages_of(dss, "D", "B"),
    "sign-offs": lambda dss: govern.sign_offs_of(dss, "P", "B"),
    "latest evaluation": lambda dss: evaluations.latest(dss, "P", "id"),
    "active versions": lambda dss: evaluations.active_versions(dss, "P"),
    "drift": lambda dss: evaluations.drift(dss, "P", evaluations.Evaluation("S", "E", None), None, Deadline(0.02)),
    "run a scenario": lambda dss: scenarios.run_scenario(dss, "P", "S", limit=0.02),
}


@pytest.fixture
def asked() -> Dss:
    session = Garbage()
    client = DSSClient("http://127.0.0.1:9", api_key="k" * 32)
    client._session = session
    return Dss("design", "http://127.0.0.1:9", client, session)


@pytest.mark.parametrize("question", QUESTIONS)
def test_any_answer_ends_with_a_result_or_an_error_for_people(
    asked: Dss, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: None)
    session: Any = asked.session

    for number in numbers(CASES // 10 if question == "a whole project" else CASES):
        random = Random(f"{question} {number}")
        session.answers, session.asked = [garbage(random) for _ in range(random.randint(1, 4))], 0
        count("generated cases")
        begun = time.monotonic()
        try:
            QUESTIONS[question](asked)
        except MlopsError as error:
            for line in error.lines():
                assert "Traceback" not in line, number
                assert len(line) < 20_000, number
        except Exception as error:
            raise AssertionError(f"case {number}: {session.answers!r:.2000}") from error
        assert time.monotonic() - begun < 10, number
