"""doctor: every node of the configuration at once, before anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from mlops_steps.acceptance import accepted
from mlops_steps.config import ConnectionSettings, InfraSettings, NodeSettings, Settings
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.service_status import ServiceStatus, service_status
from mlops_steps.dss import automation, direct, discovery, projects
from mlops_steps.dss import probe as dss
from mlops_steps.dss.deployments import HEALTHY
from mlops_steps.dss.probe import Probe, Trouble
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError, NodeError
from mlops_steps.report.model import Case, Outcome
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.parallel import gather
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import Deadline, duration

# Seconds by which the clocks of a node and of this machine may differ.
CLOCK_LIMIT = 60.0
_CLOCK_NOISE = 2.0

# From this version on DSS keeps JUnit reports of test scenarios.
_REPORTS_SINCE = 13

# The checks of a node, in the order in which they are reported.
_CHECKS = ("reachable", "TLS", "key", "type", "version", "clock")

_TYPES = {"design": ("DESIGN",), "deployer": ("DEPLOYER", "DESIGN")}
_STAGE_TYPES = ("AUTOMATION",)


@dataclass(frozen=True)
class Finding:
    """What a check found; ``next_step`` says what to do when it failed."""

    check: str
    outcome: Outcome
    text: str
    next_step: str = ""


@dataclass
class Examined:
    """A node, what was found, and what it answered as deployer. ``exit_code`` is the worst of what failed."""

    node: ConnectionSettings
    findings: list[Finding] = field(default_factory=list)
    infrastructures: dict[str, bool | None] | None = None
    exit_code: int = 0

    def passed(self, check: str, text: str) -> None:
        self.findings.append(Finding(check, Outcome.PASSED, text))

    def skipped(self, check: str, text: str) -> None:
        self.findings.append(Finding(check, Outcome.SKIPPED, text))

    def failed(self, check: str, text: str, next_step: str, exit_code: int = 1) -> None:
        """A check that failed; with exit code 3 it could not be made."""
        outcome = Outcome.ERROR if exit_code == 3 else Outcome.FAILURE
        self.findings.append(Finding(check, outcome, text, next_step))
        self.exit_code = max(self.exit_code, exit_code)


def run(context: Context, *, infra: str | None = None) -> None:
    """Checks the nodes; of those with infrastructures only that of ``infra``, if it is given. Changes nothing.

    Raises :class:`NodeError` when a node is not reached or refuses the key, :class:`ConfigError` when a key is missing,
    :class:`CheckFailed` when another check fails; in this order.
    """
    settings, report, console = context.settings, context.report, context.console
    # A node that is down is reported at once, not after many tries.
    impatient = settings.http.model_copy(update={"retries": min(1, settings.http.retries)})
    settings = settings.model_copy(update={"http": impatient})
    nodes = _chosen(settings, infra)
    with console.waiting(f"asking {len(nodes)} nodes"):
        examined = gather([partial(_examine, settings, node) for node in nodes])
    by_name = {one.node.name: one for one in examined}
    for stage in settings.stages():
        for unit in stage.units():
            if unit.witnesses[0].name in by_name and not unit.is_direct:
                _check_infrastructure(
                    settings, stage, unit, by_name[unit.witnesses[0].name], by_name[settings.deployer().name]
                )
    if settings.api.service and by_name[settings.deployer().name].infrastructures is not None:
        _check_service(settings, by_name[settings.deployer().name])
    width = max(len(f"{one.node.name} {finding.check}") for one in examined for finding in one.findings)
    for one in examined:
        for finding in one.findings:
            report.add(_case(one.node, finding))
            _say(one.node, finding, width, console)
    _conclude(examined, console)


def _chosen(settings: Settings, infra: str | None) -> list[ConnectionSettings]:
    """The nodes to be checked. Raises :class:`ConfigError` when no stage has that infrastructure."""
    if infra is None:
        return [found for _, found in settings.all_nodes()]
    units = [unit for stage in settings.stages() for unit in stage.units()]
    names = [name for unit in units for name in (unit.place, unit.infra) if name]
    if infra not in names:
        raise ConfigError(f"no stage has an infrastructure {infra!r}{nearest(infra, names)}")
    hosts = {settings.node("design").name: settings.node("design"), settings.deployer().name: settings.deployer()}
    return [*hosts.values(), *(node for unit in units if infra in (unit.place, unit.infra) for node in unit.witnesses)]


def _examine(settings: Settings, node: ConnectionSettings) -> Examined:
    """All checks of one node. Raises nothing for what may be wrong with it."""
    examined = Examined(node)
    checks = [*_CHECKS]
    if node.name == "design":
        checks.append("project")
    if node.name == settings.deployer().name and settings.uses_deployer:
        checks.append("deployer")
    if isinstance(node, InfraSettings) and node.is_direct:
        checks.append("bundles")
    try:
        connection = connect(settings, node)
    except ConfigError as error:
        examined.failed("key", error.message, "set one of the two variables, in Jenkins from the job's credentials", 2)
    else:
        with connection, connection.within(Deadline(pace().look)):
            found = dss.probe(connection)
            if _check_connection(examined, found, _types(settings, node)):
                _check_version(examined, found, _of_acceptance(settings, node, found.version))
                _check_clock(examined, found)
                if "project" in checks:
                    _ask(examined, "project", lambda: _check_project(examined, connection, settings.project))
                if "bundles" in checks:
                    _ask(examined, "bundles", lambda: _check_direct(examined, connection, settings.project))
                if "deployer" in checks:
                    _ask(examined, "deployer", lambda: _check_deployer(examined, connection))
    # A test that comes and goes from build to build is useless in Jenkins.
    for check in {*checks} - {finding.check for finding in examined.findings}:
        examined.skipped(check, "not asked: see the check that failed")
    examined.findings.sort(key=lambda finding: checks.index(finding.check))
    return examined


def _types(settings: Settings, node: ConnectionSettings) -> tuple[str, ...]:
    """The types of node that this one may be."""
    if any(gate.gate == "governance" and gate.govern == node.name for gate in settings.gates):
        return ("GOVERN",)
    return _TYPES.get(node.name, _STAGE_TYPES)


def _check_connection(examined: Examined, found: Probe, wanted: tuple[str, ...]) -> bool:
    """Reachable, TLS, key, kind of the node; returns whether it answered as a DSS node does."""
    node, trouble = examined.node, found.trouble
    if trouble is Trouble.CONNECTION:
        examined.failed("reachable", f"{node.url}: {found.problem}", "check the URL, the network and that DSS runs", 3)
        return False
    if trouble is Trouble.TLS:
        examined.passed("reachable", node.url)
        examined.failed(
            "TLS",
            found.problem,
            f"check that the node speaks https, and nodes.{node.name}.verify: it may name a file with your CA",
            3,
        )
        return False
    if node.url.startswith("https:"):
        examined.passed("TLS", "the certificate is good" if node.verify else "the certificate is not checked")
    else:
        examined.skipped("TLS", "the URL begins with http://")
    if trouble is Trouble.ANSWER:
        next_step = "check that DSS runs, and that the URL is the node's own and not a proxy's or a login page's"
        examined.failed("reachable", f"{node.url}: {found.problem}", next_step, 3)
        return False
    examined.passed("reachable", node.url)
    if trouble is Trouble.KEY:
        examined.failed("key", found.problem, f"check the key in {node.variable}_API_KEY, and its rights", 3)
        return False
    examined.passed("key", "accepted")
    if found.node_type in wanted:
        examined.passed("type", found.node_type)
    else:
        text = f"this is a node of type {found.node_type or 'unknown'}, not {' or '.join(wanted)}"
        examined.failed("type", text, f"check nodes.{node.name}.url: it may be the URL of another node")
    return True


def _of_acceptance(settings: Settings, node: ConnectionSettings, version: str) -> str:
    """What is known of the acceptance of this version on the infrastructure; nothing for a node of no stage."""
    units = [(stage, unit) for stage in settings.stages() for unit in stage.units()]
    found = next(((stage, unit) for stage, unit in units if node.name in [one.name for one in unit.witnesses]), None)
    if found is None:
        return ""
    stage, unit = found
    known = accepted.read(settings).get(unit.name)
    run = f"`mlops-steps accept --stage {stage.name}{f' --infra {unit.place}' if unit.place else ''}`"
    if known is None:
        return f"; never accepted: run {run}"
    if known.version != version:
        return f"; this version was never accepted, {known.version} was: run {run}"
    if known.differs:
        return f"; accepted {known.at}, but {len(known.differs)} assumptions differ: {', '.join(known.differs)}"
    return f"; accepted {known.at}"


def _check_version(examined: Examined, found: Probe, acceptance: str) -> None:
    number = re.match(r"\d+", found.version)
    if not number:
        examined.skipped("version", "the node does not report its version")
    elif int(number[0]) < _REPORTS_SINCE:
        text = f"DSS {found.version}: without JUnit reports of test scenarios, which came with {_REPORTS_SINCE}"
        examined.passed("version", text + acceptance)
    else:
        examined.passed("version", f"DSS {found.version}{acceptance}")


def _check_clock(examined: Examined, found: Probe) -> None:
    if found.skew is None:
        examined.skipped("clock", "the node does not report its time")
        return
    text = f"{duration(round(abs(found.skew)))} {'ahead of' if found.skew > 0 else 'behind'} this machine's"
    if abs(found.skew) < _CLOCK_NOISE:
        text = "agrees with this machine's"
    if abs(found.skew) > CLOCK_LIMIT:
        examined.failed("clock", text, "set the clocks of both by a time server; times in records would mislead")
    else:
        examined.passed("clock", text)


def _ask(examined: Examined, check: str, look: Callable[[], None]) -> None:
    try:
        look()
    except NodeError as error:
        examined.failed(check, error.message, error.next_step or "check the node and the rights of the key", 3)


def _check_project(examined: Examined, connection: Dss, project: str) -> None:
    if dss.project_exists(connection, project):
        examined.passed("project", project)
        return
    hint = nearest(project, projects.list_keys(connection))
    examined.failed(
        "project",
        f"there is no project {project} that this key may see{hint}",
        "check `project` in mlops.yml, and the rights of the key on the project",
    )


def _check_direct(examined: Examined, connection: Dss, project: str) -> None:
    """Whether the key may see the bundles that it is to import and activate there."""
    there = direct.imported(connection, project)
    if there is None:
        examined.passed("bundles", f"project {project} is not there yet: the first deployment creates it")
        return
    active = automation.active_bundle(connection, project)
    examined.passed("bundles", f"{len(there)} imported, {active or 'none'} is active")


def _check_deployer(examined: Examined, connection: Dss) -> None:
    examined.infrastructures = {infra.id: infra.may_deploy for infra in discovery.infrastructures(connection)}
    examined.passed("deployer", f"infrastructures: {', '.join(sorted(examined.infrastructures)) or 'none'}")


def _check_infrastructure(
    settings: Settings, stage: NodeSettings, unit: InfraSettings, examined: Examined, deployer: Examined
) -> None:
    infra, known = str(unit.infra), deployer.infrastructures
    setting = f"nodes.{stage.name}.infras.{unit.place}.infra" if unit.place else f"nodes.{stage.name}.infra"
    if known is None:
        examined.skipped("infrastructure", f"node {deployer.node.name} could not be asked for {infra}")
    elif infra not in known:
        examined.failed(
            "infrastructure",
            f"there is no infrastructure {infra} that this key may see{nearest(infra, known)}",
            f"check {setting}, and the rights of the key of node {deployer.node.name}",
        )
    elif known[infra] is None:
        examined.skipped(
            "infrastructure", f"{infra} exists; the deployer does not report whether this key may deploy to it"
        )
    elif not known[infra]:
        examined.failed(
            "infrastructure",
            f"the key of node {deployer.node.name} may not deploy to {infra}",
            f"have the right to deploy to {infra} given to the group of that key (Project Deployer, permissions)",
        )
    else:
        deployment = settings.deployment_id(unit)
        examined.passed("infrastructure", f"{infra}, may deploy (deployment {deployment})")


def _check_service(settings: Settings, deployer: Examined) -> None:
    """What answers on each stage of the API service, and whether every API node of it says the same."""
    record = load_for(settings.record, settings.project)

    def look(stage: str) -> ServiceStatus | MlopsError:
        try:
            return service_status(settings, record, stage)
        except MlopsError as error:
            return error

    for stage, found in zip(
        settings.api.stages, gather([partial(look, name) for name in settings.api.stages]), strict=True
    ):
        check = f"API service on {stage}"
        if isinstance(found, MlopsError):
            next_step = found.next_step or "check the service, the right of the key to deploy it, and the API nodes"
            deployer.failed(check, found.message, next_step, exit_code=min(found.exit_code, 3))
        elif not found.nodes:
            deployer.passed(check, f"{found.infra}: nothing is deployed yet")
        elif len(set(found.nodes.values())) > 1 and not found.shares:
            said = ", ".join(f"{node}: {version}" for node, version in found.nodes.items())
            deployer.failed(check, f"{found.infra}: the API nodes differ: {said}", "update the deployment again")
        elif found.health != HEALTHY:
            deployer.failed(check, f"{found.infra}: {found.live} is {found.health}", "look at the API Deployer")
        else:
            deployer.passed(check, f"{found.infra}: {found.live} on {len(found.nodes)} API nodes")
        if isinstance(found, ServiceStatus) and found.shareable is not None:
            _check_canary(deployer, f"canary on {stage}", found)


def _check_canary(deployer: Examined, check: str, found: ServiceStatus) -> None:
    """Whether a canary can tell the API Deployer that versions share the calls."""
    if found.shareable:
        deployer.passed(check, "the API Deployer's word for several versions is known")
    else:
        deployer.failed(
            check,
            "the API Deployer's word for several versions is not known: this deployment has never had several",
            "set api.release.canary.mode in mlops.yml, or let two versions share the calls once, by hand",
        )


def _case(node: ConnectionSettings, finding: Finding) -> Case:
    case = Case(f"{node.name} {finding.check}", finding.outcome)
    if finding.outcome is Outcome.PASSED:
        case.stdout = finding.text
    else:
        case.message = finding.text
        case.details = f"{finding.text}\nnext: {finding.next_step}" if finding.next_step else ""
    return case


def _say(node: ConnectionSettings, finding: Finding, width: int, console: Console) -> None:
    words = {Outcome.PASSED: "ok", Outcome.SKIPPED: "skipped"}
    line = f"{words.get(finding.outcome, 'FAILED'):7} {f'{node.name} {finding.check}':{width}}  {finding.text}"
    if finding.next_step:
        console.error(f"{line}; next: {finding.next_step}")
    else:
        console.detail(line)


def _conclude(examined: list[Examined], console: Console) -> None:
    failures = list(_failures(examined))
    checks = sum(finding.outcome is not Outcome.SKIPPED for one in examined for finding in one.findings)
    if not failures:
        console.good(f"{len(examined)} nodes, {checks} checks: all is well")
        return
    code = max(one.exit_code for one in examined)
    kind: type[MlopsError] = {3: NodeError, 2: ConfigError}.get(code, CheckFailed)
    error = kind(f"{len(failures)} of {checks} checks failed: {', '.join(failures)}")
    error.is_reported = True
    raise error


def _failures(examined: list[Examined]) -> Iterator[str]:
    for one in examined:
        for finding in one.findings:
            if finding.outcome in (Outcome.FAILURE, Outcome.ERROR):
                yield f"{one.node.name} {finding.check}"
