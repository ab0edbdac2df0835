"""A sandbox whose production has several infrastructures, and workspaces in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dataikuapi

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Workspace, create_project

#: Six infrastructures of one node, and one of three.
INFRAS = ("prod/eu", "prod/us", "prod/ap", "prod/sa", "prod/af", "prod/me", "prod/multi=3")
SIX = ("eu", "us", "ap", "sa", "af", "me")
#: Three waves of which the fourth node is in the second.
WAVES = (("eu",), ("us", "ap", "sa"), ("af", "me"))

_numbers = itertools.count(1)


class ManyWorkspace(Workspace):
    """A workspace whose production has these infrastructures, which go live in these waves."""

    places: Sequence[str] = SIX

    def many(
        self, waves: Sequence[Sequence[str]] = WAVES, *, multi: Sequence[str] = (), rollout: Any = None, **sections: Any
    ) -> None:
        """Writes mlops.yml; ``multi``: infrastructures of three nodes; ``rollout`` has more of its keys."""
        self.places = [place for wave in waves for place in wave]
        infras: dict[str, Any] = {
            place: {"infra": f"auto-{place}", **({"nodes": {f"n{n}": {} for n in (1, 2, 3)}} if place in multi else {})}
            for place in self.places
        }
        prod = {"infras": infras, "rollout": {"waves": [list(wave) for wave in waves], **(rollout or {})}}
        self.configure(nodes={"design": {}, "test": {}, "prod": prod}, **sections)

    def released_by_approval(self, build: int) -> str:
        """A bundle that is live everywhere: the second wave was approved."""
        bundle = self.tested(build)
        self.ok("release", "--stage", "prod")
        self.ok("approve", "--stage", "prod", "--by", "john")
        self.ok("release", "--stage", "prod")
        return bundle

    def all_live(self) -> dict[str, str | None]:
        """What each infrastructure's node says is active."""
        return {place: self.live(f"auto-{place}") for place in self.places}

    def local(self, place: str, **variables: str) -> None:
        """Sets local variables of the project on a node, which bundles do not touch."""
        project = self.client(f"auto-{place}").get_project(self.project)
        found = project.get_variables()
        found["local"] = variables
        project.set_variables(found)

    def faults(self, place: str) -> Any:
        return self.sandbox.nodes[f"auto-{place}"].faults

    def connection(self, place: str) -> dict[str, str]:
        """What mlops.yml says of the infrastructure's node, where it has another name than the sandbox gave it."""
        return {"url": self.sandbox.nodes[f"auto-{place}"].url}

    def key(self, place: str) -> str:
        return self.sandbox.nodes[f"auto-{place}"].api_key

    def deployer(self) -> dataikuapi.dss.projectdeployer.DSSProjectDeployer:
        return self.client("design").get_projectdeployer()


def new_workspace(sandbox: Sandbox, folder: Path) -> ManyWorkspace:
    """A workspace with a project of its own."""
    key = f"MANY{next(_numbers)}"
    create_project(sandbox, key)
    found = ManyWorkspace(folder, sandbox, key)
    found.many()
    return found
