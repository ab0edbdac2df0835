"""Calls of a service's endpoints on an API node, over our own session: kept connections, limits.

The forms of requests and answers are those of ``APINodeClient`` of the client.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from dataikuapi import APINodeClient

from mlops_steps.config import Settings
from mlops_steps.config.api import SERVICE_KEY, ApiNodeSettings
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss, expect
from mlops_steps.system.waiting import Deadline


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

    All calls raise :class:`Unreachable` without an answer, :class:`Refusal` when the node answers with an error and
    :class:`NonsenseAnswer` when the answer has another form. A prediction is asked for again where no answer came, or
    503 and the like; a function is not, for it may do something.
    """

    def __init__(self, dss: Dss, service: str) -> None:
        self.dss = dss
        self.service = service

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
    session = NodeSession(limits, scores=True)
    session.verify = node.verify if isinstance(node.verify, bool) else str(node.verify)
    if node.client_certificate:
        certificate = str(node.client_certificate)
        session.cert = (certificate, str(node.client_key)) if node.client_key else certificate
    client._session = session
    dss = Dss(node.name, node.url, client, session, key_variable=SERVICE_KEY)
    return ScoringClient(dss, service)
