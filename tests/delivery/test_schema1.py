"""Records that a version before the phases has written, at each moment of a release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.unit import Named, Previous
from mlops_steps.errors import ConfigError

PREVIOUS = {"bundle": "b1", "in_settings": "b0", "deployment_existed": True, "enabled": True, "health": "HEALTHY"}


def outcome(result: str, bundle: str = "b2", message: str = "") -> dict[str, Any]:
    return {
        "result": result,
        "bundle": bundle,
        "attempt": "",
        "started": "2026-01-01T00:00:00Z",
        "ended": None if result == "started" else "2026-01-01T00:01:00Z",
        "message": message,
    }


def written(**stage: Any) -> bytes:
    """A record of schema 1, as it was written."""
    parts = dict.fromkeys(("previous", "approval", "deploy", "test", "smoke_test", "rollback"))
    prod = {"infra": "auto-prod", "deployment": "P-on-auto-prod", "owed": "nothing", **parts, **stage}
    bundle = {"id": "b2", "sha256": "a" * 64, "size": 1, "created": "2026-01-01T00:00:00Z"}
    build = {"number": "7", "job": "churn", "url": None, "commit": None}
    record = {"schema": 1, "project": "P", "bundle": bundle, "project_commit": "c", "build": build}
    return json.dumps({**record, "stages": {"prod": prod}}).encode()


STARTED, PASSED, FAILED = outcome("started"), outcome("passed"), outcome("failed")
STATES = [
    (Phase.NOTED, False, {}),
    (Phase.NOTED, False, {"test": PASSED}),
    (Phase.DEPLOYING, True, {"owed": "restore", "deploy": STARTED}),
    (Phase.DEPLOYING, True, {"owed": "restore", "deploy": PASSED}),
    (Phase.DEPLOYING, True, {"owed": "restore"}),
    (Phase.VERIFYING, True, {"owed": "restore", "deploy": PASSED, "smoke_test": STARTED}),
    (Phase.VERIFYING, True, {"owed": "restore", "deploy": PASSED, "smoke_test": PASSED}),
    (Phase.IN_DOUBT, True, {"owed": "restore", "deploy": FAILED}),
    (Phase.IN_DOUBT, True, {"owed": "restore", "deploy": PASSED, "smoke_test": FAILED}),
    (Phase.RESTORING, True, {"owed": "restore", "deploy": FAILED, "rollback": outcome("started", "b1", "why")}),
    (Phase.IN_DOUBT, True, {"owed": "restore", "deploy": FAILED, "rollback": outcome("failed", "b1", "why")}),
    (Phase.RESTORED, False, {"deploy": FAILED, "rollback": outcome("passed", "b1", "bundle b1 is live")}),
    (Phase.LIVE, False, {"deploy": PASSED, "smoke_test": PASSED}),
    (Phase.LIVE, False, {"deploy": PASSED, "test": PASSED}),
    (Phase.FAILED, False, {"deploy": FAILED}),
    (Phase.FAILED, False, {"deploy": STARTED}),
]


@pytest.mark.parametrize(("phase", "pending", "stage"), STATES)
def test_a_record_of_schema_1_is_read(phase: Phase, pending: bool, stage: dict[str, Any]) -> None:
    record = ReleaseRecord.parse(written(previous=PREVIOUS, **stage), "r.json")
    (unit,) = record.stages["prod"].units.values()
    assert (unit.phase, unit.pending) == (phase, pending)
    assert (unit.infra, unit.deployment) == ("auto-prod", "P-on-auto-prod")
    assert unit.previous == Previous(version="b1", seen=Named(version="b0"))
    assert unit.version == ("b2" if "deploy" in stage else None)
    if "rollback" in stage:
        assert unit.why == stage["rollback"]["message"]
    found = record.stages["prod"].test
    assert (found and found.result) == ("passed" if "test" in stage else None)
    # What is written back is of schema 2, and says the same.
    again = ReleaseRecord.parse(record.model_dump_json(by_alias=True).encode(), "r.json")
    assert again == record
    assert again.schema_version == 2


def test_a_first_release_of_schema_1_returns_to_nothing() -> None:
    nothing = {**PREVIOUS, "bundle": None, "in_settings": None, "deployment_existed": False}
    record = ReleaseRecord.parse(written(owed="restore", previous=nothing, deploy=STARTED), "r.json")
    assert record.unit("prod", "auto-prod", "d").previous == Previous(version=None)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_deployment_of_schema_1_that_was_enabled_is_not_disabled(enabled: bool) -> None:
    nothing = {**PREVIOUS, "bundle": None, "enabled": enabled}
    record = ReleaseRecord.parse(written(owed="restore", previous=nothing, deploy=STARTED), "r.json")
    seen = Named(version="b0", enabled=enabled)
    wanted = Previous(version="b0", active=False, seen=seen) if enabled else Previous(enabled=False, seen=seen)
    assert record.unit("prod", "auto-prod", "d").previous == wanted


@pytest.mark.parametrize(
    "stage", [{"previous": 3}, {"deploy": []}, {"infra": None}, {"previous": {"bundle": 7}}, {"rollback": "no"}]
)
def test_nonsense_of_schema_1_is_a_clear_error(stage: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"r\.json: not a release record: stages\.prod\."):
        ReleaseRecord.parse(written(**stage), "r.json")
