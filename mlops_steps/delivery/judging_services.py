"""Measures the gates of `api-test` and `api-release` on a version of an API service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.judging import gates_of, judge, measured, not_run, note, note_cases, raise_for
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget, open_api_target
from mlops_steps.delivery.targets.live_service import LiveService
from mlops_steps.dss.api_node import Prediction, ScoringClient
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.gates.model import GateResult
    from mlops_steps.gates.samples import Version
    from mlops_steps.gates.service_samples import ServiceSamples


def judge_service(
    target: ApiDeployerTarget, step: str, version: str, report: Report, console: Console
) -> list[GateResult]:
    """Measures the gates of a step of the API service on a version of it.

    Raises :class:`CheckFailed` when an endpoint is to score rows, and another version answers where it is asked,
    :class:`NodeError` when it is not known what answers.
    """
    gates = gates_of(target.settings, step)
    return _judged(target, step, version, gates, report, console) if gates else []


def judge_service_release(change: Change, target: ApiDeployerTarget, version: str) -> None:
    """Measures the gates of `api-release`, before anything is changed; a dry run calls no function of the team's.

    What an earlier attempt has begun is not judged again. Raises :class:`CheckFailed` when a gate does not let the
    version through, and as :func:`judge_service` does.
    """
    settings, report = target.settings, change.report
    gates = gates_of(settings, "api-release")
    if change.pending or not gates:
        return
    left_out = [found for gate in gates if (found := not_run(gate))] if change.dry_run else []
    note_cases(left_out, settings, report, change.console)
    names = {found.name for found in left_out}
    rest = [gate for gate in gates if gate.name not in names]
    results = _judged(target, "api-release", version, rest, report, change.console) if rest else []
    if results:
        note(change, measured(results))
        raise_for(results, report, f"version {version}", target.stage)


def _judged(
    target: ApiDeployerTarget, step: str, version: str, gates: Sequence[Any], report: Report, console: Console
) -> list[GateResult]:
    with _samples(target, step, version, gates) as samples:
        return judge(gates, target.settings, samples, report, console)


@contextmanager
def _samples(target: ApiDeployerTarget, step: str, version: str, gates: Sequence[Any]) -> Iterator[ServiceSamples]:
    """The version where it answers alone, and what answers in production, with clients that score for the two."""
    from mlops_steps.gates.samples import Version
    from mlops_steps.gates.service_samples import ServiceSamples

    settings, stage = target.settings, target.stage
    scored = [gate for gate in gates if getattr(gate, "endpoint", None)]
    if not scored:
        yield ServiceSamples(Version(version, stage, target.deployer, settings.project, "version"), target.deployer)
        return
    before = settings.api.stage_before(stage) if step == "api-release" else stage
    production = settings.api.release_stage_name()
    clients: dict[str, list[ScoringClient]] = {}
    with connect(settings, settings.node("design")) as design, _opened(target, str(before)) as there:
        live = _look(there, clients)
        if live.version != version:
            raise CheckFailed(
                f"the gates of version {version} cannot be measured: on stage {before} {live.version or 'none'} answers"
                f"; {stage} is untouched",
                next_step=f"run `mlops-steps api-deploy --stage {before}` and `mlops-steps api-test --stage {before}`",
            )
        candidate = Version(version, str(before), there.deployer, settings.project, "version")
        champion: Version | None = None
        if any(gate.gate in ("champion", "custom") for gate in gates):
            with _opened(target, production) as released:
                now = _look(released, clients)
                if now.version:
                    champion = Version(now.version, production, released.deployer, settings.project, "version")
                yield ServiceSamples(
                    candidate, target.deployer, lambda: champion, design=design, score=_scoring(clients)
                )
            return
        yield ServiceSamples(candidate, target.deployer, design=design, score=_scoring(clients))


@contextmanager
def _opened(target: ApiDeployerTarget, stage: str) -> Iterator[ApiDeployerTarget]:
    if stage == target.stage:
        yield target
        return
    with open_api_target(target.settings, stage, target.endpoints) as other:
        yield other


def _look(target: ApiDeployerTarget, clients: dict[str, list[ScoringClient]]) -> LiveService:
    with target.within(Deadline(pace().look)):
        live = target.observe()
        clients[target.stage] = target.nodes.clients(live.deployment) if live.deployment else []
    return live


def _scoring(clients: dict[str, list[ScoringClient]]) -> Any:
    def score(version: Version, endpoint: str, records: list[dict[str, Any]], deadline: Deadline) -> list[Prediction]:
        node = clients[version.stage][0]  # all of them answer with this version
        with node.within(deadline):
            found = node.predict_many(endpoint, records, forced_generation=version.bundle, dispatch_key="mlops-steps")
        others = {answer.generation for answer in found} - {version.bundle}
        if others:
            raise CheckFailed(f"{node.name}: version {', '.join(map(str, others))} answered in the place of {version}")
        return found

    return score
