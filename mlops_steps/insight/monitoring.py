"""A look at all that is live on a stage: the project, the API service, or both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.delivery.judging import version_on
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.targets.opening import StageTarget, open_target
from mlops_steps.dss import models
from mlops_steps.dss.api_traffic import users_traffic
from mlops_steps.insight import live_project, live_service, looks
from mlops_steps.insight.findings import Finding, Level, measured
from mlops_steps.insight.probation import OnProbation, on_probation, window
from mlops_steps.report.attachments import Look
from mlops_steps.system.console import Console
from mlops_steps.system.extras import require
from mlops_steps.system.waiting import Deadline


@dataclass
class Seen:
    """What a look has found so far. ``probations``: the versions that it may take back."""

    at: str
    now: float
    since: float
    past: Sequence[Look] = ()
    findings: list[Finding] = field(default_factory=list)
    live: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    probations: list[OnProbation] = field(default_factory=list)
    reaction: str = ""

    @property
    def look(self) -> Look:
        """What is kept of it."""
        return Look(
            at=self.at,
            live=self.live,
            models=self.models,
            measures=tuple(finding.measure for finding in self.findings),
            calls=self.calls,
            errors=self.errors,
            verdicts=tuple(verdict for finding in self.findings for verdict in finding.verdicts),
            reaction=self.reaction,
        )

    def add(self, found: list[Finding]) -> None:
        """Adds what was found."""
        self.findings.extend(found)


def begin(settings: Settings, past: Sequence[Look]) -> Seen:
    """A look that begins now; of what has passed it takes in what came after the last one, or of ``monitor.period``."""
    now = time.time()
    last = looks.seconds(past[-1].at) if past else 0.0
    return Seen(looks.moment(now), now, last or now - settings.monitor.period, past)


def look_at_project(settings: Settings, stage: str, seen: Seen, console: Console) -> None:
    """Looks at the project's bundle on each infrastructure of the stage. What cannot be asked is a finding."""
    units = settings.units(stage)
    for unit in units:
        before = len(seen.findings)
        _look_at_unit(settings, stage, unit.infra, seen, console)
        if len(units) > 1:
            named = [replace(one, name=f"{one.name}, {unit.place or unit.infra}") for one in seen.findings[before:]]
            seen.findings[before:] = named


def _look_at_unit(settings: Settings, stage: str, infra: str | None, seen: Seen, console: Console) -> None:
    monitor, deadline = settings.monitor, Deadline(settings.monitor.timeout)
    with open_target(settings, stage, infra) as target:
        found = measured("deployment", partial(_project_health, target, seen, deadline))
        seen.add(found)
        if any(one.level in (Level.UNKNOWN, Level.SKIPPED) for one in found) or "bundle" not in seen.live:
            return
        released = max((one.since for one in seen.probations if one.infra == target.infra), default=None)
        runs = partial(live_project.scenario_runs, target, monitor, seen.since, released, deadline)
        seen.add(measured("scenarios", runs))
        if monitor.age:
            asked = partial(live_project.age, target, monitor.age, seen.now, seen.models, deadline)
            seen.add(measured("age of the model", asked))
        if monitor.labels and monitor.labels.model and not (monitor.age and monitor.age.model == monitor.labels.model):
            seen.add(measured("model", partial(_note_model, target, monitor.labels.model, seen, deadline)))
        if monitor.gates or monitor.labels:
            seen.add(_of_rows(settings, target, seen, deadline, console))


def _project_health(target: StageTarget, seen: Seen, deadline: Deadline) -> list[Finding]:
    monitor = target.settings.monitor
    with target.within(deadline):
        live = target.observe()
        released = on_probation(target, live, window(target.settings, target.stage, "bundle"), seen.now)
    if live.version:
        seen.live["bundle"] = live.version
    if released:
        seen.probations.append(released)
    return live_project.health(live, monitor)


def _note_model(target: StageTarget, name: str, seen: Seen, deadline: Deadline) -> list[Finding]:
    with target.within(deadline):
        seen.models[name] = models.trained(target.node, target.deployed_key, name)[0]
    return []


def _of_rows(
    settings: Settings, target: StageTarget, seen: Seen, deadline: Deadline, console: Console
) -> list[Finding]:
    """What is measured on datasets: the gates, and the labels."""
    from mlops_steps.gates.samples import Samples

    monitor = settings.monitor
    if monitor.labels:
        require("gates", "numpy", "scipy", purpose="monitor.labels")
    version = version_on(target)
    if version is None:
        return []
    found: list[Finding] = []
    with console.waiting("measuring what is live") as wait:
        samples = Samples(version, target.deployer, say=wait.state)
        if monitor.gates:
            found += live_project.gates(settings, samples)
        if monitor.labels:
            found += measured(f"{monitor.labels.metric} by labels", partial(_labels, settings, samples, seen, deadline))
    return found


def _labels(settings: Settings, samples: Any, seen: Seen, deadline: Deadline) -> list[Finding]:
    from mlops_steps.insight import labels

    required = settings.monitor.labels
    assert required is not None
    now = [*seen.past, seen.look]
    current = [*seen.live.values(), *seen.models.values()]
    return labels.measure(
        required,
        samples,
        current,
        looks.releases_of_models(now),
        looks.verdicts(seen.past),
        seen.now,
        deadline,
    )


def look_at_service(settings: Settings, stage: str, record: ReleaseRecord, seen: Seen) -> None:
    """Looks at the API service. What cannot be asked is a finding."""
    deadline = Deadline(settings.monitor.timeout)
    seen.add(measured("API service deployment", partial(_service, settings, stage, record, seen, deadline)))


def _service(settings: Settings, stage: str, record: ReleaseRecord, seen: Seen, deadline: Deadline) -> list[Finding]:
    monitor = settings.monitor
    package = recorded_package(settings, record)
    with open_service(settings, stage, package, deadline) as target:
        with target.within(deadline):
            deployment = target.find_deployment()
            known = target.nodes.settings_of(deployment) if deployment else []
            # Before this look calls the service itself.
            traffic = users_traffic(settings, known, deployment.deployed) if deployment else None
            live = target.observe()
            released = on_probation(target, live, window(settings, stage, "api service"), seen.now)
        if live.version:
            seen.live["version"] = live.version
        if released:
            seen.probations.append(released)
        found = live_service.health(live, monitor)
        if deployment is None:
            return found
        if traffic is not None:
            before = next((look for look in reversed(seen.past) if look.calls), None)
            found += live_service.of_users(traffic, before, live.version, monitor.errors, monitor.latency)
            after = users_traffic(settings, known, deployment.deployed) or traffic
            seen.calls, seen.errors = dict(after.calls), dict(after.errors)
        found += measured(
            "activity of the API service", partial(_activity, target, live, monitor, deadline, traffic is None)
        )
        return found


def _activity(target: Any, live: Any, monitor: Any, deadline: Deadline, with_errors: bool) -> list[Finding]:
    asked = live_service.activity(target, live, deadline)
    found = live_service.response_times(asked, monitor.latency)
    # The API nodes' own counts are by version; these are of all versions.
    return found + (live_service.errors(asked, monitor.errors) if with_errors else [])
