"""Converts records of schema 1, in which a stage had one unit and no phase, to schema 2."""

from __future__ import annotations

from typing import Any

from mlops_steps.delivery.phases import Phase


def upgraded(document: Any) -> Any:
    """The document of a record, converted if it is of schema 1. What cannot be read stays as it is."""
    if not isinstance(document, dict) or document.get("schema") != 1:
        return document
    stages = document.get("stages", {})
    if isinstance(stages, dict):
        stages = {name: _stage(stage) if isinstance(stage, dict) else stage for name, stage in stages.items()}
    return {**document, "schema": 2, "stages": stages}


def _stage(old: dict[str, Any]) -> dict[str, Any]:
    unit = {
        "infra": old.get("infra"),
        "deployment": old.get("deployment"),
        "phase": _phase(old).value,
        "version": _of(old, "deploy", "bundle"),
        "previous": _previous(old.get("previous")),
        "why": _of(old, "rollback", "message") or "",
        "deploy": old.get("deploy"),
        "smoke_test": old.get("smoke_test"),
        "restore": old.get("rollback"),
    }
    return {
        "approval": old.get("approval"),
        "test": old.get("test"),
        "units": {str(old.get("infra")): {name: value for name, value in unit.items() if value is not None}},
    }


def _phase(old: dict[str, Any]) -> Phase:
    results = {name: _of(old, name, "result") for name in ("deploy", "smoke_test", "rollback")}
    if old.get("owed", "nothing") != "nothing":
        if results["rollback"]:
            return Phase.RESTORING if results["rollback"] == "started" else Phase.IN_DOUBT
        if "failed" in results.values():
            return Phase.IN_DOUBT
        return Phase.VERIFYING if results["smoke_test"] else Phase.DEPLOYING
    if results["rollback"] == "passed":
        return Phase.RESTORED
    if results["deploy"] == "passed" and results["smoke_test"] in (None, "passed"):
        return Phase.LIVE
    # A failed deployment to a stage without a restore, or a change that failed before anything was changed.
    return Phase.FAILED if results["deploy"] in ("started", "failed") else Phase.NOTED


def _previous(old: Any) -> Any:
    if not isinstance(old, dict):
        return old
    enabled, active = old.get("enabled", True), old.get("bundle")
    # A deployment that existed and was enabled is not disabled because the node listed nothing.
    named = old.get("in_settings") if old.get("deployment_existed") and enabled else None
    return {
        "version": named if active is None else active,
        "enabled": enabled,
        "active": active is not None or named is None,
        "seen": {"version": old.get("in_settings"), "enabled": enabled},
    }


def _of(old: dict[str, Any], part: str, name: str) -> Any:
    found = old.get(part)
    return found.get(name) if isinstance(found, dict) else None
