"""Asks the live and the new version of an API service the same records, and judges the new one by what came back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mlops_steps.config.canary import CanarySettings
from mlops_steps.dss.api_node import ScoringClient
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.dss.api_traffic import Traffic
from mlops_steps.errors import CheckFailed, NodeError
from mlops_steps.gates.canary import (
    FOR_P95,
    LOOKS,
    Call,
    Counts,
    Evidence,
    Limits,
    Pair,
    UserTimes,
    found_at_the_end,
    judge,
)
from mlops_steps.gates.model import GateResult, GateVerdict, worst_of
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline, duration
from mlops_steps.trials.queries import Query, own_queries

#: A share of failed calls that is usual, for the plan.
_USUAL_ERRORS = 0.01


def records_of(queries: Sequence[Query], endpoints: Sequence[Endpoint]) -> list[Query]:
    """The records of prediction endpoints that both versions are asked: of a file, else those of the service itself.

    Queries that must be refused are left out. Raises :class:`CheckFailed` when there is none.
    """
    given = [query for query in queries if query.features is not None and query.expect.refused is None]
    found = given or [query for endpoint in endpoints for query in own_queries(endpoint) if query.features is not None]
    if not found:
        raise CheckFailed(
            "a canary requires records that both versions can be asked, and there are none",
            next_step="name a file in api.release.canary.records or api.test.queries of mlops.yml, or give a "
            "prediction endpoint test queries in the API Designer",
        )
    return found


class Comparison:
    """The calls of both versions so far. They go to each of ``nodes`` in turn, which must not repeat failed calls.

    ``traffic``: what the API nodes report of the calls of users.
    """

    def __init__(
        self,
        nodes: Sequence[ScoringClient],
        records: Sequence[Query],
        settings: CanarySettings,
        *,
        live: str,
        new: str,
        traffic: Callable[[], Traffic | None] = lambda: None,
    ) -> None:
        self._nodes = nodes
        self._records = records
        self._settings = settings
        self._versions = (live, new)
        self._traffic = traffic
        self._before = traffic()
        self._evidence = Evidence()
        self._limits = limits_of(settings)
        self._step = 0
        self._turn = 0

    def step(self, deadline: Deadline, say: Callable[[str], None]) -> list[GateResult]:
        """Sends the calls of the next step, and judges all calls so far: four times, or until one look fails.

        ``say`` is called with what is known after each look. At the deadline the step ends with what there is.
        """
        self._step += 1
        results: list[GateResult] = []
        for look in range(1, LOOKS + 1):
            wanted = self._settings.calls * look // LOOKS - self._settings.calls * (look - 1) // LOOKS
            complete = self._send(wanted, deadline)
            self._count_users()
            number = (self._step - 1) * LOOKS + look
            results = judge(self._evidence, self._limits, number, enough=complete and look == LOOKS)
            say(f"{self._evidence.calls} calls of each version: {worst_of(results).value}")
            if not complete or any(result.verdict is GateVerdict.FAILED for result in results):
                break
        return results

    def _count_users(self) -> None:
        """What the API nodes report of the calls of users since the canary began, where they do."""
        now = self._traffic() if self._before else None
        if now is None or self._before is None:
            return
        since, (live, new) = now.since(self._before), self._versions
        self._evidence.live = Counts(since.calls[live], since.errors[live])
        self._evidence.new = Counts(since.calls[new], since.errors[new])
        self._evidence.times = [
            UserTimes(
                f"{place[1]} on {place[0]}",
                since.at[place, live],
                since.at[place, new],
                since.times.get((place, live), {}),
                since.times.get((place, new), {}),
            )
            for place in sorted({place for place, _ in since.at})
        ]

    def _send(self, wanted: int, deadline: Deadline) -> bool:
        """Sends so many pairs of calls; whether they were sent before the deadline."""
        turns = range(self._turn, self._turn + wanted)
        self._turn += wanted
        pairs = gather([partial(self._pair, turn, deadline) for turn in turns], workers=self._settings.parallel)
        answered = [pair for pair in pairs if pair is not None]
        self._evidence.pairs += answered
        return len(answered) == wanted

    def _pair(self, turn: int, deadline: Deadline) -> Pair | None:
        """Both versions are asked on one node, one after the other: now this one first, now the other."""
        if deadline.passed:
            return None
        query = self._records[turn % len(self._records)]
        node = self._nodes[(turn // len(self._records) + turn) % len(self._nodes)]
        order = self._versions if turn % 2 else self._versions[::-1]
        calls = {version: _call(node, query, version, deadline) for version in order}
        expected = query.expect
        known = bool({"prediction", "ignored"} & expected.model_fields_set)
        live, new = self._versions
        return Pair(query.title, calls[live], calls[new], right=expected.prediction, known=known)


def _call(node: ScoringClient, query: Query, version: str, deadline: Deadline) -> Call:
    start = time.monotonic()
    try:
        with node.within(deadline):
            answer = node.predict(
                query.endpoint, query.features or {}, forced_generation=version, dispatch_key="mlops-steps"
            )
    except NodeError as error:
        return Call(time.monotonic() - start, error=error.message)
    took = time.monotonic() - start
    if answer.generation != version:
        return Call(took, error=f"{node.name}: version {answer.generation} answered in the place of {version}")
    return Call(took, answer.prediction)


def rate_seen(
    nodes: Sequence[ScoringClient], records: Sequence[Query], settings: CanarySettings, deadline: Deadline
) -> float | None:
    """How many pairs of calls a second the live version would answer now, by a few calls to it.

    ``None`` when one of them fails, or when the deadline passes: then it is not known.
    """
    count = min(2 * settings.parallel, 2 * settings.calls)

    def ask(turn: int) -> None:
        node, query = nodes[turn % len(nodes)], records[turn % len(records)]
        with node.within(deadline):
            node.predict(query.endpoint, query.features or {}, dispatch_key="mlops-steps")

    start = time.monotonic()
    try:
        gather([partial(ask, turn) for turn in range(count)], workers=settings.parallel)
    except NodeError:
        return None
    return count / 2 / max(time.monotonic() - start, 1e-3)


def planned(settings: CanarySettings, rate: float | None = None) -> Iterator[str]:
    """What the canary will do, a line for each step; then what its calls can show.

    ``rate``: the pairs of calls a second that are seen now.
    """
    needed = settings.calls / rate if rate else None
    takes = f"about {duration(max(1, round(needed)))} at the rate seen now, " if needed is not None else ""
    for share, after in itertools.zip_longest(settings.steps, settings.steps[1:]):
        then = "then the next" if after else "then all"
        if settings.only_compares:
            then = "then the live version alone again"
        yield (
            f"{share:g} % of the calls, {settings.calls} calls of each version compared ({takes}"
            f"{duration(settings.step_timeout)} at most); {then}"
        )
    found = found_at_the_end(limits_of(settings), _USUAL_ERRORS)
    yield (
        f"{settings.calls * len(settings.steps)} calls of each version in all find {found:.1%} of failed calls nine "
        f"times in ten, where {_USUAL_ERRORS:.0%} of the live version's fail; latency needs {FOR_P95} calls"
    )
    if needed is not None and needed > settings.step_timeout:
        yield "at the rate seen now a step reaches its limit before it has its calls, and is inconclusive"


def limits_of(settings: CanarySettings) -> Limits:
    """The limits that the configuration sets."""
    return Limits(
        calls=settings.calls,
        max_errors=settings.max_errors,
        max_latency=settings.max_latency,
        slower=settings.slower,
        worse=settings.worse,
        agreement=settings.agreement,
        tolerance=settings.tolerance,
        false_alarms=settings.false_alarms,
        steps=len(settings.steps),
    )
