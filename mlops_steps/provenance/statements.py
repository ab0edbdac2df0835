"""What a statement says: in-toto statement v1 with one of three predicates, to write and to read.

- `package`: SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance)
- `test`: in-toto test result v0.1 (https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md)
- `release`: SLSA verification summary v1 (https://slsa.dev/spec/v1.0/verification_summary)

Unknown fields are ignored, as the parsing rules of in-toto require.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError
from pydantic.alias_generators import to_camel

from mlops_steps.errors import CheckFailed
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import one_line
from mlops_steps.version import __version__

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"

BUILD_TYPE = "urn:mlops-steps:package:v1"
POLICY = "urn:mlops-steps:release:v1"
#: The builder of a bundle that no Jenkins build has packaged.
BY_HAND = "urn:mlops-steps:by-hand"

#: Whether the run that says so has made the archive, or has found it on the deployer.
MADE, FOUND = "made", "found"

# Names of tests in one statement; those that failed come first. The counts are always those of all.
_MOST_NAMES = 500

_Text = Annotated[str, Field(max_length=2000)]
_Names = Annotated[list[_Text], Field(max_length=100_000)]
_Digest = Annotated[dict[str, _Text], Field(min_length=1, max_length=20)]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Resource(_Part):
    """A resource descriptor of in-toto."""

    name: _Text | None = None
    uri: _Text | None = None
    digest: _Digest | None = None
    annotations: dict[str, Any] | None = None


class Subject(_Part):
    """What a statement is about: an archive by its digest; ``name`` is the id of the bundle."""

    name: _Text | None = None
    digest: _Digest


class BuildDefinition(_Part):
    build_type: _Text
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any] | None = None
    resolved_dependencies: list[Resource] | None = None


class Builder(_Part):
    id: _Text
    version: dict[str, _Text] | None = None


class Metadata(_Part):
    invocation_id: _Text | None = None
    started_on: _Text | None = None
    finished_on: _Text | None = None


class RunDetails(_Part):
    builder: Builder
    metadata: Metadata | None = None


class Provenance(_Part):
    """Predicate of `package`: how the archive was made."""

    build_definition: BuildDefinition
    run_details: RunDetails


class TestResult(_Part):
    """Predicate of `test`. The first configuration describes the stage: see :class:`Node`."""

    __test__ = False  # pytest: not a test class

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: list[Resource]
    url: _Text | None = None
    passed_tests: _Names | None = None
    warned_tests: _Names | None = None
    failed_tests: _Names | None = None

    def note(self, name: str) -> str:
        """An annotation of the stage, ``""`` without one."""
        annotations = (self.configuration[0].annotations if self.configuration else None) or {}
        value = annotations.get(name)
        return value if isinstance(value, str) else ""


class Verifier(_Part):
    id: _Text


class Summary(_Part):
    """Predicate of `release`: the archive was checked against the rules of a release, and smoke-tested."""

    verifier: Verifier
    time_verified: _Text | None = None
    resource_uri: _Text
    policy: Resource
    input_attestations: list[Resource] | None = None
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: _Names
    slsa_version: _Text | None = None


PREDICATES: Mapping[str, type[_Part]] = {PROVENANCE: Provenance, TEST_RESULT: TestResult, SUMMARY: Summary}


class Statement(_Part):
    """A statement about one archive or several."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(default="https://in-toto.io/Statement/v1", alias="_type")
    subject: list[Subject] = Field(min_length=1, max_length=1000)
    predicate_type: _Text
    predicate: SerializeAsAny[_Part]

    def payload(self) -> bytes:
        """The statement as JSON, without what is secret."""
        content = _redacted(self.model_dump(mode="json", by_alias=True, exclude_none=True))
        return json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8", "replace")

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Statement:
        """Reads a statement. Raises :class:`CheckFailed` with the reason."""
        kind = content.get("predicateType")
        model = PREDICATES.get(kind) if isinstance(kind, str) else None
        if content.get("_type") != STATEMENT:
            raise CheckFailed(f"it is not an in-toto statement v1 (_type: {one_line(str(content.get('_type')), 100)})")
        if model is None:
            raise CheckFailed(f"its predicate is not known: {one_line(str(kind), 100)}")
        try:
            predicate = model.model_validate(content.get("predicate"))
            return cls.model_validate({**content, "predicate": predicate})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the predicate"
            raise CheckFailed(f"it is not a statement: {one_line(where, 100)}: {first['msg']}") from None

    def is_about(self, sha256: str) -> bool:
        """Whether the archive with this SHA-256 is a subject."""
        return any(subject.digest.get("sha256") == sha256 for subject in self.subject)


@dataclass(frozen=True)
class Artifact:
    """The archive that a statement is about."""

    project: str
    bundle: str
    sha256: str


