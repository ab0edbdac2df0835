"""A row of the registry of steps: what it says of its step, and what is derived from it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_steps.config import ConnectionSettings, NodeSettings, Settings
    from mlops_steps.steps.context import Context


class Kind(Enum):
    """The values that an option takes: a text, true or false, or a number of times from 0 to 9."""

    TEXT = "text"
    FLAG = "true or false"
    COUNT = "true, false or a number"


class Asks(Enum):
    """A node, or several, that a step asks."""

    DESIGN = "the Design node"
    DEPLOYER = "the node with the Project Deployer, or, where no stage uses one, the Design node"
    STAGE = "the Automation node of the stage"
    STAGES = "all Automation nodes"
    MONITORED = "the Automation node of the stage, if the project has one of that name"
    CHAMPION = "the Automation node of the release stage, where a gate compares with what is live there"
    CANDIDATE = "the Automation node of the stage before, where a gate looks at the bundle that is live there"
    GOVERN = "the Govern node that a gate names"
    ALL = "all nodes"


class Changes(Enum):
    """When a step changes what is live in production, so that an interrupted one may leave a restore pending."""

    NEVER = "never"
    ON_RELEASE_STAGE = "on the release stage"
    ON_PROBATION = "while a release is on probation"
    ALWAYS = "always"


@dataclass(frozen=True)
class Option:
    """An option: a keyword argument ``name`` of ``run``, ``--name`` of the command, a parameter of the Groovy step.

    A name that Python keeps for itself ends with ``_``, which the command and the Groovy step leave out.
    ``help`` is a sentence for the command line; ``default`` says in words what is used without the option.
    ``jenkins_help`` and ``jenkins_default`` replace the two in the help of the Groovy step. A text must match
    ``pattern`` as a whole, if there is one; ``form`` is what errors call that. ``positional``: the command takes it by
    its place.
    """

    name: str
    help: str
    kind: Kind = Kind.TEXT
    default: str = ""
    short: str = ""
    metavar: str = ""
    required: bool = False
    pattern: str = ""
    form: str = ""
    jenkins_help: str = ""
    jenkins_default: str = ""
    positional: bool = False

    @property
    def flag(self) -> str:
        """The option of the command line, such as ``--dry-run``."""
        return "--" + self.name.rstrip("_").replace("_", "-")

    @property
    def parameter(self) -> str:
        """The parameter of the Groovy step, such as ``dryRun``."""
        first, *rest = self.name.split("_")
        return first + "".join(word.capitalize() for word in rest)


#: Of the steps that work on a stage alone. It is not passed to ``run``.
WAIT = Option(
    "wait",
    "Wait that long (30m) for another run that is at work on the stage.",
    default="fail at once",
    metavar="TIME",
    jenkins_help="How long to wait, such as '30m', when another build is at work on the stage.",
    jenkins_default="the step fails at once",
)

#: Before the options of a step of a stage, and passed to ``run`` as its second argument.
STAGE = Option("stage", "Stage, as named in mlops.yml.", short="-s", metavar="NAME", required=True)

#: Every step has them. They are for the run as a whole, and are not passed to ``run``.
COMMON = (
    Option(
        "config",
        "Configuration file.",
        default="mlops.yml; MLOPS_CONFIG",
        short="-c",
        metavar="FILE",
        jenkins_help="Configuration file, relative to the workspace.",
        jenkins_default="mlops.yml, or what MLOPS_CONFIG names",
    ),
    Option(
        "project",
        "Project key; replaces the one of mlops.yml and MLOPS_PROJECT.",
        metavar="KEY",
        jenkins_default="that of mlops.yml",
    ),
    Option(
        "verbose",
        "Print more; twice: each request too.",
        Kind.COUNT,
        short="-v",
        jenkins_help="Log more; 2: each request too.",
    ),
    Option(
        "quiet",
        "Print warnings and errors only.",
        Kind.FLAG,
        short="-q",
        jenkins_help="Log warnings and errors only.",
    ),
)


@dataclass(frozen=True)
class Step:
    """A row. ``summary`` and ``text`` are the help of the command; the first is one line.

    ``asks``: the nodes whose keys it needs. ``reads_record``: it reads what an earlier step of the same build wrote.
    ``harmless_with``: the name of a flag with which it changes nothing. ``in_library``: there is a Groovy step that
    runs it. ``of_service``: its stage is one of the API service (``api.stages``). ``of_both``: its stage is one of the
    project's, of the service's, or both. ``sums_up``: after it the page of the release is made anew.
    ``stage_default``: what is done without a stage, where none has to be named.
    """

    name: str
    summary: str
    text: str = ""
    has_stage: bool = True
    options: tuple[Option, ...] = ()
    asks: tuple[Asks, ...] = (Asks.DEPLOYER, Asks.STAGE)
    reads_record: bool = True
    changes: Changes = Changes.NEVER
    harmless_with: str = ""
    in_library: bool = True
    of_service: bool = False
    of_both: bool = False
    sums_up: bool = True
    stage_default: str = ""

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The options in the order in which help texts show them."""
        stage = replace(STAGE, required=False, default=self.stage_default) if self.stage_default else STAGE
        return (*((stage,) if self.has_stage else ()), *self.options, *COMMON)

    @property
    def groovy_name(self) -> str:
        """The Groovy step, such as ``mlopsSmokeTest``."""
        return "mlops" + "".join(word.capitalize() for word in self.name.split("-"))

    def run(self, context: Context, stage: str | None, options: Mapping[str, Any]) -> None:
        """Runs the step; ``options`` are keyword arguments of its ``run``. Raises what it raises."""
        from mlops_steps.delivery.turn import in_turn

        module = importlib.import_module(f"mlops_steps.steps.{self.name.replace('-', '_')}")
        own = {name: value for name, value in options.items() if name != WAIT.name}
        place = [stage] if self.has_stage else []
        in_turn(context.report, context.console, options.get(WAIT.name), lambda: module.run(context, *place, **own))

    def recoveries(self, settings: Settings, stage: str | None) -> tuple[str, ...]:
        """The steps that finish what an interrupted run of this one has left."""
        if not self.of_both:
            return ("api-recover" if self.of_service else "recover",)
        project, service = settings.units_of(stage or "")
        both = (project and settings.release.probation, service and settings.api.release.probation)
        return tuple(step for step, may in zip(("recover", "api-recover"), both, strict=True) if may)

    def check_stage(self, settings: Settings, stage: str) -> None:
        """Raises :class:`ConfigError` with the nearest spelling when the configuration has no such stage."""
        if self.of_both:
            settings.units_of(stage)
        elif self.of_service:
            settings.api.stage(stage)
        else:
            settings.stage(stage)

    def nodes(self, settings: Settings, stage: str | None) -> list[ConnectionSettings]:
        """The nodes whose keys it needs, in the order of the configuration.

        Raises :class:`ConfigError` when one of them, or the stage, is not in the configuration.
        """
        names = {node.name for what in self.asks for node in _asked(what, settings, stage, self.name)}
        return [found for node, found in settings.all_nodes() if node.name in names]

    def changes_production(self, settings: Settings, stage: str | None, options: Mapping[str, Any]) -> bool:
        """Whether an interrupted run with these options may leave a restore pending."""
        if self.harmless_with and options.get(self.harmless_with):
            return False
        if self.changes is Changes.ON_RELEASE_STAGE:
            return stage == settings.release_stage().name
        if self.changes is Changes.ON_PROBATION:
            return bool(self.recoveries(settings, stage))
        return self.changes is Changes.ALWAYS


def _asked(what: Asks, settings: Settings, stage: str | None, step: str) -> list[NodeSettings]:
    gates = [gate for gate in settings.gates if step in gate.steps]
    if what is Asks.DESIGN:
        return [settings.node("design")]
    if what is Asks.DEPLOYER:
        return [settings.archives()]
    if what is Asks.CHAMPION:
        return [settings.release_stage()] if any(gate.gate == "champion" for gate in gates) else []
    if what is Asks.GOVERN:
        return [settings.node(gate.govern) for gate in gates if gate.gate == "governance" and gate.govern]
    if what is Asks.CANDIDATE:
        before = settings.stage_before(stage or "")
        looked_at = [gate for gate in gates if gate.gate not in ("governance", "project_standards")]
        return [before] if before and looked_at else []
    if what is Asks.MONITORED:
        return [settings.stage(stage)] if stage and settings.units_of(stage)[0] else []
    if what is Asks.STAGE:
        return [settings.stage(stage or "")]
    return settings.stages() if what is Asks.STAGES else list(settings.nodes.values())
