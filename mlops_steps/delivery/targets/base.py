"""What a change asks of the place where something is made live, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlops_steps.config import Settings
from mlops_steps.delivery.unit import Kind
from mlops_steps.dss.deployments import Deployment, Health
from mlops_steps.dss.quarantines import Quarantine
from mlops_steps.report.model import Case
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


class Deployed(Protocol):
    """A deployment as its settings say.

    ``version`` is ``None`` when several versions share the calls of a service: ``sharing`` names them.
    """

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def version(self) -> str | None: ...

    @property
    def sharing(self) -> frozenset[str]: ...

    @property
    def enabled(self) -> bool: ...


class Live(Protocol):
    """What is live on an infrastructure, as the deployer and the nodes themselves say; as text, for people.

    ``version``: the one that the nodes run; ``None`` when that is none, or not one.
    """

    @property
    def infra(self) -> str: ...

    @property
    def version(self) -> str | None: ...

    @property
    def deployment(self) -> Deployed | None: ...

    @property
    def health(self) -> Health | None: ...

    def is_healthy(self, version: str | None) -> bool:
        """Whether exactly this version is live everywhere, named by the settings, and the deployment is HEALTHY."""


@dataclass(frozen=True)
class Limits:
    """The limits (seconds) of a change, of its verification, and of a restore; ``restores``: whether there is one."""

    change: float
    verify: float
    restore: float
    restores: bool = True


@dataclass(frozen=True)
class Words:
    """How people, and the command line, call what a target changes.

    ``kind``: as in the record. ``version``: what comes before an id, such as ``bundle``. ``steps``: what the names of
    its steps begin with. ``deployer``: where it is deployed. ``settings``: the section of mlops.yml with the limits.
    ``history``: what remembers the changes of the past. ``undone``: what becomes of a first one that fails, and
    ``by_hand``, ``by_hand_undone``: what a person does where a restore could not, with the fields of a format.
    """

    kind: Kind
    version: str
    steps: str
    deployer: str
    settings: str
    history: str = "the deployer's history"
    undone: str = "the deployment that it creates is disabled"
    by_hand: str = "in the {deployer} set deployment {deployment} to {version} and update it"
    by_hand_undone: str = "in the {deployer} disable deployment {deployment} and update it"


BUNDLE = Words("bundle", "bundle", "", "Project Deployer", "release")
DIRECT = Words(
    "bundle",
    "bundle",
    "",
    "Automation node",
    "release",
    history="the note on the node",
    undone="the triggers of the project that it creates are switched off",
    by_hand="on the {deployer} activate {version} of the project",
    by_hand_undone="on the {deployer} switch off the triggers of the project",
)
SERVICE = Words("api service", "version", "api-", "API Deployer", "api.release")


@dataclass(frozen=True)
class LiveBundle:
    """What is live on a stage, as the deployer and the Automation node itself say.

    ``said``: what each node of a multi-node infrastructure says; ``version`` is ``None`` when they differ.
    """

    infra: str
    version: str | None
    deployment: Deployment | None
    health: Health | None
    said: Mapping[str, str | None] = field(default_factory=dict)

    def is_healthy(self, version: str | None) -> bool:
        """Whether exactly this bundle is active, named by the settings, and the deployment is HEALTHY."""
        return bool(
            version
            and self.version == version
            and self.deployment
            and self.deployment.version == version
            and self.health
            and self.health.healthy
        )

    @property
    def answers(self) -> tuple[str, str]:
        """What the deployer says, and what the node says, in words."""
        deployer = "there is no deployment"
        if self.deployment:
            off = "" if self.deployment.enabled else ", which is disabled"
            health = self.health.status if self.health else "of unknown health"
            deployer = f"deployment {self.deployment.id}{off}, of bundle {self.deployment.version}, is {health}"
        if len(set(self.said.values())) > 1:
            return deployer, ", ".join(f"{node} has {one or 'nothing'} active" for node, one in self.said.items())
        return deployer, f"bundle {self.version} is active" if self.version else "no bundle of the project is active"

    def __str__(self) -> str:
        if len(set(self.said.values())) > 1:
            return f"unknown on {self.infra}: {', but '.join(self.answers)}"
        if self.version is None:
            healthy = self.deployment and self.deployment.enabled and self.health and self.health.healthy
            # Not "nothing": one of the two is wrong, and this is what the reader of a log acts on.
            return f"unknown on {self.infra}: {', but '.join(self.answers)}" if healthy else f"nothing on {self.infra}"
        parts = [self.health.status if self.health else "no deployment"]
        if self.deployment and self.deployment.version != self.version:
            parts.append(f"its settings say {self.deployment.version}")
        if self.deployment and not self.deployment.enabled:
            parts.append("disabled")
        return f"bundle {self.version} on {self.infra} ({', '.join(parts)})"


@dataclass(frozen=True)
class MadeLive:
    """A version that an update of the deployment has made live. ``started``: milliseconds since 1970."""

    started: int
    version: str


@dataclass(frozen=True)
class SmokeResult:
    """How a smoke test ended: ``outcome`` is its word for it, ``log`` what it has written. Took ``seconds``."""

    passed: bool
    outcome: str
    message: str
    log: str
    seconds: float


def no_canary(_live: Live) -> bool:
    """Versions that share the calls do so because somebody wants it."""
    return False


class Target(Protocol):
    """A unit of a stage, with connections to the nodes that can change it. All raise :class:`NodeError`.

    Everything else of delivery works on this: another kind of unit is another implementation. ``found_dead``: a process
    that is gone has left its claim behind. ``smoke_test`` names the smoke test, for people. ``quarantine`` is a version
    that is rolled back now, ``lifted`` one whose quarantine ends: :mod:`mlops_steps.delivery.quarantine`.
    ``state``: what must be there besides the version (:mod:`mlops_steps.dss.project_state`).
    """

    settings: Settings
    state: dict[str, list[Any]]
    state_before: dict[str, list[Any]] | None
    stage: str
    infra: str
    default_deployment: str
    found_dead: bool
    quarantine: Quarantine | None
    lifted: str | None
    words: Words

    @property
    def owner(self) -> str:
        """What is deployed, for people: ``project KEY``, or ``API service ID``."""

    @property
    def limits(self) -> Limits:
        """How long a change may take here."""

    @property
    def smoke_test(self) -> str:
        """What is run, and where."""

    def within(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Requests in the block end at the deadline."""

    def observe(self) -> Live:
        """What is live, as all witnesses say."""

    def look(self, deadline: Deadline, console: Console, is_canary: Callable[[Live], bool] = no_canary) -> Live:
        """The same, where the witnesses do not contradict each other.

        ``is_canary``: whether several versions share the calls because of a canary of ours that was interrupted.
        """

    def wait_until_idle(self, deadline: Deadline, console: Console) -> None:
        """Waits for the end of an update that is under way, if there is one."""

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
    ) -> Live:
        """Makes the version live, and waits until all witnesses say so."""

    def state_of(self, live: Live) -> dict[str, list[Any]] | None:
        """What is there besides the version, as a failed change has to restore it; ``None``: nothing to restore."""

    def noted_state(self, version: str, live: Live) -> dict[str, list[Any]] | None:
        """What was there besides this version, where something else than the record says so."""

    def lacking(self, live: Live) -> dict[str, tuple[list[Any], list[Any]]]:
        """What is there otherwise than it must be, besides the version: what it is, and what it should be."""

    def lacking_in_words(self, live: Live) -> list[str]:
        """The same, a line each; of local variables without values."""

    def finding_cases(self) -> list[Case]:
        """What the node has found on the last :meth:`make_live`, each thing that it names as a test case."""

    def take_back(
        self, deadline: Deadline, console: Console, *, expected: Callable[[Deployed], bool]
    ) -> Deployed | None:
        """Takes what was created out of service."""

    def check_still_live(self, version: str, deadline: Deadline) -> Live:
        """Looks again whether the version is live and healthy, and still ours."""

    def made_live(self, live: Live) -> Iterator[MadeLive]:
        """The versions that updates of the deployment have made live, as far as they are known, the newest first."""

    def never_updated(self, live: Live) -> bool:
        """Whether a history is kept, and shows that no update of the deployment has succeeded."""

    def update_name(self, version: str) -> str | None:
        """The name of the update that has made the version live: the same after a crash, and on any agent.

        ``None`` when it is not known: then a smoke test of an earlier update would be taken for one of this.
        """

    def verdicts(self) -> dict[int, bool]:
        """Whether what an update (by its start, in milliseconds) made live has passed a smoke test; none: no entry."""

    def run_smoke_test(
        self, limit: float, say: Callable[[str], None], *, token: str | None, prefix: str | None, alone: bool
    ) -> SmokeResult:
        """Smoke-tests what is live, for ``limit`` seconds at most.

        A run that carries the ``token``, or one that begins with ``prefix``, is awaited instead of starting another;
        with ``alone`` one that does not is aborted.
        """
