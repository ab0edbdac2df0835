"""Evaluation stores: their evaluations on disk, and drift between them."""

from __future__ import annotations

import gzip
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request, not_found
from mlops_steps.sandbox.node.futures import Future, current_future
from mlops_steps.sandbox.node.store import now_ms, read_json, safe_name, write_json
from mlops_steps.sandbox.runtime.lib.dataiku._evaluation import EVALUATION_FILE
from mlops_steps.sandbox.runtime.lib.dataiku.model import SAMPLE_FILE
from mlops_steps.sandbox.runtime.process import End
from mlops_steps.sandbox.services.flow import models
from mlops_steps.sandbox.services.flow.children import make_child, run_child
from mlops_steps.sandbox.services.flow.kinds import MODEL, STORE
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.projects.model import Project


def folder_of(project: Project, store: str, evaluation: str | None = None) -> Path:
    """The folder of a store, or of one of its evaluations. Raises 404."""
    STORE.of(project).get(store)
    root = places_of(project).evaluation_store(safe_name(store, "evaluation store id"))
    if evaluation is None:
        return root
    folder = root / safe_name(evaluation, "evaluation id")
    if not folder.is_dir():
        raise not_found(f"evaluation store {store} has no evaluation {evaluation}")
    return folder


def evaluations(project: Project, store: str) -> list[dict[str, Any]]:
    """The evaluations, oldest first."""
    found = [read_json(path) for path in folder_of(project, store).glob(f"*/{EVALUATION_FILE}")]
    return sorted((one for one in found if one), key=lambda one: (one["created"], one["ref"]["evaluationId"]))


def full_info(project: Project, store: str, evaluation: str) -> dict[str, Any]:
    """An evaluation with its metrics. Raises 404."""
    found = dict(read_json(folder_of(project, store, evaluation) / EVALUATION_FILE))
    return {"metrics": found.pop("metrics"), "evaluation": found}


def metric_values(project: Project, store: str, evaluation: str | None) -> dict[str, Any]:
    """The metrics of an evaluation, by default the latest, in the form of computed metrics."""
    known = evaluations(project, store)
    chosen = known[-1]["ref"]["evaluationId"] if known and evaluation is None else evaluation
    if chosen is None:
        return {"metrics": []}
    info = full_info(project, store, chosen)
    metrics = []
    for name, value in info["metrics"].items():
        identity = f"model_perf:{name.upper()}"
        computed = info["evaluation"]["created"]
        last = {"partition": chosen, "value": str(value), "dataType": "DOUBLE", "computed": computed}
        metrics.append({"metric": {"id": identity, "type": "model_perf", "dataType": "DOUBLE"}, "lastValues": [last]})
    return {"metrics": metrics}


def history(project: Project, store: str, lookup: str) -> dict[str, Any]:
    """The values of a metric over the evaluations."""
    name = lookup.rpartition(":")[2].lower()
    values = [
        {"time": one["created"], "value": value, "partition": one["ref"]["evaluationId"]}
        for one in evaluations(project, store)
        for metric, value in one["metrics"].items()
        if metric.lower() == name
    ]
    return {"metricId": lookup, "values": values}


