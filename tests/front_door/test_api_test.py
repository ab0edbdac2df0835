"""``api-test`` through the front door: what the API nodes answer is what its test cases say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.sandbox.services.api_node.model import activity_of
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.api_workspace import ApiWorkspace
from tests.front_door.conftest import Result, create_project
from tests.sandbox import api_service

KEY = "key-of-the-service-0123456789"
QUERIES: list[dict[str, Any]] = [
    {"name": "forty", "endpoint": "score", "features": {"age": 40, "calls": 3}, "expect": {"probas": {"1": 0.4}}},
    {"name": "gap", "endpoint": "score", "features": {"age": 1}, "expect": {"ignored": "IGNORED_BY_MODEL"}},
    {
        "name": "hello",
        "endpoint": "greet",
        "parameters": {"who": "Ada"},
        "expect": {"response": {"greeting": "MARK Ada"}},
    },
    {
        "name": "nobody",
        "endpoint": "greet",
        "parameters": {"who": "nobody"},
        "expect": {"refused": "nobody is not known"},
    },
]
SUITE = """
import os

import pytest

from mlops_steps import NodeError


def test_an_endpoint_answers(endpoint, api_nodes, mlops_api_stage):
    assert mlops_api_stage == "dev"
    assert len(api_nodes) == 2
    answer = endpoint("score").predict({"age": 40, "calls": 3})
    assert (answer.prediction, answer.generation) == ("0", "v1")
    many = endpoint("score").predict_many([{"age": age, "calls": 1} for age in range(100)])
    assert [round(found.probas["1"] * 100) for found in many] == list(range(100))
    assert endpoint("greet").run({"who": "Ada"}).response["greeting"].endswith("Ada")
    assert {node.predict("score", {"age": 1, "calls": 1}).generation for node in api_nodes} == {"v1"}


def test_what_is_refused_raises(endpoint):
    with pytest.raises(NodeError, match="nobody is not known"):
        endpoint("greet").run({"who": "nobody"})


def test_the_key_of_the_service_alone_is_here():
    assert sorted(name for name in os.environ if "KEY" in name) == ["MLOPS_API_SERVICE_KEY"]
