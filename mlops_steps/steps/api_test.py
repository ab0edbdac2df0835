"""api-test: ask what answers on a stage test queries, run the team's own pytest suite, and measure it under load."""

from __future__ import annotations

from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.config.api_load import LoadSettings
from mlops_steps.delivery.exclusive import infra_lock
from mlops_steps.delivery.judging import measured
from mlops_steps.delivery.judging_services import judge_service
from mlops_steps.delivery.noted import noted_test
from mlops_steps.delivery.record import ReleaseRecord, load_for
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.delivery.targets.live_service import LiveService
from mlops_steps.delivery.unit import Measured, Outcome
from mlops_steps.dss.api_node import ScoringClient
from mlops_steps.errors import CheckFailed, MlopsError, NodeError
from mlops_steps.report.model import Case, Report
from mlops_steps.report.model import Outcome as CaseOutcome
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline
from mlops_steps.trials.load_verdict import Limit
from mlops_steps.trials.queries import Query, check_endpoints, load_queries, own_queries
from mlops_steps.trials.query_cases import QueryRun
from mlops_steps.trials.service_load import Sent, not_loaded, run_load, what_to_send
from mlops_steps.trials.team_tests import run_service_suite

_FAILED = (CaseOutcome.FAILURE, CaseOutcome.ERROR)


