"""What gates have measured, as figures for the page of the release: curves of both versions, drift of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlops_steps.gates.scored import Array
from mlops_steps.report.attachments import Figure, Series

_POINTS = 50  # of a curve
_BINS = 10
_MOST_COLUMNS = 200


def roc(name: str, truth: NDArray[np.bool_], scores: Mapping[str, Array]) -> Figure:
    """True against false positives for each threshold; ``scores`` are those of the versions by what they are called."""
    lines, areas = [], []
    for version, score in scores.items():
        false, true = _rates(truth, score)
        area = float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))
        kept = _thinned(len(false))
        lines.append(_series(f"{version}, area {area:.3f}", false[kept], true[kept]))
        areas.append(f"{area:.3f} for the {version}")
    return Figure(
        name=f"{name}-roc",
        topic="champion",
        title="ROC curve",
        about=f"The area under the curve is {' and '.join(areas)}, on {len(truth)} rows; 0.5 is chance.",
        x="false positive rate",
        y="true positive rate",
        series=tuple(lines),
        diagonal=True,
    )


def calibration(name: str, truth: NDArray[np.bool_], chances: Mapping[str, Array], topic: str = "champion") -> Figure:
    """The share of positives in groups of equal size, against the probability that was predicted for them."""
    lines, errors = [], []
    for version, chance in chances.items():
        order = np.array_split(np.argsort(chance, kind="stable"), min(_BINS, len(chance)))
        x, y = [float(chance[part].mean()) for part in order], [float(truth[part].mean()) for part in order]
        lines.append(_series(version, x, y))
        worst = max(abs(a - b) for a, b in zip(x, y, strict=True))
        errors.append(f"{worst:.3f} for the {version}")
    return Figure(
        name=f"{name}-calibration",
        topic="champion" if topic == "champion" else "other",
        title="Calibration",
        about=f"The largest gap between predicted and true share is {' and '.join(errors)}, in groups of equal size.",
        x="predicted probability",
        y="share of positives",
        series=tuple(lines),
        diagonal=True,
    )


def residuals(name: str, truth: Array, predicted: Mapping[str, Array]) -> Figure:
    """How far predictions are off: the share of the rows in each of some steps."""
    off = {version: values - truth for version, values in predicted.items()}
    low = min(float(np.quantile(values, 0.01)) for values in off.values())
    high = max(float(np.quantile(values, 0.99)) for values in off.values())
    edges = np.linspace(low, high if high > low else low + 1.0, 2 * _BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    lines = []
    for version, values in off.items():
        counts, _ = np.histogram(np.clip(values, low, high), edges)
        lines.append(_series(version, middles, counts / max(1, len(values))))
    medians = [f"{float(np.median(np.abs(values))):.4g} for the {version}" for version, values in off.items()]
    return Figure(
        name=f"{name}-residuals",
        topic="champion",
        title="Residuals",
        about=f"Half of the predictions are off by less than {' and '.join(medians)}, on {len(truth)} rows.",
        x="predicted less true",
        y="share of rows",
        series=tuple(lines),
    )


def drift(name: str, psi: Mapping[str, float], limits: Mapping[str, float]) -> Figure:
    """The PSI of each column against its limit, the one that has drifted most first."""
    names = sorted(psi, key=lambda column: -psi[column] / limits[column])[:_MOST_COLUMNS]
    over = [column for column in names if psi[column] > limits[column]]
    said = f"{len(over)} of {len(psi)} columns exceed their limit" + (f": {', '.join(over[:5])}" if over else "")
    return Figure(
        name=f"{name}-drift",
        topic="drift",
        kind="bars",
        title=f"Population stability index ({name})",
        about=f"{said}. The largest is {names[0]} with {psi[names[0]]:.3g}, limit {limits[names[0]]:g}.",
        x="column",
        y="PSI",
        series=(Series(name="PSI", x=tuple(names), y=tuple(_rounded(psi[column] for column in names))),),
        limits=tuple(limits[column] for column in names),
    )


def _rates(truth: NDArray[np.bool_], score: Array) -> tuple[Array, Array]:
    """False and true positive rates at each different score, from the highest."""
    order = np.argsort(-score, kind="stable")
    hits, ranked = truth[order], score[order]
    last = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)
    true = np.cumsum(hits)[last] / max(1, int(truth.sum()))
    false = np.cumsum(~hits)[last] / max(1, int((~truth).sum()))
    return np.append(0.0, false), np.append(0.0, true)


def _thinned(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(np.int64))


def _series(name: str, x: Sequence[float] | Array, y: Sequence[float] | Array) -> Series:
    return Series(name=name, x=tuple(_rounded(x)), y=tuple(_rounded(y)))


def _rounded(values: object) -> list[float]:
    return [round(float(value), 5) for value in values]  # type: ignore[attr-defined]
