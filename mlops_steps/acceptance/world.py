"""The throwaway project with the nodes that it lives on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any

import yaml

from mlops_steps.config import Settings
from mlops_steps.dss import throwaway
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import ConfigError, Refusal
from mlops_steps.shapes.recorder import Recorder
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

#: Whatever `accept` makes has a name that begins so, on every node.
PREFIX = "MLOPS_ACCEPT_"
#: API services have ids in lower case.
SERVICE_PREFIX = "mlops_accept_"
FIRST, SECOND = "accept-1", "accept-2"


def content() -> dict[str, Any]:
    """What the throwaway project holds: the file ``content/project.yml`` of the package."""
    text = (resources.files("mlops_steps.acceptance") / "content" / "project.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@dataclass
class Site:
    """An infrastructure of a stage. ``name`` is what `mlops.yml` calls it, ``nodes`` are its Automation nodes."""

    settings: Settings
    stage: str
    name: str
    infra: str
    design: Dss
    deployer: Dss
    nodes: tuple[Dss, ...]
    recorder: Recorder | None = None

    @property
    def command(self) -> str:
        """`accept` for this infrastructure, as it is typed."""
        part = f" --infra {self.infra}" if self.name != self.stage else ""
        return f"mlops-steps accept --stage {self.stage}{part}"

    @property
    def node(self) -> Dss:
        """The Automation node that is asked where only one can be."""
        return self.nodes[0]

    @property
    def all_nodes(self) -> list[Dss]:
        """Every node, each once: the Project Deployer may be the Design node."""
        return list({node.url: node for node in (self.design, self.deployer, *self.nodes)}.values())

    @contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Requests to all nodes end at the deadline."""
        with ExitStack() as stack:
            for node in (self.design, self.deployer, *self.nodes):
                stack.enter_context(node.within(deadline))
            yield

    def observe(self, recorder: Recorder) -> None:
        """All answers are noted from now on."""
        self.recorder = recorder
        for kind, node in (
            ("design", self.design),
            ("design", self.deployer),
            *(("automation", n) for n in self.nodes),
        ):
            node.session.observer = partial(recorder.note, kind)

    def say(self, state: str) -> None:
        """What the node is at, for who wants to know more."""


@contextmanager
def open_site(settings: Settings, stage: str, infra: str | None = None) -> Iterator[Site]:
    """Connections to the nodes of an infrastructure of the stage: ``infra``, or the first one. Sends nothing yet.

    Raises :class:`ConfigError`.
    """
    unit = settings.units(stage, infra)[0]
    if unit.is_direct:
        raise ConfigError(
            f"{unit.name} has no Project Deployer (strategy: direct): accept tries what goes by one",
            next_step="accept a stage with an infrastructure, or another one with --infra",
        )
    with ExitStack() as stack:
        design = stack.enter_context(connect(settings, settings.node("design")))
        deployer = stack.enter_context(connect(settings, settings.deployer()))
        nodes = tuple(stack.enter_context(connect(settings, node)) for node in unit.witnesses)
        yield Site(settings, stage, unit.name, str(unit.infra), design, deployer, nodes)


@dataclass
class World:
    """A throwaway project.

    ``lacking``: what could not be made in it, and why. ``kept``: what one check has left for the next ones.
    ``api_stage``: the stage of the API service that a service is tried on, if one is.
    """

    site: Site
    api_stage: str = ""
    key: str = field(default_factory=lambda: f"{PREFIX}{secrets.token_hex(4).upper()}")
    content: dict[str, Any] = field(default_factory=content)
    scenarios: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def deployment(self) -> str:
        return f"{self.key}-on-{self.site.infra}"

    @property
    def service(self) -> str:
        """The id of its API service, on the Design node and on the API Deployer."""
        return self.key.lower()

    @property
    def endpoint(self) -> str:
        return str(self.content["service"]["endpoint"])

    @property
    def api_infra(self) -> str:
        """The infrastructure of the API Deployer."""
        return str(self.site.settings.api.stage(self.api_stage).infra)

    @property
    def service_deployment(self) -> str:
        return f"{self.service}-on-{self.api_infra}"

    @property
    def patience(self) -> float:
        """Seconds for what takes a node a moment: a scenario of one line, a health."""
        return min(pace().look, self.site.settings.release.smoke_timeout)

    def make(self) -> None:
        """Makes the project on the Design node. Raises :class:`NodeError` when it cannot be made at all."""
        design, parts = self.site.design, self.content
        throwaway.create_project(design, self.key, parts["name"], parts["description"])
        for spec in parts["scenarios"]:
            self.scenarios[spec["name"]] = throwaway.add_scenario(design, self.key, spec)
        self._unless_refused("recipes", self._make_recipes)
        if self.api_stage:
            throwaway.add_service(design, self.key, self.service, parts["service"])
        self._unless_refused("model", lambda: throwaway.add_model(design, self.key, parts["model"]))

    def _make_recipes(self) -> None:
        throwaway.add_dataset(self.site.design, self.key, self.content["dataset"])
        for spec in self.content["recipes"]:
            throwaway.add_recipe(self.site.design, self.key, spec)

    def _unless_refused(self, what: str, make: Any) -> None:
        """What a node may lack the means for: a connection, a kind of model."""
        try:
            make()
        except Refusal as error:
            self.lacking[what] = error.message

    def scenario(self, name: str) -> str:
        """The id that the node has given the scenario."""
        return self.scenarios[name]
