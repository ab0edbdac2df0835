"""A version of an API service on an infrastructure of the API Deployer: what answers there, and how that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.dss import api_deployer, claims, deployments, updates
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.api_node import ScoringClient, connect_api_node
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.deployers import SERVICES, Deployer
from mlops_steps.dss.deployments import Health
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import CheckFailed, ConfigError, DeadlineExceeded, NodeError, SomebodyElse
from mlops_steps.system.console import Console
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline, duration, poll

if TYPE_CHECKING:
    from mlops_steps.config import Settings


@dataclass(frozen=True)
class Answer:
    """What one API node answered on one endpoint: the version that served the call, or what went wrong."""

    node: str
    endpoint: str
    version: str | None
    problem: str = ""

    def __str__(self) -> str:
        said = f"version {self.version}" if self.version else self.problem
        return f"{self.node}, endpoint {self.endpoint}: {said}"


@dataclass(frozen=True)
class LiveService:
    """What answers on an infrastructure, as the API Deployer and each API node say."""

    infra: str
    deployment: ServiceDeployment | None = None
    health: Health | None = None
    answers: tuple[Answer, ...] = ()

    def serves(self, version: str) -> bool:
        """Whether the settings name this version alone, the deployer says HEALTHY, and it gave every answer."""
        return bool(
            self.deployment
            and (self.deployment.version, self.deployment.enabled) == (version, True)
            and self.health
            and self.health.healthy
            and self.answers
            and all(answer.version == version for answer in self.answers)
        )

    def others(self, version: str) -> list[str]:
        """The answers that this version did not give, in words."""
        return [str(answer) for answer in self.answers if answer.version != version]

    def __str__(self) -> str:
        if self.deployment is None:
            return f"nothing on {self.infra}"
        served = sorted({answer.version for answer in self.answers if answer.version})
        found = f"version {', '.join(served)}" if served else "no version that answers"
        failed = sum(answer.version is None for answer in self.answers)
        parts = [self.health.status if self.health else "health unknown"]
        if failed:
            parts.append(f"{failed} of {len(self.answers)} calls failed")
        if served != [self.deployment.version]:
            parts.append(f"the settings say {self.deployment}")
        return f"{found} on {self.infra} ({', '.join(parts)})"


class ApiDeployerTarget:
    """A stage of the API service, with a connection to the API Deployer, and to its API nodes as they are known.

    ``project`` is what holds the note of who is at work (`delivery/exclusive.py`): the published service.
    """

    of: Deployer = SERVICES

    def __init__(self, settings: Settings, stage: str, deployer: Dss, endpoints: list[Endpoint], stack: ExitStack):
        self.settings = settings
        self.stage = stage
        self.service = self.project = settings.api.required_service()
        self.infra = settings.api.stage(stage).infra
        self.configured_deployment = settings.api.stage(stage).deployment
        self.default_deployment = settings.api.deployment_id(stage)
        self.deployer = deployer
        self.endpoints = endpoints
        self.claim: Claim | None = None
        self.takes_over = False
        self.found_dead = False
        self._stack = stack
        self._nodes: dict[str, ScoringClient] = {}
        self._deadline: Deadline | None = None

    @contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Requests in the block end at the deadline, those to API nodes too."""
        before, self._deadline = self._deadline, deadline
        try:
            with self.deployer.within(deadline):
                yield
        finally:
            self._deadline = before

    def find_deployment(self) -> ServiceDeployment | None:
        """The stage's deployment with its settings as they are now, or ``None``."""
        return api_deployer.find(
            self.deployer, self.service, self.infra, self.configured_deployment, self.default_deployment
        )

    def observe(self) -> LiveService:
        """Asks the deployer, and each API node on each endpoint, what answers. Raises :class:`NodeError`.

        What is wrong with an API node stands in the answers.
        """
        deployment = self.find_deployment()
        if deployment is None:
            return LiveService(self.infra)
        health = deployments.health(self.deployer, deployment.id, SERVICES)
        nodes = self.nodes(deployment)
        asked = [endpoint for endpoint in self.endpoints if _may_ask(endpoint)]
        answers = gather([partial(self._ask, node, endpoint) for node in nodes for endpoint in asked])
        return LiveService(self.infra, deployment, health, tuple(answers))

    def nodes(self, deployment: ServiceDeployment) -> list[ScoringClient]:
        """The API nodes of the infrastructure: those of the configuration, else those that the deployer names.

        Raises :class:`ConfigError` when the two are not equally many, or when there is none.
        """
        urls = api_deployer.node_urls(self.deployer, deployment.id)
        configured = self.settings.api.nodes_of(self.stage)
        if configured and urls and len(configured) != len(urls):
            raise ConfigError(
                f"infrastructure {self.infra} has {len(urls)} API nodes, and {len(configured)} are configured: "
                + ", ".join(node.name for node in configured),
                next_step="name all of them in api.nodes of mlops.yml, or none: then the API Deployer names them",
            )
        if not (configured or urls):
            raise ConfigError(
                f"no API node of infrastructure {self.infra} is known: the API Deployer names none",
                next_step=f"add them to mlops.yml: api: {{nodes: {{NAME: {{url: …, infra: {self.infra}}}}}}}",
            )
        found = configured or [_unnamed(url, self.infra) for url in dict.fromkeys(urls)]
        for node in found:
            if node.url not in self._nodes:
                client = connect_api_node(self.settings, node, deployment.deployed)
                self._nodes[node.url] = self._stack.enter_context(client)
        return [self._nodes[node.url] for node in found]

    def _ask(self, node: ScoringClient, endpoint: Endpoint) -> Answer:
        limit = self._deadline or Deadline(self.settings.api.call_timeout)
        try:
            with node.within(limit):
                return Answer(node.name, endpoint.id, _version(node, endpoint))
        except NodeError as error:
            return Answer(node.name, endpoint.id, None, error.message)

    def check_claim(self) -> None:
        """Raises :class:`SomebodyElse` when another process has taken the stage over; asked before each change."""
        if self.claim is None:
            return
        others = [
            claim for claim in claims.read(self.deployer, self.project, self.infra, SERVICES) if claim != self.claim
        ]
        if others:
            raise SomebodyElse(
                f"{others[0]} has taken over {self.infra} meanwhile; this process changes nothing there any more",
                next_step="look what the other one does before you run anything",
            )

    def make_live(
        self,
        version: str,
        deadline: Deadline,
        console: Console,
        *,
        expected: Callable[[ServiceDeployment], bool] = lambda _deployment: True,
    ) -> LiveService:
        """Creates or updates the deployment so that this version alone answers, and waits until every node says so.

        Raises :class:`CheckFailed` when the update failed or the version does not answer in ``api.health_timeout``.
        """
        with self.within(deadline), console.waiting(f"deploying version {version} to {self.infra}") as wait:
            deployment = self.find_deployment()
            if deployment is not None:
                updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state, SERVICES)
            self.check_claim()
            if deployment is None:
                wait.state("creating the deployment")
                deployment = api_deployer.create(
                    self.deployer, self.default_deployment, self.service, self.infra, version
                )
            if (deployment.version, deployment.enabled) != (version, True):
                api_deployer.change(self.deployer, deployment, version, expected)
            self.check_claim()
            result = updates.update(self.deployer, deployment.id, deadline, wait.state, of=SERVICES)
            if not result.succeeded:
                reason = f": {result.messages[0]}" if result.messages else ""
                raise CheckFailed(
                    f"the update of deployment {deployment.id} to version {version} failed{reason}",
                    details=result.messages[1:],
                )
            return self.await_served(version, deadline, wait.state)

    def await_served(self, version: str, deadline: Deadline, say: Callable[[str], None]) -> LiveService:
        """Waits until the deployer says HEALTHY and each API node answers with this version on each endpoint."""
        last: list[LiveService] = []

        def look() -> LiveService | None:
            live = self.observe()
            last[:] = [live]
            say(str(live))
            return live if live.serves(version) else None

        patience = deadline.at_most(self.settings.api.health_timeout)
        try:
            return poll(look, deadline=patience, what=f"deployment on {self.infra}", longest=3.0)
        except DeadlineExceeded:
            if not last:
                raise
            health = last[0].health.messages if last[0].health else []
            raise CheckFailed(
                f"version {version} does not answer everywhere on {self.infra} after {duration(patience.seconds)}: "
                f"{last[0]}",
                details=[*last[0].others(version), *health],
            ) from None


