"""Asks the API nodes test queries, and judges what they answer: one test case for each query."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlops_steps.dss.api_node import FunctionAnswer, Prediction, ScoringClient
from mlops_steps.errors import NodeError, Refusal, Unreachable
from mlops_steps.report.model import Case, Outcome
from mlops_steps.system.parallel import gather
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline, duration
from mlops_steps.trials.queries import TOLERANCE, Expected, Query

# Statuses that say of the caller, and not of the call, that it may not be made.
_NOT_ALLOWED = frozenset({401, 403})


@dataclass(frozen=True)
class Asked:
    """What one API node answered. ``problem``: what does not hold; ``error``: why nothing can be said."""

    node: str
    said: str
    problem: str = ""
    error: NodeError | None = None
    seconds: float = 0.0


class QueryRun:
    """Test queries, each asked of each API node. ``version`` is the one that must answer."""

    def __init__(self, nodes: Sequence[ScoringClient], version: str, deadline: Deadline, parallel: int) -> None:
        self._nodes = nodes
        self._version = version
        self._deadline = deadline
        self._parallel = parallel
        self._gone: dict[str, NodeError] = {}
        self._lock = threading.Lock()

    @property
    def unreachable(self) -> NodeError | None:
        """Why an API node could not be asked, if that happened."""
        return next(iter(self._gone.values()), None)

    def cases(
        self, queries: Sequence[Query], classname: str, say: Callable[[str], None], *, may_ignore: bool = False
    ) -> list[Case]:
        """Asks them all, and returns a case for each, in their order.

        ``may_ignore``: where nothing is expected, the model may refuse to predict.
        """
        calls = [partial(self._ask, node, query, may_ignore) for query in queries for node in self._nodes]

        # Off a terminal each state is a line of the log.
        every = max(1, len(calls) // 10)
        answered = 0

        def counted(call: Callable[[], Asked]) -> Asked:
            nonlocal answered
            asked = call()
            with self._lock:
                answered += 1
                number = answered
            if number % every == 0:
                say(f"{number} of {len(calls)} calls")
            return asked

        answers = gather([partial(counted, call) for call in calls], workers=self._parallel)
        size = len(self._nodes)
        return [_case(query, answers[at * size : (at + 1) * size], classname) for at, query in enumerate(queries)]

    def _ask(self, node: ScoringClient, query: Query, may_ignore: bool) -> Asked:
        if node.name in self._gone:
            return Asked(node.name, "not asked", error=self._gone[node.name])
        if self._deadline.passed:
            late = NodeError(f"not asked: all queries together have had their {duration(self._deadline.seconds)}")
            return Asked(node.name, "not asked", error=late)
        start = time.monotonic()
        try:
            with node.within(self._deadline):
                answer = call(node, query)
        except Refusal as error:
            took = time.monotonic() - start
            if error.status in _NOT_ALLOWED:
                return Asked(node.name, error.message, error=error, seconds=took)
            return Asked(node.name, error.message, _refused(query.expect, error), seconds=took)
        except NodeError as error:
            if isinstance(error, Unreachable):
                self._gone[node.name] = error
            return Asked(node.name, error.message, error=error, seconds=time.monotonic() - start)
        took = time.monotonic() - start
        if answer.generation != self._version:
            return Asked(node.name, shown(answer), f"version {answer.generation} answered", seconds=took)
        if may_ignore and isinstance(answer, Prediction) and answer.ignored is not None:
            return Asked(node.name, shown(answer), seconds=took)
        return Asked(node.name, shown(answer), problem(query.expect, answer), seconds=took)


def call(node: ScoringClient, query: Query) -> Prediction | FunctionAnswer:
    """Asks the node. Raises :class:`NodeError`."""
    if query.parameters is not None:
        return node.run(query.endpoint, query.parameters)
    return node.predict(query.endpoint, query.features or {})


def problem(expected: Expected, answer: Prediction | FunctionAnswer) -> str:
    """What does not hold of the answer; "" when all does."""
    if expected.refused is not None:
        return f"it was answered, not refused with {expected.refused!r}"
    tolerance = TOLERANCE if expected.tolerance is None else expected.tolerance
    if isinstance(answer, FunctionAnswer):
        wanted = "response" in expected.model_fields_set
        return "" if not wanted or _same(expected.response, answer.response, tolerance) else "the response is another"
    if expected.ignored is not None:
        if answer.ignored is None:
            return f"it was predicted, not ignored ({expected.ignored})"
        return "" if answer.ignored == expected.ignored else f"ignored as {answer.ignored}, not as {expected.ignored}"
    if answer.ignored is not None:
        return f"no prediction: {answer.ignored}"
    wrong = []
    if expected.prediction is not None and not _predicted(expected.prediction, answer.prediction, tolerance):
        wrong.append(f"prediction {answer.prediction}, not {expected.prediction}")
    for name, value in (expected.probas or {}).items():
        found = (answer.probas or {}).get(name)
        if found is None:
            wrong.append(f"no probability of class {name}")
        elif not abs(found - value) <= tolerance + 1e-12:
            wrong.append(f"probability of {name} {found:.4g}, not {value:g} ± {tolerance:g}")
    return "; ".join(wrong)


def shown(answer: Prediction | FunctionAnswer) -> str:
    """The answer in a line."""
    if isinstance(answer, FunctionAnswer):
        return one_line(json.dumps(answer.response), 500)
    if answer.ignored is not None:
        return f"ignored: {answer.ignored}"
    probas = ", ".join(f"{name}: {value:.4g}" for name, value in (answer.probas or {}).items())
    return one_line(f"prediction {answer.prediction}" + (f" ({probas})" if probas else ""), 500)


def _refused(expected: Expected, error: Refusal) -> str:
    if expected.refused is None:
        return f"refused: {error.message}"
    return "" if expected.refused in error.message else f"refused otherwise than with {expected.refused!r}"


def _predicted(wanted: str | float, found: Any, tolerance: float) -> bool:
    """Whether it is the class, by its name, or the number, within the tolerance."""
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            return abs(float(wanted) - found) <= tolerance + 1e-12
        except ValueError:
            return False
    return str(wanted) == str(found)


def _same(wanted: Any, found: Any, tolerance: float) -> bool:
    """Whether two values of JSON are the same, numbers within the tolerance."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(_same(wanted[key], found[key], tolerance) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_same, wanted, found, [tolerance] * len(wanted)))
    numbers = [value for value in (wanted, found) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == 2:
        return math.isclose(wanted, found, rel_tol=0, abs_tol=tolerance + 1e-12)
    return type(wanted) is type(found) and bool(wanted == found)


def _case(query: Query, answers: Sequence[Asked], classname: str) -> Case:
    broken = [asked for asked in answers if asked.error]
    wrong = [asked for asked in answers if asked.problem]
    outcome = Outcome.ERROR if broken else Outcome.FAILURE if wrong else Outcome.PASSED
    said = "\n".join(f"{asked.node}: {asked.said}" for asked in answers)
    case = Case(query.title, outcome, classname=classname, seconds=sum(asked.seconds for asked in answers), stdout=said)
    if outcome is Outcome.PASSED:
        return case
    found = [asked.error.message if asked.error else f"{asked.node}: {asked.problem}" for asked in broken or wrong]
    record = json.dumps(query.features if query.parameters is None else query.parameters, ensure_ascii=False)
    wanted = json.dumps(query.expect.model_dump(exclude_unset=True), ensure_ascii=False)
    case.message = one_line(found[0], 500)
    case.details = "\n".join(
        [*found, "", f"endpoint {query.endpoint}", f"record   {record}", f"expected {wanted}", "answered", said]
    )
    return case
