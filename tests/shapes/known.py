"""Shapes that versions of DSS are known to give: those of the sandbox, with one thing changed in all answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mlops_steps.shapes.document import Shapes
from mlops_steps.shapes.shape import DATES, ISO, MILLISECONDS, Shape

Change = Callable[[Shape], Shape]


def changed(shapes: Shapes, change: Change) -> Shapes:
    """The shapes with the change at every place."""

    def within(shape: Shape) -> Shape:
        fields = None if shape.fields is None else {name: within(inner) for name, inner in shape.fields.items()}
        items = None if shape.items is None else within(shape.items)
        return change(replace(shape, fields=fields, items=items))

    answers = {
        node: {request: within(shape) for request, shape in found.items()} for node, found in shapes.answers.items()
    }
    return Shapes(shapes.versions, answers)


def dates_as(form: str) -> Change:
    """All dates in one form; 0, which says that there is none yet, stays."""

    def change(shape: Shape) -> Shape:
        if not shape.scalars & set(DATES):
            return shape
        return replace(shape, scalars=(shape.scalars - set(DATES)) | {form})

    return change


def renamed(old: str, new: str) -> Change:
    """A field has its other name."""

    def change(shape: Shape) -> Shape:
        if shape.fields is None or old not in shape.fields:
            return shape
        return replace(shape, fields={new if name == old else name: inner for name, inner in shape.fields.items()})

    return change


def said_as(old: str, new: str) -> Change:
    """A state has its other word."""

    def change(shape: Shape) -> Shape:
        return replace(shape, states=(shape.states - {old}) | {new}) if old in shape.states else shape

    return change


def status_as(old: str, new: str) -> Change:
    """The same of the field ``status`` alone: that of updates."""

    def change(shape: Shape) -> Shape:
        if shape.fields is None or "status" not in shape.fields:
            return shape
        return replace(shape, fields={**shape.fields, "status": said_as(old, new)(shape.fields["status"])})

    return change


def without(name: str) -> Change:
    """A field is not there."""

    def change(shape: Shape) -> Shape:
        if shape.fields is None or name not in shape.fields:
            return shape
        return replace(shape, fields={key: inner for key, inner in shape.fields.items() if key != name})

    return change


#: What the steps read either way.
KNOWN: dict[str, Change] = {
    **{f"dates as {form}": dates_as(form) for form in (MILLISECONDS, *ISO)},
    "commitId": renamed("commit", "commitId"),
    "automationNodeExternalUrl": renamed("automationNodeUrl", "automationNodeExternalUrl"),
    "updates that are DONE": status_as("SUCCESS", "DONE"),
}
