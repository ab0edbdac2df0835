"""What differs between two archives: said by object, with the lines that changed, without noise and secrets."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from mlops_steps.errors import CheckFailed
from mlops_steps.insight.difference import compare, in_words
from mlops_steps.report.attachments import Change, Difference

BASE = {
    "export-manifest.json": json.dumps({"generatedWithDSSVersion": "14.2.0", "exportedOn": 1}),
    "changelog.json": "[1]",
    "timelines/timeline.txt": "a",
    "project_config/params.json": json.dumps({"versionTag": {"versionNumber": 1}, "settings": {"a": 1}}),
    "project_config/variables.json": json.dumps({"stage": "test", "db_password": "one"}),
    "project_config/recipes/train.json": json.dumps({"type": "python", "versionTag": {"versionNumber": 7}}),
    "project_config/recipes/train.py": "import churn\nmodel = churn.train(depth=3)\n",
    "project_config/recipes/old.py": "pass\n",
    "project_config/lib/python/churn/model.py": "TOKEN = 'one'\n",
    "project_config/saved_models/churn_model.json": json.dumps({"activeVersion": "17"}),
    "uploads/customers/customers.csv": "a,b\n1,2\n",
}


def archive(folder: Path, name: str, files: dict[str, str]) -> tuple[str, Path]:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as target:
        for file, text in files.items():
            target.writestr(file, text)
    return name, path


def difference(folder: Path, changed: dict[str, str], *, removed: tuple[str, ...] = ()) -> Difference:
    new = {name: text for name, text in {**BASE, **changed}.items() if name not in removed}
    return compare(archive(folder, "old", BASE), archive(folder, "new", new), ["Deeper (4f2c1aa)"])


def changes(folder: Path, changed: dict[str, str], *, removed: tuple[str, ...] = ()) -> list[tuple[str, str, str, str]]:
    found = difference(folder, changed, removed=removed).changes
    return [(one.what, one.kind, one.name, one.note) for one in found]


def test_what_differs_in_every_bundle_is_no_difference(tmp_path: Path) -> None:
    noise = {
        "export-manifest.json": json.dumps({"generatedWithDSSVersion": "14.2.0", "exportedOn": 2}),
        "changelog.json": "[2]",
        "timelines/timeline.txt": "b",
        "project_config/params.json": json.dumps({"settings": {"a": 1}, "versionTag": {"versionNumber": 2}}),
    }
    assert changes(tmp_path, noise) == []
    assert "nothing differs" in in_words(difference(tmp_path, noise))


def test_each_object_is_named_once_in_the_order_that_matters(tmp_path: Path) -> None:
    changed = {
        "export-manifest.json": json.dumps({"generatedWithDSSVersion": "14.2.1"}),
        "project_config/recipes/train.py": "import churn\nmodel = churn.train(depth=4)\n",
        "project_config/recipes/train.json": json.dumps({"type": "python", "inputs": {}}),
        "project_config/recipes/score.json": "{}",
        "project_config/recipes/score.py": "pass\n",
        "project_config/lib/python/churn/model.py": "TOKEN = 'one'\nDEPTH = 4\n",
        "project_config/saved_models/churn_model.json": json.dumps({"activeVersion": "18"}),
        "uploads/customers/customers.csv": "a,b\n1,2\n3,4\n",
    }
    assert changes(tmp_path, changed, removed=("project_config/recipes/old.py",)) == [
        ("removed", "recipe", "old", ""),
        ("added", "recipe", "score", ""),
        ("changed", "recipe", "train", ""),
        ("changed", "library", "python/churn/model.py", ""),
        ("changed", "model", "churn_model", "version 17 → 18"),
        ("changed", "DSS version", "of the Design node", "14.2.0 → 14.2.1"),
        ("changed", "uploaded files of dataset", "customers", "1 files, 12 bytes"),
    ]


def test_the_lines_that_changed_are_shown(tmp_path: Path) -> None:
    found = difference(tmp_path, {"project_config/recipes/train.py": "import churn\nmodel = churn.train(depth=4)\n"})
    assert in_words(found).splitlines() == [
        "old → new",
        "",
        "commits",
        "  Deeper (4f2c1aa)",
        "",
        "changed: recipe train",
        "  recipes/train.py",
        "  @@ -1,2 +1,2 @@",
        "   import churn",
        "  -model = churn.train(depth=3)",
        "  +model = churn.train(depth=4)",
    ]


def test_a_recipe_that_has_got_a_file_was_there_before(tmp_path: Path) -> None:
    assert changes(tmp_path, {"project_config/recipes/train.sql": "SELECT 1"}) == [("changed", "recipe", "train", "")]


def test_values_of_secrets_are_not_shown(tmp_path: Path) -> None:
    changed = {
        "project_config/variables.json": json.dumps({"stage": "prod", "db_password": "hunter2", "api_key": "abc"}),
        "project_config/lib/python/churn/model.py": "TOKEN = 'hunter2'\n",
    }
    found = difference(tmp_path, changed)
    text = in_words(found)
    assert "hunter2" not in text
    assert "abc" not in text
    assert '+  "stage": "prod"' in text
    assert "+TOKEN = '********'" in text


def test_what_is_too_much_is_counted(tmp_path: Path) -> None:
    found = difference(tmp_path, {f"project_config/datasets/d{number}.json": "{}" for number in range(600)})
    assert (len(found.changes), found.left_out) == (500, 100)
    assert found.changes[0] == Change(
        kind="dataset", name="d0", what="added", text="datasets/d0.json\n@@ -0,0 +1 @@\n+{}"
    )


def test_an_archive_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "new.zip").write_bytes(b"PK")
    with pytest.raises(CheckFailed, match="new: the archive cannot be read"):
        compare(archive(tmp_path, "old", BASE), ("new", tmp_path / "new.zip"))
