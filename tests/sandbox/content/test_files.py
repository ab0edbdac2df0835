"""The revisions as files."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml
from radon.complexity import cc_visit
from radon.raw import analyze

from mlops_steps.errors import ConfigError
from mlops_steps.sandbox.content import queries_of_service
from mlops_steps.sandbox.content.revisions import (
    ALL_REVISIONS,
    NODE_VARIABLES,
    revision,
    revision_files,
    write_revision,
)

NUMBERS = [known.number for known in ALL_REVISIONS]
MODEL = Path("project_config/saved_models/churn_model.json")


def document(number: int, path: str) -> dict:
    return json.loads(revision_files(number)[Path("project_config") / path])


@pytest.mark.parametrize("number", NUMBERS)
def test_every_file_of_a_revision_can_be_read(number: int) -> None:
    for path, content in revision_files(number).items():
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".py":
            ast.parse(content, str(path))


@pytest.mark.parametrize("number", NUMBERS)
def test_its_code_stays_under_the_limits_that_the_product_sets_by_default(number: int) -> None:
    for path, content in revision_files(number).items():
        if path.suffix == ".py":
            counted = analyze(content.decode())
            assert counted.loc <= 100, path
            assert counted.lloc <= 50, path
            assert max([block.complexity for block in cc_visit(content.decode())], default=0) <= 21, path


@pytest.mark.parametrize("number", NUMBERS)
def test_every_test_scenario_is_marked_as_test_and_the_others_are_not(number: int) -> None:
    scenarios = {
        path.stem: json.loads(content)
        for path, content in revision_files(number).items()
        if path.parent.name == "scenarios" and path.suffix == ".json"
    }
    assert {name for name, scenario in scenarios.items() if scenario["markedAsTest"]} == {
        "TEST_DATA",
        "TEST_FLOW",
        "TEST_LIBRARY",
        "TEST_MODEL_QUALITY",
        "TEST_SMOKE",
    }
    assert set(scenarios) - {name for name in scenarios if name.startswith("TEST_")} == (
        {"RETRAIN"}
        | ({"SCORE_HOLDOUT", "SPLIT_CUSTOMERS"} if 8 in revision(number).layers else set())
        | ({"SCORE_QUARTER"} if 14 in revision(number).layers else set())
    )


def test_every_recipe_has_its_code_and_known_inputs_and_outputs() -> None:
    files = {path.relative_to("project_config") for path in revision_files(1) if path.parts[0] == "project_config"}
    objects = {path.stem for path in files if path.parts[0] in ("datasets", "saved_models")}
    recipes = [path for path in files if path.parts[0] == "recipes" and path.suffix == ".json"]
    assert len(recipes) == 4
    for recipe in recipes:
        assert recipe.with_suffix(".py") in files
        definition = document(1, str(recipe))
        used = [item["ref"] for role in ("inputs", "outputs") for item in definition[role]["main"]["items"]]
        assert set(used) <= objects


def test_the_bundle_of_the_project_carries_its_saved_model() -> None:
    options = document(1, "params.json")["bundleExporterSettings"]["exportOptions"]
    assert [model["id"] for model in options["includedSavedModels"]] == ["churn_model"]


def test_the_notice_of_the_data_stands_beside_it_and_in_the_dataset() -> None:
    import mlops_steps.sandbox.content as content

    notice = (Path(content.__file__).parent / "churn" / "data" / "SOURCE.md").read_text()
    assert "MIT licence" in notice
    assert "MIT licence, (c) 2019 Max Kuhn" in document(1, "datasets/churn.json")["shortDesc"]


def test_the_schema_of_the_uploaded_dataset_is_that_of_the_file() -> None:
    names = [column["name"] for column in document(1, "datasets/churn.json")["schema"]["columns"]]
    header = revision_files(1)[Path("uploads/churn/churn.csv")].split(b"\n", 1)[0].decode()
    assert names == [name.strip('"\r') for name in header.split(",")]


def test_what_is_asked_of_the_model_rises_with_revision_2() -> None:
    first, second = document(1, "variables.json"), document(2, "variables.json")
    assert all(second[name] > first[name] for name in ("required_auc", "required_f1"))


def test_what_revision_3_needs_was_forgotten_in_production_only() -> None:
    having = {node for node, variables in NODE_VARIABLES.items() if "retention_budget" in variables}
    assert having == {"design", "auto-test"}


def test_a_later_revision_changes_few_files() -> None:
    for number in NUMBERS[1:]:
        before = revision_files([1, *revision(number).layers][-2])
        after = revision_files(number)
        changed = [path for path in after if before.get(path) != after[path]]
        assert 1 <= len(changed) <= (9 if number == 14 else 5)


def test_the_service_has_test_queries_of_its_own_and_a_file_of_them() -> None:
    service = document(1, "api_services/churn.json")
    assert [(item["id"], item["type"]) for item in service["endpoints"]] == [
        ("predict_churn", "STD_PREDICTION"),
        ("retention_offer", "PY_FUNCTION"),
    ]
    assert all(item["testQueries"] for item in service["endpoints"])
    queries = yaml.safe_load(queries_of_service())
    assert queries["endpoint"] == "predict_churn"
    names = [query["name"] for query in queries["queries"]]
    assert len(names) == len(set(names)) == 6


def test_writing_a_revision_twice_changes_nothing(tmp_path: Path) -> None:
    assert write_revision(tmp_path, 1)
    assert write_revision(tmp_path, 1) == []


def test_going_back_removes_what_a_later_revision_brought(tmp_path: Path) -> None:
    write_revision(tmp_path, 3)
    library = tmp_path / "project_config/lib/python"
    assert (library / "churn/retention.py").is_file()
    write_revision(tmp_path, 1)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == set(revision_files(1))


def test_files_that_no_revision_knows_stay(tmp_path: Path) -> None:
    own = tmp_path / "project_config/scenarios/MINE.json"
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    write_revision(tmp_path, 2)
    assert own.read_text() == "{}"


def test_the_active_version_of_the_model_outlives_a_new_revision(tmp_path: Path) -> None:
    write_revision(tmp_path, 1)
    model = json.loads((tmp_path / MODEL).read_text())
    (tmp_path / MODEL).write_text(json.dumps({**model, "activeVersion": "1700000000000"}))
    write_revision(tmp_path, 2)
    assert json.loads((tmp_path / MODEL).read_text())["activeVersion"] == "1700000000000"


def test_an_unknown_revision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no revision 99: choose one of 1, 2, 3, 4, 5, 6, 7, 8"):
        revision(99)
