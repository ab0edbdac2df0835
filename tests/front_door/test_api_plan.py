"""api-plan: exactly what a release of the API service would do, and a release that is held to it."""

from __future__ import annotations

import json

from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.test_api_release import on_prod, released

__all__ = ["api"]


def test_a_release_of_a_service_is_held_to_its_plan(api: ApiWorkspace) -> None:
    released(api, "v1")
    assert "nothing to do" in api.ok("api-plan", "--stage", "prod").out
    api.deployed("v2")
    out = api.ok("api-plan", "--stage", "prod").out
    assert "version v1 → version v2" in out
    assert "if that fails: back to version v1" in out
    assert api.serving("api-prod") == on_prod("v1")
    plan = json.loads((api.folder / "reports/plan-api-prod.json").read_text())
    assert (plan["release"]["kind"], plan["release"]["version"], plan["empty"]) == ("api service", "v2", False)
    api.ok("api-approve", "--stage", "prod", "--by", "jane")
    assert api.record["api_stages"]["prod"]["approval"]["plan"] == plan["sha256"]

    api.configure(api={"release": {"tests": "off", "rollback": "off"}})
    refused = api.run("api-release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert "does not hold any more: api.release.rollback was auto, and is off now; prod is untouched" in refused.err
    assert api.serving("api-prod") == on_prod("v1")

    api.configure()
    api.ok("api-release", "--stage", "prod", "--plan", "reports/plan-api-prod.json")
    assert api.serving("api-prod") == on_prod("v2")
    # It is of the API service, not of the bundle.
    assert api.run("release", "--stage", "prod", "--plan", "reports/plan-api-prod.json").code != 0
