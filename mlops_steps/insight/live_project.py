"""What is looked at of a project that is live: its deployment, its scenarios, its model, its data."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_steps.config.monitor import AgeLimits, MonitorSettings
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.dss import models, scenarios
from mlops_steps.insight.findings import Finding, Level, above, limits_in_words
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.delivery.targets.base import Live
    from mlops_steps.gates.model import GateResult
    from mlops_steps.gates.samples import Samples

_BAD = ("FAILED", "ABORTED")
_DAY = 86_400.0


def health(live: Live, settings: MonitorSettings) -> list[Finding]:
    """Whether exactly one bundle is live, which the settings name, and the deployment is HEALTHY."""
    if live.deployment is None and live.version is None:
        return [Finding("deployment", Level.SKIPPED, f"the project has no deployment on {live.infra}")]
    if settings.health == "off":
        return []
    good = live.is_healthy(live.version)
    details = tuple(live.health.messages) if live.health else ()
    level = Level.GOOD if good else Level(settings.health)
    return [Finding("deployment", level, str(live), float(not good), "HEALTHY", details)]


def scenario_runs(
    target: BundleTarget, settings: MonitorSettings, since: float, released: float | None, deadline: Deadline
) -> list[Finding]:
    """How many runs of scenarios have failed since then. Raises :class:`NodeError`.

    ``released``: when a release that is on probation began; it is not to blame for what ran before.
    """
    limits, key = settings.scenarios, target.deployed_key
    with target.within(deadline):
        known = [one.id for one in scenarios.list_scenarios(target.node, key)]
        names = [name for name in known if any(fnmatchcase(name, pattern) for pattern in limits.names)]
        asked = [partial(scenarios.ended_runs, node, key, name, since) for node in target.nodes for name in names]
        runs = [run for found in gather(asked) for run in found]
    bad = [run for run in runs if run.outcome in _BAD]
    to_blame = [run for run in bad if released is None or run.started >= released]
    by_name = {run.scenario_id: sum(one.scenario_id == run.scenario_id for one in bad) for run in bad}
    shown = "".join(f"; {name}: {count}" for name, count in sorted(by_name.items()))
    return [
        Finding(
            "scenarios",
            above(float(len(bad)), limits.warn, limits.act),
            f"{len(bad)} of {len(runs)} runs failed since {_moment(since)}{shown}",
            float(len(bad)),
            limits_in_words(
                *(None if limit is None else f"{limit} failed runs" for limit in (limits.warn, limits.act))
            ),
            tuple(f"{run.scenario_id}: {run.outcome}, ended {_moment(run.ended)}" for run in bad[:20]),
            of_release=above(float(len(to_blame)), None, limits.act) is Level.ACT,
        )
    ]


def age(
    target: BundleTarget, limits: AgeLimits, now: float, active: dict[str, str], deadline: Deadline
) -> list[Finding]:
    """How old the active version of the model is, in days; notes it in ``active``.

    Raises :class:`CheckFailed`, :class:`NodeError`.
    """
    with target.within(deadline):
        version, trained = models.trained(target.node, target.deployed_key, limits.model)
    active[limits.model] = version
    if trained is None:
        message = f"the node does not say when version {version} of model {limits.model} was trained"
        return [Finding("age of the model", Level.UNKNOWN, message)]
    old = max(0.0, now - trained)
    return [
        Finding(
            "age of the model",
            above(old, limits.warn, limits.act),
            f"version {version} of model {limits.model} was trained {_moment(trained)}, {old / _DAY:.1f} days ago",
            round(old / _DAY, 3),
            limits_in_words(
                *(None if limit is None else f"{limit / _DAY:g} days" for limit in (limits.warn, limits.act))
            ),
            decay=True,
            of_release=False,
        )
    ]


def gates(settings: Any, samples: Samples) -> list[Finding]:
    """Measures the gates of `monitor` on what is live: first with the limits of a warning, then with those of `act`."""
    from mlops_steps.config.gates import at_act
    from mlops_steps.gates import engine
    from mlops_steps.gates.model import GateVerdict

    monitor: MonitorSettings = settings.monitor
    engine.check_extras(monitor.gates)
    first = engine.run(monitor.gates, settings, samples)
    worse: dict[str, Any] = {
        gate.name: at_act(gate, monitor.act[gate.name])
        for gate, found in zip(monitor.gates, first, strict=True)
        if found.verdict is GateVerdict.FAILED and gate.name in monitor.act
    }
    # The same limits need no second look.
    again = {name: gate for name, gate in worse.items() if monitor.act[name]}
    second = {found.name: found for found in engine.run(list(again.values()), settings, samples)} if again else {}
    return [_of_gate(found, second.get(found.name, found if found.name in worse else None)) for found in first]


def _of_gate(first: GateResult, second: GateResult | None) -> Finding:
    from mlops_steps.gates.model import GateVerdict

    level = {
        GateVerdict.PASSED: Level.GOOD,
        GateVerdict.FAILED: Level.WARN,
        GateVerdict.UNMEASURED: Level.UNKNOWN,
        GateVerdict.INCONCLUSIVE: Level.SKIPPED,
        GateVerdict.SKIPPED: Level.SKIPPED,
    }[first.verdict]
    shown = first
    if second is not None and second.verdict in (GateVerdict.FAILED, GateVerdict.UNMEASURED):
        level = Level.ACT if second.verdict is GateVerdict.FAILED else Level.UNKNOWN
        shown = second
    limits = (first.limit, second.limit if second and second is not first else None)
    words = limits_in_words(*limits) if limits[1] else first.limit
    checks = tuple(f"{check.name}: {check.message}" for check in shown.checks)
    return Finding(
        f"gate {first.name}",
        level,
        shown.message,
        shown.value,
        words,
        (*(f"{name}: {value}" for name, value in shown.facts().items()), *checks, *shown.details),
        decay=True,
        error=shown.error if level is Level.UNKNOWN else None,
        figures=shown.figures,
    )


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