"""


@pytest.fixture(scope="module")
def served(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> ApiWorkspace:
    """A service, with a key, whose version v1 answers on dev; the record is of it."""
    create_project(steps_sandbox, "TRIED")
    workspace = ApiWorkspace(tmp_path_factory.mktemp("tried"), steps_sandbox, "TRIED")
    workspace.environment["MLOPS_API_SERVICE_KEY"] = KEY
    workspace.model("m1")
    api_service.put_service(
        workspace.client("design"),
        workspace.design_project,
        workspace.service,
        authMethod="API_KEYS",
        apiKeys=[{"key": KEY}],
    )
    workspace.deployed("v1")
    return workspace


@pytest.fixture
def api(served: ApiWorkspace) -> Iterator[ApiWorkspace]:
    record = served.folder / ".mlops" / "release.json"
    kept = record.read_bytes()
    served.configure()
    yield served
    record.write_bytes(kept)


def ask(api: ApiWorkspace, *queries: dict[str, Any], **test: Any) -> Result:
    """Runs the step with these queries in a file."""
    lines = [json.dumps(query).replace("MARK", api.project) for query in queries]
    (api.folder / "queries.jsonl").write_text("\n".join(lines))
    given = {"queries": "queries.jsonl"} if queries else {}
    api.configure(api={"test": {**given, **test}})
    return api.run("api-test", "--stage", "dev")


def cases(result: Result) -> dict[str, str]:
    """The cases by class, below that of the step, and name; each with its outcome."""
    found = {}
    for case in result.report("api-test-dev").iter("testcase"):
        inner = case.get("classname", "").partition("api-test.dev")[2].strip(".")
        outcome = next((tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None), "passed")
        found[f"{inner}: {case.get('name')}" if inner else str(case.get("name"))] = outcome
    return found


def test_every_query_is_a_case_and_is_asked_of_every_node(api: ApiWorkspace) -> None:
    nodes = [api.sandbox.nodes[name] for name in ("api-dev-1", "api-dev-2")]
    before = [activity_of(node).of_generations(api.service)["v1"].calls for node in nodes]
    result = ask(api, *QUERIES)
    assert result.code == 0, result.err
    assert cases(result) == {
        "active version": "passed",
        "queries: forty": "passed",
        "queries: gap": "passed",
        "queries: hello": "passed",
        "queries: nobody": "passed",
        "test-queries: score test query 1": "passed",
        "test-queries: score test query 2": "passed",
        "active version after the tests": "passed",
    }
    said = result.case("api-test-dev", "forty").findtext("system-out") or ""
    assert said.splitlines() == [f"{node.id}: prediction 0 (0: 0.6, 1: 0.4)" for node in nodes]
    # Each query, two looks that ask what answers; a refusal counts for no version.
    calls = [activity_of(node).of_generations(api.service)["v1"].calls for node in nodes]
    assert [after - number for after, number in zip(calls, before, strict=True)] == [len(QUERIES) + 2 + 2] * 2
    test = api.record["api_stages"]["dev"]["test"]
    assert (test["result"], test["bundle"], test["message"]) == ("passed", "v1", "6 tests passed")
    assert {"service": api.service, "version": "v1"}.items() <= result.properties("api-test-dev").items()


def test_what_does_not_hold_is_a_failure_with_the_record_and_the_answer(api: ApiWorkspace) -> None:
    wrong = {**QUERIES[0], "expect": {"prediction": "1", "probas": {"1": 0.9}, "tolerance": 0.1}}
    result = ask(api, wrong, {**QUERIES[1], "expect": {"prediction": 0}})
    assert result.code == 1, result.err
    assert cases(result)["queries: forty"] == cases(result)["queries: gap"] == "failure"
    failure = result.case("api-test-dev", "forty").find("failure")
    assert failure is not None
    assert failure.get("message") == "api-dev-1: prediction 0, not 1; probability of 1 0.4, not 0.9 ± 0.1"
    assert 'record   {"age": 40, "calls": 3}' in (failure.text or "")
    assert "check failed: 2 of 4 tests failed on dev" in result.err
    assert "  gap: api-dev-1: no prediction: IGNORED_BY_MODEL" in result.err
    test = api.record["api_stages"]["dev"]["test"]
    assert (test["result"], test["message"]) == ("failed", "2 of 4 tests failed on dev")


def test_a_release_needs_a_passed_test_of_its_version_on_the_stage_before(api: ApiWorkspace) -> None:
    def release(tests: str) -> Result:
        api.configure(api={"release": {"tests": tests}})
        return api.run("api-release", "--stage", "prod", "--dry-run")

    missing = release("required")
    assert missing.code == 1
    assert "on stage dev its tests there: none; prod is untouched" in missing.err
    assert "next: run `mlops-steps api-test --stage dev`" in missing.err
    assert release("off").code == 0
    assert ask(api, {**QUERIES[0], "expect": {"prediction": "1"}}).code == 1
    for tests in ("required", "off"):
        assert "its tests there: failed" in release(tests).err
    assert ask(api, QUERIES[0]).code == 0
    assert release("required").code == 0


def test_the_suite_of_the_team_gets_endpoints_and_the_key_of_the_service_alone(api: ApiWorkspace) -> None:
    (api.folder / "checks").mkdir(exist_ok=True)
    (api.folder / "checks" / "test_service.py").write_text(SUITE)
    result = ask(api, pytest="checks")
    assert result.code == 0, result.err
    found = cases(result)
    assert found["pytest"] == "passed"
    assert found["pytest.checks.test_service: test_an_endpoint_answers"] == "passed"
    assert sum(name.startswith("pytest.checks.") for name in found) == 3
    assert KEY not in result.err + result.out + (result.reports / "mlops-api-test-dev.xml").read_text()


def test_a_failed_test_of_the_suite_fails_the_step(api: ApiWorkspace) -> None:
    (api.folder / "checks").mkdir(exist_ok=True)
    (api.folder / "checks" / "test_service.py").write_text(
        "def test_x(endpoint):\n    assert endpoint('score').predict({'age': 99, 'calls': 1}).prediction == '0'\n"
    )
    result = ask(api, pytest="checks")
    assert result.code == 1
    assert cases(result)["pytest.checks.test_service: test_x"] == "failure"


def test_the_example_of_the_documentation_is_asked(api: ApiWorkspace) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api-services.md").read_text()
    example = re.search(r"```yaml\n(# tests/service.*?)```", text, re.DOTALL)
    assert example
    document = example[1].replace("service: churn", f"service: {api.service}")
    document = document.replace("predict_churn", "score").replace("retention_offer", "greet")
    (api.folder / "queries.yml").write_text(document)
    api.configure(api={"test": {"queries": "queries.yml"}})
    result = api.run("api-test", "--stage", "dev")
    # Another service answers here: what counts is that the form is read, and each query is a case.
    assert result.code == 1, result.err
    assert sum(name.startswith("queries: ") for name in cases(result)) == document.count("- name:") >= 3


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        ('{"endpoint": "scroe", "features": {}}', "has no endpoint scroe; did you mean score?"),
        ('{"endpoint": "score"}', "queries.jsonl:1: give features"),
        (None, "queries.jsonl: No such file"),
    ],
)
def test_a_wrong_file_ends_with_2_before_anything_is_asked(api: ApiWorkspace, queries: str | None, says: str) -> None:
    path = api.folder / "queries.jsonl"
    path.unlink(missing_ok=True)
    if queries is not None:
        path.write_text(queries)
    api.configure(api={"test": {"queries": "queries.jsonl"}})
    result = api.run("api-test", "--stage", "dev")
    assert result.code == 2, result.err
    assert says in result.err
    assert "test" not in api.record["api_stages"]["dev"] or api.record["api_stages"]["dev"]["test"] is None


def test_a_node_that_is_gone_ends_with_3_and_is_not_waited_for_again(api: ApiWorkspace) -> None:
    many = [{"endpoint": "score", "features": {"age": age, "calls": 1}} for age in range(30)]
    with api.fault("refuse", node="api-dev-2", count="for ever"):
        first = ask(api, *many)
    assert first.code == 3, first.err
    assert "2 of 4 first calls failed" in first.err or "first calls failed: api-dev-2" in first.err
    with api.fault("refuse", node="api-dev-2", after=9, count="for ever"):
        later = ask(api, *many, parallel=1)
    assert later.code == 3, later.err
    found = [outcome for name, outcome in cases(later).items() if name.startswith("queries: ")]
    assert (len(found), found.count("error")) == (30, 30 - found.count("passed"))
    assert 0 < found.count("passed") < 5
    assert api.record["api_stages"]["dev"]["test"]["result"] == "error"


def test_what_is_not_the_record_s_version_is_not_tested(api: ApiWorkspace) -> None:
    record = api.record
    record["package"]["version"] = "v9"
    (api.folder / ".mlops" / "release.json").write_text(json.dumps(record))
    result = ask(api, QUERIES[0])
    assert result.code == 1
    assert "version v1 answers on api-dev, but the release record is of v9" in result.err
    assert "run `mlops-steps api-deploy --stage dev`" in result.err


def test_a_stage_without_a_deployment_says_so(api: ApiWorkspace) -> None:
    result = api.run("api-test", "--stage", "prod")
    assert result.code == 1
    assert "no version of API service tried is deployed on api-prod" in result.err


def test_a_version_that_is_replaced_meanwhile_proves_nothing(api: ApiWorkspace, steps_sandbox: Sandbox) -> None:
    (api.folder / "checks").mkdir(exist_ok=True)
    (api.folder / "checks" / "test_service.py").write_text(
        "import os\n\nimport dataikuapi\n\n\ndef test_x():\n"
        "    node = dataikuapi.APINodeAdminClient(os.environ['ADMIN_URL'], os.environ['ADMIN_SECRET'])\n"
        "    node.service('tried').disable()\n"
    )
    node = steps_sandbox.nodes["api-dev-2"]
    api.configure(api={"test": {"pytest": "checks"}})
    result = api.run("api-test", "--stage", "dev", ADMIN_URL=node.url, ADMIN_SECRET=node.api_key)
    api.deployment.start_update().wait_for_result()
    assert result.code == 1, result.err
    assert cases(result)["active version after the tests"] == "failure"


def load(api: ApiWorkspace, *, stages: dict[str, Any] | None = None, **settings: Any) -> None:
    """Configures a load of some three seconds."""
    given = {"rate": 20, "calls": 60, "warm_up": "0.2s", "p95": "10s", **settings}
    (api.folder / "queries.jsonl").write_text(json.dumps(QUERIES[0]))
    api.configure(api={"test": {"queries": "queries.jsonl", "load": given}, **({"stages": stages} if stages else {})})


def test_a_load_is_measured_and_judged(api: ApiWorkspace) -> None:
    load(api, throughput=5)
    result = api.run("api-test", "--stage", "dev")
    assert result.code == 0, result.err
    found = {name: outcome for name, outcome in cases(result).items() if "load" in name}
    assert found == {
        "load": "passed",
        "gate load p95": "passed",
        "gate load errors": "passed",
        "gate load throughput": "passed",
    }
    properties = result.properties("api-test-dev")
    assert (properties["load_calls"], properties["load_failed"], properties["load_rate"]) == ("60", "0", "20")
    assert 0 < float(properties["load_p50_ms"]) <= float(properties["load_p95_ms"]) <= float(properties["load_max_ms"])
    assert "load: 60 calls at 20 a second: p50 " in result.err
    said = result.case("api-test-dev", "load").findtext("system-out") or ""
    assert [line.split(":")[0] for line in said.splitlines()[1:]] == ["api-dev-1", "api-dev-2"]
    measured = api.record["api_stages"]["dev"]["test"]["gates"]["load p95"]
    assert (measured["verdict"], measured["limit"]) == ("passed", "at most 10000 ms")
    page = (result.reports / "html" / "index.html").read_text()
    assert "<h3>Latency under load on dev</h3>" in page
    assert "load p95" in page
    assert "<script" not in page


def test_a_slow_service_fails_its_limit(api: ApiWorkspace) -> None:
    load(api, p50="3s", p95=None)
    # The first requests are the looks and the queries.
    with api.fault("late", node="api-dev-1", operation="predict", seconds=4, after=6, count="for ever"):
        with api.fault("late", node="api-dev-2", operation="predict", seconds=4, after=6, count="for ever"):
            result = api.run("api-test", "--stage", "dev")
    assert result.code == 1, result.err
    assert cases(result)["gate load p50"] == "failure"
    assert "gate load p50: p50 " in result.err
    assert ", at most 3000 ms allowed" in result.err
    assert api.record["api_stages"]["dev"]["test"]["result"] == "failed"


def test_a_load_stops_by_itself_when_errors_pass_the_limit(api: ApiWorkspace) -> None:
    load(api, calls=5000, errors="0.1%")
    node = api.sandbox.nodes["api-dev-1"]
    with api.fault("error", node="api-dev-1", operation="predict", status=503, after=6, count=6):
        seen = len(node.faults.requests())
        result = api.run("api-test", "--stage", "dev")
        calls = len(node.faults.requests()) - seen
    assert result.code == 1, result.err
    # A failed call is not repeated: six failures are six calls, and an end long before the 5000.
    assert "6 calls had failed, more than the limit allows of 5000" in result.err
    assert (cases(result)["load"], cases(result)["gate load errors"]) == ("failure", "failure")
    assert calls < 100


def test_what_answers_wrongly_is_not_put_under_load(api: ApiWorkspace) -> None:
    load(api)
    (api.folder / "queries.jsonl").write_text(json.dumps({**QUERIES[0], "expect": {"prediction": 1}}))
    result = api.run("api-test", "--stage", "dev")
    assert result.code == 1
    assert cases(result)["load"] == "skipped"
    assert "gate load p95" not in cases(result)


def test_production_is_put_under_load_only_where_its_stage_allows_it(api: ApiWorkspace) -> None:
    if not api.serving("api-prod")["api-prod-1"]:
        api_service.deploy(api.client("design"), api.service, "v1", "api-prod")
    node = api.sandbox.nodes["api-prod-1"]
    load(api)
    before = len(node.faults.requests())
    result = api.ok("api-test", "--stage", "prod")
    assert len(node.faults.requests()) - before < 20
    skipped = result.case("api-test-prod", "load").find("skipped")
    assert skipped is not None
    assert "prod is not put under load" in (skipped.get("message") or "")
    same = {"dev": {"infra": "api-prod"}, "prod": {"infra": "api-prod", "deployment": f"{api.service}-on-api-prod"}}
    load(api, stages={**same, "dev": {"infra": "api-prod", "deployment": f"{api.service}-on-api-prod"}})
    shared = api.ok("api-test", "--stage", "dev")
    assert cases(shared)["load"] == "skipped"
    load(api, stages={"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod", "load": True}})
    allowed = api.ok("api-test", "--stage", "prod")
    assert allowed.properties("api-test-prod")["load_calls"] == "60"


def test_a_load_without_a_record_to_send_is_a_mistake_of_the_configuration(api: ApiWorkspace) -> None:
    load(api, endpoint="greet")
    result = api.run("api-test", "--stage", "dev")
    assert result.code == 2, result.err
    assert "no test query of endpoint greet that must be predicted" in result.err
    load(api, p99="1s")
    wrong = api.run("api-test", "--stage", "dev")
    assert wrong.code == 2
    assert "api.test.load: has 60 calls, too few for p99: 300 at least" in wrong.err
    load(api, p59="1s")
    assert "api.test.load.p59: unknown key; did you mean p99?" in api.run("api-test", "--stage", "dev").err


def test_a_policy_that_names_approvers_holds_for_the_service_too(api: ApiWorkspace) -> None:
    api.configure(policy={"approvers": ["jane"]}, api={"release": {"tests": "off"}})
    unapproved = api.run("api-release", "--stage", "prod")
    assert unapproved.code == 1, unapproved.err
    assert "nobody has approved this release to prod" in unapproved.err
    assert "`mlops-steps api-approve --stage prod --by NAME`" in unapproved.err
    assert api.run("api-approve", "--stage", "prod", "--by", "joe").code == 1
    api.ok("api-approve", "--stage", "prod", "--by", "jane")
    approval = api.record["api_stages"]["prod"]["approval"]
    assert (approval["by"], approval["bundle"]) == ("jane", "v1")
    released = api.ok("api-release", "--stage", "prod")
    assert released.properties("api-release-prod")["approved_by"] == "jane"
    assert api.serving("api-prod") == {"api-prod-1": ["v1"], "api-prod-2": ["v1"]}
