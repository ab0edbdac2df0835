"""The public client that scores records over HTTP, against an API node of the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count

import dataikuapi
import numpy
import pytest

from mlops_steps import FunctionAnswer, NodeError, Prediction, ScoringClient
from mlops_steps.errors import NonsenseAnswer, Refusal, Unreachable
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.api_node.model import activity_of
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.secrets import redact
from tests.dss.conftest import Scripted, answer, scripted, silence
from tests.front_door.conftest import create_project
from tests.sandbox.api_service import deploy, publish, put_model, share

__all__ = ["scripted"]

KEY = "key-of-the-service-0123456789"


@pytest.fixture(scope="module")
def serve(steps_sandbox: Sandbox) -> Callable[..., str]:
    """Publishes a service of its own, and lets its first version answer on api-dev; returns its id."""
    numbers = count(1)
    design = dataikuapi.DSSClient(steps_sandbox.design.url, steps_sandbox.design.api_key)

    def make(*versions: str, **settings: object) -> str:
        create_project(steps_sandbox, key := f"CLIENT{next(numbers)}")
        project = Project.load(steps_sandbox.nodes["design"], key)
        service = publish(design, project, *(versions or ("v1",)), **settings)
        deployment = deploy(design, service, (versions or ("v1",))[0])
        if len(versions) > 1:
            share(deployment, **{version: 1 / len(versions) for version in versions})
        return service

    return make


@pytest.fixture(scope="module")
def service(serve: Callable[..., str]) -> str:
    return serve("v1", "v2")


@pytest.fixture
def node(steps_sandbox: Sandbox) -> Iterator[Node]:
    found = steps_sandbox.nodes["api-dev-1"]
    yield found
    found.faults.clear()


def requests_of(node: Node, service: str) -> int:
    return sum(counts.calls for counts in activity_of(node).of_generations(service).values())


def test_records_are_scored_in_batches_and_answered_in_their_order(node: Node, service: str) -> None:
    records = [{"age": number % 100, "calls": 1} for number in range(1000)]
    before, seen = requests_of(node, service), []
    with ScoringClient.open(node.url, service) as client:
        answers = client.predict_many(
            "score", iter(records), batch=30, at_once=3, forced_generation="v1", on_answer=seen.append
        )
        pools = client.dss.session.get_adapter(node.url).poolmanager.pools
        opened = sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - it is no mapping
    assert [round(found.probas["1"] * 100) for found in answers if found.probas] == [n % 100 for n in range(1000)]
    assert requests_of(node, service) - before == 34
    assert (sum(seen), max(seen)) == (1000, 30)
    assert 1 <= opened <= 3, "connections are kept"


def test_an_answer_names_prediction_probabilities_and_version(node: Node, service: str) -> None:
    with ScoringClient.open(node.url + "/", service) as client:
        assert client.predict("score", {"age": 40, "calls": 3}, forced_generation="v1") == Prediction(
            "v1", "0", {"0": 0.6, "1": 0.4}
        )
        both = client.predict_many("score", [{"age": 40, "calls": 3}, {"age": 40}], forced_generation="v2")
        assert both == [
            Prediction("v2", "1", pytest.approx({"0": 0.2, "1": 0.8})),
            Prediction("v2", ignored="IGNORED_BY_MODEL"),
        ]
        assert client.predict_many("score", []) == []
        assert client.run("greet", {"who": "Ada"}).response["greeting"].endswith("Ada")
        assert isinstance(client.run("greet", {"who": "Ada"}), FunctionAnswer)
        keys = [client.predict_many("score", [{"age": 1, "calls": 1}], dispatch_key=str(n))[0] for n in range(20)]
        assert {found.generation for found in keys} == {"v1", "v2"}


def test_values_of_numpy_are_sent_and_gaps_as_missing_values(node: Node, service: str) -> None:
    records = [{"age": numpy.int64(40), "calls": numpy.float32(3)}, {"age": float("nan"), "calls": numpy.nan}]
    with ScoringClient.open(node.url, service) as client:
        found = client.predict_many("score", records, forced_generation="v1")
        assert [item.ignored for item in found] == [None, "IGNORED_BY_MODEL"]
        with pytest.raises(TypeError, match="feature age: a value of type complex cannot be sent"):
            client.predict("score", {"age": 1j})
        with pytest.raises(ValueError, match="1 or more"):
            client.predict_many("score", records, batch=0)


def test_what_the_node_refuses_says_so_and_is_not_asked_again(
    node: Node, steps_sandbox: Sandbox, serve: Callable[..., str]
) -> None:
    service = serve()
    with ScoringClient.open(node.url, service) as client:
        with pytest.raises(Refusal, match="no endpoint scroe") as refused:
            client.predict_many("scroe", [{"age": 1}])
        assert refused.value.status == 404
        project = Project.load(steps_sandbox.nodes["design"], service.upper())
        put_model(project, "broken", broken=True)
        design = dataikuapi.DSSClient(steps_sandbox.design.url, steps_sandbox.design.api_key)
        handle = design.get_project(project.key).get_api_service(service)
        handle.create_package("v3")
        handle.publish_package("v3")
        settings = design.get_apideployer().get_deployment(f"{service}-on-api-dev").get_settings()
        settings.set_single_version("v3")
        settings.save()
        design.get_apideployer().get_deployment(f"{service}-on-api-dev").start_update().wait_for_result()
        before = requests_of(node, service)
        with pytest.raises(Refusal, match="ValueError: broken"):
            client.predict_many("score", [{"age": 1, "calls": 1}] * 100, batch=10, at_once=1)
        assert requests_of(node, service) == before + 1


def test_the_key_of_the_service_is_needed_and_masked(node: Node, serve: Callable[..., str]) -> None:
    service = serve(authMethod="API_KEYS", apiKeys=[{"key": KEY}])
    with ScoringClient.open(node.url, service) as client, pytest.raises(Refusal, match="needs an API key"):
        client.predict("score", {"age": 1, "calls": 1})
    with ScoringClient.open(node.url, service, key=KEY) as client:
        assert client.predict("score", {"age": 1, "calls": 1}).generation == "v1"
    assert KEY not in redact(f"it was {KEY}")


def test_a_prediction_is_asked_for_again_and_a_function_is_not(node: Node, service: str) -> None:
    with ScoringClient.open(node.url, service) as client:
        node.faults.add("error", status=503)
        assert client.predict("score", {"age": 1, "calls": 1})
        node.faults.add("error", status=503)
        with pytest.raises(Refusal, match="Service Unavailable"):
            client.run("greet", {"who": "Ada"})


def test_a_node_that_never_answers_is_given_up_in_time(scripted: Scripted) -> None:
    scripted.replies = [silence]
    started = time.monotonic()
    with ScoringClient.open(scripted.url, "scores", timeout=0.3, retries=0) as client:
        with pytest.raises(Unreachable, match="no answer in time"):
            client.predict_many("score", [{"age": 1}] * 1000, batch=10, at_once=4)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "results", [b"[]", b"{}", b'[{"prediction": 1}, {"prediction": 1}]', b'[{"ignored": false}]', b'["1"]']
)
def test_an_answer_of_another_form_is_no_prediction(scripted: Scripted, results: bytes) -> None:
    context = b'{"serviceId": "scores", "endpointId": "score", "serviceGeneration": "v1"}'
    scripted.replies = [answer(body=b'{"results": ' + results + b', "apiContext": ' + context + b"}")]
    with ScoringClient.open(scripted.url, "scores") as client, pytest.raises(NonsenseAnswer) as found:
        client.predict_many("score", [{"age": 1}])
    assert isinstance(found.value, NodeError)
