"""Measures the gates of a step, notes what they found in the report, and says whether the candidate may go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from mlops_steps.config import Settings
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import before_release
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Bundle, load_for
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.delivery.unit import Measured
from mlops_steps.errors import CheckFailed, NodeError
from mlops_steps.report.model import Case, Report
from mlops_steps.report.model import Outcome as CaseOutcome
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.gates.model import GateResult
    from mlops_steps.gates.samples import Samples, Version


def gates_of(settings: Settings, step: str) -> list[Any]:
    """The gates that the step measures. Raises :class:`ConfigError` when one of them requires an extra."""
    found = [gate for gate in settings.gates if step in gate.steps]
    if found:
        # Imported late, here and below: a start must be quick, and most runs have no gates.
        from mlops_steps.gates.engine import check_extras

        check_extras(found)
    return found


def judge(
    gates: Sequence[Any], settings: Settings, samples: Samples, report: Report, console: Console
) -> list[GateResult]:
    """Measures the gates side by side; each is a test case, and a line on the console."""
    from mlops_steps.gates import engine

    with console.waiting(f"measuring {len(gates)} gates") as wait:
        results = engine.run(gates, settings, dataclasses.replace(samples, say=wait.state))
    note_cases(results, settings, report, console)
    return results


def note_cases(results: Sequence[GateResult], settings: Settings, report: Report, console: Console) -> None:
    """The test cases of the results, and their lines on the console."""
    from mlops_steps.gates import engine

    for case in engine.add_cases(report, settings, results):
        if case.outcome is CaseOutcome.PASSED:
            console.line(f"{case.name}: {case.stdout.splitlines()[0]}")
        else:
            console.warn(f"{case.name}: {case.message}")


def measured(results: Sequence[GateResult]) -> dict[str, Measured]:
    """What the release record keeps of the results."""
    return {found.name: Measured(**found.measured()) for found in results}


def version_on(target: BundleTarget) -> Version | None:
    """What is live on the target's stage; ``None`` when nothing is. Raises :class:`NodeError`."""
    from mlops_steps.gates.samples import Version

    with target.within(Deadline(pace().look)):
        live = target.observe()
    if live.version is None:
        return None
    key = target.deployed_key if live.deployment else target.project
    return Version(live.version, target.stage, target.node, key)


@dataclasses.dataclass(frozen=True)
class Judged:
    """The gates of a release let the bundle through; ``against`` is what was live meanwhile, if they were measured."""

    names: tuple[str, ...] = ()
    against: str | None = None

    def check(self, live: Live, stage: str) -> None:
        """Raises :class:`CheckFailed` when something else is live than what the bundle was compared with."""
        if self.names and live.version != self.against:
            found, compared = live.version or "nothing", self.against or "nothing"
            raise CheckFailed(
                f"{stage}: {found} is live now, but {', '.join(self.names)} compared the bundle with {compared}; "
                f"{stage} is untouched",
                live=str(live),
                next_step="find out who deploys to this stage, then run the step again",
            )


def judge_release(change: Change, target: BundleTarget, bundle: Bundle, deadline: Deadline) -> Judged:
    """Measures the gates of `release` on the bundle, which is not live on the target's stage yet.

    A gate that `test` has measured for this bundle, against the same champion and with the same settings, is not
    measured again; governance is, and what the team's own function says. Raises :class:`CheckFailed` when a gate
    does not let the bundle through, :class:`NodeError` when a node could not be asked: nothing was changed then. What
    an earlier attempt has begun is not judged again.
    """
    settings = target.settings
    gates = gates_of(settings, "release")
    if not gates:
        return Judged()
    with target.within(deadline):
        live = target.look(deadline, change.console)
        situation = before_release(change, live, bundle.id)
    if situation.phase is not Phase.NOTED or live.version == bundle.id:
        return Judged()
    before = settings.stage_before(target.stage)
    part = change.record.stages.get(before.name) if before else None
    known = part.test.gates if part and part.test else {}
    results = _measure(change, target, bundle, live, gates, known)
    note(change, measured(results))
    raise_for(results, change.report, f"bundle {bundle.id}", target.stage)
    compares = [gate for gate in gates if gate.gate in ("champion", "custom")]
    return Judged(tuple(f"gate {gate.name}" for gate in compares), live.version)


