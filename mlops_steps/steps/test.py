"""test: run the test scenarios of the deployed project on a stage, and the team's own pytest suite."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mlops_steps.delivery import judging, policing
from mlops_steps.delivery.attestation import Statements
from mlops_steps.delivery.exclusive import stage_lock
from mlops_steps.delivery.noted import noted_test
from mlops_steps.delivery.record import Build, ReleaseRecord, load_for
from mlops_steps.delivery.rollout.each import on_each
from mlops_steps.delivery.rollout.members import Member, open_members
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.delivery.unit import Outcome
from mlops_steps.dss import automation, scenarios
from mlops_steps.errors import CheckFailed, MlopsError, NodeError
from mlops_steps.policy.effective import resolve
from mlops_steps.report.model import Case, Report
from mlops_steps.report.model import Outcome as CaseOutcome
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import Deadline
from mlops_steps.trials.scenario_cases import add_cases, choose, missing
from mlops_steps.trials.scenario_runs import Attempt, Ran, ScenarioRuns
from mlops_steps.trials.team_tests import run_suite

if TYPE_CHECKING:
    from mlops_steps.gates.model import GateResult


def run(context: Context, stage: str, *, infra: str | None = None) -> None:
    """Tests what is live on the stage, and writes the outcome into the release record.

    On all its infrastructures; with ``infra`` on one of several, and then the record does not say that it was tested.

    Every scenario is a test case, so is every test that DSS or pytest reports. Raises :class:`CheckFailed` when a test
    failed, when there is nothing to test, or when what is live is not the record's bundle; :class:`NodeError` when a
    scenario could not be run because of the node. The report then holds all that was found.
    """
    settings, report, console = context.settings, context.report, context.console
    unit = settings.units(stage, infra)[0]
    several = bool(settings.stage(stage).infras)
    policing.check_gates(settings, resolve(settings))
    judging.gates_of(settings, "test")  # what they require is missed now, and not after the tests
    statements = Statements(settings, console, context.build)
    if several and infra is None:
        _test_each(context, stage, statements)
        return
    report.set(infrastructure=unit.infra, automation_node=unit.url)
    with stage_lock(settings, stage, console, infra=infra), open_target(settings, stage, infra) as target:
        with report.case("active bundle"):
            record = load_for(settings.record, settings.project)
            with target.within(Deadline(pace().look)):
                live = target.observe()
            _describe(report, record, live)
            bundle = _bundle_to_test(record, live, stage)
        console.line(f"live on {stage}: {live}")
        with target.within(Deadline(pace().look)):
            attempt = _attempt(target, record, live, bundle, context.build)
        test = Outcome(bundle=bundle, attempt=attempt.name)
        with ExitStack() as stack:
            if not several:
                stack.enter_context(noted_test(settings, stage, "bundle", test, console))
                stack.enter_context(statements.of_tests(target, record, report))
            count = _run_tests(target, report, console, test, _key(target, live), attempt)
            test.message = f"{count} tests passed"
            console.good(f"tested: bundle {bundle} on {stage}: {test.message}")


def _test_each(context: Context, stage: str, statements: Statements) -> None:
    """The same on each infrastructure of the stage, side by side; all must have the same bundle."""
    settings, report, console = context.settings, context.report, context.console
    with stage_lock(settings, stage, console):
        record = load_for(settings.record, settings.project)
        with open_members(settings, stage, report, console, record) as members:
            bundles: dict[str, list[str]] = {}
            with report.case("active bundle"):
                for member in members:
                    with member.target.within(Deadline(pace().look)):
                        member.live = member.target.observe()
                    _describe(member.report, record, member.live)
                    bundles.setdefault(_bundle_to_test(record, member.live, stage), []).append(member.place)
                if len(bundles) > 1:
                    found = "; ".join(f"{bundle} on {', '.join(places[:10])}" for bundle, places in bundles.items())
                    raise CheckFailed(
                        f"{stage}: the infrastructures do not have the same bundle: {found}",
                        next_step=f"run `mlops-steps deploy --stage {stage}`",
                    )
            bundle, first = next(iter(bundles)), members[0]
            assert first.live is not None
            with first.target.within(Deadline(pace().look)):
                attempt = _attempt(first.target, record, first.live, bundle, context.build)
            test = Outcome(bundle=bundle, attempt=attempt.name)
            counts: list[int] = []

            def one(member: Member) -> str:
                assert member.live is not None
                own = Outcome(bundle=bundle, attempt=attempt.name)
                key = _key(member.target, member.live)
                counts.append(_run_tests(member.target, member.report, member.change.console, own, key, attempt))
                test.gates.update(own.gates)
                return f"{counts[-1]} tests passed"

            noted = noted_test(settings, stage, "bundle", test, console)
            with noted, statements.of_tests(first.target, record, report):
                on_each(members, one, "test", context.signals, report, console)
                test.message = f"{sum(counts)} tests passed on {len(members)} infrastructures"
                console.good(f"tested: bundle {bundle} on {stage}: {test.message}")


def _attempt(target: BundleTarget, record: ReleaseRecord, live: Live, bundle: str, build: Build) -> Attempt:
    """A new attempt, or the interrupted one: by the record, or without one by the number of the Jenkins build."""
    # Part of a name that DSS keeps: a job's name may hold characters that it must not.
    who = f"build.{hashlib.sha256(f'{build.job} {build.number}'.encode()).hexdigest()[:12]}" if build.number else "hand"
    part = record.stages.get(target.stage)
    before = part.test if part else None
    if before and before.bundle == bundle and before.attempt.startswith(f"test.{who}."):
        again = before.result == "started"
        return Attempt(before.attempt if again else f"test.{who}.{uuid.uuid4().hex}", resumed=again)
    known = target.newest_change(live) if build.number else None
    return Attempt(f"test.{who}.{known or uuid.uuid4().hex}")


def _run_tests(
    target: BundleTarget, report: Report, console: Console, test: Outcome, key: str, attempt: Attempt
) -> int:
    """Runs all tests, notes what gates measure, returns how many there were. Raises when not all of them passed."""
    settings, bundle = target.settings, test.bundle or ""
    with report.case("scenarios"), target.within(Deadline(pace().look)):
        present = scenarios.list_scenarios(target.node, key)
        chosen, absent = choose(settings.test, present), missing(settings.test, present)
        if not chosen:
            raise CheckFailed(
                f"{target.stage}: bundle {bundle} has no test scenario",
                details=[f"scenarios of project {key}: {', '.join(item.id for item in present) or 'none'}"],
                next_step=f"mark a scenario as test in DSS, or name it like {' or '.join(settings.test.scenarios)}",
            )
        policing.check_scenarios(resolve(settings), target.stage, len(chosen))
    before = len(report.cases)
    for name in absent:
        hint = nearest(name, [item.id for item in present])
        report.add(Case(name, CaseOutcome.ERROR, f"project {key} has no scenario {name}{hint} (see test.scenarios)"))
    console.line(f"scenarios: {', '.join(chosen)}")
    runs = _run_scenarios(target, report, console, bundle, key, chosen, attempt)
    if not runs.unreachable:
        run_suite(settings, report, console, target.stage, target.unit, key)
    measured = [] if runs.unreachable else _run_gates(target, report, console, bundle, key)
    test.gates = judging.measured(measured)
    tests = report.cases[before:]
    if not runs.unreachable:
        # Before the failures: a deployment in the meantime may be why there are any.
        _check_still_active(target, report, bundle, key)
    _conclude(target.stage, tests, runs.results, measured)
    return len(tests)


def _run_scenarios(
    target: BundleTarget,
    report: Report,
    console: Console,
    bundle: str,
    key: str,
    chosen: list[str],
    attempt: Attempt,
) -> ScenarioRuns:
    settings = target.settings
    runs = ScenarioRuns(settings, target.unit.witnesses[0], key, chosen, console, attempt)
    try:
        runs.run()
    finally:
        for ran in runs.results:
            add_cases(report, ran, settings.test.warning, bundle, console)
    return runs


def _run_gates(target: BundleTarget, report: Report, console: Console, bundle: str, key: str) -> list[GateResult]:
    """Judges the deployed bundle by the gates of the configuration, and returns what they found."""
    settings = target.settings
    gates = judging.gates_of(settings, "test")
    if not gates:
        return []
    from mlops_steps.gates.samples import Samples, Version

    with ExitStack() as stack:

        def champion() -> Version | None:
            return judging.version_on(stack.enter_context(open_target(settings, settings.release_stage().name)))

        candidate = Version(bundle, target.stage, target.node, key)
        return judging.judge(gates, settings, Samples(candidate, target.deployer, champion), report, console)


def _conclude(stage: str, cases: list[Case], results: list[Ran], measured: list[GateResult]) -> None:
    """Raises the error with which the step ends, unless all went well."""
    failed = [case for case in cases if case.outcome in (CaseOutcome.FAILURE, CaseOutcome.ERROR)]
    names = [f"{case.name}: {case.message.splitlines()[0] if case.message else case.outcome.value}" for case in failed]
    broken = [ran.error for ran in results if ran.error]
    unreachable = [found.error for found in measured if isinstance(found.error, NodeError)]
    error: MlopsError | None = None
    if broken:
        error = NodeError(
            f"{stage}: {len(broken)} of {len(results)} scenarios could not be run: {broken[0].message}",
            details=names,
            next_step=broken[0].next_step,
        )
    elif unreachable:
        error = NodeError(f"{stage}: {unreachable[0].message}", details=names, next_step=unreachable[0].next_step)
    elif failed:
        error = CheckFailed(f"{len(failed)} of {len(cases)} tests failed on {stage}", details=names)
    if error:
        error.is_reported = True
        raise error


def _bundle_to_test(record: ReleaseRecord, live: Live, stage: str) -> str:
    if live.version is None:
        raise CheckFailed(
            f"{stage}: no bundle of project {record.project} is active on {live.infra}",
            next_step=f"run `mlops-steps deploy --stage {stage}` first",
        )
    if record.bundle and record.bundle.id != live.version:
        raise CheckFailed(
            f"{stage}: bundle {live.version} is active on {live.infra}, "
            f"but the release record is of {record.bundle.id}",
            live=str(live),
            next_step=f"run `mlops-steps deploy --stage {stage}`: a test of another bundle proves nothing of this one",
        )
    return live.version


def _check_still_active(target: BundleTarget, report: Report, bundle: str, key: str) -> None:
    """Raises :class:`CheckFailed` when the bundle was replaced: then the results are not about it."""
    with report.case("active bundle after the tests"), target.within(Deadline(pace().look)):
        active = automation.active_bundle(target.node, key)
        if active != bundle:
            raise CheckFailed(
                f"{target.stage}: bundle {bundle} was replaced by {active or 'nothing'} while it was tested",
                next_step="find out who deploys to this stage, then run the step again",
            )


def _describe(report: Report, record: ReleaseRecord, live: Live) -> None:
    report.set(
        bundle=live.version,
        deployment=live.deployment.id if live.deployment else None,
        health=live.health.status if live.health else None,
        project_commit=record.project_commit,
        commit=record.build.commit,
        build=record.build.number,
        build_url=record.build.url,
    )


def _key(target: BundleTarget, live: Live) -> str:
    """The key of the project on the Automation node."""
    return target.deployed_key if live.deployment else target.project
