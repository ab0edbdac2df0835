"""The steps of a release as a timeline: what took how long, and what waited for what.

A pipeline may wait two days for an approval while its steps take minutes. So long waits are drawn shorter than they
were; the texts beside the bars have the true durations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_steps.report.html.facts import Span
from mlops_steps.system.waiting import duration

#: The width of the timeline in columns of its grid. The stylesheet has a class for each of them.
COLUMNS = 100
# A wait is drawn with at most this share of the time that the steps took.
_LONGEST_WAIT = 0.1
# Seconds that are no wait: reports hold whole ones.
_AT_ONCE = 2.0


@dataclass(frozen=True)
class Bar:
    """A row. ``start`` and ``width`` are columns; ``waited`` says what it waited for, and how long."""

    name: str
    result: str
    took: str
    waited: str
    start: int
    width: int
    is_part: bool
    anchor: str = ""


def bars(spans: Sequence[Span], anchors: dict[str, str]) -> list[Bar]:
    """A bar for each span that has a beginning, each part below its step."""
    known = [span for span in spans if span.begin > 0]
    if not known:
        return []
    scale = _Scale(known)
    names = {span.name for span in known if not span.within}
    tops = sorted((span for span in known if span.within not in names), key=lambda span: span.begin)
    rows = []
    for top in tops:
        parts = sorted((span for span in known if span.within == top.name), key=lambda span: span.begin)
        rows += [(top, _waited(top, tops), False), *((part, "", True) for part in parts)]
    return [_bar(span, waited, is_part, scale, anchors) for span, waited, is_part in rows]


def _bar(span: Span, waited: str, is_part: bool, scale: _Scale, anchors: dict[str, str]) -> Bar:
    end = span.begin if span.end is None else span.end
    first, last = scale.column(span.begin), scale.column(end)
    start = min(first, COLUMNS - 1)
    return Bar(
        span.name,
        span.result,
        "not ended" if span.end is None else duration(round(end - span.begin, 1)),
        waited,
        start,
        max(1, min(last - first, COLUMNS - start)),
        is_part,
        anchors.get(span.name, ""),
    )


def _waited(span: Span, others: Sequence[Span]) -> str:
    """What ended last before the span began, and how long ago that was."""
    ended = [
        (one.end, one.name) for one in others if one is not span and one.end is not None and one.begin < span.begin
    ]
    before = [(end, name) for end, name in ended if end <= span.begin + _AT_ONCE]
    if not before:
        return ""
    last, name = max(before)
    gap = span.begin - last
    return f"after {name}" if gap < _AT_ONCE else f"{duration(round(gap))} after {name}"


class _Scale:
    """From seconds to columns, with long waits shortened."""

    def __init__(self, spans: Sequence[Span]) -> None:
        pieces: list[list[float]] = []
        for span in sorted(spans, key=lambda one: one.begin):
            end = max(span.begin, span.end or span.begin)
            if pieces and span.begin <= pieces[-1][1]:
                pieces[-1][1] = max(pieces[-1][1], end)
            else:
                pieces.append([span.begin, end])
        busy = sum(end - begin for begin, end in pieces) or 1.0
        self._marks: list[tuple[float, float]] = []
        position = 0.0
        for number, (begin, end) in enumerate(pieces):
            if number:
                position += min(begin - pieces[number - 1][1], _LONGEST_WAIT * busy)
            self._marks.append((begin, position))
            position += end - begin
            self._marks.append((end, position))
        self._whole = position or 1.0

    def column(self, moment: float) -> int:
        """The column of a moment, from 0 to :data:`COLUMNS`."""
        before = self._marks[0]
        for mark in self._marks:
            if mark[0] >= moment:
                share = (moment - before[0]) / (mark[0] - before[0]) if mark[0] > before[0] else 1.0
                place = before[1] + share * (mark[1] - before[1])
                return round(COLUMNS * place / self._whole)
            before = mark
        return COLUMNS
