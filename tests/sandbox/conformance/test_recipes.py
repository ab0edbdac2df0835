"""Visual recipes: how they are created, and those that run."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from tests.sandbox.conformance.conftest import build
from tests.sandbox.flows import flow_files, make_project, managed

ORDERS = """city,amount,day,note
 Paris ,10,27/11/2026,yes
Lyon,,28/11/2026,no
Nice,7,not a day,
"""


@pytest.fixture
def orders(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> DSSProject:
    """A project with a dataset of orders and an empty one to write to."""
    columns = [{"name": "city", "type": "string"}, {"name": "amount", "type": "bigint"}]
    columns += [{"name": "day", "type": "string"}, {"name": "note", "type": "string"}]
    orders = {**flow_files()["project_config/datasets/people.json"], "schema": {"columns": columns}}
    files = {
        "project_config/datasets/orders.json": orders,
        "uploads/orders/orders.csv": ORDERS,
        "project_config/datasets/made.json": managed("made"),
    }
    make_project(design_node, new_key, files)
    return design.get_project(new_key)


def visual(project: DSSProject, kind: str, name: str = "compute_made") -> Any:
    return project.new_recipe(kind, name).with_input("orders").with_output("made").create()


def prepared(project: DSSProject, *steps: tuple[str, dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Runs these steps; returns the columns and the rows of the output."""
    recipe = visual(project, "prepare")
    settings = recipe.get_settings()
    for kind, params in steps:
        settings.add_processor_step(kind, params)
    settings.save()
    status = build(project, "made")
    assert status["state"] == "DONE", status["error"]
    made = project.get_dataset("made")
    return [column["name"] for column in made.get_schema()["columns"]], list(made.iter_rows())


def one(column: str, **more: Any) -> dict[str, Any]:
    return {"appliesTo": "SINGLE_COLUMN", "columns": [column], **more}


def test_an_output_that_does_not_exist_is_called_a_dataset(orders: DSSProject) -> None:
    with pytest.raises(DataikuException, match="dataset nowhere does not exist"):
        orders.new_recipe("sync", "copy").with_input("orders").with_output("nowhere").create()
    with pytest.raises(DataikuException, match="dataset unknown does not exist"):
        orders.new_recipe("python", "code").with_input("unknown").with_output("made").create()


def test_a_new_prepare_recipe_has_no_steps(orders: DSSProject) -> None:
    recipe = visual(orders, "prepare")
    settings = recipe.get_settings()
    assert settings.raw_steps == []
    assert settings.type == "shaker"


def test_sync_copies_rows_and_schema(orders: DSSProject) -> None:
    visual(orders, "sync")
    assert build(orders, "made")["state"] == "DONE"

    made = orders.get_dataset("made")
    assert made.get_schema()["columns"] == orders.get_dataset("orders").get_schema()["columns"]
    assert list(made.iter_rows()) == list(orders.get_dataset("orders").iter_rows())


def test_columns_are_selected_and_renamed(orders: DSSProject) -> None:
    columns, rows = prepared(
        orders,
        ("ColumnsSelector", {"appliesTo": "COLUMNS", "columns": ["day", "note"], "keep": False}),
        ("ColumnRenamer", {"renamings": [{"from": "city", "to": "town"}]}),
    )
    assert columns == ["town", "amount"]
    assert rows == [[" Paris ", 10], ["Lyon", None], ["Nice", 7]]


def test_columns_are_kept_in_the_order_of_the_step(orders: DSSProject) -> None:
    columns, rows = prepared(
        orders, ("ColumnsSelector", {"appliesTo": "COLUMNS", "columns": ["amount", "city"], "keep": True})
    )
    assert (columns, rows[0]) == (["amount", "city"], [10, " Paris "])


def test_rows_are_filtered_and_values_filled(orders: DSSProject) -> None:
    columns, rows = prepared(
        orders,
        ("FilterOnValue", one("note", action="REMOVE_ROW", values=["YES"], normalizationMode="LOWERCASE")),
        ("FillEmptyWithValue", one("amount", value="0")),
        ("ColumnsSelector", {"appliesTo": "COLUMNS", "columns": ["city", "amount"], "keep": True}),
    )
    assert columns == ["city", "amount"]
    assert rows == [["Lyon", 0], ["Nice", 7]]


def test_rows_with_an_empty_cell_are_removed(orders: DSSProject) -> None:
    _, rows = prepared(orders, ("RemoveRowsOnEmpty", one("amount", keep=False)))
    assert [row[0] for row in rows] == [" Paris ", "Nice"]


@pytest.mark.parametrize(
    "step",
    [
        ("FilterOnValue", one("nothing", action="REMOVE_ROW", values=["x"])),
        ("RemoveRowsOnEmpty", one("nothing", keep=True)),
        ("FillEmptyWithValue", one("nothing", value="x")),
    ],
)
def test_a_step_on_a_column_that_is_not_there_changes_nothing(
    orders: DSSProject, step: tuple[str, dict[str, Any]]
) -> None:
    columns, rows = prepared(orders, step)
    assert (len(columns), len(rows)) == (4, 3)


