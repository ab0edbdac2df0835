"""What `status` says of tests, by the record and by the nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.delivery.record import Bundle, ReleaseRecord
from mlops_steps.delivery.targets.base import LiveBundle as Live
from mlops_steps.delivery.unit import Outcome
from mlops_steps.dss import scenarios
from mlops_steps.dss.deployments import Deployment, Health
from mlops_steps.steps import status

BUNDLE = "b-1"
DEPLOYMENT = Deployment("d", "auto-prod", BUNDLE, "P", "P")


def record_tested_on(*stages: str) -> ReleaseRecord:
    record = ReleaseRecord(project="P", bundle=Bundle(id=BUNDLE, sha256="0" * 64, size=1))
    for stage in stages:
        record.stage(stage).test = Outcome(bundle=BUNDLE).end("passed")
    return record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    stages = {name: {"url": "http://127.0.0.1:9", "infra": f"auto-{name}"} for name in ("test", "prod")}
    nodes = {"design": {"url": "http://127.0.0.1:9"}, **stages}
    (tmp_path / "mlops.yml").write_text(json.dumps({"project": "P", "nodes": nodes}))
    return load(tmp_path / "mlops.yml", {})


@pytest.mark.parametrize(
    ("stages", "stage", "said"),
    [
        ((), "prod", "no"),
        (("test",), "test", "passed on test"),
        (("test",), "prod", "passed on test"),
        (("test", "prod"), "prod", "passed on test"),
        # A test on a later stage says nothing of this one.
        (("prod",), "test", "no"),
        (("prod",), "prod", "passed on prod"),
    ],
)
def test_tests_count_on_the_stage_itself_and_on_those_before_it(
    settings: Settings, stages: tuple[str, ...], stage: str, said: str
) -> None:
    assert status._tested(settings, record_tested_on(*stages), stage) == said


class AnyTarget:
    deployer = None
    words = None


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (Live("auto-prod", BUNDLE, DEPLOYMENT, Health("HEALTHY")), "2 SUCCESS"),
        (Live("auto-prod", BUNDLE, None, None), None),
        (Live("auto-prod", None, DEPLOYMENT, Health("UNKNOWN")), None),
        (Live("auto-prod", None, None, None), None),
    ],
)
def test_the_deployer_is_asked_for_tests_where_there_are_a_deployment_and_a_bundle(
    monkeypatch: pytest.MonkeyPatch, live: Live, said: str | None
) -> None:
    asked: list[tuple[str, str]] = []

    def testing_status(_deployer: object, deployment: str, bundle: str) -> dict[str, int]:
        asked.append((deployment, bundle))
        return {"SUCCESS": 2, "FAILED": 0}

    monkeypatch.setattr(scenarios, "testing_status", testing_status)
    assert status._tested_on_node(cast(Any, AnyTarget()), live) == said
    assert asked == ([("d", BUNDLE)] if said else [])
