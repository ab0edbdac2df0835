"""The files in which DSS keeps what it knows of a version of a saved model.

Names and contents as in published exports of projects, among them ``perf.json`` with the metrics, ``train_info.json``
with the times and ``rmodeling_params.json`` with the algorithm. Any of them may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.store import read_json

# The part of a version's details → the files that may hold it, the first that is there counts.
PARTS = {
    "perf": ("perf.json",),
    "iperf": ("iperf.json",),
    "trainInfo": ("train_info.json",),
    "userMeta": ("user_meta.json",),
    "coreParams": ("core_params.json",),
    "modeling": ("rmodeling_params.json",),
    "preprocessing": ("rpreprocessing_params.json",),
    "actualParams": ("actual_params.json",),
    "splitDesc": ("split/split.json", "_esplit.json", "rsplit.json"),
    "mlDiagnostics": ("ml_diagnostics.json",),
    "smOrigin": ("sm_origin.json",),
}


def parts_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The parts of a version's details that its folder holds. A damaged file counts as missing."""
    found = {}
    for part, names in PARTS.items():
        for name in names:
            try:
                document = read_json(folder / name)
            except DssError:
                continue
            if isinstance(document, dict):
                found[part] = document
                break
    return found


def document_of(folder: Path, definition: Mapping[str, Any]) -> dict[str, Any]:
    """A version that DSS itself trained, in the form of those that the sandbox trains.

    :param definition: the saved model, which knows the kind of prediction and the target when no file does.
    """
    parts = parts_of(folder)
    core, task = parts.get("coreParams") or {}, definition.get("miniTask") or {}
    train_info = parts.get("trainInfo") or {}
    features = (parts.get("preprocessing") or {}).get("per_feature") or {}
    return {
        "id": folder.name,
        "metrics": metrics_of(parts.get("perf") or {}, parts.get("userMeta") or {}),
        "algorithm": (parts.get("modeling") or {}).get("algorithm"),
        "predictionType": core.get("prediction_type") or task.get("predictionType"),
        "target": core.get("target_variable") or task.get("targetVariable"),
        "trainDate": train_info.get("endTime") or train_info.get("startTime"),
        "features": [name for name, how in features.items() if isinstance(how, dict) and how.get("role") == "INPUT"],
        "parts": parts,
    }


def metrics_of(perf: Mapping[str, Any], user_meta: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a model: those without a threshold, and the others at the threshold that is in use."""
    found: dict[str, float] = {}
    for part in ("metrics", "tiMetrics"):
        found.update(_numbers(perf.get(part) or {}))
    cuts = perf.get("perCutData") or {}
    thresholds = (user_meta.get("activeClassifierThreshold"), perf.get("usedThreshold"), perf.get("optimalThreshold"))
    threshold = next((value for value in thresholds if isinstance(value, (int, float))), None)
    if threshold is not None and cuts.get("cut"):
        nearest = min(range(len(cuts["cut"])), key=lambda index: abs(cuts["cut"][index] - threshold))
        at_threshold = {
            name: values[nearest]
            for name, values in cuts.items()
            if name != "cut" and isinstance(values, list) and len(values) > nearest
        }
        found.update(_numbers(at_threshold))
    return found


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value for name, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
