"""The API nodes of an infrastructure, asked which version of the API service answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.delivery.targets.live_service import Answer
from mlops_steps.dss import api_deployer
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.api_node import ScoringClient, connect_api_node
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.dss.session import Dss
from mlops_steps.errors import ConfigError, NodeError
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.config import Settings

_DISPATCH_KEY = "mlops-steps"


class ApiNodes:
    """Connections to the API nodes of a stage, made when they are first needed, closed with ``stack``."""

    def __init__(self, settings: Settings, stage: str, deployer: Dss, endpoints: list[Endpoint], stack: ExitStack):
        self._settings = settings
        self._stage = stage
        self._infra = settings.api.stage(stage).infra
        self._deployer = deployer
        self._asked = [endpoint for endpoint in endpoints if _may_ask(endpoint)]
        self._stack = stack
        self._clients: dict[str, ScoringClient] = {}
        self._deadline: Deadline | None = None

    @contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Requests in the block end at the deadline."""
        before, self._deadline = self._deadline, deadline
        try:
            yield
        finally:
            self._deadline = before

    def settings_of(self, deployment: ServiceDeployment) -> list[ApiNodeSettings]:
        """The API nodes of the infrastructure: those of the configuration, else those that the deployer names.

        Raises :class:`ConfigError` when the two are not equally many, or when there is none.
        """
        urls = api_deployer.node_urls(self._deployer, deployment.id)
        configured = self._settings.api.nodes_of(self._stage)
        if configured and urls and len(configured) != len(urls):
            raise ConfigError(
                f"infrastructure {self._infra} has {len(urls)} API nodes, and {len(configured)} are configured: "
                + ", ".join(node.name for node in configured),
                next_step="name all of them in api.nodes of mlops.yml, or none: then the API Deployer names them",
            )
        if not (configured or urls):
            raise ConfigError(
                f"no API node of infrastructure {self._infra} is known: the API Deployer names none",
                next_step=f"add them to mlops.yml: api: {{nodes: {{NAME: {{url: …, infra: {self._infra}}}}}}}",
            )
        return configured or [_unnamed(url, self._infra) for url in dict.fromkeys(urls)]

    def clients(self, deployment: ServiceDeployment) -> list[ScoringClient]:
        """Clients of these nodes. Raises as :meth:`settings_of` does."""
        found = self.settings_of(deployment)
        for node in found:
            if node.url not in self._clients:
                client = connect_api_node(self._settings, node, deployment.deployed)
                self._clients[node.url] = self._stack.enter_context(client)
        return [self._clients[node.url] for node in found]

    def answers(self, nodes: Iterable[ScoringClient]) -> list[Answer]:
        """What each of these nodes answers on each endpoint to one call. What is wrong with one is in its answer."""
        return gather([partial(self._ask, node, endpoint) for node in nodes for endpoint in self._asked])

    def answers_of(self, versions: list[str], nodes: Iterable[ScoringClient]) -> list[Answer]:
        """The same for each version by name, on the endpoints that take one."""
        named = [endpoint for endpoint in self._asked if endpoint.is_prediction]
        return gather(
            [
                partial(self._ask, node, endpoint, None, version)
                for node in nodes
                for endpoint in named
                for version in versions
            ]
        )

    def answers_to_test_queries(self, nodes: Iterable[ScoringClient]) -> list[Answer]:
        """What each node answers to every test query of each endpoint.

        An endpoint without one is given a record without features, which need not be predicted.
        """
        return gather(
            [
                partial(self._ask, node, endpoint, query)
                for node in nodes
                for endpoint in self._asked
                for query in endpoint.queries or ({},)
            ]
        )

    def _ask(
        self,
        node: ScoringClient,
        endpoint: Endpoint,
        query: dict[str, Any] | None = None,
        forced: str | None = None,
    ) -> Answer:
        limit = self._deadline or Deadline(self._settings.api.call_timeout)
        try:
            with node.within(limit):
                return Answer(node.name, endpoint.id, _version(node, endpoint, query, forced), forced=forced)
        except NodeError as error:
            return Answer(node.name, endpoint.id, None, error.message, forced)


def _may_ask(endpoint: Endpoint) -> bool:
    """A function may do something: it is called with its own test query only."""
    return endpoint.is_prediction or (endpoint.is_function and bool(endpoint.queries))


def _version(node: ScoringClient, endpoint: Endpoint, query: dict[str, Any] | None, forced: str | None) -> str | None:
    """The version that answers this query, or the first test query. ``forced``: the version that is asked for.

    A prediction endpoint without one is given a record without features. The dispatch key is for a site that
    dispatches by hash, which refuses a call without one.
    """
    if query is None:
        query = endpoint.queries[0] if endpoint.queries else {}
    if endpoint.is_function:
        return node.run(endpoint.id, query).generation
    features = query.get("features")
    record = features if isinstance(features, dict) else {}
    return node.predict(endpoint.id, record, forced_generation=forced, dispatch_key=_DISPATCH_KEY).generation


def _unnamed(url: str, infra: str) -> ApiNodeSettings:
    """A node that only the deployer knows, named by its address."""
    return ApiNodeSettings.model_construct(
        name=urlsplit(url).netloc.rpartition("@")[2], url=url, infra=infra, verify=True, client_certificate=None
    )
