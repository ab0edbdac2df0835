"""The sections of ``mlops.yml``. Descriptions are those of the JSON schema; durations are held in seconds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import (
    BundleTemplate,
    FilePath,
    Id,
    NodeName,
    Reason,
    RuleReference,
    ScenarioPattern,
)
from mlops_steps.config.section import Section

Severity = Literal["error", "warning", "off"]
NeedKind = Literal["connection", "code-environment", "plugin", "channel", "variable", "project", "scenario", "version"]


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
    probation: Duration | None = Field(
        default=None,
        description="So long after a release `monitor` may still go back to the bundle before, such as 2h.",
    )
    no_way_back: Literal["allow", "consent"] = Field(
        default="allow",
        description="consent: a release needs a plan, approved or given, because the plan says what a rollback does "
        "not undo.",
    )
    snapshot_scenario: Id | None = Field(
        default=None,
        description="Scenario that runs on the bundle that is live, before the first change of a release: it saves "
        "what a rollback does not bring back.",
    )
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
    requests_per_second: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Ceiling of the requests that a step sends to one node in a second.",
    )