def run(context: Context, stage: str) -> None:
    """Tests the version that answers on the stage, and writes the outcome into the release record.

    Every query is a test case, asked of each API node; so is every test that pytest reports. Raises
    :class:`CheckFailed` when a test failed, when there is nothing to test, or when it is not the record's version alone
    that answers; :class:`NodeError` when an API node could not be asked. The report then holds all that was found.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.api.stage(stage).infra
    service, given = settings.api.required_service(), settings.api.test
    queries = load_queries(given.queries, service) if given.queries else []
    record = load_for(settings.record, settings.project)
    package = recorded_package(settings, record)
    report.set(service=service, infrastructure=infra)
    with (
        infra_lock(settings, f"API {infra}", stage, console),
        open_service(settings, stage, package, Deadline(pace().look)) as target,
    ):
        check_endpoints(queries, target.endpoints, service)
        own = [query for endpoint in target.endpoints for query in own_queries(endpoint)]
        sent = what_to_send(given.load, [*queries, *own]) if given.load and settings.api.may_load(stage) else None
        with report.case("active version"):
            live = _look(target)
            version = _version_to_test(record, live, target)
        report.set(version=version, deployment=live.deployment.id if live.deployment else None)
        console.line(f"live on {stage}: {live}")
        test = Outcome(bundle=version)
        with noted_test(settings, stage, "api service", test, console):
            count = _test(target, live, test, (queries, own), sent, report, console)
            test.message = f"{count} tests passed"
            console.good(f"tested: version {version} of API service {service} on {stage}: {test.message}")


def _look(target: ApiDeployerTarget) -> LiveService:
    with target.within(Deadline(pace().look)):
        return target.observe()


def _version_to_test(record: ReleaseRecord, live: LiveService, target: ApiDeployerTarget) -> str:
    """The version that answers everywhere. Raises :class:`CheckFailed`, and :class:`NodeError` when none answers."""
    stage, package = target.stage, recorded_package(target.settings, record)
    if live.deployment is None or not live.deployment.enabled:
        raise CheckFailed(
            f"{stage}: no version of API service {target.service} is deployed on {live.infra}",
            next_step=f"run `mlops-steps api-deploy --stage {stage}` first",
        )
    silent = [str(answer) for answer in live.answers if answer.version is None]
    if silent:
        raise NodeError(
            f"{stage}: {len(silent)} of {len(live.answers)} first calls failed: {silent[0]}", details=silent
        )
    if live.version is None:
        raise CheckFailed(
            f"{stage}: several versions answer on {live.infra}: {', '.join(live.served)}",
            details=list(map(str, live.answers)),
            next_step=f"run `mlops-steps api-deploy --stage {stage}`: a test must be of one version",
        )
    if package and package.version != live.version:
        raise CheckFailed(
            f"{stage}: version {live.version} answers on {live.infra}, but the release record is of {package.version}",
            live=str(live),
            next_step=f"run `mlops-steps api-deploy --stage {stage}`: a test of another version proves nothing of it",
        )
    return live.version


def _test(
    target: ApiDeployerTarget,
    live: LiveService,
    test: Outcome,
    queries: tuple[list[Query], list[Query]],
    sent: Sent | None,
    report: Report,
    console: Console,
) -> int:
    """Runs all tests and returns how many there were. Raises unless all of them passed."""
    settings, version, before = target.settings, test.bundle or "", len(report.cases)
    with target.within(Deadline(pace().look)):
        found = target.nodes.clients(live.deployment) if live.deployment else []
    nodes = _settings_of(target, found)
    unreachable = _ask(target, found, version, queries, report, console)
    if unreachable is None:
        service = live.deployment.deployed if live.deployment else target.service
        run_service_suite(settings, report, console, target.stage, service, nodes)
        load = settings.api.test.load
        failed = sum(case.outcome in _FAILED for case in report.cases[before:])
        if load and sent is None:
            not_loaded(report, f"{target.stage} is not put under load; api.stages.{target.stage}.load: true allows it")
        elif load and failed:
            not_loaded(report, f"{failed} tests had failed before: what answers wrongly is not measured")
        elif load and sent:
            limits = run_load(settings, load, report, console, service, nodes, version, sent)
            test.gates = {f"load {limit.name}": _measured(limit, target.stage, load) for limit in limits}
        own = judge_service(target, "api-test", version, report, console)
        test.gates = {**test.gates, **measured(own)}
    tests = [case for case in report.cases[before:] if case.outcome is not CaseOutcome.SKIPPED]
    if not tests:
        raise CheckFailed(
            f"{target.stage}: version {version} has no test",
            next_step="name a file of test queries in api.test.queries of mlops.yml, or add some to the service in the "
            "API Designer (docs/api-services.md)",
        )
    if unreachable is None:
        # Before the failures: a deployment in the meantime may be why there are any.
        _check_still_live(target, version, report, _failures(tests))
    _conclude(target.stage, tests, unreachable)
    return len(tests)


def _failures(tests: list[Case]) -> list[str]:
    failed = [case for case in tests if case.outcome in _FAILED]
    return [f"{case.name}: {case.message.splitlines()[0] if case.message else case.outcome.value}" for case in failed]


def _conclude(stage: str, tests: list[Case], unreachable: NodeError | None) -> None:
    """Raises the error with which the step ends, unless all went well."""
    names = _failures(tests)
    if not names:
        return
    text = f"{len(names)} of {len(tests)} tests failed on {stage}"
    error: MlopsError = CheckFailed(text, details=names)
    if unreachable is not None:
        error = NodeError(f"{text}: {unreachable.message}", details=names, next_step=unreachable.next_step)
    error.is_reported = True
    raise error


def _measured(limit: Limit, stage: str, load: LoadSettings) -> Measured:
    where = f"{stage}, {load.rate:g} calls/s"
    return Measured(
        verdict=limit.verdict, value=limit.value, limit=limit.limit_in_words, rows=load.planned, source=where
    )


def _ask(
    target: ApiDeployerTarget,
    nodes: list[ScoringClient],
    version: str,
    queries: tuple[list[Query], list[Query]],
    report: Report,
    console: Console,
) -> NodeError | None:
    """Asks each API node the queries of the file and of the service; returns why one could not be asked."""
    given, (ours, own) = target.settings.api.test, queries
    asking = QueryRun(nodes, version, Deadline(given.timeout), given.parallel)
    with console.waiting(f"asking {len(nodes)} API nodes {len(ours) + len(own)} test queries") as wait:
        cases = asking.cases(ours, f"{report.classname}.queries", wait.state)
        cases += asking.cases(own, f"{report.classname}.test-queries", wait.state, may_ignore=True)
    report.extend(cases)
    for case in cases:
        if case.outcome is not CaseOutcome.PASSED:
            console.error(f"{case.name}: {case.message}")
    if cases:
        passed = sum(case.outcome is CaseOutcome.PASSED for case in cases)
        console.line(f"test queries: {passed} of {len(cases)} passed on {len(nodes)} API nodes")
    return asking.unreachable


def _settings_of(target: ApiDeployerTarget, nodes: list[ScoringClient]) -> dict[str, ApiNodeSettings]:
    """The API nodes as the suite gets them: those of the configuration, or the addresses that the deployer knows."""
    configured = target.settings.api.nodes_of(target.stage)
    if configured:
        return {node.name: node for node in configured}
    names = [f"api-node-{number}" for number in range(1, len(nodes) + 1)]
    return {
        name: ApiNodeSettings(name=name, url=node.url, infra=target.infra)
        for name, node in zip(names, nodes, strict=True)
    }


def _check_still_live(target: ApiDeployerTarget, version: str, report: Report, failures: list[str]) -> None:
    """Raises :class:`CheckFailed` unless the version still gives every answer: else the results are not about it.

    ``failures`` are what failed before, for the message.
    """
    with report.case("active version after the tests"):
        live = _look(target)
        if others := live.others(version):
            raise CheckFailed(
                f"{target.stage}: after the tests version {version} does not answer everywhere: {live}",
                details=[*others, *failures],
                next_step="find out who deploys to this stage, or which API node fails, then run the step again",
            )
