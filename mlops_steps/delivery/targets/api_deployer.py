"""A version of an API service on an infrastructure of the API Deployer: what answers there, and how that changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

from mlops_steps.delivery.targets.api_nodes import ApiNodes
from mlops_steps.delivery.targets.base import SERVICE, Deployed, Limits, Live, MadeLive, SmokeResult, no_canary
from mlops_steps.delivery.targets.live_service import LiveService
from mlops_steps.dss import api_deployer, claims, deployments, updates
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.deployers import SERVICES, Deployer
from mlops_steps.dss.deployments import changed_by_another
from mlops_steps.dss.quarantines import Quarantine
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import CheckFailed, DeadlineExceeded, NodeError, SomebodyElse
from mlops_steps.report.model import Case
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, duration, poll

if TYPE_CHECKING:
    from mlops_steps.config import Settings


# So many past updates are looked at.
_MOST = 30


class ApiDeployerTarget:
    """A stage of the API service, with a connection to the API Deployer, and to its API nodes as they are known.

    ``project`` is what holds the note of who is at work (`delivery/exclusive.py`): the published service.
    """

    of: Deployer = SERVICES
    words = SERVICE

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
        self.state: dict[str, list[Any]] = {}
        self.state_before: dict[str, list[Any]] | None = None
        self.later: Claim | None = None
        self.found_dead = False
        self.quarantine: Quarantine | None = None
        self.lifted: str | None = None
        self.nodes = ApiNodes(settings, stage, deployer, endpoints, stack)

    @property
    def owner(self) -> str:
        return f"API service {self.service}"

    def state_of(self, live: Live) -> dict[str, list[Any]] | None:  # noqa: ARG002
        """An API service has its version alone."""
        return None

    def noted_state(self, version: str, live: Live) -> dict[str, list[Any]] | None:  # noqa: ARG002
        """None."""
        return None

    def lacking(self, live: Live) -> dict[str, tuple[list[Any], list[Any]]]:  # noqa: ARG002
        """Nothing."""
        return {}

    def lacking_in_words(self, live: Live) -> list[str]:  # noqa: ARG002
        """None."""
        return []

    def finding_cases(self) -> list[Case]:
        """None: the API Deployer names nothing."""
        return []

    @property
    def notes(self) -> Dss:
        """The deployer keeps the note of who is at work on the stage."""
        return self.deployer

    @property
    def limits(self) -> Limits:
        """Those of `api.release` in mlops.yml."""
        release = self.settings.api.release
        return Limits(release.timeout, release.verify_timeout, release.rollback_timeout, release.rollback == "auto")

    @contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Requests in the block end at the deadline, those to API nodes too."""
        with self.nodes.within(deadline), self.deployer.within(deadline):
            yield

    def find_deployment(self) -> ServiceDeployment | None:
        """The stage's deployment with its settings as they are now, or ``None``."""
        return api_deployer.find(
            self.deployer, self.service, self.infra, self.configured_deployment, self.default_deployment
        )

    def observe(self, forced: list[str] | None = None) -> LiveService:
        """Asks the deployer, and each API node on each endpoint, what answers. Raises :class:`NodeError`.

        What is wrong with an API node stands in the answers. ``forced``: each of these versions is asked for by name,
        on the endpoints that take one.
        """
        deployment = self.find_deployment()
        if deployment is None:
            return LiveService(self.infra)
        health = deployments.health(self.deployer, deployment.id, SERVICES)
        nodes = self.nodes.clients(deployment)
        answers = self.nodes.answers(nodes) if forced is None else self.nodes.answers_of(forced, nodes)
        return LiveService(self.infra, deployment, health, tuple(answers))

    def check_claim(self) -> None:
        """Raises :class:`SomebodyElse` when another process has taken the stage over; asked before each change."""
        if self.claim is None:
            return
        others = [
            claim for claim in claims.read(self.deployer, self.project, [self.infra], SERVICES) if claim != self.claim
        ]
        if others:
            raise SomebodyElse(
                f"{others[0]} has taken over {self.infra} meanwhile; this process changes nothing there any more",
                next_step="look what the other one does before you run anything",
            )

    def look(self, deadline: Deadline, console: Console, is_canary: Callable[[Live], bool] = no_canary) -> LiveService:
        """What answers, where the deployer and the API nodes do not contradict each other.

        Versions that share the calls are no contradiction where they are a canary of ours.

        Raises :class:`NodeError` when they do, and when several versions share the calls, so that there is not one
        version to return to.
        """
        with self.within(deadline):
            live = self.observe()
            if not _contradictory(live) or is_canary(live):
                return live
            console.warn(f"{live}: looking again")
            self.wait_until_idle(deadline, console)

            def look() -> LiveService | None:
                nonlocal live
                live = self.observe()
                return None if _contradictory(live) else live

            try:
                return poll(look, deadline=deadline.at_most(pace().agree), what="answers that agree")
            except DeadlineExceeded:
                raise NodeError(
                    f"{self.stage}: the API Deployer and the API nodes do not name one version of API service "
                    f"{self.service} that is live on {self.infra}; nothing was changed",
                    details=[f"{self.deployer}: {live.deployment}", *map(str, live.answers)],
                    next_step="look at the deployment; where several versions share the calls, give one of them all, "
                    f"with `mlops-steps api-rollback --stage {self.stage} --to VERSION`",
                ) from None

    def wait_until_idle(self, deadline: Deadline, console: Console) -> None:
        """Waits for the end of an update that is under way, if there is one."""
        deployment = self.find_deployment()
        if deployment:
            with console.waiting(f"looking at deployment {deployment.id}") as wait:
                updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state, SERVICES)

    def make_live(
        self,
        version: str,
        deadline: Deadline,
        console: Console,
        *,
        live: Live,
        expected: Callable[[Deployed], bool],
        enabled: bool = True,
        abort_at_limit: bool = False,
    ) -> LiveService:
        """Creates or updates the deployment so that this version alone answers, and waits until every node says so.

        Parameters and errors are those of :meth:`ProjectDeployerTarget.make_live`; :class:`CheckFailed` also when the
        version does not answer in ``api.health_timeout``.
        """
        with self.within(deadline), console.waiting(f"deploying version {version} to {self.infra}") as wait:
            deployment = cast("ServiceDeployment | None", live.deployment)  # this target has observed it
            if deployment is None:
                self.check_claim()
                wait.state("creating the deployment")
                deployment = api_deployer.create(
                    self.deployer, self.default_deployment, self.service, self.infra, version
                )
            else:
                self.check_claim()
                updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state, SERVICES)
                if (deployment.version, deployment.enabled) == (version, enabled):
                    # An earlier attempt, which was interrupted, may have made it live.
                    now = self.observe()
                    if now.deployment and not expected(now.deployment):
                        raise changed_by_another(now.deployment, self.words.version)
                    if enabled and now.is_healthy(version):
                        return now
                else:
                    api_deployer.change(self.deployer, deployment, expected, version=version, enabled=enabled)
            self.check_claim()
            what = f"update of deployment {deployment.id} to version {version}"
            self.update(deployment, what, deadline, wait.state, abort_at_limit)
            return self.await_served(version, deadline, wait.state, enabled)

    def update(
        self,
        deployment: ServiceDeployment,
        what: str,
        deadline: Deadline,
        say: Callable[[str], None],
        abort: bool = False,
    ) -> None:
        """Updates the deployment. Raises :class:`CheckFailed` when that fails; ``abort`` ends it at the deadline."""
        result = updates.update(self.deployer, deployment.id, deadline, say, abort_at_limit=abort, of=SERVICES)
        if not result.succeeded:
            reason = f": {result.messages[0]}" if result.messages else ""
            raise CheckFailed(f"the {what} failed{reason}", details=result.messages[1:])

    def await_served(
        self, version: str, deadline: Deadline, say: Callable[[str], None], enabled: bool = True
    ) -> LiveService:
        """Waits until the deployer says HEALTHY and each API node answers with this version on each endpoint.

        A disabled deployment only has to have the version in its settings: nothing answers.
        """
        last: list[LiveService] = []

        def look() -> LiveService | None:
            live = self.observe()
            last[:] = [live]
            off = live.deployment is not None and not live.deployment.enabled and not live.served
            there = live.is_healthy(version) if enabled else off
            if not there:
                say(str(live))
            return live if there else None

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

    def take_back(
        self, deadline: Deadline, console: Console, *, expected: Callable[[Deployed], bool]
    ) -> ServiceDeployment | None:
        """Disables the stage's deployment and updates it; returns it, or ``None`` when there is none."""
        with self.within(deadline), console.waiting(f"disabling what was created on {self.infra}") as wait:
            deployment = self.find_deployment()
            if deployment is None:
                return None
            updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state, SERVICES)
            self.check_claim()
            api_deployer.change(self.deployer, deployment, expected, enabled=False)
            self.update(deployment, f"update that disables deployment {deployment.id}", deadline, wait.state)
            if api_deployer.read(self.deployer, deployment.id, self.service, self.infra).enabled:
                raise CheckFailed(f"deployment {deployment.id} could not be disabled")
            return deployment

    def check_still_live(self, version: str, deadline: Deadline) -> LiveService:
        """Looks again after the verification whether the version still gives every answer.

        Raises :class:`SomebodyElse` when another process or person has replaced or disabled it, :class:`CheckFailed`
        when it does not answer in ``api.health_timeout``, :class:`NodeError`.
        """
        with self.within(deadline):
            self.check_claim()
            live = self.observe()
            if live.deployment and (live.deployment.version, live.deployment.enabled) != (version, True):
                raise changed_by_another(live.deployment, self.words.version)
            return live if live.is_healthy(version) else self.await_served(version, deadline, lambda _state: None)

    # ---- what it remembers, and its smoke test

    def made_live(self, live: Live) -> Iterator[MadeLive]:
        """The versions that successful updates have made live alone, as far as they are known, the newest first."""
        if live.deployment is None:
            return
        for past in updates.history(self.deployer, live.deployment.id, SERVICES)[:_MOST]:
            version = api_deployer.version_of_update(past.raw)
            if past.succeeded and version:
                yield MadeLive(past.started, version)

    def never_updated(self, live: Live) -> bool:
        """Whether the deployer keeps a history, and no update of the deployment has succeeded by it."""
        known = updates.known_history(self.deployer, live.deployment.id, SERVICES) if live.deployment else []
        return known is not None and not any(past.succeeded for past in known)

    def update_name(self, version: str) -> str | None:  # noqa: ARG002
        """``None``: a test query leaves no run that could be found again."""
        return None

    def verdicts(self) -> dict[int, bool]:
        """None: API nodes remember no test."""
        return {}

    @property
    def smoke_test(self) -> str:
        """The test queries, and where they are sent."""
        return f"test queries of API service {self.service} on {self.infra}"

    def run_smoke_test(
        self,
        limit: float,
        say: Callable[[str], None],
        *,
        token: str | None,  # noqa: ARG002
        prefix: str | None,  # noqa: ARG002
        alone: bool,  # noqa: ARG002
    ) -> SmokeResult:
        """Sends every test query of each endpoint to each API node; the version that is live must answer all."""
        start, deadline = time.monotonic(), Deadline(limit)
        with self.within(deadline):
            live = self.observe()
            nodes = self.nodes.clients(live.deployment) if live.deployment else []
            say(f"test queries to {len(nodes)} API nodes")
            answers = self.nodes.answers_to_test_queries(nodes)
        wanted = live.deployment.version if live.deployment else None
        wrong = [str(answer) for answer in answers if answer.version is None or answer.version != wanted]
        passed = bool(answers) and not wrong
        message = f"{len(wrong)} of {len(answers)} calls were not answered by version {wanted}" if wrong else ""
        if not answers:
            message = "there is nothing that could be called"
        outcome, seconds = ("SUCCESS" if passed else "FAILED"), time.monotonic() - start
        return SmokeResult(passed, outcome, message, "\n".join(wrong or map(str, answers)), seconds)


def _contradictory(live: LiveService) -> bool:
    """Whether the settings name no single version, or all is well with a version that the settings do not name."""
    deployment = live.deployment
    if deployment is None or not deployment.enabled:
        return False
    healthy = live.health is not None and live.health.healthy
    return deployment.version is None or (healthy and bool(live.served) and live.version != deployment.version)


@contextmanager
def open_api_target(settings: Settings, stage: str, endpoints: list[Endpoint]) -> Iterator[ApiDeployerTarget]:
    """The stage with its connections, closed at the end. Raises :class:`ConfigError` before anything is asked."""
    settings.api.stage(stage)
    with ExitStack() as stack, connect(settings, settings.deployer()) as deployer:
        yield ApiDeployerTarget(settings, stage, deployer, endpoints, stack)