@dataclass(frozen=True)
class Run:
    """The run that makes a statement: the Jenkins build, and when the step began and ended (UTC, ISO 8601)."""

    url: str | None = None
    job: str | None = None
    number: str | None = None
    commit: str | None = None
    started: str = ""
    ended: str = ""

    @property
    def builder(self) -> str:
        """The job, by its address or its name."""
        if self.url:
            return re.sub(r"/[^/]*/?$", "/", self.url.rstrip("/"))
        return f"urn:mlops-steps:jenkins:{self.job}" if self.job else BY_HAND

    @property
    def invocation(self) -> str | None:
        """The build, by its address or its name."""
        return self.url or (f"{self.job}#{self.number}" if self.job and self.number else None)


@dataclass(frozen=True)
class Node:
    """A node. ``dss`` is its version, ``""`` when it does not say."""

    url: str
    dss: str = ""


def packaged(
    artifact: Artifact, run: Run, design: Node, deployer: Node, commit: str | None, *, made: bool
) -> Statement:
    """`package` made the archive from this commit of the project; without ``made`` it found it there."""
    sources = [
        Resource(name="project", uri=_project(design, artifact.project), digest=_git(commit)),
        Resource(name="repository with the Jenkinsfile", digest=_git(run.commit)),
    ]
    definition = BuildDefinition(
        build_type=BUILD_TYPE,
        external_parameters={"project": artifact.project, "bundle": artifact.bundle, "design": design.url},
        internal_parameters={"deployer": deployer.url, "archive": MADE if made else FOUND},
        resolved_dependencies=[one for one in sources if one.digest or one.uri],
    )
    versions = {"mlops-steps": __version__, "dss-design": design.dss, "dss-deployer": deployer.dss}
    details = RunDetails(
        builder=Builder(id=run.builder, version={name: value for name, value in versions.items() if value}),
        metadata=Metadata(invocation_id=run.invocation, started_on=run.started or None, finished_on=run.ended or None),
    )
    return _about(artifact, PROVENANCE, Provenance(build_definition=definition, run_details=details))


def tested(
    artifact: Artifact,
    run: Run,
    stage: str,
    infra: str,
    node: Node,
    *,
    passed: Sequence[str],
    failed: Sequence[str],
    ok: bool,
    checked: str = "tests",  # noqa: PT028 - no test
) -> Statement:
    """`test` ran these tests and gates on the stage; ``ok``: the step passed.

    ``checked``: ``gates`` where only the gates before a release were judged.
    """
    notes = {
        "checked": checked,
        "stage": stage,
        "infrastructure": infra,
        "bundle": artifact.bundle,
        "dss": node.dss,
        "passed": str(len(passed)),
        "failed": str(len(failed)),
        "started": run.started,
        "ended": run.ended,
        "build": run.invocation or "",
    }
    annotations = {name: value for name, value in notes.items() if value}
    fit = [one_line(name, 200) for name in [*failed, *passed][:_MOST_NAMES]]
    some = min(len(failed), _MOST_NAMES)
    result = TestResult(
        result="PASSED" if ok and not failed else "FAILED",
        configuration=[Resource(name=stage, uri=_project(node, artifact.project), annotations=annotations)],
        url=run.url,
        passed_tests=fit[some:],
        failed_tests=fit[:some],
    )
    return _about(artifact, TEST_RESULT, result)


def released(
    artifact: Artifact,
    run: Run,
    stage: str,
    infra: str,
    node: Node,
    inputs: Mapping[str, str],
    *,
    smoke: str,
    failure: str,
) -> Statement:
    """`release` made the archive live on the stage and smoke-tested it; ``failure`` says why not.

    ``inputs``: the SHA-256 of each statement that this one follows on, by its name.
    """
    notes = {
        "stage": stage,
        "infrastructure": infra,
        "bundle": artifact.bundle,
        "smoke_scenario": smoke,
        "dss": node.dss,
        "failure": one_line(failure, 500),
        "build": run.invocation or "",
        "mlops_steps": __version__,
    }
    summary = Summary(
        verifier=Verifier(id=run.builder),
        time_verified=run.ended or None,
        resource_uri=_project(node, artifact.project),
        policy=Resource(uri=POLICY, annotations={name: value for name, value in notes.items() if value}),
        input_attestations=[Resource(uri=name, digest={"sha256": sha256}) for name, sha256 in inputs.items()],
        verification_result="FAILED" if failure else "PASSED",
        verified_levels=["FAILED"] if failure else ["MLOPS_TESTED", "MLOPS_SMOKE_TESTED"],
        slsa_version="1.0",
    )
    return _about(artifact, SUMMARY, summary)


def _about(artifact: Artifact, kind: str, predicate: _Part) -> Statement:
    subject = Subject(name=artifact.bundle, digest={"sha256": artifact.sha256})
    return Statement(subject=[subject], predicate_type=kind, predicate=predicate)


def _project(node: Node, project: str) -> str:
    return f"{node.url.rstrip('/')}/projects/{project}/"


def _git(commit: str | None) -> dict[str, str] | None:
    return {"gitCommit": commit} if commit and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit) else None


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(inner) for name, inner in value.items()}
    return [_redacted(one) for one in value] if isinstance(value, list) else value
