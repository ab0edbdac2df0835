"""Calls of a service's endpoints on an API node, over our own session: kept connections, limits.

The forms of requests and answers are those of ``APINodeClient`` of the client.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from dataikuapi import APINodeClient

from mlops_steps.config import Settings
from mlops_steps.config.api import SERVICE_KEY, ApiNodeSettings
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss, expect
from mlops_steps.system.parallel import gather
from mlops_steps.system.secrets import register
from mlops_steps.system.waiting import Deadline

# Records of one request of `predict_many`, and requests under way at once: larger batches gain little and hold up
# other callers, more requests only wait in the node's queue.
BATCH = 250
AT_ONCE = 4


@dataclass(frozen=True)
class Prediction:
    """The answer to one record.

    ``ignored``: why the model gave no prediction (``IGNORED_BY_MODEL``). ``probas``: class → probability.
    """

    generation: str
    prediction: Any = None
    probas: dict[str, float] | None = None
    ignored: str | None = None


@dataclass(frozen=True)
class FunctionAnswer:
    """What a function endpoint returned, and which generation did."""

    generation: str
    response: Any


class ScoringClient:
    """One API node, for one service. Safe to use from several threads; close it, or use it as a context manager.

    Connections are kept open, and every request has a time limit. All calls raise :class:`Unreachable` without an
    answer, :class:`Refusal` when the node answers with an error and :class:`NonsenseAnswer` when the answer has another
    form: all three are :class:`NodeError`. A prediction is asked for again where no answer came, or 503 and the like; a
    function is not, for it may do something. Values of records may be those of numpy; one that is not a number (NaN) is
    sent as null, which is a missing value.
    """

    def __init__(self, dss: Dss, service: str) -> None:
        self.dss = dss
        self.service = service

    @classmethod
    def open(
        cls,
        url: str,
        service: str,
        *,
        key: str | None = None,
        verify: bool | str | Path = True,
        timeout: float = 10.0,
        retries: int = 3,
        connections: int = 10,
    ) -> ScoringClient:
        """A client of the API node at this address. Sends nothing yet.

        ``key``: one of the service's keys, where it has any. ``verify``: check the TLS certificate, or the path of a
        file with CA certificates (PEM). ``timeout``: the limit of one request with its whole answer, in seconds.
        ``retries``: how often a prediction is asked for again. ``connections`` are kept open.
        """
        limits = HttpLimits(min(10.0, timeout), timeout, retries, max_wait=timeout)
        host = urlsplit(url).netloc.rpartition("@")[2]
        return cls(_node(host, url, service, key, verify, None, limits, connections), service)

    def __enter__(self) -> ScoringClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self.dss)

    @property
    def name(self) -> str:
        """The node's name in the configuration, or its address."""
        return self.dss.name

    @property
    def url(self) -> str:
        """The node's address."""
        return self.dss.url

    def endpoint(self, endpoint: str) -> EndpointClient:
        """One endpoint of the service on this node."""
        return EndpointClient(self, endpoint)

    def close(self) -> None:
        """Closes the connections."""
        self.dss.close()

    def within(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Calls in the block end at the deadline."""
        return self.dss.within(deadline)

    def predict(
        self,
        endpoint: str,
        features: dict[str, Any],
        *,
        forced_generation: str | None = None,
        dispatch_key: str | None = None,
    ) -> Prediction:
        """The answer to one record, by the generation that the node's mapping chooses, or by the forced one."""
        features = _sendable(features)
        with self.dss.asking(f"get a prediction of endpoint {endpoint}"):
            answer = expect(
                self.dss.client.predict_record(
                    endpoint, features, forced_generation=forced_generation, dispatch_key=dispatch_key
                ),
                dict,
                "the answer",
            )
            return _prediction(answer["result"], self._generation(answer, endpoint))

    def predict_many(
        self,
        endpoint: str,
        records: Iterable[Mapping[str, Any]],
        *,
        batch: int = BATCH,
        at_once: int = AT_ONCE,
        forced_generation: str | None = None,
        dispatch_key: str | None = None,
        on_answer: Callable[[int], None] = lambda _records: None,
    ) -> list[Prediction]:
        """The answers to the records (each the features of one), in their order.

        ``batch`` records travel in one request (``predict-multi``), ``at_once`` requests are under way at a time.
        ``on_answer`` is called with the number of records of each answer, from several threads. The first request that
        fails ends it all: a model that cannot score one record refuses the whole batch.
        """
        if batch < 1 or at_once < 1:
            raise ValueError("batch and at_once must be 1 or more")

        def ask(items: list[dict[str, Any]]) -> list[Prediction]:
            found = self._predict_batch(endpoint, items, forced_generation, dispatch_key)
            on_answer(len(found))
            return found

        answers = gather([partial(ask, items) for items in _batches(records, batch)], workers=at_once)
        return [prediction for part in answers for prediction in part]

    def _predict_batch(
        self, endpoint: str, items: list[dict[str, Any]], forced_generation: str | None, dispatch_key: str | None
    ) -> list[Prediction]:
        with self.dss.asking(f"get {len(items)} predictions of endpoint {endpoint}"):
            answer = expect(
                self.dss.client.predict_records(
                    endpoint, items, forced_generation=forced_generation, dispatch_key=dispatch_key
                ),
                dict,
                "the answer",
            )
            generation, results = self._generation(answer, endpoint), expect(answer["results"], list, "results")
            if len(results) != len(items):
                raise ValueError(f"{len(results)} results for {len(items)} records")
            return [_prediction(result, generation) for result in results]

    def run(self, endpoint: str, parameters: dict[str, Any]) -> FunctionAnswer:
        """Calls a function endpoint. The call is not repeated."""
        with self.dss.asking(f"call endpoint {endpoint}"):
            answer = expect(
                self.dss.client._perform_json("POST", f"{endpoint}/run", body=parameters), dict, "the answer"
            )
            return FunctionAnswer(self._generation(answer, endpoint), answer["response"])

    def _generation(self, answer: dict[str, Any], endpoint: str) -> str:
        context = expect(answer["apiContext"], dict, "apiContext")
        asked = (self.service, endpoint)
        if (context.get("serviceId", self.service), context.get("endpointId", endpoint)) != asked:
            raise ValueError("it is of another endpoint")
        return expect(context["serviceGeneration"], str, "serviceGeneration")


@dataclass(frozen=True)
class EndpointClient:
    """One endpoint on one API node: the calls of :class:`ScoringClient` with the endpoint given."""

    node: ScoringClient
    id: str

    def predict(self, features: dict[str, Any], **options: Any) -> Prediction:
        """The answer to one record: see :meth:`ScoringClient.predict`."""
        return self.node.predict(self.id, features, **options)

    def predict_many(self, records: Iterable[Mapping[str, Any]], **options: Any) -> list[Prediction]:
        """The answers to the records, in their order: see :meth:`ScoringClient.predict_many`."""
        return self.node.predict_many(self.id, records, **options)

    def run(self, parameters: dict[str, Any]) -> FunctionAnswer:
        """Calls the function of the endpoint. The call is not repeated."""
        return self.node.run(self.id, parameters)


def _prediction(result: Any, generation: str) -> Prediction:
    expect(result, dict, "a result")
    if result.get("ignored"):
        return Prediction(generation, ignored=str(result.get("ignoreReason") or "no reason"))
    probas = result.get("probas")
    return Prediction(
        generation,
        result["prediction"],
        None if probas is None else {str(name): float(value) for name, value in expect(probas, dict, "probas").items()},
    )


def _batches(records: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    items = ({"features": _sendable(record)} for record in records)
    while batch := list(islice(items, size)):
        yield batch


def _sendable(features: Mapping[str, Any]) -> dict[str, Any]:
    """The features as JSON has them. Raises ``TypeError`` for a value that JSON does not have."""
    return {str(name): _plain(name, value) for name, value in features.items()}


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int, list, dict)):
        return value
    if not isinstance(value, float):
        item = getattr(value, "item", None)  # numpy's scalars
        if item is None:
            raise TypeError(f"feature {name}: a value of type {type(value).__name__} cannot be sent")
        return _plain(name, item())
    return value if math.isfinite(value) else None


