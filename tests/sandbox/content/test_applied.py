"""The revisions on a Design node, seen through the official client."""

from __future__ import annotations

from collections.abc import Iterator

import dataikuapi
import pytest

from mlops_steps.sandbox.content import Applied, DesignNode, apply_revision, install
from mlops_steps.sandbox.session import running
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console


def client_of(sandbox: Sandbox) -> dataikuapi.DSSClient:
    return dataikuapi.DSSClient(sandbox.design.url, sandbox.design.api_key)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Sandbox]:
    with running(None, None, Console(quiet=True)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def design(nodes: Sandbox) -> dataikuapi.DSSClient:
    return client_of(nodes)


@pytest.fixture(scope="module")
def applied(nodes: Sandbox) -> dict[int, Applied]:
    """All revisions, one after the other."""
    node = DesignNode.of(nodes)
    first = node.current()
    assert first is not None
    return {1: first, **{number: apply_revision(node, number) for number in (2, 3)}}


def outcome(design: dataikuapi.DSSClient, scenario: str) -> str:
    run = design.get_project("DKU_CHURN").get_scenario(scenario).run_and_wait(no_fail=True)
    return run.outcome


def test_gradient_boosting_is_measurably_better(applied: dict[int, Applied]) -> None:
    before, after = applied[1].metrics, applied[2].metrics
    assert after["auc"] > before["auc"] + 0.05
    assert after["f1"] > before["f1"] + 0.2


def test_every_revision_has_a_commit_with_its_words_and_a_tag(
    design: dataikuapi.DSSClient, applied: dict[int, Applied]
) -> None:
    git = design.get_project("DKU_CHURN").get_project_git()
    messages = [entry["message"] for entry in reversed(git.log()["entries"])]
    assert [message for message in messages if message.startswith(("Predict", "Make"))] == [
        done.revision.message for done in applied.values()
    ]
    tags = {tag["shortName"]: tag["commit"] for tag in git.list_tags()}
    assert tags == {f"revision-{number}": done.commit for number, done in applied.items()}
    assert git.log()["entries"][0]["commitId"] == applied[3].commit
    assert git.get_status()["clean"]


def test_the_model_was_trained_on_the_node_for_every_revision(
    design: dataikuapi.DSSClient, applied: dict[int, Applied]
) -> None:
    versions = design.get_project("DKU_CHURN").get_saved_model("churn_model").list_versions()
    assert {version["id"] for version in versions} >= {done.model_version for done in applied.values()}
    assert [version["id"] for version in versions if version["active"]] == [applied[3].model_version]


@pytest.mark.parametrize("scenario", ["TEST_DATA", "TEST_MODEL_QUALITY", "TEST_LIBRARY", "TEST_SMOKE"])
def test_the_tests_of_the_last_revision_pass_on_the_design_node(
    design: dataikuapi.DSSClient, applied: dict[int, Applied], scenario: str
) -> None:
    assert outcome(design, scenario) == "SUCCESS"


def test_the_first_model_would_not_pass_the_quality_test_of_the_second_revision(
    design: dataikuapi.DSSClient, applied: dict[int, Applied]
) -> None:
    model = design.get_project("DKU_CHURN").get_saved_model("churn_model")
    model.set_active_version(applied[1].model_version)
    try:
        assert outcome(design, "TEST_MODEL_QUALITY") == "FAILED"
    finally:
        model.set_active_version(applied[3].model_version)


def test_the_smoke_test_of_the_last_revision_fails_where_the_variable_was_forgotten(
    design: dataikuapi.DSSClient, applied: dict[int, Applied]
) -> None:
    variables = design.get_global_variables()
    budget = variables.pop("retention_budget")
    variables.save()
    try:
        assert outcome(design, "TEST_SMOKE") == "FAILED"
    finally:
        variables["retention_budget"] = budget
        variables.save()


def test_retraining_makes_a_new_version_and_measures_it(
    design: dataikuapi.DSSClient, applied: dict[int, Applied]
) -> None:
    model = design.get_project("DKU_CHURN").get_saved_model("churn_model")
    before = {version["id"] for version in model.list_versions()}
    assert outcome(design, "RETRAIN") == "SUCCESS"
    (added,) = {version["id"] for version in model.list_versions()} - before
    assert model.get_active_version()["id"] == added


def test_a_sandbox_that_has_the_project_stays_as_it_is(nodes: Sandbox, applied: dict[int, Applied]) -> None:
    git = client_of(nodes).get_project("DKU_CHURN").get_project_git()
    before = git.log()["entries"][0]["commitId"]
    install(nodes)
    assert git.log()["entries"][0]["commitId"] == before
