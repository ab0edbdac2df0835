"""accept: try on a site's own nodes what the steps assume of DSS, with a project of its own."""

from __future__ import annotations

import sys

from mlops_steps.acceptance import accepted
from mlops_steps.acceptance.cleaning import Cleaned, clean
from mlops_steps.acceptance.examine import examine
from mlops_steps.acceptance.list import assumptions
from mlops_steps.acceptance.model import Assumption, Finding, Verdict
from mlops_steps.acceptance.world import PREFIX, Site, World, open_site
from mlops_steps.config import Settings
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError, NodeError
from mlops_steps.report.model import Case, Outcome
from mlops_steps.shapes import document
from mlops_steps.shapes.document import sandbox_shapes
from mlops_steps.shapes.recorder import Recorder, known_names
from mlops_steps.steps.context import Context
from mlops_steps.system.files import current_folder
from mlops_steps.system.waiting import Deadline, duration

_RIGHTS = (
    "create projects on the Design node",
    "publish to the Project Deployer, deploy to the infrastructure, delete what was published there",
    "read, run and delete the project on the Automation node",
)


def run(
    context: Context,
    stage: str,
    *,
    infra: str | None = None,
    yes: bool = False,
    clean_: bool = False,
    record: str | None = None,
    api: str | None = None,
) -> None:
    """Makes a throwaway project, tries every assumption with it, and removes it again, also when interrupted.

    ``clean_`` only removes what a run that was killed has left. ``record`` is a file for the shapes of all answers.
    ``api``: the same for an API service, on this stage of `api`. On a release stage it asks first, unless ``yes``.
    Raises :class:`CheckFailed` when an assumption differs, :class:`NodeError` when a node gave no answer or something
    could not be removed, :class:`ConfigError` without a yes.
    """
    settings, console = context.settings, context.console
    with open_site(settings, stage, infra) as site:
        if clean_:
            with context.report.case("clean"):
                _conclude_cleaning(context, site, clean(site, service=bool(api or settings.api.stages)))
            return
        if api:
            settings.api.stage(api)
        world, recorder = World(site, api or ""), Recorder(known_names(sandbox_shapes())) if record else None
        if recorder:
            site.observe(recorder)
        _announce(context, world)
        guarded = [name for name, is_one in _release_stages(settings, stage, api) if is_one]
        if guarded and not yes:
            _ask(site, guarded[0])
        findings: list[Finding] = []
        try:
            with context.report.case("throwaway project"), site.within(Deadline(settings.package.timeout)):
                world.make()
            chosen = assumptions(service=bool(api))
            with console.waiting(f"trying {len(chosen)} assumptions"):
                findings = examine(
                    world,
                    chosen,
                    lambda: site.within(Deadline(settings.deploy.timeout)),
                    lambda assumption, finding: _say(context, assumption, finding),
                )
        finally:
            with context.signals.shielded():
                console.line(f"removing {world.key}")
                cleaned = clean(site, world.key, service=bool(api))
                _say_cleaning(context, site, cleaned)
        if recorder:
            path = current_folder() / str(record)
            document.write(path, recorder.shapes)
            context.report.set(shapes_file=str(path))
            console.line(f"shapes of the answers: {path}; read it before you give it to anybody")
        accepted.note(settings, site.name, site.node.version, findings)
        context.report.set(accepted_file=str(accepted.path_of(settings)))
        _conclude(context, site, findings, cleaned)


def _announce(context: Context, world: World) -> None:
    """What will be made, where, and which rights that takes."""
    site, console = world.site, context.console
    console.line(f"accept makes, and removes again: {world.key}, a project of its own; no other project is touched")
    console.line(f"  on {site.design}: project {world.key}, two bundles")
    console.line(f"  on {site.deployer}: published project {world.key}, deployment {world.deployment}")
    for node in site.nodes:
        console.line(f"  on {node}: project {world.key}")
    if world.api_stage:
        console.line(f"  on {site.deployer}: API service {world.service}, deployment {world.service_deployment}")
    console.line(f"  the keys need the right to {'; to '.join(_RIGHTS)}")
    console.line(f"  if it is killed: {site.command} --clean")
    context.report.set(infrastructure=site.infra, automation_node=site.node.url)


