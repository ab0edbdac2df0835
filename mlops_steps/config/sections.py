"""The sections of ``mlops.yml``. Descriptions are those of the JSON schema; durations are held in seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator
from pydantic.json_schema import SkipJsonSchema

from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import (
    BundleTemplate,
    FilePath,
    Id,
    NodeName,
    Reason,
    RuleReference,
    ScenarioPattern,
    Url,
    Verify,
)
from mlops_steps.errors import ConfigError

Severity = Literal["error", "warning", "off"]
NeedKind = Literal["connection", "code-environment", "plugin", "channel", "variable", "project", "version"]


class Section(BaseModel):
    """What all sections share: they do not change, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class MappingSettings(Section):
    """What a project on a node uses in the place of what its bundle names."""

    connections: dict[str, str] = Field(default={}, description="Connection in the bundle: connection on the node.")
    code_envs: dict[str, str] = Field(
        default={}, description="Code environment in the bundle: code environment on the node."
    )


class NodeSettings(Section):
    """A DSS node. Its API key is in MLOPS_<NODE>_API_KEY, or in the file that MLOPS_<NODE>_API_KEY_FILE names."""

    name: Annotated[NodeName, SkipJsonSchema()]
    url: Url = Field(description="Address of the node, for example https://design.example.com:11200.")
    strategy: Literal["deployer", "direct"] = Field(
        default="deployer",
        description="direct: bundles are imported and activated on this Automation node itself, which makes it a "
        "stage, without a Project Deployer.",
    )
    infra: Id | None = Field(
        default=None,
        description="Id of the infrastructure on the Project Deployer. A node that has one is a stage.",
    )
    deployment: Id | None = Field(
        default=None,
        description="Id of the deployment on that infrastructure. Default: <project>-on-<infra>.",
    )
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

    @model_validator(mode="before")
    @classmethod
    def _name_unit(cls, node: object) -> object:
        """What is deployed directly is named by its node, as what a deployer deploys is by its infrastructure."""
        if isinstance(node, dict) and node.get("strategy") == "direct" and not node.get("infra"):
            return {**node, "infra": node.get("name")}
        return node

    @property
    def is_direct(self) -> bool:
        """Whether no deployer deploys there."""
        return self.strategy == "direct"

    @property
    def variable(self) -> str:
        """The prefix of the environment variables of this node: ``prod-eu`` → ``MLOPS_PROD_EU``."""
        return variable_prefix(self.name)

    def api_key(self) -> SecretStr:
        """The key of this node. Raises :class:`ConfigError` that names the variables when there is none."""
        if self._key is None:
            problem = self._key_problem or (
                f"no API key for node {self.name}: set {self.variable}_API_KEY, "
                f"or {self.variable}_API_KEY_FILE to the path of a file that holds it"
            )
            raise ConfigError(problem)
        return self._key

    def set_api_key(self, key: str | None, problem: str | None = None) -> None:
        """Stores what was found for the key. Called once, when the settings are built."""
        self._key = SecretStr(key) if key else None
        self._key_problem = problem


class LimitSettings(Section):
    """Limits for each Python recipe and each module of the project library."""

    lines: int = Field(default=100, ge=1, le=1_000_000, description="Lines, all counted.")
    logical_lines: int = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="Logical lines (statements), counted by radon.",
    )
    complexity: int = Field(
        default=21,
        ge=1,
        le=1_000_000,
        description="Cyclomatic complexity of the worst function, counted by radon.",
    )


class RuleException(Section):
    """An object that a rule is not applied to."""

    rule: str = Field(min_length=1, max_length=200, description="Id of the rule.")
    object: str = Field(
        min_length=1,
        max_length=500,
        description="Name of the object, or a pattern with *, ? and […], as in the report.",
    )
    reason: Reason = Field(description="Why the exception is made. It is shown in the report.")


class ValidateSettings(Section):
    """What the step `validate` checks."""

    limits: LimitSettings = Field(default=LimitSettings(), description="Limits for Python code.")
    severity: dict[str, Severity] = Field(
        default={},
        description="Per rule: error (the step fails), warning (the case passes and carries the text) or off.",
    )
    exceptions: list[RuleException] = Field(
        default=[], description="Objects that a rule is not applied to, with a reason."
    )
    rules: list[RuleReference] = Field(
        default=[],
        description="The team's own rules: path/to/file.py:function or package.module:function.",
    )
    rule_timeout: Duration = Field(default=60.0, description="Limit of each rule.")
    timeout: Duration = Field(default=600.0, description="Limit until the project has been read.")


