"""What is live on an Automation node that no deployer deploys to: what the node itself says, and the note on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlops_steps.dss.deployments import HEALTHY, Deployment, Health
from mlops_steps.dss.direct import State


class DirectProject(Deployment):
    """The project on the node, in the place of a deployment: ``version`` is the bundle that is active."""

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
        found = DirectProject(title, infra, state.bundle, project, project, enabled)
        health = (
            Health(HEALTHY) if enabled else Health("UNKNOWN", ["it was taken out of service: its triggers are off"])
        )
        return cls(infra, state.bundle, found, health, state)

    def is_healthy(self, version: str | None) -> bool:
        """Whether exactly this bundle is active, and was not taken out of service."""
        return bool(version and self.version == version and self.health and self.health.healthy)

    def __str__(self) -> str:
        if self.version is None:
            return f"nothing on {self.infra}"
        how = "active" if self.deployment and self.deployment.enabled else "active, but taken out of service"
        return f"bundle {self.version} on {self.infra} ({how})"
