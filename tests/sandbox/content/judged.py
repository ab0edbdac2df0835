"""Trains the revisions that gates judge, as their recipes do, and prints what gates look at. A process of its own."""

from __future__ import annotations

import importlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_steps.sandbox.content.revisions import JUDGED, revision_files, write_revision


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): frame[name].tolist() for name in frame.columns}


def scored(number: int, folder: Path) -> dict[str, Any]:
    """The datasets of one revision: ``customers_scored``, ``customers_train``, ``customers_test``."""
    write_revision(folder, number)
    for name in [name for name in sys.modules if name.split(".")[0] == "churn"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder / "project_config/lib/python"))
    try:
        features, split, model = (importlib.import_module(f"churn.{name}") for name in ("features", "split", "model"))
        importlib.invalidate_caches()
        raw = pd.read_csv(io.BytesIO(revision_files(number)[Path("uploads/churn/churn.csv")]))
        prepared = features.prepare(raw).assign(customer=raw.index, state=raw["state"])
        train, test = split.split(prepared)
        if "LEAST_DAY_MINUTES" in (recipe := (folder / "project_config/recipes/split_customers.py").read_text()):
            names: dict[str, Any] = {"train": train}
            exec("\n".join(line for line in recipe.splitlines() if line.startswith(("LEAST", "train ="))), names)
            train = names["train"]
        probability = model.train(train).predict_proba(test[features.MODEL_COLUMNS])[:, 1]
        found = test[["customer", "state", "churn"]].assign(
            prediction=(probability >= 0.5) * 1, probability=probability
        )
        own = features.MODEL_COLUMNS
        return {
            "customers_scored": columns(found),
            "customers_train": columns(train[own]),
            "customers_test": columns(test[own]),
        }
    finally:
        sys.path.pop(0)


if __name__ == "__main__":
    result = {}
    for judged in JUDGED:
        with tempfile.TemporaryDirectory() as name:
            result[judged.number] = scored(judged.number, Path(name))
    print(json.dumps(result))
