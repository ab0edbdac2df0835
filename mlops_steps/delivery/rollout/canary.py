"""A canary: a new version of an API service gets its calls step by step, and is compared with the live one at each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mlops_steps.config.canary import CanarySettings
from mlops_steps.delivery.change import Change, same_settings
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.judging import measured
from mlops_steps.delivery.release import all_at_once
from mlops_steps.delivery.restore import put_back, restore
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.delivery.targets.base import Deployed, Live
from mlops_steps.delivery.targets.shared_calls import check_form, share
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.errors import CheckFailed, InternalError, MlopsError, ProductionInDoubt
from mlops_steps.gates.model import GateResult, GateVerdict, worst_of
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline, duration

#: Compares both versions at one step, until the deadline; is given what to say meanwhile.
Compare = Callable[[Deadline, Callable[[str], None]], list[GateResult]]


@dataclass
class Canary:
    """A rollout of a release (:func:`mlops_steps.delivery.release.release`).

    ``start`` is called with the live and the new version once both can be asked, and returns what compares them.
    """

    target: ApiDeployerTarget
    settings: CanarySettings
    start: Callable[[ServiceDeployment, str, str], Compare]

    def check(self, live: Live) -> None:
        """Raises :class:`ConfigError` where the API Deployer cannot be told how calls are shared."""
        deployment = live.deployment
        if isinstance(deployment, ServiceDeployment):
            check_form(self.target, deployment)

    def __call__(self, change: Change, live: Live, _deadline: Deadline) -> None:
        """Shifts the calls, compares at each step, and makes the new version live alone.

        Raises :class:`CheckFailed` when it is worse than the live one, or when that could not be told.
        """
        if not _has_live_version(change):
            change.console.line("no version is live that the new one could be compared with: it gets all calls at once")
        else:
            live = self.compare(change, live)
        all_at_once(change, live, Deadline(change.target.limits.change))

    def compare(self, change: Change, live: Live) -> Live:
        """The steps below 100 %. Returns what is live after the last one."""
        new, before = str(change.unit.version), str(change.unit.previous and change.unit.previous.version)
        compare: Compare | None = None
        drawn = _Drawn(change)
        for percent in self.settings.steps:
            with change.report.case(f"canary {percent:g} %") as case:
                change.shift(percent)
                drawn.shifted(percent)
                live = share(
                    self.target,
                    {before: 1 - percent / 100, new: percent / 100},
                    Deadline(change.target.limits.change),
                    change.console,
                    live=live,
                    expected=partial(_unchanged, live.deployment),
                )
                if compare is None and isinstance(live.deployment, ServiceDeployment):
                    compare = self.start(live.deployment, before, new)
                assert compare
                with change.console.waiting(f"comparing version {new} at {percent:g} % with {before}") as wait:
                    results = compare(Deadline(self.settings.step_timeout), wait.state)
                drawn.compared(results)
                for result in results:
                    facts = {f"canary.{percent:g}.{result.name}.{name}": text for name, text in result.facts().items()}
                    facts[f"canary.{percent:g}.{result.name}.verdict"] = result.verdict.value
                    change.report.properties.update(facts)
                case.stdout += "".join(
                    f"{result.name}: {result.verdict.value}: {result.message}\n" for result in results
                )
                part = change.record.stage(change.target.stage, change.target.words.kind)
                part.gates.update({f"canary {percent:g} %: {name}": found for name, found in measured(results).items()})
                self._judge(change, percent, results)
        return live

    def _judge(self, change: Change, percent: float, results: list[GateResult]) -> None:
        verdict = worst_of(results)
        worst = [result for result in results if result.verdict is verdict]
        text = "; ".join(f"{result.name}: {result.message}" for result in worst)
        details = [line for result in worst for line in result.details]
        if verdict is GateVerdict.FAILED:
            raise CheckFailed(f"the canary failed at {percent:g} %: {text}", details=details)
        if verdict is GateVerdict.PASSED:
            change.console.good(f"canary {percent:g} %: " + "; ".join(f"{r.name}: {r.message}" for r in results))
            return
        if self.settings.inconclusive == "rollback":
            error = CheckFailed(
                f"the canary is inconclusive at {percent:g} %: {text}",
                details=[*details, "api.release.canary.inconclusive of mlops.yml says what follows: rollback"],
            )
            error.inconclusive = True
            raise error
        change.console.warn(f"canary {percent:g} % is inconclusive: {text}; going on, as mlops.yml says")


class _Drawn:
    """The figures of a canary for the page: kept after each step, so that one that fails has them too."""

    def __init__(self, change: Change) -> None:
        self._report = change.report
        self._begin = time.monotonic()
        self._shares: list[tuple[float, float]] = []

    def shifted(self, percent: float) -> None:
        """So many percent of the calls are about to go to the new version."""
        self._shares.append((round(time.monotonic() - self._begin, 1), percent))
        self._keep([])

    def compared(self, results: Sequence[GateResult]) -> None:
        """What a step has found; the step has lasted until now."""
        self._shares.append((round(time.monotonic() - self._begin, 1), self._shares[-1][1]))
        self._keep(results)

    def _keep(self, results: Sequence[GateResult]) -> None:
        from mlops_steps.report.attachments import Figure, Series

        seconds, percents = zip(*self._shares, strict=True)
        steps = ", ".join(dict.fromkeys(f"{percent:g} %" for percent in percents))
        shares = Figure(
            name="canary",
            topic="service",
            kind="steps",
            title="Calls to the new version",
            about=f"The new version got {steps} of the calls, for {duration(round(seconds[-1]))} in all.",
            x="seconds",
            y="% of the calls",
            series=(Series(name="new version", x=seconds, y=percents),),
        )
        new = {figure.name: figure for figure in (shares, *(one for result in results for one in result.figures))}
        figures = self._report.attach().figures
        figures[:] = [*(one for one in figures if one.name not in new), *new.values()]


def compare_only(change: Change, canary: Canary, live: Live, situation: Situation, signals: Interrupts) -> None:
    """Compares the version with the live one without giving it a call of a user, and leaves the live one alone again.

    Raises as a release that fails does; without a live version :class:`CheckFailed`, before anything is changed.
    """
    target, version = change.target, str(change.recorded_version)
    previous = situation.previous
    if previous is None or previous.version in (None, version):
        raise CheckFailed(
            f"{target.stage}: no other version is live that {version} could be compared with; nothing was changed",
            live=str(live),
            next_step="shares of api.release.canary that end with 100 release it",
        )
    with signals.handled():
        try:
            change.begin(version, live, previous)
            canary.compare(change, live)
            why = f"version {version} was only compared"
            with signals.shielded():
                change.give_up(why)
                now = restore(change, why, Deadline(target.limits.restore))
                change.console.good(f"compared: version {version} passed; {now}, verified")
        except ProductionInDoubt:
            raise
        except (Exception, Stop) as failure:
            # A signal between the comparison and the restore, too.
            known = failure if isinstance(failure, (MlopsError, Stop)) else InternalError.of(failure)
            with signals.shielded():
                put_back(change, known)


def _unchanged(seen: Deployed | None, now: Deployed) -> bool:
    return same_settings(now, seen)


def _has_live_version(change: Change) -> bool:
    previous = change.unit.previous
    return bool(previous and previous.version and previous.active and previous.version != change.unit.version)
