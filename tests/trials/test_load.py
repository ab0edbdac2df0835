"""The load: when calls are made, what counts as their latency, when it stops, and how it is judged."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from mlops_steps.config.api_load import LoadSettings
from mlops_steps.dss.api_node import Prediction
from mlops_steps.errors import ConfigError, NodeError
from mlops_steps.report.model import Outcome, Report
from mlops_steps.trials.load import Load, Measurement, Sample
from mlops_steps.trials.load_verdict import add_to, latencies, limits, percentile
from mlops_steps.trials.queries import Expected, Query
from mlops_steps.trials.service_load import what_to_send


class Node:
    """Answers after some seconds, and counts; the calls of these numbers (from 0) fail."""

    def __init__(self, seconds: float = 0.0, version: str = "v1", failing: range = range(0)) -> None:
        self.name = "node"
        self.seconds, self.version, self.failing = seconds, version, failing
        self.records: list[dict[str, Any]] = []
        self.most = self.now = 0
        self._lock = threading.Lock()

    def predict(self, _endpoint: str, features: dict[str, Any]) -> Prediction:
        with self._lock:
            number = len(self.records)
            self.records.append(features)
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self._lock:
            self.now -= 1
        if number in self.failing:
            raise NodeError("node: cannot get a prediction: it is broken")
        return Prediction(self.version, "1")


def settings(**given: Any) -> LoadSettings:
    return LoadSettings.model_validate({"rate": 500, "calls": 60, **given})


def load(given: LoadSettings, *nodes: Node, patience: float = 60.0) -> Load:
    return Load(given, nodes, "score", [{"n": number} for number in range(3)], "v1", patience)


def test_the_queue_of_a_slow_node_is_in_the_latency() -> None:
    node = Node(seconds=0.02)
    found = load(settings(under_way=1), node).run()
    times = latencies(found.samples)
    # Each call takes 20 ms. A loop that waits for each answer would never see more.
    assert len(times) == 60
    assert (percentile(times, 0.99) or 0) > 500
    assert times[0] >= 20
    assert node.most == 1
    assert found.stopped == ""


def test_calls_are_under_way_side_by_side() -> None:
    node = Node(seconds=0.3)
    found = load(settings(calls=30), node).run()
    assert node.most > 5
    assert len(found.samples) == 30


def test_calls_arrive_at_the_rate_and_not_as_fast_as_they_are_answered() -> None:
    found = load(settings(rate=100, calls=50, warm_up="0.5s"), Node()).run()
    assert found.seconds >= 0.5
    due = [sample.due for sample in found.samples]
    assert 0 <= min(due) < max(due) <= 0.5


def test_the_warm_up_is_not_measured_and_nodes_and_records_take_turns() -> None:
    first, second = Node(), Node()
    first.name = "first"
    found = load(settings(calls=30, warm_up="0.06s"), first, second).run()
    assert len(first.records) + len(second.records) == 60
    assert len(found.samples) == 30
    assert {record["n"] for record in first.records} == {record["n"] for record in second.records} == {0, 1, 2}


def test_it_stops_as_soon_as_the_limit_of_errors_cannot_be_kept() -> None:
    node = Node(failing=range(10_000))
    found = load(settings(calls=1000, errors="1%", under_way=4), node).run()
    assert "11 calls had failed" in found.stopped
    assert len(node.records) < 50
    assert sum(found.errors.values()) == 11


def test_errors_within_the_limit_do_not_stop_it() -> None:
    node = Node(failing=range(30, 33))
    found = load(settings(calls=100, errors="3%", warm_up="0.02s"), node).run()
    assert found.stopped == ""
    assert sum(sample.failed for sample in found.samples) == 3
    assert len(latencies(found.samples)) == 97


def test_errors_of_the_warm_up_stop_it_too() -> None:
    found = load(settings(calls=1000, warm_up="10s", errors=0), Node(failing=range(10_000))).run()
    assert found.stopped
    assert found.samples == []


def test_an_answer_of_another_version_has_failed() -> None:
    found = load(settings(errors=0), Node(version="v2")).run()
    assert "node: version v2 answered" in found.errors


def test_a_call_that_waits_longer_than_it_may_take_has_failed() -> None:
    found = load(
        settings(under_way=1, calls=100, warm_up="0.002s", errors="99%"), Node(seconds=0.05), patience=0.2
    ).run()
    assert found.stopped == ""
    assert len(found.samples) == 100
    assert sum(sample.failed for sample in found.samples) > 20
    assert any("after it was due" in text for text in found.errors)


def test_what_ends_it_from_outside_ends_its_calls() -> None:
    node = Node()

    def stop(_state: str) -> None:
        raise KeyboardInterrupt

    running = load(settings(rate=200, calls=1000), node)
    with pytest.raises(KeyboardInterrupt):
        running.run(stop)
    assert len(node.records) <= 110
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join(10)
            assert not thread.is_alive()


def measured(*milliseconds: float, failed: int = 0, **given: Any) -> Measurement:
    samples = [Sample("a" if at % 2 else "b", at / 100, value / 1000) for at, value in enumerate(milliseconds)]
    samples += [Sample("a", 0, 0.5, failed=True)] * failed
    return Measurement(len(samples), samples, given.pop("seconds", 1.0), given.pop("errors", {}), **given)


def judged(found: Measurement, **given: Any) -> tuple[dict[str, Outcome], Report]:
    report = Report("P", "api-test", "dev")
    add_to(report, settings(**given), found, 1.0, "here")
    return {case.name: case.outcome for case in report.cases}, report


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.99) == 7
    assert percentile([], 0.5) is None


def test_each_limit_is_a_case_and_what_was_measured_a_property() -> None:
    outcomes, report = judged(measured(*range(1, 101), seconds=2), p50="50ms", p95="94ms", throughput=49)
    assert outcomes == {
        "load": Outcome.PASSED,
        "gate load p50": Outcome.PASSED,
        "gate load p95": Outcome.FAILURE,
        "gate load errors": Outcome.PASSED,
        "gate load throughput": Outcome.PASSED,
    }
    case = next(case for case in report.cases if case.name == "gate load p95")
    assert case.message == "p95 95 ms, at most 94 ms allowed"
    assert (
        report.properties
        | {
            "load_p50_ms": "50",
            "load_p95_ms": "95",
            "load_p99_ms": "99",
            "load_max_ms": "100",
            "load_calls": "100",
            "load_failed": "0",
            "load_errors_percent": "0",
            "load_throughput": "50",
            "gate.load p95.verdict": "failed",
            "gate.load p95.limit": "at most 94 ms",
        }
        == report.properties
    )
    assert report.cases[0].stdout.splitlines()[1].startswith("b: 50 calls, p50 ")


def test_the_histogram_holds_every_answered_call() -> None:
    _, report = judged(measured(0.3, 1, 1, 4.9, 180, 2000, failed=2), errors="90%")
    (figure,) = report.attach().figures
    (series,) = figure.series
    assert sum(series.y) == 6
    assert len(series.x) == len(series.y)
    # One for each stage: of two figures of one name the page shows the later one.
    assert (figure.name, figure.topic, figure.kind) == ("latency under load on dev", "service", "bars")
    _, same = judged(measured(5, 5, 5))
    assert sum(same.attach().figures[0].series[0].y) == 3


def test_a_load_that_stopped_fails_for_its_errors_and_says_nothing_of_the_rest() -> None:
    found = measured(*[1.0] * 60, failed=2, stopped="2 calls had failed", errors={"broken": 2})
    outcomes, report = judged(found, p95="1s", errors="1%")
    assert outcomes == {
        "load": Outcome.FAILURE,
        "gate load p95": Outcome.ERROR,
        "gate load errors": Outcome.FAILURE,
    }
    assert "2 times: broken" in report.cases[0].details


def test_a_machine_that_is_late_by_itself_judges_nothing() -> None:
    outcomes, report = judged(measured(*[1.0] * 100, late=6), p95="1s")
    assert set(outcomes.values()) == {Outcome.ERROR}
    assert "this machine was late with 6 of 100 calls" in report.cases[0].message
    assert set(judged(measured(*[1.0] * 100, late=5), p95="1s")[0].values()) == {Outcome.PASSED}


def test_without_an_answer_there_is_no_latency() -> None:
    found = Measurement(60, [], 0.0, {"broken": 1}, stopped="1 calls had failed")
    outcomes, report = judged(found, p95="1s", throughput=1, errors=0)
    assert outcomes["gate load p95"] is outcomes["gate load throughput"] is Outcome.ERROR
    assert outcomes["gate load errors"] is Outcome.FAILURE
    assert report.attachments is None
    assert [limit.value for limit in limits(settings(p95="1s"), found)] == [None, 100.0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"calls": None}, "must have duration or calls, not both"),
        ({"duration": "5s"}, "must have duration or calls, not both"),
        ({"p99": "1s"}, "has 60 calls, too few for p99: 300 at least"),
        ({"throughput": 501}, "above its rate"),
        ({"rate": 0.01}, "longer than an hour"),
        ({"p95": "fast"}, "must be a time such as 250ms"),
        ({"p95": "0ms"}, "more than zero"),
        ({"errors": "1"}, "must be a share such as 1%"),
        ({"errors": "101%"}, "must be a share"),
        ({"rate": 0}, "greater than 0"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        settings(**given)


def test_units_are_those_of_people() -> None:
    found = settings(p50="1.5s", p95="250ms", errors="0.5 %")
    assert (found.p50, found.p95, found.errors, found.warm_up_calls) == (1500, 250, 0.005, 6)
    assert settings(rate=10, calls=None, duration="1m").planned == 600


def test_the_records_are_those_that_must_be_predicted() -> None:
    def query(endpoint: str, number: int, **expect: Any) -> Query:
        return Query(endpoint=endpoint, features={"n": number}, expect=Expected.model_validate(expect))

    queries = [query("a", 1), query("a", 2, ignored="X"), query("a", 3, refused="X"), query("a", 4, prediction=1)]
    assert what_to_send(settings(), [*queries, Query(endpoint="f", parameters={})]) == ("a", [{"n": 1}, {"n": 4}])
    assert what_to_send(settings(endpoint="b"), [*queries, query("b", 5)]) == ("b", [{"n": 5}])
    with pytest.raises(ConfigError, match="several endpoints: a, b"):
        what_to_send(settings(), [*queries, query("b", 5)])
    with pytest.raises(ConfigError, match="no test query of endpoint c that must be predicted"):
        what_to_send(settings(endpoint="c"), queries)