def test_values_are_replaced_in_place_or_into_another_column(orders: DSSProject) -> None:
    mapping = [{"from": "yes", "to": "1"}, {"from": "no", "to": "0"}]
    columns, rows = prepared(
        orders,
        ("FindReplace", one("note", mapping=mapping, matching="FULL_STRING", normalization="EXACT", output="flag")),
        ("FindReplace", one("city", mapping=[{"from": "^L", "to": "l"}], matching="PATTERN", output="")),
        ("StringTransformer", one("city", mode="TRIM")),
    )
    assert columns == ["city", "amount", "day", "note", "flag"]
    assert [row[0] for row in rows] == ["Paris", "lyon", "Nice"]
    assert [row[4] for row in rows] == ["1", "0", ""]


def test_dates_are_parsed(orders: DSSProject) -> None:
    step = one("day", formats=["dd/MM/yyyy"], lang="auto", timezone_id="UTC", outCol="date")
    columns, rows = prepared(orders, ("DateParser", step))

    assert columns == ["city", "amount", "day", "date", "note"]
    midnight = datetime(2026, 11, 27, tzinfo=timezone.utc)
    assert [row[3] for row in rows] == [midnight, midnight + timedelta(days=1), None]
    types = {column["name"]: column["type"] for column in orders.get_dataset("made").get_schema()["columns"]}
    assert types["date"] == "date"


def test_a_formula_makes_a_column(orders: DSSProject) -> None:
    columns, rows = prepared(
        orders,
        ("CreateColumnWithGREL", {"column": "double", "expression": "amount * 2 + 1"}),
        (
            "CreateColumnWithGREL",
            {"column": "size", "expression": 'if(amount > 8 && isNotBlank(note), "big", "small")'},
        ),
        ("CreateColumnWithGREL", {"column": "name", "expression": 'toUppercase(trim(city)) + "!"'}),
    )
    assert columns[4:] == ["double", "size", "name"]
    assert [row[4:] for row in rows] == [["21", "big", "PARIS!"], ["", "small", "LYON!"], ["15", "small", "NICE!"]]


def test_steps_that_are_switched_off_do_nothing_and_groups_run(orders: DSSProject) -> None:
    recipe = visual(orders, "prepare")
    settings = recipe.get_settings()
    off = {"metaType": "PROCESSOR", "type": "Nonsense", "params": {}, "disabled": True}
    group = [{"metaType": "PROCESSOR", "type": "ColumnRenamer", "params": {"renamings": [{"from": "city", "to": "c"}]}}]
    settings.raw_steps.extend([off, {"metaType": "GROUP", "steps": group}])
    settings.save()

    assert build(orders, "made")["state"] == "DONE"
    assert orders.get_dataset("made").get_schema()["columns"][0]["name"] == "c"


def test_a_step_that_does_not_run_is_named_before_anything_runs(orders: DSSProject) -> None:
    recipe = visual(orders, "prepare")
    settings = recipe.get_settings()
    settings.add_processor_step("GeoIPResolver", one("city"))
    settings.save()

    status = build(orders, "made")
    assert status["state"] == "FAILED"
    assert "recipe compute_made: step 1 (GeoIPResolver) is not supported by the sandbox" in status["error"]["message"]
    (message,) = recipe.get_status().data["allMessagesForFrontend"]["messages"]
    assert "GeoIPResolver" in message["message"]


@pytest.mark.parametrize(
    ("expression", "what"), [("geoDistance(city, day)", "geoDistance"), ("amount +", "ends"), ("amount $ 2", r"\$")]
)
def test_a_formula_outside_of_the_subset_is_refused_by_name(orders: DSSProject, expression: str, what: str) -> None:
    recipe = visual(orders, "prepare")
    settings = recipe.get_settings()
    settings.add_processor_step("CreateColumnWithGREL", {"column": "x", "expression": expression})
    settings.save()

    message = build(orders, "made")["error"]["message"]
    assert "CreateColumnWithGREL" in message
    assert what.replace("\\", "") in message


@pytest.mark.parametrize("kind", ["grouping", "join", "vstack", "split"])
def test_other_visual_recipes_say_by_name_that_they_do_not_run(orders: DSSProject, kind: str) -> None:
    orders.create_recipe(
        {
            "type": kind,
            "name": "compute_made",
            "inputs": {"main": {"items": [{"ref": "orders"}]}},
            "outputs": {"main": {"items": [{"ref": "made"}]}},
        },
        {"script": json.dumps({})},
    )
    message = build(orders, "made")["error"]["message"]
    assert f"recipes of type '{kind}' do not run in the sandbox" in message
    assert "python, sync, prepare and evaluation" in message
