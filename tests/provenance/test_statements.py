"""The statements have the published structure: in-toto's own library reads them, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as Official

from mlops_steps.errors import CheckFailed
from mlops_steps.provenance import statements
from mlops_steps.provenance.statements import Artifact, Node, Run, Statement
from mlops_steps.system import secrets

ARTIFACT = Artifact("CHURN", "b1", "a" * 64)
RUN = Run("https://j/job/churn/7/", "churn", "7", "c" * 40, "2026-01-31T12:00:00Z", "2026-01-31T12:01:00Z")
NODE = Node("https://node.example.com", "13.5.2")
PACKAGED = statements.packaged(ARTIFACT, RUN, NODE, NODE, "d" * 40, made=True)
TESTED = statements.tested(ARTIFACT, RUN, "test", "auto-test", NODE, passed=["A", "B"], failed=["C"], ok=False)
RELEASED = statements.released(ARTIFACT, RUN, "prod", "auto-prod", NODE, {"x": "e" * 64}, smoke="SMOKE", failure="")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (PACKAGED, provenance_pb2.Provenance),
        (TESTED, test_result_pb2.TestResult),
        (statements.packaged(ARTIFACT, Run(), NODE, Node("https://n"), None, made=False), provenance_pb2.Provenance),
    ],
)
def test_the_official_library_knows_every_field(statement: Statement, message: Any) -> None:
    content = json.loads(statement.payload())
    official = json_format.ParseDict(content, statement_pb2.Statement())  # an unknown field is an error
    Official.copy_from_pb(official).validate()
    assert Statement.of(content) == statement  # what is written is what is read
    json_format.ParseDict(content["predicate"], message())


def test_a_verification_summary_has_the_fields_that_slsa_requires() -> None:
    """in-toto's library cannot read one: it takes the levels for a text, which SLSA has as a list."""
    content = json.loads(RELEASED.payload())
    Official.copy_from_pb(json_format.ParseDict(content, statement_pb2.Statement())).validate()
    said = content["predicate"]
    assert said["verifier"] == {"id": RUN.builder}
    assert (said["timeVerified"], said["resourceUri"]) == (RUN.ended, "https://node.example.com/projects/CHURN/")
    assert said["policy"]["uri"].startswith("urn:")
    assert said["inputAttestations"] == [{"uri": "x", "digest": {"sha256": "e" * 64}}]
    # Levels that SLSA does not define must not begin with its name.
    assert (said["verificationResult"], said["verifiedLevels"]) == ("PASSED", ["MLOPS_TESTED", "MLOPS_SMOKE_TESTED"])
    assert Statement.of(content) == RELEASED


def test_the_identity_of_the_builder() -> None:
    assert RUN.builder == "https://j/job/churn/"
    assert Run(job="a/b", number="3").builder == "urn:mlops-steps:jenkins:a/b"
    assert Run(job="a/b", number="3").invocation == "a/b#3"
    assert (Run().builder, Run().invocation) == ("urn:mlops-steps:by-hand", None)


def test_many_tests_are_counted_and_those_that_failed_come_first() -> None:
    many = [f"test {number}" for number in range(20_000)]
    said = statements.tested(ARTIFACT, RUN, "test", "i", NODE, passed=many, failed=["bad"], ok=False).predicate
    assert isinstance(said, statements.TestResult)
    assert (said.failed_tests, len(said.passed_tests or []), said.note("passed")) == (["bad"], 499, "20000")


def test_a_step_that_failed_for_another_reason_than_a_test_is_not_passed() -> None:
    said = statements.tested(ARTIFACT, RUN, "test", "i", NODE, passed=["A"], failed=[], ok=False).predicate
    assert isinstance(said, statements.TestResult)
    assert said.result == "FAILED"


def test_no_secret_is_stated() -> None:
    secrets.register("dkuaps-0123456789")
    said = statements.released(ARTIFACT, RUN, "prod", "i", NODE, {}, smoke="S", failure="no dkuaps-0123456789")
    assert b"dkuaps-0123456789" not in said.payload()
    tested = statements.tested(ARTIFACT, RUN, "t", "i", NODE, passed=["dkuaps-0123456789"], failed=[], ok=True)
    assert b"dkuaps-0123456789" not in tested.payload()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "not an in-toto statement v1"),
        ({"_type": None}, "not an in-toto statement v1"),
        ({"predicateType": "https://slsa.dev/provenance/v0.2"}, "predicate is not known"),
        ({"predicateType": 7}, "predicate is not known"),
        ({"predicate": None}, "the predicate"),
        ({"predicate": {}}, "buildDefinition"),
        ({"subject": []}, "subject"),
        ({"subject": [{"name": "x"}]}, "digest"),
        ({"subject": [{"digest": {"sha256": 7}}]}, "digest"),
        ({"subject": "x"}, "subject"),
    ],
)
def test_what_is_not_a_statement_is_refused_with_the_reason(changes: dict[str, Any], why: str) -> None:
    content = {**json.loads(PACKAGED.payload()), **changes}
    with pytest.raises(CheckFailed, match=why):
        Statement.of(content)
