"""Files of test queries: what they may hold, and what is said of those that are wrong."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from mlops_steps.dss.api_node import FunctionAnswer, Prediction
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.errors import ConfigError, Refusal, Unreachable
from mlops_steps.report.model import Case, Outcome
from mlops_steps.system.waiting import Deadline
from mlops_steps.trials.plain_yaml import NotYaml, load_plain
from mlops_steps.trials.queries import Expected, Query, check_endpoints, load_queries
from mlops_steps.trials.query_cases import QueryRun, problem

HEAD = "endpoint: score\nqueries:\n"


def load(folder: Path, text: str, name: str = "queries.yml") -> list[Query]:
    (folder / name).write_text(text)
    return load_queries(folder / name, "churn")


def refused(folder: Path, text: str, name: str = "queries.yml") -> list[str]:
    with pytest.raises(ConfigError) as found:
        load(folder, text, name)
    return [found.value.message, *found.value.details]


def test_a_record_is_what_it_says(tmp_path: Path) -> None:
    text = (
        HEAD + "  - name: all kinds\n    features: {a: no, b: 0123, c: 12:30, d: 2020-01-01, e: 1e3, f: ~, g: true}\n"
    )
    (query,) = load(tmp_path, text)
    assert query.features == {"a": "no", "b": "0123", "c": "12:30", "d": "2020-01-01", "e": 1000, "f": None, "g": True}


def test_yaml_and_json_lines_say_the_same(tmp_path: Path) -> None:
    data = {
        "name": "x",
        "endpoint": "score",
        "features": {"a": 1.5},
        "expect": {"probas": {"1": 0.5}, "tolerance": 0.1},
    }
    (lines,) = load(tmp_path, f"\n{json.dumps(data)}\n\n", "queries.jsonl")
    (yaml,) = load(tmp_path, f"service: churn\nqueries: [{json.dumps(data)}]\n")
    assert lines == yaml
    assert lines.expect.probas == {"1": 0.5}


def test_a_name_that_is_not_given_stays_as_long_as_the_record_does(tmp_path: Path) -> None:
    first, second = load(tmp_path, HEAD + "  - features: {a: 1, b: 2}\n  - features: {a: 2}\n")
    (again,) = load(tmp_path, HEAD + "  - features: {b: 2, a: 1}\n")
    assert first.title == again.title != second.title
    assert first.title.startswith("score record ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("queries: []\n", "there is no query in it"),
        ("- a\n", ":1: must be a mapping with the list queries"),
        ("", ":1: is empty"),
        ("queries: [\n", ":2: not YAML"),
        ("queries: {}\n", ":1: must be a mapping with the list queries"),
        ("service: other\n" + HEAD + "  - features: {}\n", ":1: the queries are of another service than churn"),
        ("\nendpont: score\nqueries: []\n", ":2: unknown key endpont; did you mean endpoint?"),
        (HEAD + "  - features: {a: 1}\n    expct: {}\n", ":3: expct: unknown key; did you mean expect?"),
        (HEAD + "  - name: x\n    expect: {}\n", ":3: query 'x': give features"),
        (HEAD + "  - {features: {}, parameters: {}}\n", ":3: give features"),
        (HEAD + "  - features: {}\n    expect: {ignored: X, prediction: 1}\n", "ignored stands alone"),
        (HEAD + "  - features: {}\n    expect: {probas: {}}\n", "probas must name a class"),
        (HEAD + "  - features: {}\n    expect: {probas: {a: 2}}\n", "probas.a: "),
        (HEAD + "  - features: {}\n    expect: {tolerance: -1}\n", "tolerance: "),
        (HEAD + "  - features: {}\n    expect: {response: 1}\n", "response is of a function"),
        (HEAD + "  - parameters: {}\n    expect: {prediction: 1}\n", "prediction is of a prediction"),
        (HEAD + "  - features: {a: 1}\n  - features: {a: 1}\n", ":4: 'score record "),
        (HEAD + "  - features: {a: 1, a: 2}\n", ":3: the key 'a' is given twice"),
        (HEAD + "  - features: &x {a: *x}\n", "nested too deeply"),
        (HEAD + "  - features: !!python/name:os.system {}\n", "not YAML"),
        ("queries:\n  - features: {}\n", ":2: endpoint: is missing"),
        (HEAD + "  - features: {a: \x07}\n", ":3: not YAML: it holds characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    lines = refused(tmp_path, text)
    assert lines[0].startswith("queries.yml")
    assert says in lines[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"features": {}}\n{"a"\n', "queries.jsonl:2: not JSON"),
        ('{"endpoint": "score", "features": {"a": NaN}}\n', "queries.jsonl:1: not JSON: NaN"),
        ('\n[1]\n', "queries.jsonl:2: "),
        ("[" * 100_000, "queries.jsonl:1: not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_json_lines_is_said_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    assert says in refused(tmp_path, text, "queries.jsonl")[0]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, HEAD + "  - {}\n  - {features: 1}\n  - {features: {}, x: 1}\n")) >= 3


def test_a_file_that_cannot_be_read_says_where_it_is_configured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"api.test.queries.*No such file"):
        load_queries(tmp_path / "none.yml", "churn")
    (tmp_path / "queries.yml").write_bytes(b"a\n\xff")
    with pytest.raises(ConfigError, match=r"queries.yml:2: not UTF-8"):
        load_queries(tmp_path / "queries.yml", "churn")


def test_a_short_file_that_is_a_very_large_one_is_refused() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(NotYaml, match="too many values"):
        load_plain(f"l0: &l0 [x]\n{levels}", 500_000)


def test_a_query_of_an_endpoint_that_is_not_there_is_told_the_nearest(tmp_path: Path) -> None:
    queries = load(tmp_path, "endpoint: scroe\nqueries: [{features: {}}, {parameters: {}, endpoint: score}]\n")
    endpoints = [Endpoint("score", "STD_PREDICTION"), Endpoint("greet", "PY_FUNCTION")]
    with pytest.raises(ConfigError) as found:
        check_endpoints(queries, endpoints, "churn")
    assert "has no endpoint scroe; did you mean score?" in found.value.message
    assert "endpoint score is of type STD_PREDICTION: no parameters" in found.value.details[0]


P = Prediction("v1", "1", {"0": 0.25, "1": 0.75})


@pytest.mark.parametrize(
    ("expected", "answer", "says"),
    [
        ({}, P, ""),
        ({"prediction": 1}, P, ""),
        ({"prediction": "1", "probas": {"1": 0.75}}, P, ""),
        ({"prediction": "0"}, P, "prediction 1, not 0"),
        ({"probas": {"1": 0.8}, "tolerance": 0.05}, P, ""),
        ({"probas": {"1": 0.81}, "tolerance": 0.05}, P, "probability of 1 0.75, not 0.81 ± 0.05"),
        ({"probas": {"2": 0.8}}, P, "no probability of class 2"),
        ({"probas": {"1": 0.8}}, Prediction("v1", "1"), "no probability of class 1"),
        ({"prediction": 10.5, "tolerance": 0.1}, Prediction("v1", 10.6), ""),
        ({"prediction": 10.5}, Prediction("v1", 10.6), "prediction 10.6, not 10.5"),
        ({"prediction": "many"}, Prediction("v1", 10.6), "prediction 10.6, not many"),
        ({"ignored": "X"}, Prediction("v1", ignored="X"), ""),
        ({"ignored": "X"}, Prediction("v1", ignored="Y"), "ignored as Y, not as X"),
        ({"ignored": "X"}, P, "it was predicted, not ignored (X)"),
        ({}, Prediction("v1", ignored="X"), "no prediction: X"),
        ({"refused": "no"}, P, "it was answered, not refused with 'no'"),
        ({}, FunctionAnswer("v1", None), ""),
        ({"response": {"a": [1, 2.0]}}, FunctionAnswer("v1", {"a": [1.0, 2]}), ""),
        ({"response": {"a": 1}}, FunctionAnswer("v1", {"a": 1, "b": 2}), "the response is another"),
        ({"response": True}, FunctionAnswer("v1", 1), "the response is another"),
        ({"response": None}, FunctionAnswer("v1", 1), "the response is another"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_said(
    expected: dict[str, object], answer: Prediction | FunctionAnswer, says: str
) -> None:
    assert problem(Expected.model_validate(expected), answer) == says


class Node:
    """An API node that gives one answer, or raises."""

    def __init__(self, name: str, answer: Prediction | Exception) -> None:
        self.name, self.answer, self.calls = name, answer, 0

    def within(self, _deadline: Deadline) -> AbstractContextManager[None]:
        return nullcontext()

    def predict(self, _endpoint: str, _features: dict[str, object]) -> Prediction:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def judged(*nodes: Node, limit: float = 60) -> list[Case]:
    queries = [Query(name=str(number), endpoint="score", features={}) for number in range(3)]
    run = QueryRun(nodes, "v1", Deadline(limit), 1)  # type: ignore[arg-type]
    return run.cases(queries, "P.api-test.dev.queries", lambda _state: None)


def test_an_answer_of_another_version_does_not_count() -> None:
    cases = judged(Node("one", P), Node("two", Prediction("v2", "1")))
    assert {(case.outcome, case.message) for case in cases} == {(Outcome.FAILURE, "two: version v2 answered")}


def test_a_node_that_cannot_be_reached_is_asked_once() -> None:
    good, gone = Node("one", P), Node("two", Unreachable("two: no connection"))
    cases = judged(good, gone)
    assert [case.outcome for case in cases] == [Outcome.ERROR] * 3
    assert (good.calls, gone.calls) == (3, 1)


def test_a_refused_key_is_an_error_and_another_refusal_a_failure() -> None:
    assert judged(Node("one", Refusal("no", 401)))[0].outcome is Outcome.ERROR
    assert judged(Node("one", Refusal("no", 500)))[0].outcome is Outcome.FAILURE


def test_after_the_limit_nothing_is_asked() -> None:
    node = Node("one", P)
    cases = judged(node, limit=0)
    assert node.calls == 0
    assert cases[2].message == "not asked: all queries together have had their 0s"


def test_the_progress_of_many_calls_is_a_few_lines() -> None:
    queries = [Query(name=str(number), endpoint="score", features={}) for number in range(500)]
    said: list[str] = []
    QueryRun([Node("one", P)], "v1", Deadline(60), 4).cases(queries, "x", said.append)  # type: ignore[list-item]
    assert sorted(said, key=len)[-1] == "500 of 500 calls"
    assert len(said) == 10
