"""What is the same for a bundle, however it gets to its Automation node: the claim on the stage, and the smoke test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_steps.delivery.targets.base import Limits, Live, SmokeResult, Words, no_canary
from mlops_steps.dss import claims, fires, project_state, scenarios
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.deployers import PROJECTS, Deployer
from mlops_steps.dss.deployments import Deployment
from mlops_steps.dss.direct import Finding
from mlops_steps.dss.quarantines import Quarantine
from mlops_steps.dss.session import Dss
from mlops_steps.errors import SomebodyElse
from mlops_steps.report.model import Case, Outcome
from mlops_steps.system.console import Console
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.config import InfraSettings, Settings


def _case(name: str, found: list[Finding]) -> Case:
    text = "\n".join(dict.fromkeys(one.text for one in found))
    if any(one.is_error for one in found):
        return Case(name, Outcome.FAILURE, found[0].text, text)
    return Case(name, stdout=f"{found[0].word}: {text}")


# What a node has, and whose values are not recorded unless mlops.yml names them.
_OF_NODE = (project_state.VARIABLE, project_state.SCENARIO)


class BundleTarget(ABC):
    """A stage of the configuration, with connections to where archives come from and to its Automation node.

    ``deployer`` is the node with the Project Deployer, or, where no stage uses one, the Design node (``exported``).
    """

    of: Deployer = PROJECTS
    words: Words

    def __init__(
        self,
        settings: Settings,
        stage: str,
        deployer: Dss,
        nodes: Sequence[Dss],
        unit: InfraSettings | None = None,
    ) -> None:
        self.unit = unit or settings.stage(stage)
        self.settings = settings
        self.stage = stage
        self.project = settings.project
        self.infra = str(self.unit.infra)
        self.default_deployment = settings.deployment_id(self.unit)
        self.deployer = deployer
        # All must say that a bundle is active; what only one can be asked is asked of the first.
        self.nodes = tuple(nodes)
        self.node = self.nodes[0]
        self.exported = not settings.uses_deployer
        # The claim that this process holds, and whether it may take another one's place (`delivery/exclusive.py`).
        self.claim: Claim | None = None
        self.takes_over = False
        # One that waits for a place to be written to: the project that a first direct deployment creates.
        self.later: Claim | None = None
        # Whether a process that is gone has left its claim behind.
        self.found_dead = False
        # What is written down when the claim is given back (`delivery/quarantine.py`).
        self.quarantine: Quarantine | None = None
        self.lifted: str | None = None
        # What the node said of the last bundle that was made live, or was not; each is a test case.
        self.findings: list[Finding] = []
        # SHA-256 and size of the archives that were checked.
        self.checked: dict[str, tuple[str, int]] = {}
        # What the project must have on its node besides the bundle: by mlops.yml, or, in a restore, as it was.
        self.configured_state = {**settings.stage(stage).state(), **self.unit.state()}
        self.state: dict[str, list[Any]] = self.configured_state
        self._initial: dict[str, Any] = {}

    @property
    def owner(self) -> str:
        return f"project {self.project}"

    @property
    def limits(self) -> Limits:
        """Those of `release` in mlops.yml."""
        release = self.settings.release
        return Limits(release.timeout, release.smoke_timeout, release.rollback_timeout, release.rollback == "auto")

    def state_of(self, live: Live) -> dict[str, list[Any]] | None:
        """What the project has on its node besides the bundle, as a failed change has to restore it.

        Remapping, triggers, which scenarios are active, and the variables that mlops.yml names: values of others may be
        secrets. ``None`` when nothing is live. Raises :class:`NodeError`.
        """
        if live.version is None:
            return None
        now = self.present(live)
        kept = {name: value for name, value in now.items() if not name.startswith(_OF_NODE)}
        kept |= {name: now.get(name, []) for name in self.state if not name.startswith(project_state.SCENARIO)}
        active = project_state.scenarios(self.node, self.deployed_key)
        return {**kept, **{f"{project_state.SCENARIO}{name}": [is_on] for name, is_on in active.items()}}

    def lacking(self, live: Live) -> dict[str, tuple[list[Any], list[Any]]]:
        """What the project has otherwise than it must have it: what it is, and what it should be.

        Of scenarios only those that mlops.yml names: the others are switched when the bundle is active.
        """
        wanted = self.settable
        return project_state.differences(self.present(live), wanted) if wanted and live.version else {}

    def lacking_in_words(self, live: Live) -> list[str]:
        """The same, a line each; of local variables without values. Of a first deployment, all that it gets."""
        found = self.lacking(live) if live.version else project_state.differences({}, self.settable)
        return project_state.in_words(found)

    @property
    def settable(self) -> dict[str, list[Any]]:
        """What settings can name, of what the project must have."""
        named = self.configured_state
        return {
            name: value
            for name, value in self.state.items()
            if name in named or not name.startswith(project_state.SCENARIO)
        }

    def planned(self, *, first: bool = False) -> Deployment:
        """What is deployed, with the settings that it will have; or a ``first`` one. Raises :class:`NodeError`."""
        found = None if first else self.known_deployment()
        found = found or Deployment(self.default_deployment, self.infra, "", self.project, self.project)
        return replace(found, settings=project_state.changed_settings(found.settings, self.configured_state))

    @abstractmethod
    def present(self, live: Live) -> dict[str, list[Any]]:
        """The state as it is, of what :attr:`state` names at least. Raises :class:`NodeError`."""

    def set_scenarios(self) -> None:
        """Switches the scenarios on and off: a bundle that did not have one has lost whether it was active."""
        flags = project_state.part(self.state, project_state.SCENARIO)
        for node in self.nodes:
            project_state.set_active(node, self.deployed_key, {name: bool(on[0]) for name, on in flags.items() if on})

    def may_run(self, live: Live) -> dict[str, str]:
        """The scenarios that may run while the next bundle is live, and why. Raises :class:`NodeError`."""
        active = project_state.scenarios(self.node, self.deployed_key) if live.version else {}
        found = {name: "it is active" for name, is_on in active.items() if is_on}
        flags = project_state.part(self.configured_state, project_state.SCENARIO)
        found = {**{name: "it is to be active" for name, on in flags.items() if on and on[0]}, **found}
        found = {name: why for name, why in found.items() if flags.get(name, [True])[0]}
        return {**found, self.settings.release.smoke_scenario: "the smoke test"}

    def take_snapshot(self, limit: float, say: Callable[[str], None]) -> SmokeResult:
        """Runs the snapshot scenario, for ``limit`` seconds at most. Raises :class:`NodeError`."""
        scenario = str(self.settings.release.snapshot_scenario)
        found = scenarios.run_scenario(
            self.node, self.deployed_key, scenario, limit=limit, on_state=say, refire=True, reports=False
        )
        passed = found.outcome in self._accepted
        return SmokeResult(passed, found.outcome, found.message, found.log, found.seconds)

    def finding_cases(self) -> list[Case]:
        """What the node has found on the last change, by what it names; a warning passes and carries its text."""
        found, self.findings = self.findings, []
        texts: dict[str, list[Finding]] = {}
        for one in found:
            texts.setdefault(one.name, []).append(one)
        return [_case(name, listed) for name, listed in texts.items()]

    @property
    def notes(self) -> Dss:
        """The node that keeps the note of who is at work on the stage."""
        return self.deployer

    @contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Requests to all nodes end at the deadline."""
        with ExitStack() as stack:
            for node in (self.deployer, *self.nodes):
                stack.enter_context(node.within(deadline))
            yield

    @property
    def witnesses(self) -> str:
        """The Automation nodes, for people."""
        return ", ".join(map(str, self.nodes))

    @property
    def deployed_key(self) -> str:
        """The key of the project on the Automation node, as far as it is known."""
        return self.project

    @abstractmethod
    def find_deployment(self) -> Deployment | None:
        """What is deployed, as its settings are now, or ``None``. Raises :class:`NodeError`."""

    def known_deployment(self) -> Deployment | None:
        """The same; it is asked for only once, so its settings may have changed since."""
        return self.find_deployment()

    @abstractmethod
    def observe(self) -> Live:
        """What is live, as all witnesses say. Raises :class:`NodeError`."""

    @abstractmethod
    def look(self, deadline: Deadline, console: Console, is_canary: Callable[[Live], bool] = no_canary) -> Live:
        """The same, where the witnesses do not contradict each other. Raises :class:`NodeError`."""

    @abstractmethod
    def available(self) -> list[str]:
        """The bundles that could be made live. Raises :class:`NodeError`."""

    @abstractmethod
    def newest_change(self, live: Live) -> int | None:
        """When the last change of the stage that succeeded began, in milliseconds since 1970; None: not known."""

    def check_claim(self) -> None:
        """Raises :class:`SomebodyElse` when another process has taken the stage over; asked before each change."""
        if self.claim is None:
            return
        others = [
            claim for claim in claims.read(self.notes, self.project, [self.infra], self.of) if claim != self.claim
        ]
        if others:
            raise SomebodyElse(
                f"{others[0]} has taken over {self.infra} meanwhile; this process changes nothing there any more",
                next_step="look what the other one does before you run anything",
            )

    def verdicts(self) -> dict[int, bool]:
        """How the smoke tests on the Automation node have ended."""
        each = gather([partial(self._verdicts, node) for node in self.nodes])
        # On every node, where there are several: one without a smoke test has verified nothing.
        known = set.intersection(*(set(found) for found in each))
        failed = {started: False for found in each for started, passed in found.items() if not passed}
        return {started: all(found[started] for found in each) for started in known} | failed

    def _verdicts(self, node: Dss) -> dict[int, bool]:
        found: dict[int, bool] = {}
        for token, outcome in fires.outcomes(node, self.deployed_key, self.settings.release.smoke_scenario):
            started = token.partition(".")[0]
            if started.isdecimal():
                found[int(started)] = found.get(int(started), False) or outcome in self._accepted
        return found

    @property
    def _accepted(self) -> set[str]:
        """The outcomes of a scenario that count as passed."""
        return {"SUCCESS", "WARNING"} if self.settings.test.warning == "pass" else {"SUCCESS"}

    @property
    def smoke_test(self) -> str:
        """The smoke scenario and the infrastructure."""
        return f"smoke test {self.settings.release.smoke_scenario} on {self.infra}"

    def run_smoke_test(
        self, limit: float, say: Callable[[str], None], *, token: str | None, prefix: str | None, alone: bool
    ) -> SmokeResult:
        """Runs the smoke scenario on each Automation node of the infrastructure, side by side."""
        deadline = Deadline(limit)
        with self.within(deadline):
            self.known_deployment()

        def smoke(node: Dss) -> SmokeResult:
            return self._smoke(node, deadline, say, token=token, prefix=prefix, alone=alone)

        results = gather([partial(smoke, node) for node in self.nodes])
        if len(results) == 1:
            return results[0]
        pairs = list(zip(self.nodes, results, strict=True))
        worst = next((pair for pair in pairs if not pair[1].passed), pairs[0])
        logs = "\n".join(f"{node.name}: {result.outcome}\n{result.log}" for node, result in pairs)
        return replace(
            worst[1],
            message=worst[1].message if worst[1].passed else f"on {worst[0].name}: {worst[1].message}",
            log=logs,
            seconds=max(result.seconds for result in results),
        )

    def _smoke(
        self,
        node: Dss,
        deadline: Deadline,
        say: Callable[[str], None],
        *,
        token: str | None,
        prefix: str | None,
        alone: bool,
    ) -> SmokeResult:
        outcome = scenarios.run_scenario(
            node,
            self.deployed_key,
            self.settings.release.smoke_scenario,
            limit=max(deadline.remaining, 1.0),
            on_state=say,
            refire=True,
            token=token,
            prefix=prefix,
            reports=False,
            alone=alone,
        )
        passed = outcome.outcome in self._accepted
        return SmokeResult(passed, outcome.outcome, outcome.message, outcome.log, outcome.seconds)
