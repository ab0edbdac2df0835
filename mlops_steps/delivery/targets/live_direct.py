"""What is live on an Automation node that no deployer deploys to: what the node itself says, and the note on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlops_steps.dss.deployments import HEALTHY, Deployment, Health
from mlops_steps.dss.direct import State


class DirectProject(Deployment):
    """The project on the node, in the place of a deployment.

    ``version`` is the bundle that is active, or, after an activation that was interrupted, the one that was to be.
    """

    @property
    def title(self) -> str:
        return f"project {self.project_key} on {self.infra}"


@dataclass(frozen=True)
class LiveDirect:
    """What is active. ``deployment`` and ``health`` are ``None`` when nothing is."""

    infra: str
    version: str | None
    deployment: DirectProject | None
    health: Health | None
    state: State = field(default_factory=lambda: State(exists=False), repr=False)

    @classmethod
    def of(cls, state: State, project: str, infra: str, title: str) -> LiveDirect:
        """What the state means; ``title`` is how the record calls what is deployed."""
        if state.bundle is None:
            return cls(infra, None, None, None, state)
        enabled = not state.note.taken_back
        newest = next(iter(state.note.activations), None)
        # When something else is active by now, somebody has activated it since.
        interrupted = newest and not newest.done and state.bundle == newest.before != newest.bundle
        wanted = newest.bundle if newest and interrupted else state.bundle
        found = DirectProject(title, infra, wanted, project, project, enabled)
        health = Health(HEALTHY)
        if wanted != state.bundle:
            health = Health("OUT_OF_SYNC", [f"the activation of bundle {wanted} was interrupted"])
        elif not enabled:
            health = Health("UNKNOWN", ["taken out of service: its triggers are off"])
        return cls(infra, state.bundle, found, health, state)

    def is_healthy(self, version: str | None) -> bool:
        """Whether exactly this bundle is active, and was not taken out of service."""
        found = self.deployment
        same = found is not None and found.version == version == self.version
        return bool(version and same and self.health and self.health.healthy)

    def __str__(self) -> str:
        if self.version is None:
            return f"nothing on {self.infra}"
        how = "; ".join(["active", *(self.health.messages if self.health else [])])
        return f"bundle {self.version} on {self.infra} ({how})"
