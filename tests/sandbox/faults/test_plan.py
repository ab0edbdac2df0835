"""Fault plans: what may stand in one, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_steps.errors import ConfigError
from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.faults.kinds import FOR_EVER, KINDS
from mlops_steps.sandbox.faults.model import BadFault, Fault
from mlops_steps.sandbox.faults.operations import Templates
from mlops_steps.sandbox.faults.plan import load, parse

NODES = ("design", "auto-test", "test", "auto-prod", "prod")
NEEDED = {"health": {"health": "UNHEALTHY"}, "scenario-ends": {"outcome": "FAILED"}}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faults.yml"
    path.write_text(text)
    return path


def test_a_plan_names_nodes_kinds_operations_and_counts(tmp_path: Path) -> None:
    plan = load(
        written(
            tmp_path,
            """
faults:
  - {node: prod, kind: drop, operation: run scenario, act: after, after: 2, count: 3}
  - node: auto-prod
    kind: health
    health: [HEALTHY, UNHEALTHY]
  - {node: design, kind: error, status: 429, retry_after: 2, operation: "GET /futures/*", count: for ever}
""",
        ),
        NODES,
    )
    assert [item.node for item in plan] == ["prod", "auto-prod", "design"]
    first, second, third = (item.fault for item in plan)
    assert (first.act, first.after, first.count) == ("after", 2, 3)
    assert (second.health, second.count) == (["HEALTHY", "UNHEALTHY"], FOR_EVER)
    assert (third.status, third.retry_after, third.count) == (429, 2, FOR_EVER)


def test_a_plan_may_be_json(tmp_path: Path) -> None:
    text = json.dumps({"faults": [{"node": "prod", "kind": "late", "seconds": 1.5}]})
    assert load(written(tmp_path, text), NODES)[0].fault.seconds == 1.5


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "{node: prodd, kind: drop}",
            "faults.0.node: must be one of auto-prod, auto-test, design, prod, test; did you",
        ),
        ("{kind: drop}", "faults.0.node: must be one of"),
        ("{node: prod}", "faults.0.kind: is missing"),
        ("{node: prod, kind: resett}", "faults.0.kind: no such kind of fault; did you mean reset?"),
        ("{node: prod, kind: drop, cuont: 2}", "faults.0.cuont: unknown key; did you mean count?"),
        ("{node: prod, kind: drop, count: 0}", "faults.0.count: must be 1 or more, or 'for ever'"),
        ("{node: prod, kind: drop, count: many}", "faults.0.count: must be a valid integer"),
        ("{node: prod, kind: drop, after: -1}", "faults.0.after: must be greater than or equal to 0"),
        ("{node: prod, kind: drop, operation: start updaet}", "faults.0.operation: must be the name of an operation"),
        ("{node: prod, kind: drop, operation: FETCH /x}", "faults.0.operation: must be the name of an operation"),
        ("{node: prod, kind: drop, act: sometimes}", "faults.0.act: must be 'before' or 'after'"),
        ("{node: prod, kind: cut, act: before}", "faults.0: act must be after for a fault of kind cut"),
        ("{node: prod, kind: drop, status: 503}", "faults.0: status does not apply to a fault of kind drop"),
        ("{node: prod, kind: error, status: 200}", "faults.0: status must be 400 or more"),
        ("{node: prod, kind: html, status: 301}", "faults.0: status must be 200, or 400 or more"),
        ("{node: prod, kind: late, seconds: soon}", "faults.0.seconds: must be a valid number"),
        ("{node: prod, kind: health}", "faults.0: health is missing"),
        ("{node: prod, kind: health, health: HELTHY}", "did you mean HEALTHY?"),
        ("{node: prod, kind: scenario-ends}", "faults.0: outcome is missing"),
        ("{node: prod, kind: drop, target: X}", "faults.0: target does not apply to drop: use operation"),
        ("{node: prod, kind: scenario-hangs, operation: health}", "operation does not apply to scenario-hangs"),
        ("drop", "faults.0: must be a mapping of keys to values"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, entry: str, expected: str) -> None:
    path = written(tmp_path, f"faults:\n  - {entry}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, NODES)
    assert caught.value.message.startswith(f"{path}:2: ")
    assert expected in caught.value.message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "faults:\n  - {node: x, kind: drop}\n  - {node: prod, kind: dorp}\nfalts: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, NODES)
    assert [line.split(": ")[0].rpartition(":")[2] for line in caught.value.lines()] == ["2", "3", "4"]


@pytest.mark.parametrize("text", ["", "faults: []", "faults: drop", "other: 1"])
def test_a_plan_without_faults_is_a_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="at least one fault"):
        load(written(tmp_path, text), NODES)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_has_defaults_and_survives_a_round_trip(kind: str) -> None:
    fault = Fault.model_validate({"kind": kind, **NEEDED.get(kind, {})})
    assert fault.act == KINDS[kind].acts[0]
    assert fault.describe().startswith(kind)
    assert parse({"node": "prod", **fault.plain()}, NODES).fault == fault


def test_a_fault_strikes_after_some_and_so_often() -> None:
    faults = NodeFaults("prod")
    faults.add("update-fails", after=1, count=2)
    assert [faults.take("update-fails", key="d") is not None for _ in range(5)] == [False, True, True, False, False]


def test_a_fault_for_ever_ends_when_it_is_cleared() -> None:
    faults = NodeFaults("prod")
    added = faults.add("scenario-hangs", count="for ever")
    assert all(faults.take("scenario-hangs") for _ in range(50))
    assert faults.clear(added.id) == 1
    assert added.gone.is_set()
    assert faults.take("scenario-hangs") is None


def test_a_target_narrows_an_inner_fault() -> None:
    faults = NodeFaults("prod")
    faults.add("scenario-hangs", target="TEST_*")
    assert faults.take("scenario-hangs", key="RETRAIN") is None
    assert faults.take("update-fails", key="TEST_SMOKE") is None
    assert faults.take("scenario-hangs", key="TEST_SMOKE") is not None


def test_health_flaps_through_its_words() -> None:
    faults = NodeFaults("prod")
    assert faults.health("d") is None
    faults.add("health", health="HEALTHY,UNHEALTHY")
    assert [faults.health("d") for _ in range(3)] == ["HEALTHY", "UNHEALTHY", "HEALTHY"]


def test_of_two_faults_the_first_strikes_and_both_have_seen_the_request() -> None:
    faults = NodeFaults("prod")
    first, second = faults.add("update-fails"), faults.add("update-fails", after=1)
    assert faults.take("update-fails") is first
    assert faults.take("update-fails") is second


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BadFault, match="no such kind"):
        NodeFaults("prod").add("explode")


ROUTES = [
    ("GET", "/projects/{key}/scenarios/{id}/light"),
    ("GET", "/projects/{key}/scenarios/{id}/{run}"),
    ("GET", "/projects/{key}/lib/{path:path}"),
]


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        (None, "/public/api/projects/P/scenarios/S/light", True),
        ("scenario", "/public/api/projects/P/scenarios/S/light/", True),
        ("run", "/dip/publicapi/projects/P/scenarios/S/light", False),
        ("run", "/dip/publicapi/projects/P/scenarios/S/2026/", True),
        ("GET /projects/*/scenarios/*/*", "/public/api/projects/P/scenarios/S/2026", True),
        ("GET /projects/*/scenarios/*/*", "/public/api/projects/P/scenarios/S/light", False),
        ("GET /projects/*/scenarios/S/*", "/public/api/projects/P/scenarios/S/light", True),
        ("GET /projects/*", "/public/api/projects/P/scenarios", False),
        ("* /projects/**", "/public/api/projects/P/scenarios", True),
        ("POST /projects/**", "/public/api/projects/P/scenarios", False),
    ],
)
def test_operations_match_by_name_and_by_pattern(operation: str | None, path: str, expected: bool) -> None:
    templates = Templates(ROUTES)
    assert templates.matches(operation, templates.of("GET", path), "GET", path) is expected
