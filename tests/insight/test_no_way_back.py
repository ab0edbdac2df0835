"""What a rollback does not undo, read from two archives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from mlops_steps.insight.no_way_back import lasting

RECIPE = {
    "inputs": {"main": {"items": [{"ref": "customers"}]}},
    "outputs": {"main": {"items": [{"ref": "churn_model"}]}},
}
PREPARE = {"inputs": {"main": {"items": [{"ref": "raw"}]}}, "outputs": {"main": {"items": [{"ref": "customers"}]}}}
BY_STEP = {"params": {"steps": [{"params": {"builds": [{"type": "SAVED_MODEL", "itemId": "churn_model"}]}}]}}


def archive(folder: Path, name: str, files: dict[str, Any]) -> tuple[str, Path]:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as file:
        for place, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            file.writestr(f"project_config/{place}", text)
    return name, path


def columns(**types: str) -> dict[str, Any]:
    return {"schema": {"columns": [{"name": name, "type": kind} for name, kind in types.items()]}}


def bundle(folder: Path, name: str, **files: Any) -> tuple[str, Path]:
    return archive(
        folder,
        name,
        {
            "datasets/customers.json": columns(id="bigint"),
            "saved_models/churn_model.json": {"id": "churn_model"},
            "recipes/train.json": RECIPE,
            "recipes/prepare.json": PREPARE,
            **files,
        },
    )


def test_a_model_that_a_scenario_trains_by_its_code_is_not_taken_back(tmp_path: Path) -> None:
    code = {
        "scenarios/RETRAIN.json": {"type": "custom_python"},
        "scenarios/RETRAIN.py": "scenario.train_model('PROJECT.churn_model')\nscenario.build_dataset('totals')\n",
    }
    old, new = bundle(tmp_path, "old"), bundle(tmp_path, "new", **code)
    assert lasting(old, new, {"RETRAIN": "it is active", "GONE": "it is active"}) == [
        "model churn_model: is trained again by scenario RETRAIN (it is active)",
        "dataset totals: is built again by scenario RETRAIN (it is active)",
    ]
    assert lasting(old, new, {}) == []


def test_a_step_that_builds_recursively_builds_what_the_model_needs_too(tmp_path: Path) -> None:
    old = bundle(tmp_path, "old")
    alone = bundle(tmp_path, "alone", **{"scenarios/S.json": BY_STEP})
    assert lasting(old, alone, {"S": "smoke test"}) == [
        "model churn_model: is trained again by scenario S (smoke test)"
    ]
    recursive = json.loads(json.dumps(BY_STEP))
    recursive["params"]["steps"][0]["params"]["jobType"] = "RECURSIVE_FORCED_BUILD"
    both = bundle(tmp_path, "both", **{"scenarios/S.json": recursive})
    assert lasting(old, both, {"S": "smoke test"}) == [
        "model churn_model: is trained again by scenario S (smoke test)",
        "dataset customers: is built again by scenario S (smoke test)",
    ]


def test_a_schema_that_changes_is_named_with_its_columns(tmp_path: Path) -> None:
    old = bundle(tmp_path, "old")
    new = bundle(tmp_path, "new", **{"datasets/customers.json": columns(id="string", age="int")})
    assert lasting(old, new, {}) == [
        "dataset customers: its schema changes (column age is new, column id: bigint → string); "
        "data written with it stays"
    ]
    assert lasting(old, old, {}) == []
