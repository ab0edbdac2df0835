"""The state machine by itself: what the table allows is done and written, what it does not is refused."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

import mlops_steps
from mlops_steps.delivery import phases
from mlops_steps.delivery.phases import MEANING, PENDING, SETTLED, TRANSITIONS, IllegalTransition, Phase, Transition
from mlops_steps.delivery.unit import Named, Outcome, Previous, Unit

PAGE = Path(__file__).parents[2] / "docs" / "release-states.md"
VALUES: dict[str, Any] = {
    "deployment": "d-2",
    "version": "b2",
    "previous": Previous(version="b1"),
    "restores": True,
    "why": "because",
    "share": 5.0,
    "deploy": Outcome(bundle="b2"),
    "smoke_test": Outcome(bundle="b2"),
    "restore": Outcome(bundle="b1"),
}
WAYS = [(transition, before) for transition in TRANSITIONS for before in Phase]


def unit(phase: Phase) -> Unit:
    return Unit(infra="i", deployment="d", phase=phase)


@pytest.mark.parametrize(("transition", "before"), WAYS, ids=lambda value: getattr(value, "name", value))
def test_a_way_is_taken_and_writes_its_fields_and_no_others_or_is_refused(
    transition: Transition, before: Phase
) -> None:
    fields = {name: VALUES[name] for name in transition.writes}
    found, kept = unit(before), unit(before)
    if before not in transition.before:
        with pytest.raises(IllegalTransition):
            found.go(transition, **fields)
        assert found.model_dump(exclude={"since"}) == kept.model_dump(exclude={"since"})
        return
    found.go(transition, **fields)
    assert found.phase is transition.after
    for name in VALUES:
        assert getattr(found, name) == (VALUES[name] if name in transition.writes else getattr(kept, name)), name


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda transition: transition.name)
def test_a_field_that_is_left_out_or_added_is_refused(transition: Transition) -> None:
    fields = {name: VALUES[name] for name in transition.writes}
    found = unit(next(iter(transition.before)))
    less = dict(itertools.islice(fields.items(), 1, None))
    others = [name for name in VALUES if name not in fields]
    for wrong in [less, *({**fields, name: VALUES[name]} for name in others[:1])]:
        with pytest.raises(IllegalTransition):
            found.go(transition, **wrong)


def test_every_phase_is_reached_and_left_and_every_pending_one_can_be_closed() -> None:
    assert {transition.after for transition in TRANSITIONS} == set(Phase)
    assert set().union(*(transition.before for transition in TRANSITIONS)) == set(Phase)
    assert set(Phase) == PENDING | SETTLED
    assert not PENDING & SETTLED
    for phase in PENDING:
        assert phase in phases.GIVE_UP.before
        assert phase in phases.DOUBT.before


def test_what_is_pending_is_so_only_where_something_is_restored() -> None:
    for phase in Phase:
        found = unit(phase)
        assert found.pending is (phase in PENDING)
        found.restores = False
        assert not found.pending


@pytest.mark.parametrize(
    ("version", "enabled", "previous", "ours"),
    [
        ("b2", True, Previous(version="b1", seen=Named(version="b1")), True),
        ("b1", True, Previous(version="b1", seen=Named(version="b1")), True),
        ("b0", True, Previous(version="b1", seen=Named(version="b0")), True),
        ("b3", True, Previous(version="b1", seen=Named(version="b1")), False),
        ("b2", False, Previous(version="b1", seen=Named(version="b1")), False),
        ("b1", False, Previous(version="b1", enabled=False, seen=Named(version="b1", enabled=False)), True),
        ("b1", False, Previous(version="b1", seen=Named(version="b1", enabled=False)), True),
        ("b2", False, Previous(version=None), True),
        ("b3", False, Previous(version=None), False),
        ("b2", True, None, True),
    ],
)
def test_settings_are_ours_or_somebody_elses(
    version: str, enabled: bool, previous: Previous | None, ours: bool
) -> None:
    found = unit(Phase.DEPLOYING)
    found.version, found.previous = "b2", previous
    assert found.is_ours(version, enabled) is ours


def test_what_is_returned_to_stays_through_a_second_change_which_notes_what_it_saw() -> None:
    found = unit(Phase.VERIFYING)
    found.version, found.previous = "b2", Previous(version="b1", seen=Named(version="b1"))
    again = found.still_previous("b2", True)
    assert again == Previous(version="b1", seen=Named(version="b2"))
    # What somebody else has made of the settings is not noted as ours.
    assert found.still_previous("b3", True) == found.previous
    assert found.still_previous("b2", False) == found.previous
    assert found.still_previous(None, True) == found.previous
    found.previous = None
    assert found.still_previous("b2", True) is None


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table below the heading."""
    part = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_shows_the_phases_as_they_are() -> None:
    pending = {True: "yes", False: "no"}
    assert _rows("Phases") == [[f"`{phase}`", MEANING[phase], pending[phase in PENDING]] for phase in Phase]


def test_the_page_shows_the_transitions_as_they_are() -> None:
    assert _rows("Transitions") == [
        [
            transition.name,
            "any"
            if transition.before == set(Phase)
            else ", ".join(f"`{one}`" for one in Phase if one in transition.before),
            f"`{transition.after}`",
            transition.when,
            ", ".join(f"`{name}`" for name in transition.writes),
        ]
        for transition in TRANSITIONS
    ]


def test_no_module_outside_of_delivery_sets_or_looks_at_the_fields_of_a_unit() -> None:
    """The record's words may be part of other modules too; what counts is that none reads them from a record."""
    fields = re.compile(r"\b(unit|stage|part)\.(phase|previous|deploy|smoke_test|restore|restores|version)\b")
    root = Path(mlops_steps.__file__).parent
    found = [
        f"{path.relative_to(root)}: {ast.unparse(node)}"
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in ("delivery", "sandbox")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and fields.search(ast.unparse(node))
    ]
    assert found == []
