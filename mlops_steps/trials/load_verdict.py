"""What a load has found, judged by the limits of the configuration: test cases, properties, a figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mlops_steps.config.api_load import LoadSettings
from mlops_steps.report.attachments import Figure, Series
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.trials.load import Measurement, Sample

#: The name of the case of the run as a whole, and what those of its limits begin with.
LOAD = "load"
PERCENTILES = ("p50", "p95", "p99")
# With more calls than this share sent late by this machine itself, what was measured is not the service.
MOST_LATE = 0.05
# Milliseconds: the steps of the histogram, in each power of ten.
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


@dataclass(frozen=True)
class Limit:
    """One limit with what was measured. ``value`` is None where no call was answered. ``verdict``: passed, failed, …"""

    name: str
    value: float | None
    limit: float
    unit: str
    at_most: bool = True
    verdict: str = ""

    @property
    def holds(self) -> bool:
        """Whether it was measured, and keeps the limit."""
        if self.value is None:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def words(self, value: float | None) -> str:
        """A number with the unit."""
        return "not measured" if value is None else f"{_short(value)}{self.unit}"

    @property
    def limit_in_words(self) -> str:
        """``at most 200 ms``."""
        return f"at {'most' if self.at_most else 'least'} {self.words(self.limit)}"


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest of the sorted values that this share of them does not exceed; None of none."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def latencies(samples: Sequence[Sample]) -> list[float]:
    """Of answered calls, in milliseconds, sorted."""
    return sorted(sample.seconds * 1000 for sample in samples if not sample.failed)


def limits(settings: LoadSettings, found: Measurement) -> list[Limit]:
    """The limits that are configured, in a fixed order, with what was measured."""
    times = latencies(found.samples)
    result = [
        Limit(name, percentile(times, int(name[1:]) / 100), getattr(settings, name), " ms")
        for name in PERCENTILES
        if getattr(settings, name) is not None
    ]
    result.append(Limit("errors", _error_share(found), settings.errors * 100, " %"))
    if settings.throughput is not None:
        result.append(Limit("throughput", _throughput(found), settings.throughput, " calls/s", at_most=False))
    return result


def add_to(report: Report, settings: LoadSettings, found: Measurement, seconds: float, source: str) -> list[Limit]:
    """Adds a case for the run and one for each limit, the measured values as properties, and a histogram."""
    report.add(_run_case(settings, found, seconds))
    broken = _why_useless(found)
    judged = []
    for limit in limits(settings, found):
        case = report.add(_case(limit, found, broken))
        verdict = _VERDICTS[case.outcome]
        judged.append(replace(limit, verdict=verdict))
        facts = {
            "verdict": verdict,
            "value": "" if limit.value is None else _short(limit.value),
            "limit": limit.limit_in_words,
            "rows": str(len(found.samples)),
            "source": source,
        }
        report.set(**{f"gate.{LOAD} {limit.name}.{name}": value for name, value in facts.items()})
    report.set(**dict(_properties(settings, found)))
    times = latencies(found.samples)
    if times:
        report.attach().figures.append(_histogram(settings, found, times, report.stage or ""))
    return judged


_VERDICTS = {Outcome.PASSED: "passed", Outcome.FAILURE: "failed", Outcome.ERROR: "unmeasured"}


def _case(limit: Limit, found: Measurement, broken: str) -> Case:
    said = f"{limit.name} {limit.words(limit.value)}, {limit.limit_in_words} allowed"
    if not limit.at_most:
        said = f"{limit.name} {limit.words(limit.value)}, {limit.limit_in_words} required"
    case = Case(f"gate {LOAD} {limit.name}", stdout=said)
    # A load that was stopped by its errors has measured those.
    told = limit.value is not None and (not broken or (limit.name == "errors" and bool(found.stopped)))
    if told and not limit.holds:
        case.outcome, case.message = Outcome.FAILURE, said
    elif not told or broken:
        case.outcome, case.message = Outcome.ERROR, f"not measured: {broken or 'no call was answered'}"
    case.details = case.message
    return case


def summary(settings: LoadSettings, found: Measurement) -> str:
    """One line."""
    times = latencies(found.samples)
    shown = ", ".join(f"{name} {_ms(percentile(times, int(name[1:]) / 100))}" for name in PERCENTILES)
    failed = sum(sample.failed for sample in found.samples)
    return f"{len(found.samples)} calls at {settings.rate:g} a second: {shown}, {failed} failed"


def _run_case(settings: LoadSettings, found: Measurement, seconds: float) -> Case:
    case = Case(LOAD, seconds=seconds, stdout="\n".join([summary(settings, found), *_lines(found)]))
    if problem := _why_useless(found):
        # Errors are judged by their limit.
        case.outcome = Outcome.FAILURE if found.stopped else Outcome.ERROR
        case.message = problem
        case.details = "\n".join([problem, *_lines(found)])
    return case


def _why_useless(found: Measurement) -> str:
    """Why what was measured says nothing of the service's latency; "" when it does."""
    if found.stopped:
        return f"the load stopped early: {found.stopped}"
    if found.late > MOST_LATE * max(1, len(found.samples)):
        return (
            f"this machine was late with {found.late} of {len(found.samples)} calls: it cannot send so many, so the "
            "latency is not the service's (a lower rate, or an agent that is less busy)"
        )
    return ""