def _release_stages(settings: Settings, stage: str, api: str | None) -> list[tuple[str, bool]]:
    """The stages that are worked on, each with whether it is a release stage."""
    found = [(stage, stage == settings.release_stage().name)]
    return found + ([(api, settings.api.is_release_stage(api))] if api else [])


def _ask(site: Site, stage: str) -> None:
    """Raises :class:`ConfigError` unless somebody at a terminal says yes."""
    if sys.stdin is not None and sys.stdin.isatty():
        print(f"{stage} is the release stage. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ConfigError(
        f"{stage} is the release stage: accept works there only after a yes; nothing was made",
        next_step=f"run `{site.command} --yes`, or accept another stage",
    )


def _say(context: Context, assumption: Assumption[World], finding: Finding) -> None:
    """One line on the console, one test case in the report."""
    places = "\n".join(f"rests on it: {place}" for place in assumption.places)
    case = Case(assumption.name, seconds=finding.seconds)
    case.stdout = f"{assumption.sentence}\n{finding.verdict.value}: {finding.text}\n{places}"
    if finding.verdict is not Verdict.HOLDS:
        case.message = f"{finding.verdict.value}: {finding.text}"
        case.details = f"{assumption.sentence}\n{places}"
    case.outcome = _OUTCOMES[finding.verdict] if finding.error is None else Outcome.ERROR
    context.report.add(case)
    line = f"{finding.verdict.value:18} {assumption.name:18} {finding.text}"
    if finding.verdict is Verdict.DIFFERS:
        context.console.error(f"{line}; assumed: {assumption.sentence} ({', '.join(assumption.places)})")
    else:
        context.console.detail(line)


_OUTCOMES = {Verdict.HOLDS: Outcome.PASSED, Verdict.DIFFERS: Outcome.FAILURE, Verdict.UNTRIED: Outcome.SKIPPED}


def _say_cleaning(context: Context, site: Site, cleaned: Cleaned) -> None:
    case = context.report.add(Case("nothing is left"))
    case.stdout = "\n".join(f"removed {one}" for one in cleaned.removed)
    for line in cleaned.left:
        context.console.error(f"left: {line}")
    if cleaned.left:
        case.outcome, case.message = Outcome.ERROR, f"left: {cleaned.left[0]}"
        case.details = "\n".join(cleaned.left)
        context.console.error(f"next: run `{site.command} --clean`")


def _conclude_cleaning(context: Context, site: Site, cleaned: Cleaned) -> None:
    """Raises :class:`NodeError` when something is left."""
    for line in cleaned.removed:
        context.console.line(f"removed {line}")
    if cleaned.left:
        raise _something_left(site, cleaned)
    context.console.good(f"nothing that begins with {PREFIX} is left on {site.name}")


def _something_left(site: Site, cleaned: Cleaned) -> NodeError:
    return NodeError(
        f"{site.name}: {len(cleaned.left)} things that accept has made are left: {cleaned.left[0]}",
        details=cleaned.left[1:],
        next_step=f"run `{site.command} --clean` when the node answers, or remove them by hand",
    )


def _conclude(context: Context, site: Site, findings: list[Finding], cleaned: Cleaned) -> None:
    """Says how many hold, and raises the error with which the step ends."""
    by_verdict = {verdict: [one.name for one in findings if one.verdict is verdict] for verdict in Verdict}
    holds, differs, untried = (by_verdict[verdict] for verdict in Verdict)
    silent = [one for one in findings if one.error]
    took = duration(round(sum(one.seconds for one in findings)))
    counts = f"{len(holds)} of {len(findings)} assumptions hold on {site.name}"
    error: MlopsError | None = None
    if differs:
        error = CheckFailed(
            f"{counts}; {len(differs)} {'differ' if len(differs) > 1 else 'differs'}: {', '.join(differs)}",
            details=[f"could not be tried: {', '.join(untried)}"] if untried else (),
            next_step="do not trust a real project to these nodes yet; the report says what rests on it "
            "(`accept --record FILE` writes how the nodes answer)",
        )
    elif silent and silent[0].error:
        error = NodeError(f"{counts}; {silent[0].error.message}", next_step=silent[0].error.next_step)
    elif cleaned.left:
        raise _something_left(site, cleaned)
    if error:
        error.is_reported = True
        raise error
    also = f"; {len(untried)} could not be tried: {', '.join(untried)}" if untried else ""
    context.console.good(f"{counts}, in {took}{also}")
