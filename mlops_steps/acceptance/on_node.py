"""What the steps assume of scenarios on the Automation node."""

from __future__ import annotations

from mlops_steps.acceptance.model import Assumptions, Differs, NotTried
from mlops_steps.acceptance.world import FIRST, World
from mlops_steps.dss import fires, scenarios
from mlops_steps.dss.scenarios import ScenarioOutcome
from mlops_steps.errors import DeadlineExceeded, NonsenseAnswer
from mlops_steps.report import junit_parse
from mlops_steps.system.waiting import Deadline, poll

SCENARIOS: Assumptions[World] = Assumptions()

PASSES, FAILS, HANGS = "ACCEPT_PASSES", "ACCEPT_FAILS", "ACCEPT_HANGS"
_TOKEN = "accept.token"  # noqa: S105 - a name, no secret


@SCENARIOS.that(
    "scenario-list",
    "The Automation node lists the scenarios of the bundle, and says which are marked as test.",
    scenarios.list_scenarios,
    needs=("active-bundle",),
)
def _list(world: World) -> str:
    found = {scenario.id: scenario for scenario in scenarios.list_scenarios(world.site.node, world.key)}
    missing = [name for name in world.scenarios.values() if name not in found]
    if missing:
        raise Differs(f"not in the list: {', '.join(missing)}")
    if not all(found[name].marked_as_test for name in world.scenarios.values()):
        raise Differs("a scenario that is marked as test is not said to be (markedAsTest)")
    return f"{len(found)} scenarios"


def _run(world: World, name: str, *, token: str | None = None, reports: bool = False) -> ScenarioOutcome:
    return scenarios.run_scenario(
        world.site.node, world.key, world.scenario(name), limit=world.patience, token=token, reports=reports
    )


@SCENARIOS.that(
    "scenario-passes",
    "A trigger that is fired becomes a run, whose outcome is SUCCESS when all its steps succeed.",
    fires.start,
    scenarios.run_scenario,
    needs=("scenario-list",),
)
def _passes(world: World) -> str:
    result = _run(world, PASSES, token=_TOKEN)
    world.kept["passed"] = result
    if result.outcome == "TIMED_OUT":
        raise Differs(f"no end of a scenario of one line after {world.patience:.0f} s")
    if not result.passed:
        raise Differs(f"the outcome is {result.outcome}: {result.message}")
    return f"SUCCESS after {result.seconds:.1f} s"


@SCENARIOS.that(
    "run-log", "The log of a run holds what its code has printed.", scenarios.run_scenario, needs=("scenario-passes",)
)
def _log(world: World) -> str:
    text = world.kept["passed"].log
    if "this line is looked for in the log" not in text:
        raise Differs(f"it does not: {len(text)} characters{': ' + text[:200] if text.startswith('(no log') else ''}")
    return f"{len(text)} characters"


@SCENARIOS.that(
    "run-token",
    "The last runs keep the parameters of their trigger: by them a run is found again.",
    fires.find,
    needs=("scenario-passes",),
)
def _token(world: World) -> str:
    if fires.find(world.site.node, world.key, world.scenario(PASSES), _TOKEN) is None:
        raise Differs("the run is not found by its token")
    return "the run is found by its token"


@SCENARIOS.that(
    "run-report",
    "A run of a test scenario has a JUnit report.",
    scenarios.run_scenario,
    needs=("scenario-passes",),
)
def _report(world: World) -> str:
    run = fires.find(world.site.node, world.key, world.scenario(PASSES), _TOKEN)
    if run is None:
        raise NotTried("the run is not found again")
    with world.site.node.asking("fetch the test report of the run"):
        document = run.get_report().content
    try:
        cases = junit_parse.parse(document)
    except Exception as error:
        raise Differs(f"the report cannot be read: {error}") from None
    return f"{len(cases)} test cases"


@SCENARIOS.that(
    "scenario-fails",
    "A run whose code raises an error ends as FAILED, and names the error.",
    scenarios.run_scenario,
    needs=("scenario-list",),
)
def _fails(world: World) -> str:
    result = _run(world, FAILS)
    if result.outcome != "FAILED":
        raise Differs(f"the outcome is {result.outcome}")
    if "fails on purpose" not in result.message + result.log:
        raise Differs(f"neither its message nor its log names the error: {result.message}")
    return f"FAILED: {result.message}"


@SCENARIOS.that(
    "scenario-runs",
    "A run under way is seen as such.",
    fires.start,
    needs=("scenario-list",),
)
def _runs(world: World) -> str:
    node, name = world.site.node, world.scenario(HANGS)
    run = fires.start(
        node,
        world.key,
        name,
        Deadline(world.patience),
        world.site.say,
        refire=False,
        token="accept.hangs",  # noqa: S106
    )
    if run is None:
        raise Differs("its trigger was cancelled, although nothing runs")
    world.kept["hanging"] = run
    with node.asking(f"look at the run of scenario {name}"):
        run.refresh()
        if not run.running:
            raise Differs(f"a run that waits has ended: {run.outcome}")
    if not any(found.id == name and found.running for found in scenarios.list_scenarios(node, world.key)):
        raise Differs("the list of scenarios does not say that it runs (running)")
    return "running"


@SCENARIOS.that(
    "trigger-cancelled",
    "A trigger that is fired while the scenario runs is cancelled, and says so.",
    fires.start,
    needs=("scenario-runs",),
)
def _cancelled(world: World) -> str:
    try:
        result = _run(world, HANGS)
    except (DeadlineExceeded, NonsenseAnswer) as error:
        raise Differs(error.message) from None
    if result.outcome != "NOT_STARTED":
        # At its limit the run under way was aborted, too.
        world.kept["aborted"] = True
        raise Differs(f"the second trigger was not cancelled: {result.outcome}")
    return "cancelled"


@SCENARIOS.that(
    "abort",
    "A run that is aborted ends as ABORTED.",
    scenarios.abort,
    needs=("scenario-runs",),
)
def _abort(world: World) -> str:
    node, run = world.site.node, world.kept["hanging"]
    if world.kept.get("aborted"):
        raise NotTried("the run was aborted before")
    scenarios.abort(node, world.key, world.scenario(HANGS))

    def look() -> str | None:
        with node.asking("look at the run that was aborted"):
            run.refresh()
            return None if run.running else str(run.outcome)

    try:
        outcome = poll(look, deadline=Deadline(world.patience), what="the end of the run")
    except DeadlineExceeded:
        raise Differs(f"the run goes on {world.patience:.0f} s after it was aborted") from None
    if outcome != "ABORTED":
        raise Differs(f"the outcome is {outcome}")
    return "ABORTED"


@SCENARIOS.that(
    "testing-status",
    "The Project Deployer counts how the test scenarios of a bundle have ended.",
    scenarios.testing_status,
    needs=("scenario-passes", "scenario-fails"),
)
def _testing_status(world: World) -> str:
    counts = scenarios.testing_status(world.site.deployer, world.deployment, FIRST)
    if not counts.get("SUCCESS") or not counts.get("FAILED"):
        said = ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"
        raise Differs(f"one has passed and one has failed, but it counts {said}")
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
