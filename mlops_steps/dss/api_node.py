"""Calls of a service's endpoints on an API node, over our own session: kept connections, batches, limits.

The forms of requests and answers are those of ``APINodeClient`` of the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from dataikuapi import APINodeClient

from mlops_steps.config import Settings
from mlops_steps.config.api import SERVICE_KEY, ApiNodeSettings
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import Refusal
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline


@dataclass(frozen=True)
class Prediction:
    """The answer to one record.

    ``ignored``: why the model gave no prediction (``IGNORED_BY_MODEL``). ``refused``: the error, when the node
    answered with one; there is no ``generation`` then. ``probas``: class → probability.
    """

    generation: str | None
    prediction: Any = None
    probas: dict[str, float] | None = None
    ignored: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class FunctionAnswer:
    """What a function endpoint returned, and which generation did."""

    generation: str
    response: Any


class ScoringClient:
    """One API node, for one service. Safe to use from several threads; close it, or use it as a context manager.

    All calls raise :class:`Unreachable` without an answer, :class:`Refusal` when the node answers with an error and
    :class:`NonsenseAnswer` when the answer has another form. A prediction is asked for again where no answer came, or
    503 and the like; a function is not, for it may do something.
    """

    def __init__(self, dss: Dss, service: str, *, batch: int, parallel: int) -> None:
        self.dss = dss
        self.service = service
        self.batch = batch
        self.parallel = parallel

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
        self, endpoint: str, records: Sequence[dict[str, Any]], *, forced_generation: str | None = None
    ) -> list[Prediction]:
        """The answers to many records (their features), in their order; ``batch`` to a call, ``parallel`` calls.

        A batch that the node refuses is asked for record by record, so that ``refused`` stands where it belongs.
        """
        pieces = [records[start : start + self.batch] for start in range(0, len(records), self.batch)]
        asked = [partial(self._piece, endpoint, piece, forced_generation) for piece in pieces]
        return [one for answers in gather(asked, self.parallel) for one in answers]

    def _piece(self, endpoint: str, records: Sequence[dict[str, Any]], forced: str | None) -> list[Prediction]:
        if len(records) == 1:
            return [self._one(endpoint, records[0], forced)]
        try:
            return self._batch(endpoint, records, forced)
        except Refusal as error:
            if error.status in (401, 403, 404):
                raise
            return [self._one(endpoint, features, forced) for features in records]

    def _batch(self, endpoint: str, records: Sequence[dict[str, Any]], forced: str | None) -> list[Prediction]:
        with self.dss.asking(f"get {len(records)} predictions of endpoint {endpoint}"):
            items = [{"features": features} for features in records]
            answer = self.dss.client.predict_records(endpoint, items, forced_generation=forced)
            answer = expect(answer, dict, "the answer")
            results = expect(answer["results"], list, "results")
            if len(results) != len(records):
                raise ValueError(f"{len(results)} results for {len(records)} records")
            generation = self._generation(answer, endpoint)
            return [_prediction(result, generation) for result in results]

    def _one(self, endpoint: str, features: dict[str, Any], forced: str | None) -> Prediction:
        try:
            return self.predict(endpoint, features, forced_generation=forced)
        except Refusal as error:
            if error.status in (401, 403, 404):
                raise
            return Prediction(None, refused=error.message)

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


def connect_api_node(settings: Settings, node: ApiNodeSettings, service: str) -> ScoringClient:
    """A client of the node. Sends nothing yet. Raises :class:`ConfigError` when the service's key cannot be read."""
    api, http = settings.api, settings.http
    limits = HttpLimits(http.connect_timeout, api.call_timeout, http.retries, http.max_wait)
    key = api.service_key()
    client = APINodeClient(node.url, service, api_key=key.get_secret_value() if key else None)
    session = NodeSession(limits, scores=True, connections=api.parallel)
    session.verify = node.verify if isinstance(node.verify, bool) else str(node.verify)
    if node.client_certificate:
        certificate = str(node.client_certificate)
        session.cert = (certificate, str(node.client_key)) if node.client_key else certificate
    client._session = session
    dss = Dss(node.name, node.url, client, session, key_variable=SERVICE_KEY)
    return ScoringClient(dss, service, batch=api.batch, parallel=api.parallel)
