"""What a step of the Jenkins library asks for: one JSON value in the environment variable MLOPS_STEP.

    {"step": "deploy", "library": "0.1.0", "parameters": {"stage": "test", "credentials": {"test": "my-key"}}}

Parameters have the names of the command's options, in camel case (``--dry-run`` is ``dryRun``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from mlops_steps import __version__
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

VARIABLE = "MLOPS_STEP"

#: The commands that the library has a step for.
STEPS = (
    "doctor",
    "validate",
    "package",
    "deploy",
    "test",
    "release",
    "smoke-test",
    "recover",
    "rollback",
    "status",
)
#: Parameters that the Groovy step itself acts on.
OF_THE_LIBRARY = ("credentials", "failing")
FAILING = ("stop", "unstable")


@dataclass(frozen=True)
class Request:
    """A step and its parameters, as they stand in the Jenkinsfile."""

    step: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    library: str = __version__

    @property
    def stage(self) -> str | None:
        """The stage, where one is given."""
        return self.text("stage")

    @property
    def config(self) -> Path | None:
        """The configuration file, where one is given."""
        name = self.text("config")
        return Path(name) if name else None

    @property
    def project(self) -> str | None:
        """The project key, where one is given."""
        return self.text("project")

    def text(self, name: str) -> str | None:
        """The value of a parameter as text; ``None`` when it is not given, or empty."""
        value = self.parameters.get(name)
        return None if value is None or value == "" or isinstance(value, (dict, list)) else str(value)


def read(environ: Mapping[str, str]) -> Request:
    """Reads MLOPS_STEP. Raises :class:`ConfigError` when it is not the library's."""
    try:
        data = json.loads(environ.get(VARIABLE, ""))
        request = Request(
            step=data["step"],
            parameters=data.get("parameters") or {},
            library=data.get("library") or __version__,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{VARIABLE} holds no step of the Jenkins library") from None
    if request.step not in STEPS or not isinstance(request.parameters, dict):
        raise ConfigError(f"{VARIABLE} holds no step of the Jenkins library")
    return request


def check_library(request: Request) -> None:
    """Raises :class:`ConfigError` unless the Groovy steps and this package are of one version."""
    if request.library != __version__:
        raise ConfigError(
            f"the Jenkins library is {str(request.library)[:40]}, but mlops-steps on this agent is {__version__}",
            next_step="call mlopsSetup() before the first step on this agent, "
            f"or load the library at the tag v{__version__}",
        )


def arguments(request: Request, command: click.Command, nodes: Mapping[str, object] | None) -> list[str]:
    """The command line that says the same as the parameters.

    ``nodes`` are those of the configuration, to check the keys of ``credentials``. Raises :class:`ConfigError` for an
    unknown parameter, with the nearest spelling, and for a value of the wrong kind.
    """
    options = options_of(command)
    found: list[str] = []
    for name, value in request.parameters.items():
        if name in OF_THE_LIBRARY:
            _check_own(request.step, name, value, nodes)
        elif name not in options:
            known = [*options, *OF_THE_LIBRARY]
            raise ConfigError(
                f"{request.step}: unknown parameter {name[:80]!r}{nearest(name, known)}",
                details=[f"parameters: {', '.join(known)}"],
            )
        else:
            found += _arguments(request.step, name, value, options[name])
    return found


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by the name that they have as parameters of a step."""
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            longest = max(parameter.opts, key=len).lstrip("-")
            first, *rest = longest.split("-")
            found[first + "".join(word.capitalize() for word in rest)] = parameter
    return found


def _arguments(step: str, name: str, value: Any, option: click.Option) -> list[str]:
    flag = max(option.opts, key=len)
    # What is not given, and what a build parameter leaves empty, is the default.
    if value is None or value == "":
        return []
    if option.is_flag or option.count:
        if isinstance(value, bool):
            return [flag] if value else []
        if option.count and isinstance(value, int) and 0 <= value <= 9:
            return [flag] * value
        raise ConfigError(f"{step}: {name} must be true or false")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{step}: {name} must be text")
    return [f"{flag}={value}"]


def _check_own(step: str, name: str, value: Any, nodes: Mapping[str, object] | None) -> None:
    if value is None:
        return
    if name == "failing" and value not in FAILING:
        near = nearest(str(value), FAILING)
        raise ConfigError(f"{step}: failing must be one of {', '.join(FAILING)}{near}")
    if name == "credentials" and value is not False:
        if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
            raise ConfigError(
                f"{step}: credentials must be a map of node names to ids of Secret texts, "
                "such as [prod: 'mlops-prod'], or false when the agent has the keys"
            )
        for node in value:
            if nodes is not None and node not in nodes:
                raise ConfigError(f"{step}: credentials: unknown node {node!r}{nearest(node, nodes)}")
