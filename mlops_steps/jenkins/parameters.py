"""The parameters of a job, and the values that are given for a build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

# The last part of the class or type, whatever plugin it is of.
_PASSWORD = ("PasswordParameterDefinition", "CredentialsParameterDefinition")
_FILE = ("FileParameterDefinition",)


def definitions(job: Mapping[str, Any]) -> dict[str, Mapping[str, Any]] | None:
    """The parameters that the job has, by name; ``None`` when it has none."""
    found = [
        definition
        for prop in job.get("property") or []
        for definition in prop.get("parameterDefinitions") or []
        if definition.get("name")
    ]
    return {str(definition["name"]): definition for definition in found} or None


def check(job: Mapping[str, Any], name: str, values: Mapping[str, str]) -> None:
    """Raises :class:`ConfigError` for values that the job would ignore, refuse or take for something else."""
    known = definitions(job)
    if values and not known:
        never_ran = not job.get("lastBuild")
        hint = "a pipeline defines its parameters in its first build: run it once without -p" if never_ran else None
        raise ConfigError(f"{name} has no parameters{' yet' if never_ran else ''}", next_step=hint)
    for parameter, value in values.items():
        _check_value(parameter, value, known or {}, name)


def _check_value(parameter: str, value: str, known: Mapping[str, Mapping[str, Any]], job: str) -> None:
    definition = known.get(parameter)
    if definition is None:
        raise ConfigError(
            f"{job} has no parameter {parameter!r}{nearest(parameter, known)} (parameters: {', '.join(known)})"
        )
    kind = str(definition.get("type") or definition.get("_class") or "").rpartition(".")[2]
    if kind in _PASSWORD:
        raise ConfigError(
            f"parameter {parameter} of {job} holds a secret, which has no place on a command line",
            next_step="give it a default in Jenkins, or use a credential",
        )
    if kind in _FILE:
        raise ConfigError(f"parameter {parameter} of {job} is a file, which this command cannot send")
    choices = definition.get("choices")
    if choices and value not in choices:
        raise ConfigError(f"parameter {parameter} of {job} is one of {', '.join(map(str, choices))}; not {value!r}")
    if kind == "BooleanParameterDefinition" and value not in ("true", "false"):
        raise ConfigError(f"parameter {parameter} of {job} is true or false; not {value!r}")
