"""Evaluations of a model on a dataset, and the drift between two samples. Runs in child processes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._context import context
from ._layout import LayoutError, read_document, write_document
from .dataset import Dataset
from .model import SAMPLE_FILE, Model, Predictor

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EVALUATION_FILE = "evaluation.json"
#: Rows of an evaluation's sample, and rows on which the importance of columns is measured.
SAMPLE_ROWS, IMPORTANCE_ROWS = 10_000, 1_000
_SMALLEST_SHARE = 1e-4


def run_evaluation(dataset: str, model: str, store: str, labels: Sequence[Mapping[str, str]] = ()) -> None:
    """Evaluates the active version of a model on a dataset, and adds the evaluation to the store."""
    places, key = context().places, context().project_key
    saved = Model(model)
    version = next((one["versionId"] for one in saved.list_versions() if one["active"]), None)
    if version is None:
        raise LayoutError(f"saved model {saved.get_name()} has no active version with files on this node")
    predictor = saved.get_predictor(version)
    document = read_document(places.model(saved.get_id()) / str(version) / "version.json")
    if document["predictionType"] != "BINARY_CLASSIFICATION" or len(document["classes"]) != 2:
        raise ValueError("the sandbox evaluates binary classifications only")
    sample = Dataset(dataset).get_dataframe().head(SAMPLE_ROWS)
    target = document["target"]
    scored = sample.join(predictor.predict(sample))
    known = target in sample.columns
    created = int(time.time() * 1000)
    identity = str(created)
    evaluation = {
        "ref": {
            "projectKey": key,
            "evaluationStoreId": store,
            "evaluationId": identity,
            "fullId": f"ME-{key}-{store}-{identity}",
        },
        "created": created,
        "modelRef": {"fullId": f"S-{key}-{saved.get_id()}-{version}"},
        "modelType": "SAVED_MODEL",
        "hasModel": True,
        "predictionType": document["predictionType"],
        "predictionVariable": "prediction",
        "targetVariable": target,
        "dataset": dataset,
        "sampleSize": len(sample),
        "features": document["features"],
        "columnImportance": _importances(predictor, sample, target, document) if known else None,
        "userMeta": {"name": f"Evaluation of {dataset}", "labels": [dict(label) for label in labels]},
        "metrics": _metrics(scored, target, document) if known else {},
    }
    root = places.evaluation_store(store)
    root.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=root, prefix="."))
    try:
        write_document(staged / EVALUATION_FILE, evaluation)
        scored.to_csv(staged / SAMPLE_FILE, index=False)
        staged.chmod(0o755)
        staged.rename(root / identity)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    print(f"evaluation {identity} of version {version} on {len(sample)} rows of {dataset}: {evaluation['metrics']}")


def _metrics(scored: pd.DataFrame, target: str, document: Mapping[str, Any]) -> dict[str, float]:
    from sklearn import metrics

    positive = document["classes"][1]
    truth, said = scored[target] == positive, scored["prediction"] == positive
    chance = scored[f"proba_{positive}"]
    return {
        "accuracy": float(metrics.accuracy_score(truth, said)),
        "auc": float(metrics.roc_auc_score(truth, chance)),
        "f1": float(metrics.f1_score(truth, said, zero_division=0)),
        "logLoss": float(metrics.log_loss(truth, chance)),
        "precision": float(metrics.precision_score(truth, said, zero_division=0)),
        "recall": float(metrics.recall_score(truth, said, zero_division=0)),
    }


def _importances(
    predictor: Predictor, sample: pd.DataFrame, target: str, document: Mapping[str, Any]
) -> dict[str, float]:
    """By how much AUC falls when a column is shuffled; the sum is one."""
    from sklearn.metrics import roc_auc_score

    rows, positive = sample.head(IMPORTANCE_ROWS), document["classes"][1]
    truth = rows[target] == positive

    def area(frame: pd.DataFrame) -> float:
        return float(roc_auc_score(truth, predictor.predict(frame)[f"proba_{positive}"]))

    best = area(rows)
    falls = {}
    for number, column in enumerate(document["features"]):
        shuffled = rows[column].sample(frac=1, random_state=number).to_numpy()
        falls[column] = max(0.0, best - area(rows.assign(**{column: shuffled})))
    total = sum(falls.values())
    return {column: fall / total for column, fall in falls.items()} if total else falls


# ---- drift


def compute_drift(current: str, reference: str, settings: Mapping[str, Any], out: str) -> None:
    """Compares the sample of an evaluation (a folder) with another one, or with that of a model's version.

    Writes what the client reads of a drift computation into the file ``out``.
    """
    import pandas as pd

    evaluation = read_document(Path(current) / EVALUATION_FILE)
    now = pd.read_csv(Path(current) / SAMPLE_FILE)
    before = pd.read_csv(Path(reference) / SAMPLE_FILE)
    if "prediction" not in before.columns:
        version = read_document(Path(reference) / "version.json")
        before = before.join(Predictor(Path(reference), version).predict(before))
    params, bins = settings.get("columns") or {}, int(settings.get("nbBins") or 10)
    level = float(settings.get("confidenceLevel") or 0.95)
    handlings = {name: _handling(name, before, params.get(name) or {}) for name in evaluation["features"]}
    chosen = [name for name, handling in handlings.items() if handling != "IGNORED"]
    write_document(
        Path(out),
        {
            "univariateDriftResult": {
                "columns": {name: _drift(before[name], now[name], handlings[name], bins) for name in chosen}
            },
            "perColumnSettings": [
                {"name": name, "actualHandling": handling, "defaultHandling": _handling(name, before, {})}
                for name, handling in handlings.items()
            ],
            "predictionDriftResult": _drift(before["prediction"], now["prediction"], "CATEGORICAL", bins),
            "driftModelResult": _drift_model(before[chosen], now[chosen], evaluation["columnImportance"], level),
        },
    )


def _handling(name: str, before: pd.DataFrame, wanted: Mapping[str, Any]) -> str:
    from pandas.api.types import is_numeric_dtype

    if not wanted.get("enabled", True):
        return "IGNORED"
    chosen = wanted.get("handling", "AUTO")
    return str(chosen) if chosen != "AUTO" else "NUMERICAL" if is_numeric_dtype(before[name]) else "CATEGORICAL"


def _drift(before: pd.Series, now: pd.Series, handling: str, bins: int) -> dict[str, Any]:
    """PSI, and the p-value of the Kolmogorov-Smirnov test (numbers) or of the chi-squared test (categories)."""
    import numpy as np
    from scipy import stats

    if handling == "NUMERICAL":
        samples = [values.dropna().to_numpy(dtype=float) for values in (before, now)]
        edges = np.unique(np.quantile(samples[0], np.linspace(0, 1, bins + 1)[1:-1]))
        counts = np.array([np.bincount(np.searchsorted(edges, one), minlength=len(edges) + 1) for one in samples])
        return {
            "type": handling,
            "ksTestPvalue": float(stats.ks_2samp(*samples).pvalue),
            "populationStabilityIndex": _psi(counts),
        }
    names = sorted({*before.astype(str), *now.astype(str)})
    counts = np.array([values.astype(str).value_counts().reindex(names, fill_value=0) for values in (before, now)])
    p_value = float(stats.chi2_contingency(counts).pvalue) if len(names) > 1 else 1.0
    return {"type": handling, "chiSquareTestPvalue": p_value, "populationStabilityIndex": _psi(counts)}


def _psi(counts: np.ndarray[Any, Any]) -> float:
    import numpy as np

    shares = np.maximum(counts / counts.sum(axis=1, keepdims=True), _SMALLEST_SHARE)
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def _drift_model(
    before: pd.DataFrame, now: pd.DataFrame, importances: Mapping[str, float] | None, level: float
) -> dict[str, Any]:
    """How well a forest tells the two samples apart, on rows that it has not seen."""
    import pandas as pd
    from scipy import stats
    from sklearn.ensemble import RandomForestClassifier

    size = min(len(before), len(now))
    both = pd.concat([before.sample(size, random_state=42), now.sample(size, random_state=43)], ignore_index=True)
    inputs = both.apply(lambda values: values.fillna(-1) if values.dtype.kind in "ifb" else pd.factorize(values)[0])
    is_now = pd.Series([False] * size + [True] * size)
    train = both.sample(frac=0.7, random_state=42).index
    test = both.index.difference(train)
    forest = RandomForestClassifier(50, max_depth=5, random_state=1337).fit(inputs.loc[train], is_now[train])
    right = int((forest.predict(inputs.loc[test]) == is_now[test]).sum())
    found = stats.binomtest(right, len(test), 0.5, alternative="greater")
    interval = stats.binomtest(right, len(test)).proportion_ci(level, method="wilson")
    return {
        "currentSampleSize": len(now),
        "referenceSampleSize": len(before),
        "driftModelAccuracy": {
            "value": right / len(test),
            "lower": float(interval.low),
            "upper": float(interval.high),
            "pvalue": float(found.pvalue),
        },
        "driftVersusImportance": {
            "columns": list(before.columns),
            "columnDriftScores": [float(score) for score in forest.feature_importances_],
            "columnImportanceScores": importances and [float(importances.get(name, 0)) for name in before.columns],
        },
    }
