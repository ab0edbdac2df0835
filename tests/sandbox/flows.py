"""A small flow for tests: a CSV file, recipes without pandas (they start fast), and a few helpers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project, create
from tests.sandbox.conftest import write_tree

PEOPLE = "name,age\nAda,36\nGrace,41\nAlan,\n"
PEOPLE_COLUMNS = [{"name": "name", "type": "string"}, {"name": "age", "type": "bigint"}]
ADULTS = """
    import dataiku
    people = dataiku.Dataset("people")
    with dataiku.Dataset("adults").get_writer() as writer:
        for row in people.iter_rows():
            if row["age"]:
                writer.write_row_dict(row)
    print("adults written")
"""
COUNTED = """
    import dataiku
    rows = list(dataiku.Dataset("adults").iter_rows())
    with dataiku.Dataset("counted").get_writer() as writer:
        writer.write_row_dict({"people": len(rows)})
"""


def managed(name: str, *columns: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A managed dataset."""
    return {
        "type": "Filesystem",
        "managed": True,
        "params": {"connection": "filesystem_managed", "path": f"/${{projectKey}}/{name}"},
        "formatType": "csv",
        "formatParams": {"style": "excel", "separator": "\t", "quoteChar": '"', "parseHeaderRow": False},
        "schema": {"columns": [{"name": column, "type": kind} for column, kind in columns], "userModified": False},
        **more,
    }


def recipe(inputs: Sequence[str], outputs: Sequence[str], kind: str = "python", **params: Any) -> dict[str, Any]:
    """A recipe."""
    return {
        "type": kind,
        "params": {"envSelection": {"envMode": "INHERIT"}, **params},
        "inputs": {"main": {"items": [{"ref": name} for name in inputs]}},
        "outputs": {"main": {"items": [{"ref": name} for name in outputs]}},
    }


def flow_files() -> dict[str, Any]:
    """people → adults → counted."""
    return {
        "project_config/datasets/people.json": {
            "type": "UploadedFiles",
            "params": {},
            "formatType": "csv",
            "formatParams": {"style": "excel", "separator": ",", "quoteChar": '"', "parseHeaderRow": True},
            "schema": {"columns": PEOPLE_COLUMNS},
        },
        "uploads/people/people.csv": PEOPLE,
        "project_config/datasets/adults.json": managed("adults", ("name", "string"), ("age", "bigint")),
        "project_config/datasets/counted.json": managed("counted", ("people", "bigint")),
        "project_config/recipes/compute_adults.json": recipe(["people"], ["adults"]),
        "project_config/recipes/compute_adults.py": textwrap.dedent(ADULTS),
        "project_config/recipes/compute_counted.json": recipe(["adults"], ["counted"]),
        "project_config/recipes/compute_counted.py": textwrap.dedent(COUNTED),
    }


def make_project(node: Node, key: str, files: Mapping[str, Any]) -> Project:
    """A project with these files, committed on a Design node."""
    project = create(node, key, f"Project {key}")
    write_tree(
        project.dir,
        {name: textwrap.dedent(content) if name.endswith(".py") else content for name, content in files.items()},
    )
    project.commit("Content of a test")
    return project


def with_code(files: dict[str, Any], name: str, code: str) -> dict[str, Any]:
    """The files with other code of one recipe."""
    return {**files, f"project_config/recipes/{name}.py": textwrap.dedent(code)}


def scenario(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A step-based test scenario."""
    return {
        "type": "step_based",
        "active": False,
        "markedAsTest": True,
        "triggers": [],
        "reporters": [],
        "params": {"steps": [dict(step) for step in steps]},
        **more,
    }


def python_step(script: str, identity: str = "code", **more: Any) -> dict[str, Any]:
    """A step that runs a script."""
    step = {"id": identity, "type": "custom_python", "name": f"Run {identity}"}
    return {**step, "params": {"script": textwrap.dedent(script)}, **more}
