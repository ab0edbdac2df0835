"""Where the shapes of a site differ from those of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

from mlops_steps.shapes.document import Shapes
from mlops_steps.shapes.shape import OTHERS, Shape
from mlops_steps.shapes.words import ALIASES, others


def differences(own: Shapes, other: Shapes, names: tuple[str, str] = ("the sandbox", "the file")) -> list[str]:
    """One line for each difference, requests in their order. Requests that only one of the two has are named, too.

    Whether a field is in every answer is a matter of what was going on, and no difference.
    """
    lines = []
    for node in sorted({*own.answers, *other.answers}):
        mine, theirs = own.answers.get(node, {}), other.answers.get(node, {})
        for request in sorted({*mine, *theirs}):
            where = f"{node}: {request}"
            if request not in mine or request not in theirs:
                lines.append(f"{where}: only in {names[0] if request in mine else names[1]}")
                continue
            lines += [f"{where}: {line}" for line in _differences(mine[request], theirs[request], "", names)]
    return lines


def _differences(own: Shape, other: Shape, at: str, names: tuple[str, str]) -> Iterator[str]:
    if own.is_nothing or other.is_nothing:
        return  # a list that was always empty tells nothing
    here, there = _words(own), _words(other)
    if here != there and not (own.states and own.states == other.states):
        yield f"{at or 'the answer'}: {here or 'nothing'} in {names[0]}, {there or 'nothing'} in {names[1]}"
    if own.states != other.states and own.states and other.states:
        for states, name in ((own.states - other.states, names[0]), (other.states - own.states, names[1])):
            if states:
                yield f"{at}: only in {name}: {', '.join(sorted(states))}"
    if own.fields is not None and other.fields is not None:
        for name in sorted({*own.fields, *other.fields} - {OTHERS}):
            place = f"{at}.{name}" if at else name
            if name in own.fields and name in other.fields:
                yield from _differences(own.fields[name], other.fields[name], place, names)
                continue
            has, lacks = (own.fields, other.fields) if name in own.fields else (other.fields, own.fields)
            alias = next((alias for alias in others(name, ALIASES) if alias in lacks), None)
            if alias is None:
                yield f"{place}: only in {names[0] if has is own.fields else names[1]}"
            elif has is own.fields:
                yield f"{place}: is {alias} in {names[1]}"
                yield from _differences(own.fields[name], other.fields[alias], place, names)
    if own.items is not None and other.items is not None:
        yield from _differences(own.items, other.items, f"{at}[]", names)


def _words(shape: Shape) -> str:
    """What a value may be, in words; null is left out, as it says that nothing was there."""
    words = sorted(shape.scalars - {"null"})
    words += ["a state"] if shape.states else []
    words += ["an object"] if shape.fields is not None else []
    words += ["a list"] if shape.items is not None else []
    return " or ".join(words)
