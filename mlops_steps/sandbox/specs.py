"""The nodes of a sandbox, and the infrastructures that it may be asked for: `--nodes 6`, `--infra prod/us=3`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlops_steps.errors import ConfigError


@dataclass(frozen=True)
class NodeSpec:
    """A node that a sandbox gets. ``name`` is its entry in mlops.yml and in the environment variables.

    ``infra`` is the infrastructure of the deployer that it belongs to: of the API Deployer for an API node.
    ``part_of``: the stage of mlops.yml that has several infrastructures, or STAGE/NAME of one that has several nodes.
    """

    name: str
    id: str
    type: Literal["DESIGN", "AUTOMATION", "API"]
    infra: str | None = None
    stage: str | None = None
    part_of: str | None = None


@dataclass(frozen=True)
class InfraSpec:
    """An infrastructure that a sandbox gets: ``name`` on ``stage`` of mlops.yml, of ``count`` Automation nodes."""

    stage: str
    name: str
    count: int = 1

    @property
    def id(self) -> str:
        """Its id on the deployer."""
        return f"auto-{self.name}" if self.stage == "prod" else f"auto-{self.stage}-{self.name}"

    def nodes(self) -> list[NodeSpec]:
        """Its nodes; the deployer's stage is Test for a stage that is named so, else Production."""
        stage = "Test" if self.stage.startswith("test") else "Production"
        name = f"{self.stage}-{self.name}"
        if self.count == 1:
            return [NodeSpec(name, self.id, "AUTOMATION", self.id, stage, self.stage)]
        letters = [f"n{number}" for number in range(1, self.count + 1)]
        part_of = f"{self.stage}/{self.name}"
        return [NodeSpec(f"{name}-{one}", f"{self.id}-{one}", "AUTOMATION", self.id, stage, part_of) for one in letters]


NODES = (
    NodeSpec("design", "design", "DESIGN"),
    NodeSpec("test", "auto-test", "AUTOMATION", "auto-test", "Test"),
    NodeSpec("prod", "auto-prod", "AUTOMATION", "auto-prod", "Production"),
    NodeSpec("api-dev-1", "api-dev-1", "API", "api-dev", "Development"),
    NodeSpec("api-dev-2", "api-dev-2", "API", "api-dev", "Development"),
    NodeSpec("api-prod-1", "api-prod-1", "API", "api-prod", "Production"),
    NodeSpec("api-prod-2", "api-prod-2", "API", "api-prod", "Production"),
)

_FORM = re.compile(r"([a-z][a-z0-9]{0,19})/([a-z][a-z0-9]{0,19})(?:=([1-9][0-9]?))?")


def infra_specs(nodes: int | None, infras: Sequence[str]) -> list[InfraSpec]:
    """The infrastructures; ``nodes`` stands for so many of production. Raises :class:`ConfigError`."""
    found = [InfraSpec("prod", f"n{number}") for number in range(1, (nodes or 0) + 1)]
    for text in infras:
        match = _FORM.fullmatch(text)
        if match is None or match[1] in ("design", "deployer", "api"):
            raise ConfigError(
                f"--infra {text[:80]!r}: must be STAGE/NAME or STAGE/NAME=NODES in small letters and digits, such as "
                "prod/us=3"
            )
        found.append(InfraSpec(match[1], match[2], int(match[3] or 1)))
    names = [(spec.stage, spec.name) for spec in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--infra {'/'.join(twice[0])} is there twice")
    return found
