"""Rows of the candidate's and the champion's project: scored by a scenario where one is named, read once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.dss import datasets, scenarios
from mlops_steps.dss.session import Dss
from mlops_steps.errors import CheckFailed, NodeError
from mlops_steps.system.waiting import Deadline


@dataclass(frozen=True)
class Version:
    """A deployed version: its bundle, or version of the API service, and the node and project key of it.

    ``word`` is what comes before its id, for people.
    """

    bundle: str
    stage: str
    node: Dss
    project_key: str
    word: str = "bundle"

    def __str__(self) -> str:
        return f"{self.word} {self.bundle} on {self.stage}"


@dataclass
class Samples:
    """The rows of both versions, and the node with the Project Deployer.

    ``champion`` is asked for when a gate needs it; ``None``: nothing is live there.

    A scenario is run once for each version, whatever number of gates names it.
    """

    candidate: Version
    deployer: Dss
    find_champion: Callable[[], Version | None] = lambda: None
    say: Callable[[str], None] = lambda _text: None
    _champion: list[Version | None] = field(default_factory=list)
    _scored: set[tuple[str, str]] = field(default_factory=set)
    _turns: dict[tuple[str, str], threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def champion(self) -> Version | None:
        """The version that is live on the release stage. Raises :class:`NodeError`."""
        with self._lock:
            if not self._champion:
                self._champion.append(self.find_champion())
            return self._champion[0]

    def of(self, gate: Any) -> Samples:  # noqa: ARG002
        """What this gate looks at."""
        return self

    def read(
        self,
        version: Version,
        dataset: str,
        columns: Sequence[str],
        deadline: Deadline,
        scenario: str | None = None,
    ) -> dict[str, list[Any]]:
        """The columns of a dataset of this version, after its ``scenario`` has run.

        Raises :class:`CheckFailed` when the scenario does not succeed or a column is missing, :class:`NodeError` when
        the node cannot be asked.
        """
        if scenario:
            self.prepare(version, scenario, deadline)
        with version.node.within(deadline):
            return datasets.read(version.node, version.project_key, dataset, columns)

    def columns(self, version: Version, dataset: str, deadline: Deadline) -> list[str]:
        """The names of the columns of a dataset. Raises :class:`NodeError`."""
        with version.node.within(deadline):
            return datasets.columns_of(version.node, version.project_key, dataset)

    def prepare(self, version: Version, scenario: str, deadline: Deadline) -> None:
        """Runs the scenario, unless it has run for this version. Raises :class:`CheckFailed`, :class:`NodeError`."""
        with self._lock:
            turn = self._turns.setdefault((version.stage, scenario), threading.Lock())
        # The two versions run theirs side by side; gates that name the same one wait for it.
        with turn:
            if (version.stage, scenario) in self._scored:
                return
            self.say(f"running scenario {scenario} of {version}")
            done = scenarios.run_scenario(
                version.node, version.project_key, scenario, limit=deadline.remaining, refire=True
            )
            if done.outcome in ("NOT_STARTED", "TIMED_OUT"):
                raise NodeError(f"scenario {scenario} of {version}: {done.outcome}: {done.message}")
            if not done.passed and done.outcome != "WARNING":
                raise CheckFailed(f"scenario {scenario} of {version}: {done.outcome}: {done.message}")
            self._scored.add((version.stage, scenario))