def add_custom(project: Project, store: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Adds an evaluation with metrics of the caller's. It has no sample. Raises 400 for what is no metric."""
    created = now_ms()
    identity = safe_name(body.get("evaluationId") or str(created), "evaluation id")
    root = folder_of(project, store)
    try:
        metrics = {str(one["metricCode"]): float(one["value"]) for one in body.get("metrics") or []}
    except (KeyError, TypeError, ValueError):
        raise bad_request("A metric needs a metricCode and a value") from None
    model = body.get("fullModelId")
    evaluation = {
        "ref": {
            "projectKey": project.key,
            "evaluationStoreId": store,
            "evaluationId": identity,
            "fullId": f"ME-{project.key}-{store}-{identity}",
        },
        "created": created,
        **({"modelRef": {"fullId": model}} if model else {}),
        "hasModel": bool(model),
        "userMeta": {"name": body.get("name") or identity, "labels": body.get("labels") or []},
        "metrics": metrics,
    }
    (root / identity).mkdir(parents=True)
    write_json(root / identity / EVALUATION_FILE, evaluation)
    return {"ref": evaluation["ref"]}


def save_user_meta(project: Project, store: str, evaluation: str, meta: Mapping[str, Any]) -> None:
    """Replaces name and labels. Raises 404."""
    path = folder_of(project, store, evaluation) / EVALUATION_FILE
    write_json(path, {**read_json(path), "userMeta": dict(meta)})


def delete_evaluations(project: Project, store: str, wanted: Sequence[Any]) -> None:
    """Deletes evaluations. Raises 404, and then deletes none."""
    for folder in [folder_of(project, store, str(evaluation)) for evaluation in wanted]:
        shutil.rmtree(folder)


def delete(project: Project, store: str, user: str) -> None:
    """Deletes a store with its evaluations. Raises 404."""
    root = folder_of(project, store)
    STORE.of(project).delete(store, user)
    shutil.rmtree(root, ignore_errors=True)


def sample_of(project: Project, store: str, evaluation: str) -> tuple[list[str], bytes]:
    """The sample of an evaluation: its columns, and its rows as tab-separated values, compressed. Raises 404."""
    path = folder_of(project, store, evaluation) / SAMPLE_FILE
    if not path.is_file():
        raise not_found(f"evaluation {evaluation} has no sample")
    import pandas as pd

    frame = pd.read_csv(path)
    return list(frame.columns), gzip.compress(frame.to_csv(sep="\t", header=False, index=False).encode())


# ---- drift


def start_drift(
    project: Project, store: str, evaluation: str, reference: str | None, params: Mapping[str, Any], user: str
) -> Future:
    """Computes drift in a future. Raises 400 and 404 for what cannot be compared."""
    current = _with_sample(folder_of(project, store, evaluation), f"evaluation {evaluation}")
    compared = _reference(project, reference or _default_reference(project, store, evaluation))
    label = f"Compute drift of evaluation {evaluation}"
    return project.node.futures.start(
        _drift, project, current, compared, dict(params), label=label, project_key=project.key, owner=user
    )


def _default_reference(project: Project, store: str, evaluation: str) -> str:
    """The model version that was evaluated, as it has a sample of what it was trained on (inferred)."""
    info = full_info(project, store, evaluation)["evaluation"]
    if "modelRef" not in info:
        raise bad_request(f"evaluation {evaluation} is of no model: name a reference")
    return str(info["modelRef"]["fullId"])


def _reference(project: Project, full_id: str) -> Path:
    kind, key, rest = (*full_id.split("-", 2), "", "")[:3]
    owner, _, identity = rest.rpartition("-")
    if key != project.key or kind not in ("S", "ME"):
        raise bad_request(f"{full_id} is neither a model version nor an evaluation of project {project.key}")
    if kind == "ME":
        return _with_sample(folder_of(project, owner, identity), f"evaluation {identity}")
    models.version(project, MODEL.of(project).get(owner).get("id", owner), identity)
    return _with_sample(models.versions_dir(project, owner) / identity, f"version {identity} of saved model {owner}")


def _with_sample(folder: Path, what: str) -> Path:
    if not (folder / SAMPLE_FILE).is_file():
        raise bad_request(f"{what} has no sample of rows to compute drift with")
    return folder


def _drift(project: Project, current: Path, reference: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Computes it in a child process, which has the library of the project to load models with."""
    work = project.node.tmp_dir / f"drift-{secrets.token_hex(8)}"
    work.mkdir()
    try:
        arguments = {"current": str(current), "reference": str(reference), "settings": params, "out": str(work / "out")}
        script = f"from dataiku._evaluation import compute_drift\ncompute_drift(**{arguments!r})\n"
        child = make_child(project, "drift", script=script)
        if future := current_future():
            future.on_abort = child.abort
        result = run_child(project, child, work / "log.txt")
        if future := current_future():
            future.check()
        if result.end is not End.DONE:
            reason = (result.error or {}).get("message") or "the process failed"
            raise DssError(500, "java.lang.RuntimeException", f"drift could not be computed: {reason}")
        found: dict[str, Any] = read_json(work / "out")
        return found
    finally:
        shutil.rmtree(work, ignore_errors=True)
