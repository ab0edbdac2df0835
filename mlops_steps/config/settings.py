"""The settings of a run: ``mlops.yml``, environment variables and command-line flags, as one typed object.

Built once by :func:`mlops_steps.config.load` and passed down; nothing else reads the environment. A flag goes before
an environment variable, that before the file, and the file before the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, SecretStr, field_validator
from pydantic.json_schema import SkipJsonSchema

from mlops_steps.config.api import ApiSettings
from mlops_steps.config.fields import FilePath, NodeName, ProjectKey
from mlops_steps.config.monitor import MonitorSettings
from mlops_steps.config.nodes import ConnectionSettings, InfraSettings, NodeSettings, named
from mlops_steps.config.policy import Automation, Criticality, MinimumSource, PolicySettings
from mlops_steps.config.section import Section
from mlops_steps.config.sections import (
    CompareSettings,
    DeploySettings,
    HttpSettings,
    PackageSettings,
    ReleaseSettings,
    TestSettings,
    ValidateSettings,
)
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

DEFAULT_FILE = "mlops.yml"

#: Nodes that are never a stage.
_NOT_STAGES = ("design", "deployer")


class Settings(Section):
    """All that a step needs to know. Paths are absolute, durations are seconds."""

    project: ProjectKey = Field(description="Key of the DSS project.")
    criticality: Criticality | None = Field(
        default=None,
        description="What a bad release may cost: low, medium or high. It sets the defaults of automation and policy.",
    )
    automation: Automation | None = Field(
        default=None,
        description="How far this project goes by itself. Default: approval; full with criticality low.",
    )
    policy: PolicySettings = PolicySettings()
    nodes: dict[NodeName, NodeSettings] = Field(
        description="The DSS nodes: design, and any number of others under names of your own, in the order of the "
        "stages. The design node hosts the Project Deployer too, unless deployer is given."
    )
    validation: ValidateSettings = Field(default=ValidateSettings(), alias="validate")
    package: PackageSettings = PackageSettings()
    deploy: DeploySettings = DeploySettings()
    test: TestSettings = TestSettings()
    compare: CompareSettings = CompareSettings()
    release: ReleaseSettings = ReleaseSettings()
    # The gates' own models are loaded and checked in `loading.py`, when there are any: a start must be quick.
    gates: list[Any] = Field(
        default=[], description="What a candidate must fulfil before it goes live, besides its tests."
    )
    api: ApiSettings = ApiSettings()
    monitor: MonitorSettings = MonitorSettings()
    http: HttpSettings = HttpSettings()
    reports: FilePath = Field(default=Path("reports"), description="Folder of the JUnit reports.")
    record: FilePath = Field(default=Path(".mlops/release.json"), description="Path of the release record.")
    root: Annotated[Path, SkipJsonSchema()] = Path()
    warnings: Annotated[list[str], SkipJsonSchema()] = Field(default=[])

    _minimum_sources: tuple[MinimumSource, ...] = PrivateAttr(default=())
    _signing_key: SecretStr | None = PrivateAttr(default=None)
    _signing_problem: str | None = PrivateAttr(default=None)
    _places: Mapping[tuple[str, ...], str] = PrivateAttr(default_factory=dict)

    @field_validator("nodes", mode="before")
    @classmethod
    def _name_nodes(cls, nodes: object) -> object:
        """Each node knows its name; the file does not say it twice."""
        return named(nodes)

    def node(self, name: str) -> NodeSettings:
        """The node of that name. Raises :class:`ConfigError` with the nearest spelling when there is none."""
        if name in self.nodes:
            return self.nodes[name]
        raise ConfigError(f"unknown node {name!r}{nearest(name, self.nodes)} (nodes: {', '.join(self.nodes)})")

    def stages(self) -> list[NodeSettings]:
        """The nodes that something is deployed to, in the order of the file."""
        return [node for node in self.nodes.values() if node.infra and node.name not in _NOT_STAGES]

    def stage(self, name: str) -> NodeSettings:
        """The stage of that name. Raises :class:`ConfigError` with the nearest spelling when there is none."""
        names = [stage.name for stage in self.stages()]
        if name in names:
            return self.nodes[name]
        if name in _NOT_STAGES:
            reason = f"{name} is not a stage: nothing is deployed to it"
        elif name in self.nodes:
            reason = f"node {name} has no infrastructure: set nodes.{name}.infra or {self.nodes[name].variable}_INFRA"
        else:
            reason = f"unknown stage {name!r}{nearest(name, names)}"
        raise ConfigError(f"{reason} (stages: {', '.join(names) or 'none'})")

    def units_of(self, stage: str) -> tuple[bool, bool]:
        """Whether the project has a stage of this name, and whether the API service has.

        Raises :class:`ConfigError` with the nearest spelling when neither has.
        """
        project = stage in [one.name for one in self.stages()]
        service = self.api.service is not None and stage in self.api.stages
        if not (project or service):
            names = dict.fromkeys([*(one.name for one in self.stages()), *self.api.stages])
            raise ConfigError(f"unknown stage {stage!r}{nearest(stage, names)} (stages: {', '.join(names) or 'none'})")
        return project, service

    def units(self, stage: str, infra: str | None = None) -> list[InfraSettings]:
        """The infrastructures of the stage, in the order of the file; ``infra`` is the name, or id, of the one meant.

        Raises :class:`ConfigError` with the nearest spelling when there is none of that name.
        """
        found = self.stage(stage).units()
        if infra is None:
            return found
        names = [unit.place or str(unit.infra) for unit in found]
        chosen = [unit for unit, name in zip(found, names, strict=True) if infra in (name, unit.infra)]
        if chosen:
            return chosen[:1]
        raise ConfigError(
            f"stage {stage} has no infrastructure {infra!r}{nearest(infra, names)} "
            f"(infrastructures: {', '.join(names)})"
        )

    def all_nodes(self) -> list[tuple[NodeSettings, ConnectionSettings]]:
        """Every node that can be asked, with its entry of ``nodes``."""
        return [(node, found) for node in self.nodes.values() for _, found in node.connections()]

    def stage_before(self, name: str) -> NodeSettings | None:
        """The stage that comes before, ``None`` for the first one. Raises :class:`ConfigError` for an unknown name."""
        stages = self.stages()
        index = stages.index(self.stage(name))
        return stages[index - 1] if index else None

    def release_stage(self) -> NodeSettings:
        """The stage that is released to. Raises :class:`ConfigError` when there is no stage at all."""
        if self.release.stage:
            return self.stage(self.release.stage)
        stages = self.stages()
        if not stages:
            raise ConfigError("no stage is configured: give a node an infrastructure (nodes.<name>.infra)")
        return stages[-1]

    def deployer(self) -> NodeSettings:
        """The node that hosts the Project Deployer."""
        return self.nodes.get("deployer") or self.nodes["design"]

    @property
    def uses_deployer(self) -> bool:
        """Whether there is a stage that the Project Deployer deploys to."""
        return any(not unit.is_direct for stage in self.stages() for unit in stage.units())

    def archives(self) -> NodeSettings:
        """The node that archives are read from: that with the deployer; the Design node, where no stage uses one."""
        return self.deployer() if self.uses_deployer or not self.stages() else self.nodes["design"]

    def deployment_id(self, stage: str | InfraSettings) -> str:
        """Id of the deployment on an infrastructure, or on the first one of a stage.

        Raises :class:`ConfigError` for an unknown stage.
        """
        unit = self.stage(stage) if isinstance(stage, str) else stage
        return unit.deployment or f"{self.project}-on-{unit.infra}"

    def signing_key(self) -> SecretStr | None:
        """The private key (PEM) that statements are signed with, ``None`` when there is none.

        Raises :class:`ConfigError` when the file of the key cannot be read.
        """
        if self._signing_problem:
            raise ConfigError(self._signing_problem)
        return self._signing_key

    def set_signing_key(self, pem: str | None, problem: str | None = None) -> None:
        """Stores what was found for the signing key. Called once, when the settings are built."""
        self._signing_key = SecretStr(pem) if pem else None
        self._signing_problem = problem

    def minimum_sources(self) -> tuple[MinimumSource, ...]:
        """Where the organisation's minimums are."""
        return self._minimum_sources

    def set_minimum_sources(self, sources: tuple[MinimumSource, ...]) -> None:
        """Stores where they are. Called once, when the settings are built."""
        self._minimum_sources = sources

    def place(self, *key: str) -> str:
        """Where a value comes from and its key, to begin a message with: ``mlops.yml:12: validate.severity``."""
        path = ".".join(key)
        for length in range(len(key), 0, -1):
            if found := self._places.get(key[:length]):
                return f"{found}: {path}"
        return path

    def set_places(self, places: Mapping[tuple[str, ...], str]) -> None:
        """Stores where the values come from. Called once, when the settings are built."""
        self._places = places
