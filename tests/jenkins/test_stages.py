"""Stages from the graph of a pipeline."""

from __future__ import annotations

import pytest

from mlops_steps.jenkins.stages import Stage, from_graph, skipped_in
from tests.jenkins.graphs import Graph


def states(graph: Graph, **skipped: str) -> dict[str, str]:
    return {stage.name: stage.state for stage in from_graph(graph.nodes, skipped)}


@pytest.mark.parametrize(
    ("ball", "state"),
    [("blue", "passed"), ("red", "FAILED"), ("aborted", "aborted"), ("yellow", "unstable"), ("notbuilt", "not built")],
)
def test_a_stage_is_what_its_ball_says(ball: str, state: str) -> None:
    assert states(Graph().stage("Before").stage("Test", ball)) == {"Before": "passed", "Test": state}


def test_a_step_that_failed_and_was_caught_is_not_held_against_the_stage() -> None:
    assert states(Graph().begin("Test").step(ball="red").step().end()) == {"Test": "passed"}


def test_a_failure_that_catcherror_noted_is() -> None:
    graph = Graph().begin("Test").begin("catchError", "Catch error", ball="red").step(ball="red").end().end()

    assert states(graph) == {"Test": "FAILED"}


def test_blocks_that_are_no_stages_are_not_listed() -> None:
    graph = Graph().begin("Allocate node : Body : Start", "Allocate node").stage("Test").end(step="Allocate node")

    assert [stage.name for stage in from_graph(graph.nodes, {})] == ["Test"]
    assert from_graph(graph.nodes, {})[0].depth == 0


def test_stages_in_stages_are_listed_below_them_and_held_against_them() -> None:
    graph = Graph().begin("Tests").stage("Unit").stage("Smoke", "yellow").end().stage("After")

    assert from_graph(graph.nodes, {}) == [
        Stage("Tests", 0, "unstable"),
        Stage("Unit", 1, "passed"),
        Stage("Smoke", 1, "unstable"),
        Stage("After", 0, "passed"),
    ]


def test_parallel_stages_each_have_their_own_end() -> None:
    graph = Graph().begin("Tests").parallel(a="red", b="blue", c="yellow").end("red").stage("After")

    assert states(graph) == {"Tests": "FAILED", "a": "FAILED", "b": "passed", "c": "unstable", "After": "passed"}


def test_a_stage_without_an_end_is_running() -> None:
    assert states(Graph().stage("Before").begin("Test").step(ball="blue_anime")) == {
        "Before": "passed",
        "Test": "running",
    }


def test_a_stage_that_was_skipped_says_why() -> None:
    reasons = skipped_in(['Stage "Deploy" skipped due to when conditional', "Stage fright", "[Pipeline] stage"])

    assert reasons == {"Deploy": "when conditional"}
    assert states(Graph().begin("Deploy").end(), **reasons) == {"Deploy": "skipped (when conditional)"}


def test_nodes_may_come_in_any_order() -> None:
    graph = Graph().stage("One").stage("Two", "red")

    assert from_graph(reversed(graph.nodes), {}) == from_graph(graph.nodes, {})


def test_a_build_without_a_graph_has_no_stages() -> None:
    assert from_graph([], {}) == []
