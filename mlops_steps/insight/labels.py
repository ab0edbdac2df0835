"""How good logged predictions were, once the labels have arrived: of the live version, and of those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """The rows of a version whose labels are known: the labels, and what was predicted."""

    labels: list[Any]
    scores: list[Any]


def measure(
    settings: LabelSettings,
    samples: Samples,
    live: Sequence[str],
    releases: Mapping[str, str],
    known: Mapping[str, LateVerdict],
    at: str,
    deadline: Deadline,
) -> list[Finding]:
    """The metric of the live version's predictions, and a verdict on each version that has enough labelled rows.

    ``live`` are the names that the column of versions may have for what is live; ``releases`` names the release of a
    version of a model, ``known`` are the verdicts so far. Raises :class:`CheckFailed` when a dataset lacks what is
    needed, :class:`NodeError`.
    """
    rows = _rows(settings, samples, deadline)
    words = limits_in_words(*(None if one is None else f"{one:g}" for one in (settings.warn, settings.act)))
    found: list[Finding] = []
    verdicts: list[LateVerdict] = []
    name = f"{settings.metric} by labels"
    current = next((version for version in live if version in rows), None)
    if current is None or len(rows[current].labels) < settings.rows:
        count = len(rows[current].labels) if current else 0
        message = f"{count} predictions of the live version have a label; {settings.rows} are required"
        found.append(Finding(name, Level.SKIPPED, message, limit=words, decay=True))
    for version, labelled in rows.items():
        if len(labelled.labels) < settings.rows:
            continue
        value = _estimate(settings, version, labelled)
        level = _level(settings, value)
        release = releases.get(version, version)
        verdicts.append(
            LateVerdict(
                version=version,
                release=release,
                metric=settings.metric,
                value=float(value.value),
                rows=value.rows,
                passed=level is not Level.ACT,
                at=at,
            )
        )
        if version == current:
            message = f"{settings.metric} is {value.value:.4g} on {value.rows} labelled predictions of the live version"
            interval = (str(value.interval),) if value.interval.method else ()
            found.append(Finding(name, level, message, float(value.value), words, interval, decay=True))
    found.append(_late(verdicts, known, current, words))
    return found


def _late(
    verdicts: Sequence[LateVerdict], known: Mapping[str, LateVerdict], current: str | None, words: str
) -> Finding:
    """The verdicts on versions that are not live any more. A failed one is a failure once: when it is new."""
    before = [verdict for verdict in verdicts if verdict.version != current]
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
    columns = [settings.key, settings.version, score, *([] if settings.labels else [settings.label])]
    logged = samples.read(version, settings.predictions, columns, deadline, settings.scenario)
    if settings.labels:
        told = samples.read(version, settings.labels, [settings.key, settings.label], deadline)
        truth = {
            text(key): label
            for key, label in zip(told[settings.key], told[settings.label], strict=True)
            if key is not None and label is not None
        }
    else:
        truth = {
            text(key): label
            for key, label in zip(logged[settings.key], logged[settings.label], strict=True)
            if key is not None and label is not None
        }
    found: dict[str, Labelled] = {}
    for key, by, predicted in zip(logged[settings.key], logged[settings.version], logged[score], strict=True):
        if None in (key, by, predicted) or text(key) not in truth:
            continue
        row = found.setdefault(text(by), Labelled([], []))
        row.labels.append(truth[text(key)])
        row.scores.append(predicted)
    return found


def _estimate(settings: LabelSettings, version: str, rows: Labelled) -> Estimate:
    try:
        return estimate(settings.metric, rows.labels, rows.scores, settings.positive, str(settings.label))
    except ValueError as error:
        raise CheckFailed(f"{settings.metric} of the predictions of {version}: {error}") from None


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
