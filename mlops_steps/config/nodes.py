"""The nodes of ``mlops.yml``: connections, infrastructures, stages of one or of several infrastructures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import FilePath, Id, InfraPattern, NodeName, Url, VariableName, Verify
from mlops_steps.config.section import Section
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

#: What each of several infrastructures, or nodes, has for itself.
_OF_A_CONNECTION = ("url", "verify", "client_certificate", "client_key", "api_key_file")
_OF_AN_INFRA = ("infra", "deployment", "nodes", "strategy")


class ConnectionSettings(Section):
    """An Automation node of a multi-node infrastructure."""

    name: Annotated[NodeName, SkipJsonSchema()]
    url: Url = Field(description="Address of the node, for example https://design.example.com:11200.")
    verify: Verify = Field(
        default=True,
        description="Check the node's TLS certificate: true, false, or the path of a file with CA certificates (PEM).",
    )
    client_certificate: FilePath | None = Field(
        default=None,
        description="Path of the client certificate (PEM), where the node asks for one.",
    )
    client_key: FilePath | None = Field(
        default=None,
        description="Path of the client certificate's private key, if it is not in the same file.",
    )
    api_key_file: FilePath | None = Field(
        default=None,
        description="Path of a file that holds the API key and nothing else. Never write the key itself here.",
    )

    _key: SecretStr | None = PrivateAttr(default=None)
    _key_problem: str | None = PrivateAttr(default=None)

    @property
    def variable(self) -> str:
        """The prefix of the environment variables of this node: ``prod-eu`` → ``MLOPS_PROD_EU``."""
        return variable_prefix(self.name)

    def api_key(self) -> SecretStr:
        """The key of this node. Raises :class:`ConfigError` that names the variables when there is none."""
        if self._key is None:
            raise ConfigError(self._problem)
        return self._key

    @property
    def _problem(self) -> str:
        return self._key_problem or (
            f"no API key for node {self.name}: set {self.variable}_API_KEY, "
            f"or {self.variable}_API_KEY_FILE to the path of a file that holds it"
        )

    def set_api_key(self, key: str | None, problem: str | None = None) -> None:
        """Stores what was found for the key. Called once, when the settings are built."""
        self._key = SecretStr(key) if key else None
        self._key_problem = problem

    def share_key(self) -> None:
        """The key of its first part is its own, where it has parts."""
        for found in self.parts().values():
            for part in found.values():
                part.share_key()
            first = next(iter(found.values()))
            self._key, self._key_problem = first._key, first._problem

    def parts(self) -> dict[str, dict[str, ConnectionSettings]]:
        """What it consists of, by the name of the key that holds it; nothing for a node."""
        return {}

    def connections(self) -> Iterator[tuple[tuple[str, ...], ConnectionSettings]]:
        """The nodes that are asked, each with its place below this one: itself, where it has no parts."""
        parts = [(key, place, part) for key, found in self.parts().items() for place, part in found.items()]
        if not parts:
            yield (), self
        for key, place, part in parts:
            for below, node in part.connections():
                yield (key, place, *below), node


class MappingSettings(Section):
    """What a project on its node uses in the place of what its bundle names. Other entries stay as they are there."""

    connections: dict[Id, Id] = Field(default={}, description="Connection in the bundle: connection on the node.")
    code_envs: dict[Id, Id] = Field(
        default={}, description="Code environment in the bundle: code environment on the node."
    )


class InfraSettings(ConnectionSettings):
    """An infrastructure of the Project Deployer: one Automation node, or several (``nodes``)."""

    infra: Id | None = Field(
        default=None,
        description="Id of the infrastructure on the Project Deployer. A node that has one is a stage.",
    )
    deployment: Id | None = Field(
        default=None,
        description="Id of the deployment on that infrastructure. Default: <project>-on-<infra>.",
    )
    nodes: dict[NodeName, ConnectionSettings] = Field(
        default={},
        description="The Automation nodes of a multi-node infrastructure: all of them must have the bundle active.",
    )
    strategy: Literal["deployer", "direct"] = Field(
        default="deployer",
        description="direct: bundles are imported and activated on this Automation node itself, which makes it a "
        "stage, without a Project Deployer.",
    )
    mapping: MappingSettings = Field(
        default=MappingSettings(),
        description="What the project uses on the node in the place of what its bundle names.",
    )
    variables: dict[VariableName, Any] = Field(
        default={}, description="Local variables of the project on the node. Never write a secret here."
    )
    scenarios: dict[Id, bool] = Field(default={}, description="Scenarios that are active on the node, or are not.")
    triggers: bool | None = Field(
        default=None, description="Whether the triggers of the project are on, on the node. Default: as they are."
    )
    place: Annotated[str, SkipJsonSchema()] = ""

    @model_serializer(mode="wrap")
    def _as_in_the_file(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is its first part's, and without the names that parts have from their place."""
        found: dict[str, Any] = handler(self)
        found.pop("place", None)
        for key in self.parts():
            for name in (*_OF_A_CONNECTION, *(_OF_AN_INFRA if key == "infras" else ())):
                found.pop(name, None)
            for part in found.get(key, {}).values():
                part.pop("name", None)
        return found

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: object) -> object:
        return _with_parts(data, "nodes")

    @model_validator(mode="after")
    def _copy_first(self) -> Self:
        if self.nodes:
            _like_the_first(self, next(iter(self.nodes.values())), _OF_A_CONNECTION)
        return self

    def parts(self) -> dict[str, dict[str, ConnectionSettings]]:
        return {"nodes": dict(self.nodes)} if self.nodes else {}

    @property
    def witnesses(self) -> list[ConnectionSettings]:
        """The Automation nodes, all of which must say that a bundle is active."""
        return list(self.nodes.values()) or [self]

    def state(self) -> dict[str, list[Any]]:
        """What the project must have on its node besides the bundle, in the form of `dss/project_state.py`."""
        found: dict[str, Any] = {f"connection {name}": [value] for name, value in self.mapping.connections.items()}
        found |= {f"code environment {name}": [value] for name, value in self.mapping.code_envs.items()}
        found |= {f"variable {name}": [value] for name, value in self.variables.items()}
        found |= {f"scenario {name}": [value] for name, value in self.scenarios.items()}
        return {**found, **({} if self.triggers is None else {"triggers": [self.triggers]})}

    @property
    def is_direct(self) -> bool:
        """Whether no deployer deploys there."""
        return self.strategy == "direct"


