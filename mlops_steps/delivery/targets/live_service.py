"""What answers on an infrastructure of the API Deployer, as the deployer and each API node say."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.deployments import Health


@dataclass(frozen=True)
class Answer:
    """What one API node answered on one endpoint: the version that served the call, or what went wrong.

    ``forced`` is the version that was asked for, if one was.
    """

    node: str
    endpoint: str
    version: str | None
    problem: str = ""
    forced: str | None = None

    def __str__(self) -> str:
        said = f"version {self.version}" if self.version else self.problem
        if self.forced and self.forced != self.version:
            said += f" (asked for version {self.forced})"
        return f"{self.node}, endpoint {self.endpoint}: {said}"


@dataclass(frozen=True)
class LiveService:
    """What answers on an infrastructure. ``answers``: one for each API node and endpoint."""

    infra: str
    deployment: ServiceDeployment | None = None
    health: Health | None = None
    answers: tuple[Answer, ...] = ()

    @property
    def served(self) -> list[str]:
        """The versions that answered."""
        return sorted({answer.version for answer in self.answers if answer.version})

    @property
    def version(self) -> str | None:
        """The version that gave every answer that came; ``None`` when there was none, or when several answered."""
        return self.served[0] if len(self.served) == 1 else None

    def is_healthy(self, version: str | None) -> bool:
        """Whether the settings name this version alone, the deployer says HEALTHY, and it gave every answer."""
        return bool(
            version
            and self.deployment
            and (self.deployment.version, self.deployment.enabled) == (version, True)
            and self.health
            and self.health.healthy
            and self.answers
            and all(answer.version == version for answer in self.answers)
        )

    def is_shared(self, shares: dict[str, float]) -> bool:
        """Whether the settings give these shares, the deployer says HEALTHY, and each version answered for itself."""
        found = self.deployment
        return bool(
            found
            and found.enabled
            and {name: round(part, 6) for name, part in found.shares}
            == {name: round(part, 6) for name, part in shares.items()}
            and self.health
            and self.health.healthy
            and self.answers
            and all(answer.version == answer.forced for answer in self.answers)
        )

    def others(self, version: str) -> list[str]:
        """The answers that this version did not give, in words."""
        return [str(answer) for answer in self.answers if answer.version != version]

    def __str__(self) -> str:
        if self.deployment is None:
            return f"nothing on {self.infra}"
        served = self.served
        found = f"version {', '.join(served)}" if served else "no version that answers"
        failed = sum(answer.version is None for answer in self.answers)
        parts = [self.health.status if self.health else "health unknown"]
        if failed:
            parts.append(f"{failed} of {len(self.answers)} calls failed")
        if served != [self.deployment.version]:
            parts.append(f"the settings say {self.deployment}")
        elif not self.deployment.enabled:
            parts.append("disabled")
        return f"{found} on {self.infra} ({', '.join(parts)})"
