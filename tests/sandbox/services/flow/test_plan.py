"""Which recipes a build runs, and in which order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mlops_steps.sandbox.services.flow.plan import FORCED_ALL, FORCED_ONE, MISSING, SMART, Flow, PlanError

#  raw → clean → train → model
#          └───→ test ────┴──→ scores
RECIPES = [
    ("make_clean", ["raw"], ["clean"]),
    ("split", ["clean"], ["train", "test"]),
    ("fit", ["train"], ["model"]),
    ("score", ["test", "model"], ["scores"]),
]


def flow(recipes: Iterable[tuple[str, list[str], list[str]]] = RECIPES) -> Flow:
    return Flow.of(
        [
            {
                "name": name,
                "type": "python",
                "inputs": {"main": {"items": [{"ref": one} for one in inputs]}},
                "outputs": {"main": {"items": [{"ref": f"KEY.{one}"} for one in outputs]}},
            }
            for name, inputs, outputs in recipes
        ],
        "KEY",
    )


def plan(outputs: list[str], mode: str, *, built: Iterable[str] = (), current: Iterable[str] = ()) -> list[str]:
    data, fresh = {"raw", *built}, set(current)
    steps = flow().plan(outputs, mode, has_data=data.__contains__, is_current=lambda node: node.name in fresh)
    return [step.name for step in steps]


ALL_DATA = ["clean", "train", "test", "model", "scores"]
ALL_RECIPES = ["make_clean", "split", "fit", "score"]


def test_a_recursive_build_runs_each_recipe_after_those_it_needs() -> None:
    assert plan(["scores"], FORCED_ALL, built=ALL_DATA, current=ALL_RECIPES) == ALL_RECIPES


def test_a_non_recursive_build_runs_one_recipe() -> None:
    assert plan(["scores"], FORCED_ONE) == ["score"]


def test_a_smart_build_of_what_is_current_runs_nothing() -> None:
    assert plan(["scores"], SMART, built=ALL_DATA, current=ALL_RECIPES) == []


def test_a_smart_build_runs_what_comes_after_a_change() -> None:
    current = ["make_clean", "split", "score"]
    assert plan(["scores"], SMART, built=ALL_DATA, current=current) == ["fit", "score"]


def test_a_smart_build_runs_what_has_no_data() -> None:
    assert plan(["model"], SMART, built=["clean", "train"], current=ALL_RECIPES) == ["split", "fit"]


def test_a_build_of_what_is_missing_does_not_care_for_changes() -> None:
    assert plan(["scores"], MISSING, built=["clean", "train", "test", "model"]) == ["score"]


def test_several_outputs_of_one_recipe_run_it_once() -> None:
    assert plan(["train", "test"], FORCED_ONE) == ["split"]


def test_a_source_with_data_needs_no_recipe() -> None:
    assert plan(["raw"], FORCED_ALL) == []


def test_a_source_without_data_cannot_be_built() -> None:
    with pytest.raises(PlanError, match="nothing cannot be built: no recipe writes it"):
        plan(["nothing"], FORCED_ALL)


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(PlanError, match="'FAST' is not supported"):
        plan(["scores"], "FAST")


def test_a_dataset_of_the_files_of_a_folder_comes_after_the_folder() -> None:
    recipes = [("fill", [], ["folder"]), ("read", ["files"], ["result"])]
    whole = flow(recipes)
    whole.in_folders = {"files": "folder"}

    assert whole.upstream("read") == {"fill", "read"}
    assert whole.order(["read", "fill"]) == ["fill", "read"]


def test_a_circle_is_shown() -> None:
    circle = flow([("one", ["b"], ["a"]), ("two", ["a"], ["b"])])
    with pytest.raises(PlanError, match=r"a circle: (one → two → one|two → one → two)"):
        circle.order(["one", "two"])


def test_a_recipe_that_reads_its_own_output_is_no_circle() -> None:
    assert flow([("append", ["log", "raw"], ["log"])]).order(["append"]) == ["append"]
