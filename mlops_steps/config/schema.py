"""The JSON schema of ``mlops.yml``, for editors."""

from __future__ import annotations

from typing import Any

from mlops_steps.config.gates import Gates
from mlops_steps.config.settings import Settings

# What the environment may give instead (MLOPS_PROJECT, MLOPS_<NODE>_URL, MLOPS_<NODE>_API_INFRA).
_NOT_REQUIRED = ("Settings", "NodeSettings", "InfraSettings", "ConnectionSettings", "ApiNodeSettings")


def schema() -> dict[str, Any]:
    """The schema, made from the definition that the settings are checked with."""
    result = Settings.model_json_schema(by_alias=True)
    gates = Gates.model_json_schema(by_alias=True)
    result["properties"]["gates"] = gates["properties"]["gates"]
    definitions: dict[str, Any] = result["$defs"]
    definitions.update(gates["$defs"])
    definitions["MonitorSettings"]["properties"]["gates"]["items"] = gates["properties"]["gates"]["items"]
    for name, definition in {**definitions, "Settings": result}.items():
        if name in _NOT_REQUIRED:
            definition.pop("required", None)
    result = _without_titles(result)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **result,
        "title": "mlops.yml",
        "description": "Configuration of mlops-steps. Flags and environment variables go before this file.",
    }


def _without_titles(value: Any) -> Any:
    """Titles repeat the names; a title is text, so that a key of that name stays."""
    if isinstance(value, dict):
        return {key: _without_titles(v) for key, v in value.items() if key != "title" or not isinstance(v, str)}
    return [_without_titles(item) for item in value] if isinstance(value, list) else value