def _node(
    name: str,
    url: str,
    service: str,
    key: str | None,
    verify: bool | str | Path,
    certificate: str | tuple[str, str] | None,
    limits: HttpLimits,
    connections: int = 10,
) -> Dss:
    if key:
        register(key)
    client = APINodeClient(url.rstrip("/"), service, api_key=key)
    session = NodeSession(limits, scores=True, connections=connections)
    session.verify = verify if isinstance(verify, bool) else str(verify)
    session.cert = certificate
    client._session = session
    return Dss(name, url, client, session, key_variable=SERVICE_KEY)


def connect_api_node(
    settings: Settings, node: ApiNodeSettings, service: str, *, retries: int | None = None, connections: int = 10
) -> ScoringClient:
    """A client of the node. Sends nothing yet. Raises :class:`ConfigError` when the service's key cannot be read.

    ``retries``: those of the configuration, unless given. ``connections`` are kept open.
    """
    api, http = settings.api, settings.http
    tries = http.retries if retries is None else retries
    limits = HttpLimits(http.connect_timeout, api.call_timeout, tries, http.max_wait)
    key = api.service_key()
    certificate: str | tuple[str, str] | None = None
    if node.client_certificate:
        pem = str(node.client_certificate)
        certificate = (pem, str(node.client_key)) if node.client_key else pem
    secret = key.get_secret_value() if key else None
    dss = _node(node.name, node.url, service, secret, node.verify, certificate, limits, connections)
    return ScoringClient(dss, service)
