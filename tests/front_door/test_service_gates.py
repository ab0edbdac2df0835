"""Gates of an API service: an endpoint scores the rows of a dataset, here and in production."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.conftest import Result
from tests.front_door.test_api_release import on_prod
from tests.front_door.test_gates import upload

__all__ = ["api"]

SCORED = {"dataset": "holdout", "endpoint": "score", "label": "churned", "prediction": "prediction", "rows": 100}
CHAMPION = {"gate": "champion", "metric": "accuracy", "key": "id", "margin": 0.05, **SCORED}
SLICES = {"gate": "slices", "by": "region", "at_least": 0.8, **SCORED}
CALIBRATION = {
    **{name: SCORED[name] for name in ("dataset", "endpoint", "label", "rows")},
    "gate": "calibration",
    "probability": "proba_1",
    "at_most": 0.6,
}
FRACTION = {**CHAMPION, "name": "few", "rows": 5000}


@pytest.fixture
def service(api: ApiWorkspace) -> ApiWorkspace:
    """Version v1 is live: it says 1 from the age of 50 on, which is right. Version v2 is not live."""
    rows = [
        {"id": number, "age": age, "calls": 3, "region": "north" if age < 30 else "south", "churned": int(age >= 50)}
        for number, age in enumerate(range(1, 81))
    ]
    doubled = [{**row, "id": row["id"] + 1000 * turn} for turn in range(3) for row in rows]
    upload(api, "holdout", doubled)
    api.deployed("v1")
    api.ok("api-release", "--stage", "prod")
    return api


def gated(api: ApiWorkspace, *gates: dict[str, Any], **release: Any) -> None:
    api.configure(api={"release": {"tests": "off", **release}})
    path = api.folder / "mlops.yml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "gates": list(gates)}))


def verdicts(result: Result, report: str) -> dict[str, str]:
    found = result.properties(report)
    return {
        name.split(".")[1]: value for name, value in found.items() if name.startswith("gate.") and "verdict" in name
    }


def test_a_worse_version_is_stopped_before_users_meet_it(service: ApiWorkspace) -> None:
    service.model("m2", weight=2)  # says 1 from the age of 25 on
    service.deployed("v2")
    gated(service, CHAMPION, SLICES, CALIBRATION)
    tested = service.run("api-test", "--stage", "dev")
    assert tested.code == 1, tested.err
    assert verdicts(tested, "api-test-dev") == {"champion": "failed", "slices": "failed", "calibration": "passed"}
    said = tested.case("api-test-dev", "gate champion").findtext("system-out") or ""
    assert "accuracy differs from the champion's by -0.2875" in said
    assert "version v2 on dev against version v1 on prod" in said
    assert "accuracy is lowest for region" in (tested.case("api-test-dev", "gate slices").findtext("system-out") or "")
    refused = service.run("api-release", "--stage", "prod")
    assert refused.code == 1, refused.err
    gated(service, CHAMPION)
    # The record says that the tests failed; a release that needs none is stopped by its own gate.
    record = service.record
    record["api_stages"]["dev"]["test"] = None
    (service.folder / ".mlops" / "release.json").write_text(json.dumps(record))
    stopped = service.run("api-release", "--stage", "prod")
    assert stopped.code == 1, stopped.err
    assert "1 of 1 gates do not let version v2 go to prod; prod is untouched" in stopped.err
    assert stopped.properties("api-release-prod")["gate.champion.against"] == "v1"
    assert service.record["api_stages"]["prod"]["gates"]["champion"]["verdict"] == "failed"
    assert service.serving("api-prod") == on_prod("v1")


def test_a_version_that_is_as_good_passes_and_too_few_rows_do_not(service: ApiWorkspace) -> None:
    service.deployed("v2")
    gated(service, CHAMPION, FRACTION, {**CHAMPION, "name": "lost", "prediction": "predicted"})
    result = service.run("api-test", "--stage", "dev")
    assert result.code == 1, result.err
    assert verdicts(result, "api-test-dev") == {"champion": "passed", "few": "inconclusive", "lost": "unmeasured"}
    assert "has no column predicted; did you mean prediction?" in result.err
    gated(service, CHAMPION)
    service.ok("api-test", "--stage", "dev")
    service.ok("api-release", "--stage", "prod", "--dry-run")
    assert service.serving("api-prod") == on_prod("v1")
    service.ok("api-release", "--stage", "prod")
    assert service.serving("api-prod") == on_prod("v2")


def test_a_first_release_has_no_champion(api: ApiWorkspace) -> None:
    upload(api, "holdout", [{"id": n, "age": n, "calls": 1, "churned": int(n >= 50)} for n in range(1, 81)])
    api.deployed("v1")
    gated(api, CHAMPION)
    result = api.ok("api-test", "--stage", "dev")
    assert verdicts(result, "api-test-dev") == {"champion": "skipped"}


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({**CHAMPION, "steps": ["test"]}, "with an endpoint, steps may be api-test and api-release only"),
        ({**CHAMPION, "scenario": "X"}, "endpoint and scenario exclude each other"),
        ({**CHAMPION, "endpoint": None, "steps": ["api-test"]}, "must name the endpoint that scores the rows"),
    ],
)
def test_an_endpoint_scores_in_the_steps_of_the_service_alone(
    api: ApiWorkspace, gate: dict[str, Any], said: str
) -> None:
    gated(api, gate)
    result = api.run("api-test", "--stage", "dev")
    assert result.code == 2, result.err
    assert said in result.err


def test_a_gate_of_the_service_is_none_of_the_bundle(api: ApiWorkspace) -> None:
    api.configure(policy={"required_gates": ["champion"]})
    path = api.folder / "mlops.yml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "gates": [CHAMPION]}))
    result = api.run("policy")
    assert result.code == 2, result.err
    assert "no gate champion, which policy.required_gates requires" in result.err