class PackageSettings(Section):
    """How the step `package` exports the bundle."""

    bundle_id: BundleTemplate = Field(
        default="{build}-{commit}",
        description="Template of the bundle id. Fields: {build}, {commit}, {project}, {date}.",
    )
    release_notes: Literal["commits", "off"] = Field(
        default="commits",
        description="commits: the bundle's release notes list the commits since the last released bundle.",
    )
    timeout: Duration = Field(
        default=1800.0,
        description="Limit of the export, of the publication and of the download.",
    )


class DeploySettings(Section):
    """How the step `deploy` deploys."""

    timeout: Duration = Field(
        default=1800.0,
        description="Limit until the deployment is healthy and the bundle active.",
    )
    health_timeout: Duration = Field(
        default=60.0,
        description="How long a deployment may take to become HEALTHY after its update has ended; for release too.",
    )


class TestSettings(Section):
    """What the step `test` runs on the Automation node."""

    __test__ = False  # pytest: not a test class

    scenarios: list[ScenarioPattern] = Field(
        default=["TEST_*"],
        description="Ids of test scenarios, or patterns with *, ? and […].",
    )
    marked: bool = Field(default=True, description="Scenarios that are marked as test in DSS count too.")
    parallel: int = Field(default=8, ge=1, le=64, description="How many scenarios run at the same time.")
    timeout: Duration = Field(
        default=1800.0,
        description="Limit of each scenario; it is aborted on the node then.",
    )
    total_timeout: Duration = Field(default=7200.0, description="Limit of all scenarios together.")
    warning: Literal["pass", "fail"] = Field(
        default="pass", description="What a scenario counts for that ends with WARNING, the smoke test included."
    )
    pytest: FilePath | None = Field(default=None, description="Folder of the team's own pytest suite.")
    pytest_timeout: Duration = Field(default=1800.0, description="Limit of the team's own pytest suite.")


class ReleaseSettings(Section):
    """How the step `release` releases, and what it does when that fails."""

    stage: NodeName | None = Field(default=None, description="The stage to release to. Default: the last one.")
    smoke_scenario: Id = Field(
        default="TEST_SMOKE",
        description="Id of the scenario that is run as smoke test.",
    )
    smoke_timeout: Duration = Field(default=600.0, description="Limit of the smoke test.")
    timeout: Duration = Field(
        default=1800.0,
        description="Limit until the deployment is healthy and the bundle active.",
    )
    rollback: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: when the release fails, the previous bundle is restored and verified.",
    )
    rollback_timeout: Duration = Field(default=1800.0, description="Limit of the restore.")
    provenance: Literal["off", "required"] = Field(
        default="off",
        description="required: signed statements must say how the bundle was packaged and that its tests passed.",
    )
    public_key: FilePath | None = Field(
        default=None,
        description="Path of the public key (Ed25519, PEM) of these statements. MLOPS_PUBLIC_KEY_FILE replaces it.",
    )


class NeedException(Section):
    """Something that a bundle needs and that the node may lack."""

    need: str = Field(
        min_length=1,
        max_length=500,
        description="Name of the test case, such as `variable budget`, or a pattern with *, ? and […].",
    )
    reason: Reason = Field(description="Why the exception is made. It is shown in the report.")


class CompareSettings(Section):
    """What the step `compare`, and `release` before its first change, look for on a node."""

    at_release: Severity = Field(
        default="error",
        description="error: `release` stops before its first change when the node lacks what the bundle needs; "
        "warning: it goes on; off: it does not look.",
    )
    severity: dict[NeedKind, Severity] = Field(
        default={},
        description="Per kind of need: error (what is missing fails the step), warning or off.",
    )
    exceptions: list[NeedException] = Field(default=[], description="What a node may lack, with a reason.")
    timeout: Duration = Field(default=300.0, description="Limit of the questions to the node.")


class HttpSettings(Section):
    """How nodes are asked."""

    connect_timeout: Duration = Field(default=10.0, description="Limit for a connection to be made.")
    read_timeout: Duration = Field(default=60.0, description="Limit of one request, its whole answer included.")
    retries: int = Field(
        default=5,
        ge=0,
        le=50,
        description="How often a failed request is sent again, where that is safe.",
    )
    max_wait: Duration = Field(default=60.0, description="Sum of the pauses between the tries of one request.")


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
