"""What a step of the Jenkins library asks for: one JSON value in the environment variable MLOPS_STEP.

    {"step": "deploy", "library": "0.1.0", "parameters": {"stage": "test", "credentials": {"test": "my-key"}}}

Parameters have the names of the step's options, in camel case (``--dry-run`` is ``dryRun``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_steps.config.api import SERVICE_KEY
from mlops_steps.errors import ConfigError
from mlops_steps.steps.registry import COMMON, STEPS, Kind, Option, Step
from mlops_steps.system.text import nearest
from mlops_steps.version import __version__

VARIABLE = "MLOPS_STEP"

#: Among the credentials, what stands for the key of the API service.
SERVICE = "service"

#: Parameters that the Groovy step itself acts on, with what their help says.
OF_THE_LIBRARY = {
    "credentials": (
        "map of node names to ids, or false; default: mlops-<node> for each node",
        "Secret texts with the API keys. They are bound around the one command that needs them. false: the agent has "
        "the keys in its environment.",
    ),
    "failing": (
        "'stop' or 'unstable', default: 'stop'",
        "What a failed check means: the build fails here, or is marked UNSTABLE and goes on. Anything worse always "
        "fails the build.",
    ),
}
FAILING = ("stop", "unstable")
#: The largest number that a count may be; Python has no log level below that of 2.
_MOST = 9


@dataclass(frozen=True)
class Request:
    """A step and its parameters, as they stand in the Jenkinsfile."""

    step: Step
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
            step=STEPS[data["step"]],
            parameters=data.get("parameters") or {},
            library=data.get("library") or __version__,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{VARIABLE} holds no step of the Jenkins library") from None
    if not isinstance(request.parameters, dict) or not request.step.in_library:
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


def key_of_service(request: Request) -> list[str]:
    """The binding of the key of the API service, where the Jenkinsfile names a credential for it: many have no key."""
    given = request.parameters.get("credentials")
    named = isinstance(given, dict) and SERVICE in given
    return [f"{SERVICE} {SERVICE_KEY}"] if (request.step.of_service or request.step.of_both) and named else []


@dataclass(frozen=True)
class Arguments:
    """What a request comes to: the keyword arguments of the step's ``run``, and two options of every step."""

    options: Mapping[str, Any] = field(default_factory=dict)
    verbose: int = 0
    quiet: bool = False


def arguments(request: Request, nodes: Mapping[str, object] | None) -> Arguments:
    """The values of all parameters, as ``run`` takes them.

    ``nodes`` are those of the configuration, to check the keys of ``credentials``. Raises :class:`ConfigError` for an
    unknown parameter, with the nearest spelling, for a value of the wrong kind and for a required one that is missing.
    """
    step = request.step
    options = {option.parameter: option for option in step.all_options}
    found: dict[str, Any] = {}
    for name, value in request.parameters.items():
        if name in OF_THE_LIBRARY:
            _check_own(step.name, name, value, nodes)
        elif name not in options:
            known = [*options, *OF_THE_LIBRARY]
            raise ConfigError(
                f"{step.name}: unknown parameter {name[:80]!r}{nearest(name, known)}",
                details=[f"parameters: {', '.join(known)}"],
            )
        elif value is not None and value != "":
            # What is not given, and what a build parameter leaves empty, is the default.
            found[options[name].name] = _value(step.name, options[name], value)
    for name, option in options.items():
        if option.required and option.name not in found:
            raise ConfigError(f"{step.name}: the parameter {name} is missing")
    outside = {"stage", *(option.name for option in COMMON)}
    return Arguments(
        {name: value for name, value in found.items() if name not in outside},
        verbose=found.get("verbose", 0),
        quiet=found.get("quiet", False),
    )


def _value(step: str, option: Option, value: Any) -> Any:
    name = option.parameter
    if option.kind is Kind.FLAG:
        if not isinstance(value, bool):
            raise ConfigError(f"{step}: {name} must be true or false")
        return value
    if option.kind is Kind.COUNT:
        if not isinstance(value, int) or not 0 <= value <= _MOST:
            raise ConfigError(f"{step}: {name} must be true, false or a number from 0 to {_MOST}")
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{step}: {name} must be text")
    if option.pattern and not re.fullmatch(option.pattern, str(value)):
        raise ConfigError(f"{step}: {name}: {str(value)[:80]!r} is not of the form {option.form}")
    return str(value)


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
            if nodes is not None and node not in nodes and node != SERVICE:
                raise ConfigError(f"{step}: credentials: unknown node {node!r}{nearest(node, nodes)}")