def _measure(
    change: Change,
    target: BundleTarget,
    bundle: Bundle,
    live: Live,
    gates: Sequence[Any],
    known: Mapping[str, Measured],
) -> list[GateResult]:
    """The result of each gate: what `test` has found and is still so, or what is measured now."""
    settings, report, console = target.settings, change.report, change.console
    found = {gate.name: _taken_over(gate, known.get(gate.name), live, settings, target.stage) for gate in gates}
    if change.dry_run:
        found |= {gate.name: found[gate.name] or not_run(gate) for gate in gates}
    note_cases([result for result in found.values() if result], settings, report, console)
    rest = [gate for gate in gates if found[gate.name] is None]
    if rest:
        with _samples(target, bundle, live, rest) as samples:
            found |= {result.name: result for result in judge(rest, settings, samples, report, console)}
    return [result for gate in gates if (result := found[gate.name]) is not None]


def _taken_over(gate: Any, known: Measured | None, live: Live, settings: Settings, stage: str) -> GateResult | None:
    """What `test` has found, where nothing outside of the bundle can have changed it; else ``None``."""
    from mlops_steps.gates.model import GateResult, GateVerdict

    if known is None or gate.gate in ("governance", "custom") or known.definition != gate.definition:
        return None
    if known.verdict != GateVerdict.PASSED.value or (known.against and known.against != live.version):
        return None
    if gate.gate == "champion" and not known.against:
        return None
    before = settings.stage_before(stage)
    return GateResult(
        GateVerdict.PASSED,
        f"measured by the tests on {before.name if before else '?'}: {known.message or 'passed'}",
        known.value,
        known.limit,
        known.interval,
        known.rows,
        known.source,
        name=gate.name,
        against=known.against,
        definition=known.definition,
    )


def not_run(gate: Any) -> GateResult | None:
    """A dry run runs no scenario, and no function of the team's."""
    from mlops_steps.gates.model import GateResult, GateVerdict

    scenario = getattr(gate, "scenario", None)
    if scenario is None and gate.gate != "custom":
        return None
    what = f"scenario {scenario}" if scenario else gate.function
    return GateResult(GateVerdict.SKIPPED, f"dry run: {what} is not run", name=gate.name)


@contextmanager
def _samples(target: BundleTarget, bundle: Bundle, live: Live, gates: Sequence[Any]) -> Iterator[Samples]:
    """The bundle on the stage before, and what is live on the release stage.

    Raises :class:`CheckFailed` when a gate looks at the deployed project and another bundle is on the stage before.
    """
    from mlops_steps.gates.samples import Samples, Version

    settings = target.settings
    key = target.deployed_key if live.deployment else target.project
    champion = Version(live.version, target.stage, target.node, key) if live.version else None
    with ExitStack() as stack:
        # Governance is asked of the deployer alone.
        candidate: Version | None = Version(bundle.id, target.stage, target.node, key)
        before = settings.stage_before(target.stage)
        if before and any(gate.gate not in ("governance", "project_standards") for gate in gates):
            candidate = version_on(stack.enter_context(open_target(settings, before.name)))
            if candidate is None or candidate.bundle != bundle.id:
                found = candidate.bundle if candidate else "nothing"
                raise CheckFailed(
                    f"the gates of the release cannot be measured: on stage {before.name} {found} is live, not bundle "
                    f"{bundle.id}; {target.stage} is untouched",
                    next_step=f"run `mlops-steps deploy --stage {before.name}` and `mlops-steps test --stage "
                    f"{before.name}` again, then the release",
                )
        assert candidate is not None
        yield Samples(candidate, target.deployer, lambda: champion)


def note(change: Change, found: dict[str, Measured]) -> None:
    """Writes into the record what was measured, and nothing of a change that has not begun."""
    stage, kind = change.target.stage, change.target.words.kind
    change.record.stage(stage, kind).gates = found
    if not change.dry_run:
        record = load_for(change.record_path, change.record.project)
        record.stage(stage, kind).gates = found
        record.save(change.record_path)


def raise_for(results: Sequence[GateResult], report: Report, what: str, stage: str) -> None:
    """Raises the error with which a release ends that a gate does not let through; ``what`` names the version."""
    names = {f"gate {found.name}" for found in results}
    failed = [case for case in report.failed if case.name in names]
    if not failed:
        return
    details = [f"{case.name}: {_first_line(case)}" for case in failed]
    unreachable = [found.error for found in results if isinstance(found.error, NodeError)]
    text = f"{len(failed)} of {len(results)} gates do not let {what} go to {stage}"
    error: CheckFailed | NodeError
    if unreachable:
        error = NodeError(
            f"{text}: {unreachable[0].message}; {stage} is untouched",
            details=details,
            next_step=unreachable[0].next_step,
        )
    else:
        error = CheckFailed(
            f"{text}; {stage} is untouched",
            details=details,
            next_step="make the candidate better on the Design node, then run the pipeline again",
        )
    error.is_reported = True
    raise error


def _first_line(case: Case) -> str:
    return case.message.splitlines()[0] if case.message else case.outcome.value
