"""A bundle on an infrastructure of the Project Deployer: what is live there, and how another one is made live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from mlops_steps.delivery.targets.base import (
    BUNDLE,
    Deployed,
    Live,
    LiveBundle,
    MadeLive,
    no_canary,
)
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.dss import automation, bundles, deployments, node_note, project_state, updates
from mlops_steps.dss.deployers import PROJECTS, Deployer
from mlops_steps.dss.deployments import Deployment, changed_by_another
from mlops_steps.dss.direct import Finding
from mlops_steps.dss.session import Dss
from mlops_steps.errors import CheckFailed, DeadlineExceeded, NodeError, Refusal
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import BackgroundCall, Deadline, duration, poll

if TYPE_CHECKING:
    from mlops_steps.config import InfraSettings, Settings

# So many past updates are looked at.
_MOST = 30


class ProjectDeployerTarget(BundleTarget):
    """A stage of the configuration, with connections to the deployer and to the stage's Automation node."""

    of: Deployer = PROJECTS
    words = BUNDLE

    def __init__(
        self,
        settings: Settings,
        stage: str,
        deployer: Dss,
        nodes: Sequence[Dss],
        unit: InfraSettings | None = None,
    ) -> None:
        super().__init__(settings, stage, deployer, nodes, unit)
        self.configured_deployment = self.unit.deployment
        # The deployment, once it was found: it is not looked for again, only its settings are read.
        self._found: Deployment | None = None
        # When the update before this process's own began (milliseconds since 1970).
        self.updated_after = 0

    def find_deployment(self) -> Deployment | None:
        """The stage's deployment with its settings as they are now, or ``None``."""
        if self._found:
            try:
                return deployments.read(self.deployer, self._found.id, self.project, self.infra)
            except Refusal as error:
                if error.status != 404:
                    raise
                # It is gone: whether there is another one is looked up.
        self._found = deployments.find(
            self.deployer, self.project, self.infra, self.configured_deployment, self.default_deployment
        )
        return self._found

    def known_deployment(self) -> Deployment | None:
        """The stage's deployment; it is asked for only once, so its settings may have changed since."""
        return self._found or self.find_deployment()

    def observe(self) -> LiveBundle:
        """Asks the deployer and the nodes, side by side, what is live. Raises :class:`NodeError`."""
        key = self.deployed_key
        active = BackgroundCall(lambda: self._active(key))
        deployment = self.find_deployment()
        health = deployments.health(self.deployer, deployment.id) if deployment else None
        found = active.result()
        if deployment and deployment.project_key != key:
            found = self._active(deployment.project_key)
        bundle = found[0] if len(set(found)) == 1 else None
        said = {node.name: one for node, one in zip(self.nodes, found, strict=True)} if len(found) > 1 else {}
        return LiveBundle(self.infra, bundle, deployment, health, said)

    def _active(self, key: str) -> list[str | None]:
        """The bundle that each node says is active."""
        return gather([partial(automation.active_bundle, node, key) for node in self.nodes])

    def look(
        self,
        deadline: Deadline,
        console: Console,
        is_canary: Callable[[Live], bool] = no_canary,  # noqa: ARG002
    ) -> LiveBundle:
        """What is live, where the deployer and the node do not contradict each other.

        A step that knows nothing else of the stage must not act on one of two answers that exclude each other: an empty
        list of a proxy, or of a key that has lost a permission, would look like a stage without a release. Waits for
        the end of an update that is under way, and looks again for a moment. Raises :class:`NodeError` with both
        answers when they still contradict each other.
        """
        with self.within(deadline):
            live = self.observe()
            if not self._contradictory(live):
                return live
            console.warn("; ".join((f"on {self.infra} {live.answers[0]}", f"but {live.answers[1]}: looking again")))
            if live.deployment:
                updates.wait_until_idle(self.deployer, live.deployment.id, deadline, lambda _state: None)

            def look() -> LiveBundle | None:
                nonlocal live
                live = self.observe()
                return None if self._contradictory(live) else live

            try:
                return poll(look, deadline=deadline.at_most(pace().agree), what="two answers that agree")
            except DeadlineExceeded:
                raise NodeError(
                    f"{self.stage}: the Project Deployer and the Automation node contradict each other about project "
                    f"{self.project} on {self.infra}; nothing was changed",
                    details=[f"{self.deployer}: {live.answers[0]}", f"{self.witnesses}: {live.answers[1]}"],
                    next_step="check what is live there, the rights of both keys (`mlops-steps doctor`) and any proxy "
                    "before them, then run the step again. A project that is live without a deployment needs one "
                    "(same bundle, updated)",
                ) from None

    def wait_until_idle(self, deadline: Deadline, console: Console) -> None:
        """Waits for the end of an update that is under way, if there is one."""
        deployment = self.find_deployment()
        if deployment:
            with console.waiting(f"looking at deployment {deployment.id}") as wait:
                updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state)

    def _contradictory(self, live: LiveBundle) -> bool:
        if len(set(live.said.values())) > 1:
            return True
        deployment, healthy = live.deployment, live.health is not None and live.health.healthy
        if deployment is None:
            return live.version is not None
        if not deployment.enabled:
            return False
        if live.version is None:
            return healthy or updates.newest_success(self.deployer, deployment.id) is not None
        return healthy and live.version != deployment.version

    @property
    def deployed_key(self) -> str:
        """The key of the project on the Automation node, as far as it is known."""
        return self._found.project_key if self._found else self.project

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
    ) -> LiveBundle:
        """Creates or updates the deployment so that the bundle is live, and waits until both nodes say so.

        ``live`` is what was there a moment ago. ``expected`` is asked about the deployment's settings just before they
        are changed; :class:`SomebodyElse` when it says no. With ``abort_at_limit`` an update that has not ended at the
        deadline is aborted, so that another one may follow. Raises :class:`CheckFailed` when the update failed or the
        deployment does not become healthy, :class:`NodeError` when a node cannot be asked.
        """
        with self.within(deadline), console.waiting(f"deploying bundle {version} to {self.infra}") as wait:
            deployment = cast("Deployment | None", live.deployment)  # this target has observed it
            if deployment is None:
                deployment = deployments.create(
                    self.deployer, self.default_deployment, self.project, self.infra, version
                )
                self._found = deployment
                if self.settable:
                    deployments.change(self.deployer, deployment, state=self._for_settings(deployment))
                wait.state(f"deployment {deployment.id} created")
            else:
                self.check_claim()
                ended = updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state)
                same = (deployment.version, deployment.enabled) == (version, enabled) and not self.lacking(live)
                if same:
                    # An earlier attempt, which was interrupted, may have started just this update.
                    if ended and ended.succeeded and ended.version == version:
                        return self._with_scenarios(self.await_healthy(version, deadline, wait.state, enabled))
                    now = self.observe()
                    if now.deployment and not expected(now.deployment):
                        raise changed_by_another(now.deployment)
                    if enabled and now.is_healthy(version):
                        return self._with_scenarios(now)
                else:
                    deployments.change(
                        self.deployer,
                        deployment,
                        bundle_id=version,
                        enabled=enabled,
                        state=self._for_settings(deployment),
                        expected=expected,
                    )
            self.check_claim()
            self._update(
                deployment,
                f"update of deployment {deployment.id} to bundle {version}",
                deadline,
                wait.state,
                abort_at_limit,
            )
            self._remove_variables(deadline)
            return self._with_scenarios(self.await_healthy(version, deadline, wait.state, enabled))

    # ---- what the project has on its node besides the bundle

    def present(self, live: Live) -> dict[str, list[Any]]:
        """By the settings of the deployment, which reach the node by an update."""
        found = cast("Deployment | None", live.deployment)
        return project_state.of_deployment(found.settings) if found else {}

    def state_of(self, live: Live) -> dict[str, list[Any]] | None:
        """Local variables that the deployment does not have may be on the node, set by hand."""
        found = super().state_of(live)
        missing = [name for name in found or {} if name.startswith(project_state.VARIABLE) and not (found or {})[name]]
        if found and missing:
            own = node_note.read(self.node, self.deployed_key)[1]
            for name in missing:
                variable = name.removeprefix(project_state.VARIABLE)
                found[name] = [own[variable]] if variable in own else []
        return found

    def _for_settings(self, deployment: Deployment) -> dict[str, list[Any]]:
        """What goes into the settings of the deployment.

        An update makes its local variables those of the node: what is there already goes along.
        """
        wanted = self.settable
        if project_state.part(wanted, project_state.VARIABLE):
            try:
                own = node_note.read(self.node, self.deployed_key)[1]
            except Refusal as error:
                if error.status != 404:
                    raise
                own = {}
            named = {**own, **(deployment.settings.get("localVariables") or {})}
            return {**{f"{project_state.VARIABLE}{name}": [value] for name, value in named.items()}, **wanted}
        return wanted

    def _remove_variables(self, deadline: Deadline) -> None:
        """Those that must not be there: a deployment without local variables leaves the node's as they are."""
        variables = project_state.part(self.state, project_state.VARIABLE)
        without = [name for name, value in variables.items() if not value]
        for node in self.nodes if without else ():
            node_note.set_variables(node, self.deployed_key, {}, without, deadline)

    def _with_scenarios(self, live: LiveBundle) -> LiveBundle:
        self.set_scenarios()
        return live

    def _update(
        self, deployment: Deployment, what: str, deadline: Deadline, say: Callable[[str], None], abort: bool = False
    ) -> None:
        result = updates.update(self.deployer, deployment.id, deadline, say, abort_at_limit=abort)
        self.updated_after = result.before
        self.findings += [
            Finding(hook.name, hook.text, hook.severity == "ERROR", hook.severity.lower()) for hook in result.hooks
        ]
        if not result.succeeded:
            reason = f": {result.messages[0]}" if result.messages else ""
            failure = CheckFailed(f"the {what} failed{reason}", details=result.messages[1:])
            # A hook that refuses says nothing of the bundle's quality.
            failure.inconclusive = any(hook.severity == "ERROR" for hook in result.hooks)
            raise failure

    def await_healthy(
        self, version: str, deadline: Deadline, say: Callable[[str], None], enabled: bool = True
    ) -> LiveBundle:
        """Waits until the deployer says HEALTHY and the node that the bundle is active.

        A deployment may need a moment (``deploy.health_timeout``). A disabled one only has to have the bundle active.
        """
        last: list[LiveBundle] = []

        def look() -> LiveBundle | None:
            live = self.observe()
            last[:] = [live]
            there = live.is_healthy(version) if enabled else live.version == version
            if not there:
                say(str(live))
            return live if there else None

        patience = deadline.at_most(self.settings.deploy.health_timeout)
        try:
            return poll(look, deadline=patience, what=f"deployment on {self.infra}", longest=3.0)
        except DeadlineExceeded:
            if not last:
                raise
            health = last[0].health
            raise CheckFailed(
                f"bundle {version} is not healthy on {self.infra} after {duration(patience.seconds)}: {last[0]}",
                details=health.messages if health else [],
            ) from None

    def check_still_live(self, version: str, deadline: Deadline) -> LiveBundle:
        """Looks again after a smoke test, which took its time, whether the bundle is live and healthy.

        Raises :class:`SomebodyElse` when another process or person has replaced or disabled it, :class:`CheckFailed`
        when it is not healthy and does not become so in ``deploy.health_timeout``, :class:`NodeError`.
        """
        with self.within(deadline):
            self.check_claim()
            live = self.observe()
            if live.deployment and (live.deployment.version != version or not live.deployment.enabled):
                raise changed_by_another(live.deployment)
            if live.is_healthy(version):
                return live
            return self.await_healthy(version, deadline, lambda _state: None)

    # ---- what it remembers

    def available(self) -> list[str]:
        """The bundles that were published to the deployer."""
        return bundles.published_bundles(self.deployer, self.project)

    def newest_change(self, live: Live) -> int | None:
        """The start of the last update of the deployment that succeeded."""
        newest = updates.newest_success(self.deployer, live.deployment.id) if live.deployment else None
        return newest.started if newest else None

    def made_live(self, live: Live) -> Iterator[MadeLive]:
        """The bundles that successful updates have made live, as far as they are known, the newest first."""
        if live.deployment is None:
            return
        for past in updates.history(self.deployer, live.deployment.id)[:_MOST]:
            if past.succeeded:
                bundle = past.version or self._bundle_of(live.deployment.id, past.started)
                if bundle:
                    yield MadeLive(past.started, bundle)

    def _bundle_of(self, deployment_id: str, started: int) -> str | None:
        try:
            raw = updates.details(self.deployer, deployment_id, started)
        except NodeError:
            return None
        settings: Any = raw.get("settings") or raw.get("deploymentSettings") or {}
        bundle = raw.get("bundleId") or (settings.get("bundleId") if isinstance(settings, dict) else None)
        return str(bundle) if bundle else None

    def never_updated(self, live: Live) -> bool:
        """Whether the deployer keeps a history, and no update of the deployment has succeeded by it."""
        known = updates.known_history(self.deployer, live.deployment.id) if live.deployment else []
        return known is not None and not any(past.succeeded for past in known)

    def update_name(self, version: str) -> str | None:
        """The start of the update that has made the bundle live.

        ``None`` when the deployer keeps no history, or shows an old one.
        """
        deployment = self.known_deployment()
        newest = updates.newest_success(self.deployer, deployment.id) if deployment else None
        if newest is None or newest.started <= self.updated_after or newest.version not in (None, version):
            return None
        return str(newest.started)

    def take_back(
        self, deadline: Deadline, console: Console, *, expected: Callable[[Deployed], bool]
    ) -> Deployment | None:
        """Disables the stage's deployment and updates it; returns it, or ``None`` when there is none."""
        with self.within(deadline), console.waiting(f"disabling what was created on {self.infra}") as wait:
            deployment = self.find_deployment()
            if deployment is None:
                return None
            updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state)
            self.check_claim()
            deployments.change(self.deployer, deployment, enabled=False, expected=expected)
            self._update(deployment, f"update that disables deployment {deployment.id}", deadline, wait.state)
            if deployments.read(self.deployer, deployment.id, self.project, self.infra).enabled:
                raise CheckFailed(f"deployment {deployment.id} could not be disabled")
            return deployment
