"""A small project with a model, an evaluation recipe and an evaluation store, as files of a bundle."""

from __future__ import annotations

from typing import Any

import numpy as np

STORE = "quality"
#: A model by least squares: importing scikit-learn would take most of the time of the test.
SCORES = """
import numpy as np


class Scores:
    classes_ = [0, 1]

    def fit(self, rows, labels):
        self.weights = np.linalg.lstsq(self._inputs(rows), labels - 0.5, rcond=None)[0]
        return self

    def _inputs(self, rows):
        return np.column_stack([rows.to_numpy(dtype=float), np.ones(len(rows))])

    def predict_proba(self, rows):
        chance = 1 / (1 + np.exp(-6 * self._inputs(rows) @ self.weights))
        return np.column_stack([1 - chance, chance])

    def predict(self, rows):
        return (self.predict_proba(rows)[:, 1] >= 0.5).astype(int)
"""
TRAIN = """
import dataiku
from scores import Scores

rows = dataiku.Dataset("training").get_dataframe()
names = ["x", "noise", "kind"]
model = Scores().fit(rows[names], rows["label"])
dataiku.Model("model").save_version(model, {"auc": 0.9}, features=names, target="label", sample=rows)
"""


def csv_rows(seed: int, rows: int, shift: float = 0.0) -> str:
    """Rows whose label depends on ``x`` and ``kind``, and not on ``noise``. ``shift`` moves ``x``."""
    generator = np.random.default_rng(seed)
    x, noise, kind = generator.normal(size=rows), generator.normal(size=rows), generator.integers(0, 3, rows)
    label = (x + kind + generator.normal(size=rows) > 1).astype(int)
    lines = zip(x + shift, noise, kind, label, strict=True)
    return "x,noise,kind,label\n" + "".join(f"{a:.4f},{b:.4f},{c},{d}\n" for a, b, c, d in lines)


def _items(*names: str) -> dict[str, Any]:
    return {"items": [{"ref": name} for name in names]}


def evaluated_files(incoming: str) -> dict[str, Any]:
    """The files; ``incoming`` are the rows (CSV) on which the model is evaluated. The recipe's scenario is EVALUATE."""
    columns = [{"name": "x", "type": "double"}, {"name": "noise", "type": "double"}]
    columns += [{"name": "kind", "type": "bigint"}, {"name": "label", "type": "bigint"}]
    dataset = {
        "type": "UploadedFiles",
        "formatType": "csv",
        "formatParams": {"separator": ",", "quoteChar": '"', "parseHeaderRow": True, "style": "excel"},
        "params": {},
        "schema": {"columns": columns},
    }
    build = {"builds": [{"type": "MODEL_EVALUATION_STORE", "itemId": STORE}], "jobType": "NON_RECURSIVE_FORCED_BUILD"}
    step = {"id": "build", "type": "build_flowitem", "name": "evaluate", "params": build}
    return {
        "project_config/datasets/training.json": dataset,
        "project_config/datasets/incoming.json": dataset,
        "project_config/recipes/train.json": {
            "type": "python",
            "params": {"envSelection": {"envMode": "INHERIT"}},
            "inputs": {"main": _items("training")},
            "outputs": {"main": _items("model")},
        },
        "project_config/recipes/train.py": TRAIN,
        "project_config/lib/python/scores.py": SCORES,
        "project_config/recipes/evaluate.json": {
            "type": "evaluation",
            "params": {},
            "inputs": {"main": _items("incoming"), "model": _items("model")},
            "outputs": {"evaluationStore": _items(STORE)},
        },
        "project_config/saved_models/model.json": {"name": "Model", "type": "PREDICTION"},
        f"project_config/model_evaluation_stores/{STORE}.json": {"name": "Quality", "mesFlavor": "TABULAR"},
        "project_config/scenarios/EVALUATE.json": {
            "type": "step_based",
            "name": "Evaluate",
            "active": False,
            "markedAsTest": False,
            "triggers": [],
            "params": {"steps": [step]},
        },
        "uploads/training/training.csv": csv_rows(1, 1000),
        "uploads/incoming/incoming.csv": incoming,
    }