def _may_ask(endpoint: Endpoint) -> bool:
    """A function may do something: it is called with its own test query only."""
    return endpoint.is_prediction or (endpoint.is_function and bool(endpoint.queries))


def _version(node: ScoringClient, endpoint: Endpoint) -> str | None:
    """The version that answers a test query; a prediction endpoint without one is given a record without features."""
    query = endpoint.queries[0] if endpoint.queries else {}
    if endpoint.is_function:
        return node.run(endpoint.id, query).generation
    features = query.get("features")
    return node.predict(endpoint.id, features if isinstance(features, dict) else {}).generation


def _unnamed(url: str, infra: str) -> ApiNodeSettings:
    """A node that only the deployer knows, named by its address."""
    return ApiNodeSettings.model_construct(
        name=urlsplit(url).netloc.rpartition("@")[2], url=url, infra=infra, verify=True, client_certificate=None
    )


@contextmanager
def open_api_target(settings: Settings, stage: str, endpoints: list[Endpoint]) -> Iterator[ApiDeployerTarget]:
    """The stage with its connections, closed at the end. Raises :class:`ConfigError` before anything is asked."""
    settings.api.stage(stage)
    with ExitStack() as stack, connect(settings, settings.deployer()) as deployer:
        yield ApiDeployerTarget(settings, stage, deployer, endpoints, stack)
