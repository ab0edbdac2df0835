"""How good logged predictions were, once the labels have arrived: of the live version, and of those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from time import gmtime, strftime
from typing import Any

import numpy as np

from mlops_steps.config.monitor import LOWER_IS_BETTER, LabelSettings
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.measures import estimate
from mlops_steps.gates.samples import Samples
from mlops_steps.gates.scored import text
from mlops_steps.gates.statistics.model import Estimate
from mlops_steps.insight.findings import Finding, Level, limits_in_words
from mlops_steps.report.attachments import LateVerdict
from mlops_steps.system.waiting import Deadline


@dataclass(frozen=True)
class Labelled:
    """The rows of a version whose labels are known: the labels, what was predicted, and when, if that is asked for."""

    labels: list[Any]
    scores: list[Any]
    times: list[float]

    def since(self, moment: float) -> Labelled:
        """Those of predictions that were made since then."""
        kept = [number for number, time in enumerate(self.times) if time >= moment]
        return Labelled(*([column[number] for number in kept] for column in (self.labels, self.scores, self.times)))


def measure(
    settings: LabelSettings,
    samples: Samples,
    live: Sequence[str],
    releases: Mapping[str, str],
    known: Mapping[str, LateVerdict],
    now: float,
    deadline: Deadline,
) -> list[Finding]:
    """The metric of the live version's predictions, and a verdict on each version that has enough labelled rows.

    ``live`` are the names that the column of versions may have for what is live; ``releases`` names the release of a
    version of a model, ``known`` are the verdicts so far. ``now`` is in seconds since 1970. Raises :class:`CheckFailed`
    when a dataset lacks what is needed, :class:`NodeError`.
    """
    rows = _rows(settings, samples, deadline)
    current = next((version for version in live if version in rows), None)
    found = [_of_live(settings, rows.get(current or ""), now)]
    at = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now))
    verdicts = dict(known)
    for version, labelled in rows.items():
        if len(labelled.labels) >= settings.rows:
            value = _estimate(settings, labelled)
            verdicts[version] = LateVerdict(
                version=version,
                release=releases.get(version, version),
                metric=settings.metric,
                value=float(value.value),
                rows=value.rows,
                passed=_level(settings, value) is not Level.ACT,
                at=at,
            )
    found.append(_late(list(verdicts.values()), known, live, _limits(settings)))
    return found


def _of_live(settings: LabelSettings, rows: Labelled | None, now: float) -> Finding:
    name, words = f"{settings.metric} by labels", _limits(settings)
    if rows and settings.window:
        rows = rows.since(now - settings.window)
    count = len(rows.labels) if rows else 0
    if rows is None or count < settings.rows:
        message = f"{count} predictions of the live version have a label; {settings.rows} are required"
        return Finding(name, Level.SKIPPED, message, limit=words, decay=True)
    value = _estimate(settings, rows)
    message = f"{settings.metric} is {value.value:.4g} on {value.rows} labelled predictions of the live version"
    interval = (str(value.interval),) if value.interval.method else ()
    return Finding(name, _level(settings, value), message, float(value.value), words, interval, decay=True)


def _limits(settings: LabelSettings) -> str:
    return limits_in_words(*(None if one is None else f"{one:g}" for one in (settings.warn, settings.act)))


def _late(
    verdicts: Sequence[LateVerdict], known: Mapping[str, LateVerdict], live: Sequence[str], words: str
) -> Finding:
    """The verdicts on versions that are not live any more. A failed one is a failure once: when it is new."""
    before = [verdict for verdict in verdicts if verdict.version not in live and verdict.release not in live]
    news = [one for one in before if one.version not in known or known[one.version].passed != one.passed]
    failed = [verdict for verdict in news if not verdict.passed]
    details = tuple(f"{'new: ' if one in news else ''}{in_words(one)}" for one in before)
    message = (
        f"{sum(one.passed for one in before)} of {len(before)} earlier releases passed, {len(news)} verdicts are new"
    )
    if failed:
        message = f"failed late: {in_words(failed[0])}"
    level = Level.ACT if failed else Level.GOOD if before else Level.SKIPPED
    if not before:
        message = "no earlier release has enough labelled predictions"
    return Finding("late verdict", level, message, None, words, details, of_release=False, verdicts=tuple(verdicts))


def in_words(verdict: LateVerdict) -> str:
    """``bundle 12 (model 1700): passed, auc 0.91 on 500 labelled predictions``."""
    of = f" (predictions of {verdict.version})" if verdict.version != verdict.release else ""
    result = "passed" if verdict.passed else "failed"
    return (
        f"{verdict.release}{of}: {result}, {verdict.metric} {verdict.value:.4g} on {verdict.rows} labelled predictions"
    )


def _rows(settings: LabelSettings, samples: Samples, deadline: Deadline) -> dict[str, Labelled]:
    """The labelled rows of each version."""
    score = str(getattr(settings, settings.score))
    version = samples.candidate
    columns = [settings.key, settings.version, score, *([settings.time] if settings.time else [])]
    columns += [] if settings.labels else [settings.label]
    logged = samples.read(version, settings.predictions, columns, deadline, settings.scenario)
    told = logged
    if settings.labels:
        told = samples.read(version, settings.labels, [settings.key, settings.label], deadline)
    truth = {
        text(key): label
        for key, label in zip(told[settings.key], told[settings.label], strict=True)
        if key is not None and label is not None
    }
    times = logged[settings.time] if settings.time else [0.0] * len(logged[settings.key])
    found: dict[str, Labelled] = {}
    made = (logged[settings.key], logged[settings.version], logged[score], times)
    for key, by, predicted, time in zip(*made, strict=True):
        if None in (key, by, predicted) or text(key) not in truth:
            continue
        row = found.setdefault(text(by), Labelled([], [], []))
        row.labels.append(truth[text(key)])
        row.scores.append(predicted)
        row.times.append(_moment(time))
    return found


def _moment(value: Any) -> float:
    """Seconds since 1970; 0.0 for an empty cell. Raises :class:`CheckFailed` for what is no time."""
    if value is None:
        return 0.0
    try:
        return float(value) / 1000
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
    except ValueError:
        raise CheckFailed("monitor.labels.time names a column that holds values which are no times") from None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def _estimate(settings: LabelSettings, rows: Labelled) -> Estimate:
    try:
        return estimate(settings.metric, rows.labels, rows.scores, settings.positive, str(settings.label))
    except ValueError as error:
        raise CheckFailed(f"{settings.metric} of the labelled predictions: {error}") from None


def _level(settings: LabelSettings, found: Estimate) -> Level:
    """By the better end of the interval: what may be luck is no decay."""
    less_is_better = settings.metric in LOWER_IS_BETTER
    best = found.interval.low if less_is_better else found.interval.high
    if not np.isfinite(found.value):
        return Level.UNKNOWN
    for level, limit in ((Level.ACT, settings.act), (Level.WARN, settings.warn)):
        if limit is not None and (best > limit if less_is_better else best < limit):
            return level
    return Level.GOOD