class RolloutSettings(Section):
    """How a release goes over the infrastructures of a stage."""

    waves: list[Annotated[list[InfraPattern], Field(min_length=1)]] = Field(
        default=[],
        description="The waves, one after the other: names of infrastructures, or patterns with *, ? and […]. "
        "Default: all in one wave.",
    )
    at_once: int = Field(default=8, ge=1, le=200, description="How many infrastructures are changed at the same time.")
    on_failure: Literal["rollback_all", "stop"] = Field(
        default="rollback_all",
        description="rollback_all: all that were changed are restored, the newest first. stop: only what has failed is "
        "restored, and no further wave begins.",
    )
    soak: Duration | None = Field(
        default=None,
        description="The pause after each wave but the last. The health of all that were changed is looked at "
        "meanwhile.",
    )
    approval: list[Annotated[int, Field(ge=2, le=1000)]] = Field(
        default=[],
        description="Numbers of the waves before which the release waits for an approval (`approve`).",
    )


class NodeSettings(InfraSettings):
    """A DSS node. Its API key is in MLOPS_<NODE>_API_KEY, or in the file that MLOPS_<NODE>_API_KEY_FILE names."""

    infras: dict[NodeName, InfraSettings] = Field(
        default={},
        description="The infrastructures of a stage that has several, under names of your own.",
    )
    rollout: RolloutSettings = Field(
        default=RolloutSettings(), description="How a release goes over the infrastructures of the stage."
    )

    rollback_rehearsal: bool = Field(
        default=False,
        description="deploy goes back to the bundle that the release stage has, and forward again, with a smoke test "
        "at each; release requires that.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: object) -> object:
        if (
            isinstance(data, dict)
            and data.get("strategy") == "direct"
            and not (data.get("infra") or data.get("infras"))
        ):
            # What is deployed directly is named by its node, as what a deployer deploys is by its infrastructure.
            data = {**data, "infra": data.get("name")}
        return _with_parts(_with_parts(data, "infras"), "nodes")

    @model_validator(mode="after")
    def _copy_first(self) -> Self:
        if self.infras:
            _like_the_first(
                self, next(iter(self.infras.values())), (*_OF_A_CONNECTION, "infra", "deployment", "strategy")
            )
        elif self.nodes:
            _like_the_first(self, next(iter(self.nodes.values())), _OF_A_CONNECTION)
        return self

    def parts(self) -> dict[str, dict[str, ConnectionSettings]]:
        return {"infras": dict(self.infras)} if self.infras else super().parts()

    def units(self) -> list[InfraSettings]:
        """The infrastructures: itself, where it has no several."""
        return list(self.infras.values()) or [self]


def waves(stage: NodeSettings) -> list[list[InfraSettings]]:
    """The infrastructures in their waves. Each is in the first wave that names it."""
    units = stage.units()
    found: list[list[InfraSettings]] = []
    left = {unit.place: unit for unit in units}
    for patterns in stage.rollout.waves or [["*"]]:
        chosen = [place for pattern in patterns for place in left if fnmatchcase(place, pattern)]
        found.append([left.pop(place) for place in dict.fromkeys(chosen)])
    return found


def wave_problems(stage: NodeSettings) -> Iterator[str]:
    """What is wrong with the waves of a stage, in words."""
    rollout, places = stage.rollout, [unit.place for unit in stage.units()]
    if not stage.infras:
        if rollout != RolloutSettings():
            yield "needs infras: a stage of one infrastructure has no waves"
        return
    found = waves(stage)
    for number, (patterns, wave) in enumerate(zip(rollout.waves, found, strict=False), 1):
        for pattern in patterns:
            if not any(fnmatchcase(place, pattern) for place in places):
                yield f"waves: no infrastructure {pattern}{nearest(pattern, places)}"
        if not wave:
            yield f"waves: wave {number} has no infrastructure of its own: {', '.join(patterns)}"
    missing = [place for place in places if place not in [unit.place for wave in found for unit in wave]]
    if missing:
        yield f"waves: in no wave: {', '.join(missing)}"
    if late := [number for number in rollout.approval if number > len(found)]:
        yield f"approval: there is no wave {late[0]}"


def _with_parts(data: object, key: str) -> object:
    """The data with the names of its parts; what it has of its own then is a placeholder (:func:`_like_the_first`)."""
    parts = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(parts, dict) or not parts or "name" not in data:
        return data
    of_each = (*_OF_A_CONNECTION, *(_OF_AN_INFRA if key == "infras" else ()))
    if mine := [name for name in of_each if data.get(name)]:
        raise ValueError(f"has {key}, so {mine[0]} belongs to each of them")
    named = {place: _named(part, str(data["name"]), str(place), key) for place, part in parts.items()}
    return {**data, "url": "https://several.invalid", key: named}


def _like_the_first(settings: InfraSettings, part: ConnectionSettings, names: tuple[str, ...]) -> None:
    """Where only one can be meant (a team's own tests, what a bundle is compared with), the first one is."""
    settings.__dict__.update({name: getattr(part, name) for name in names})


def _named(part: object, owner: str, place: str, key: str) -> object:
    if not isinstance(part, Mapping):
        return part
    own: dict[str, Any] = {**part, "name": f"{owner}-{place}"}
    return {"infra": place, **own, "place": place} if key == "infras" else own


def name_at(key: tuple[str, ...]) -> str:
    """The name of the node whose section is at the key: ``("nodes", "prod", "infras", "eu")`` → ``prod-eu``."""
    below = key[key.index("nodes") + 1 :] if "nodes" in key else key
    return "-".join(below[::2])


def variable_prefix(node: str) -> str:
    """``prod-eu`` → ``MLOPS_PROD_EU``."""
    return f"MLOPS_{node.upper().replace('-', '_')}"


def named(nodes: object) -> object:
    """The nodes as the file has them, each with its name; anything else as it is."""
    if not isinstance(nodes, dict):
        return nodes
    return {
        name: {**node, "name": name} if isinstance(node, dict) and "name" not in node else node
        for name, node in nodes.items()
    }