def _lines(found: Measurement) -> list[str]:
    """What each node took, and what was said of failed calls."""
    nodes = dict.fromkeys(sample.node for sample in found.samples)
    lines = []
    for node in nodes:
        samples = [sample for sample in found.samples if sample.node == node]
        times = latencies(samples)
        shown = ", ".join(f"{name} {_ms(percentile(times, int(name[1:]) / 100))}" for name in PERCENTILES)
        lines.append(f"{node}: {len(samples)} calls, {shown}, {sum(sample.failed for sample in samples)} failed")
    often = sorted(found.errors.items(), key=lambda item: -item[1])
    return [*lines, *(f"{count} times: {text}" for text, count in often)]


def _properties(settings: LoadSettings, found: Measurement) -> Iterator[tuple[str, str]]:
    times = latencies(found.samples)
    yield "load_rate", f"{settings.rate:g}"
    yield "load_calls", str(len(found.samples))
    yield "load_failed", str(sum(sample.failed for sample in found.samples))
    for name in PERCENTILES:
        value = percentile(times, int(name[1:]) / 100)
        if value is not None:
            yield f"load_{name}_ms", _short(value)
    if times:
        yield "load_max_ms", _short(times[-1])
    share, throughput = _error_share(found), _throughput(found)
    if share is not None:
        yield "load_errors_percent", _short(share)
    if throughput is not None:
        yield "load_throughput", _short(throughput)


def _histogram(settings: LoadSettings, found: Measurement, times: Sequence[float], stage: str) -> Figure:
    edges = _edges(times[0], times[-1])
    counts = [0] * (len(edges) - 1)
    at = 0
    for value in times:
        while value > edges[at + 1]:
            at += 1
        counts[at] += 1
    names = tuple(f"{_short(low)} to {_short(high)}" for low, high in pairwise(edges))
    return Figure(
        name=f"latency under load on {stage}",
        topic="service",
        kind="bars",
        title=f"Latency under load on {stage}",
        about=f"{summary(settings, found)}. Each bar is the number of calls that took so many milliseconds.",
        x="ms",
        y="calls",
        series=(Series(name="calls", x=names, y=tuple(map(float, counts))),),
    )


def _edges(least: float, most: float) -> list[float]:
    """The ends of the bars: they grow with the latency, and hold all of it."""
    low = math.floor(math.log10(max(least, 0.01)))
    found = [step * 10.0**power for power in range(low, low + 9) for step in _STEPS]
    first = max([at for at, edge in enumerate(found) if edge <= least] or [0])
    last = next((at for at, edge in enumerate(found) if edge >= most), len(found) - 1)
    edges = found[first : max(last, first + 1) + 1]
    return [min(edges[0], least), *edges[1:-1], max(edges[-1], most)]


def _error_share(found: Measurement) -> float | None:
    """In percent of the measured calls. All failed, where a load stopped before it had measured any."""
    failed = sum(sample.failed for sample in found.samples)
    if found.samples:
        return 100 * failed / len(found.samples)
    return 100.0 if found.errors else None


def _throughput(found: Measurement) -> float | None:
    answered = sum(not sample.failed for sample in found.samples)
    return answered / found.seconds if found.samples and found.seconds > 0 else None


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{_short(value)} ms"


def _short(value: float) -> str:
    """Three significant digits, and no fewer than those before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
