"""The section ``api`` of ``mlops.yml``: the API service that goes to production beside the project, or alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, SecretStr, field_validator
from pydantic.json_schema import SkipJsonSchema

from mlops_steps.config.api_load import LoadSettings
from mlops_steps.config.canary import CanarySettings
from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import FilePath, Id, NodeName, Url, Verify
from mlops_steps.config.nodes import named, variable_prefix
from mlops_steps.config.section import Section
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

#: Holds the key of the service; ``_FILE`` after it names a file that does.
SERVICE_KEY = "MLOPS_API_SERVICE_KEY"


class ApiNodeSettings(Section):
    """An API node. Calls of the service take the service's key, if it has one: MLOPS_API_SERVICE_KEY.

    A key of the node's administration, in MLOPS_<NODE>_API_KEY or the file that MLOPS_<NODE>_API_KEY_FILE names, lets a
    canary read what the node reports of the calls of users. Nothing else uses it.
    """

    name: Annotated[NodeName, SkipJsonSchema()]
    url: Url = Field(description="Address of the API node, for example https://api-1.example.com:12443.")
    infra: Id = Field(description="Id of the infrastructure on the API Deployer that the node belongs to.")
    verify: Verify = Field(
        default=True,
        description="Check the node's TLS certificate: true, false, or the path of a file with CA certificates (PEM).",
    )
    client_certificate: FilePath | None = Field(
        default=None, description="Path of the client certificate (PEM), where the node asks for one."
    )
    client_key: FilePath | None = Field(
        default=None,
        description="Path of the client certificate's private key, if it is not in the same file.",
    )

    _admin_key: SecretStr | None = PrivateAttr(default=None)

    @property
    def variable(self) -> str:
        """The prefix of the environment variables of this node."""
        return variable_prefix(self.name)

    @property
    def admin_key(self) -> SecretStr | None:
        """The key of the node's administration, if there is one."""
        return self._admin_key

    def set_admin_key(self, key: str | None) -> None:
        """Stores what was found for the key. Called once, when the settings are built."""
        self._admin_key = SecretStr(key) if key else None


class ApiStageSettings(Section):
    """A stage of the API service: an infrastructure of the API Deployer."""

    infra: Id = Field(description="Id of the infrastructure on the API Deployer.")
    deployment: Id | None = Field(
        default=None,
        description="Id of the deployment on that infrastructure. Default: <service>-on-<infra>.",
    )
    load: bool | None = Field(
        default=None,
        description="Whether `api-test` may put the stage under load. Default: the stages before the release stage.",
    )


class ApiTestSettings(Section):
    """What the step `api-test` asks the API nodes."""

    queries: FilePath | None = Field(
        default=None, description="Path of a file with test queries: YAML, or JSON lines (.jsonl)."
    )
    parallel: int = Field(default=4, ge=1, le=64, description="How many test queries are asked at the same time.")
    timeout: Duration = Field(default=600.0, description="Limit of all test queries together.")
    pytest: FilePath | None = Field(default=None, description="Folder of the team's own pytest suite for the service.")
    pytest_timeout: Duration = Field(default=1800.0, description="Limit of that suite.")
    load: LoadSettings | None = Field(default=None, description="A measured load, and the limits of its latency.")


class ApiReleaseSettings(Section):
    """How a version of the API service is released."""

    strategy: Literal["all", "canary"] = Field(
        default="all",
        description="all: the version gets all calls at once; canary: step by step, compared with the live one.",
    )
    canary: CanarySettings = Field(default=CanarySettings(), description="The steps of a canary, and its limits.")
    timeout: Duration = Field(
        default=1800.0, description="Limit until each API node serves the version; of each step of a canary."
    )
    verify_timeout: Duration = Field(default=300.0, description="Limit of the test queries after that.")
    rollback_timeout: Duration = Field(
        default=1800.0, description="Limit until the version that was live before serves again, verified."
    )
    probation: Duration | None = Field(
        default=None,
        description="So long after a release `monitor` may still go back to the version before, such as 2h.",
    )
    tests: Literal["required", "off"] = Field(
        default="required",
        description="required: `api-test` must have passed on the stage before; off: the version must answer there.",
    )
    rollback: Literal["auto", "off"] = Field(
        default="auto",
        description="What follows a failed release: auto restores the version before, off leaves it.",
    )


class ApiSettings(Section):
    """The API service of the project."""

    service: Id | None = Field(
        default=None, description="Id of the API service on the Design node, and on the API Deployer."
    )
    stages: dict[NodeName, ApiStageSettings] = Field(
        default={},
        description="The stages of the service, under names of your own, in their order; the last one is released to.",
    )
    release_stage: NodeName | None = Field(default=None, description="The stage to release to. Default: the last one.")
    nodes: dict[NodeName, ApiNodeSettings] = Field(
        default={},
        description="The API nodes, where their addresses are not those that the API Deployer knows.",
    )
    service_key_file: FilePath | None = Field(
        default=None,
        description="Path of a file that holds the service's key and nothing else. Never write the key itself here.",
    )
    package_timeout: Duration = Field(
        default=1800.0, description="Limit until the package is made, published and downloaded."
    )
    deploy_timeout: Duration = Field(default=1800.0, description="Limit until each API node serves the version.")
    test: ApiTestSettings = Field(default=ApiTestSettings(), description="What `api-test` asks the API nodes.")
    release: ApiReleaseSettings = Field(
        default=ApiReleaseSettings(), description="Limits of `api-release`, and what follows a failed one."
    )
    health_timeout: Duration = Field(
        default=60.0,
        description="How long a deployment may take to become HEALTHY, and its API nodes to answer, after its update.",
    )
    call_timeout: Duration = Field(default=10.0, description="Limit of one call of an endpoint.")

    _key: SecretStr | None = PrivateAttr(default=None)
    _key_problem: str | None = PrivateAttr(default=None)

    @field_validator("nodes", mode="before")
    @classmethod
    def _name_nodes(cls, nodes: object) -> object:
        """Each node knows its name; the file does not say it twice."""
        return named(nodes)

    def required_service(self) -> str:
        """The service. Raises :class:`ConfigError` when there is none."""
        if self.service is None:
            raise ConfigError(
                "no API service is configured",
                next_step="add to mlops.yml: api: {service: …, stages: {dev: {infra: …}}} (docs/api-services.md)",
            )
        return self.service

    def stage(self, name: str) -> ApiStageSettings:
        """The stage of that name. Raises :class:`ConfigError` with the nearest spelling when there is none."""
        self.required_service()
        if name in self.stages:
            return self.stages[name]
        raise ConfigError(
            f"unknown stage {name!r} of the API service{nearest(name, self.stages)} "
            f"(api.stages: {', '.join(self.stages) or 'none'})"
        )

    def is_release_stage(self, name: str) -> bool:
        """Whether this stage is released to: ``release_stage``, else the last one."""
        return name == (self.release_stage or next(reversed(self.stages), None))

    def release_stage_name(self) -> str:
        """The stage that is released to. Raises :class:`ConfigError` when there is none."""
        name = self.release_stage or next(reversed(self.stages), None)
        if name is None:
            raise ConfigError(
                "no stage of the API service is configured", next_step="add one to api.stages of mlops.yml"
            )
        return name

    def may_load(self, name: str) -> bool:
        """Whether calls may be sent to the stage in numbers.

        Unless the stage says so itself: where nothing is released to it or after it, on an infrastructure of its own.
        """
        stage = self.stage(name)
        if stage.load is not None:
            return stage.load
        names = list(self.stages)
        released = [known for known in names if self.is_release_stage(known)]
        production = names[names.index(released[0]) :] if released else names
        return stage.infra not in {self.stages[known].infra for known in production}

    def stage_before(self, name: str) -> str | None:
        """The stage before this one; ``None`` for the first. Raises :class:`ConfigError` for an unknown stage."""
        self.stage(name)
        names = list(self.stages)
        at = names.index(name)
        return names[at - 1] if at else None

    def deployment_id(self, stage: str) -> str:
        """Id of the stage's deployment. Raises :class:`ConfigError` for an unknown stage."""
        found = self.stage(stage)
        return found.deployment or f"{self.service}-on-{found.infra}"

    def nodes_of(self, stage: str) -> list[ApiNodeSettings]:
        """The configured API nodes of the stage's infrastructure. Raises :class:`ConfigError` for an unknown stage."""
        infra = self.stage(stage).infra
        return [node for node in self.nodes.values() if node.infra == infra]

    def service_key(self) -> SecretStr | None:
        """The key of the service; ``None`` for a public one. Raises :class:`ConfigError` when it cannot be read."""
        if self._key_problem:
            raise ConfigError(self._key_problem)
        return self._key

    def set_service_key(self, key: str | None, problem: str | None = None) -> None:
        """Stores what was found for the key. Called once, when the settings are built."""
        self._key = SecretStr(key) if key else None
        self._key_problem = problem
