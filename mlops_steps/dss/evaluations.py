"""Evaluation stores: the latest evaluation, and the drift that the node computes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataikuapi.dss.modelevaluationstore import DriftParams, PerColumnDriftParamBuilder

from mlops_steps.dss import futures
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import CheckFailed
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import Deadline

#: Bins of the population stability index, which DSS takes by default.
BINS = 10


@dataclass(frozen=True)
class Evaluation:
    """An evaluation. ``model`` is the full id of the model version that was evaluated, ``None`` when it names none."""

    store: str
    id: str
    model: str | None


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column has moved, as the node has computed it. ``test`` names the test of ``p_value``."""

    psi: float
    p_value: float
    test: str


@dataclass(frozen=True)
class FoundDrift:
    """What the node has computed. ``rows`` are those of the reference and of the evaluation.

    ``importances`` are how much the columns matter to the model, where the node knows; ``prediction`` is the drift of
    the predictions, where the node gives it.
    """

    columns: Mapping[str, ColumnDrift]
    rows: tuple[int, int]
    importances: Mapping[str, float] | None = None
    prediction: ColumnDrift | None = None


def latest(dss: Dss, project_key: str, store: str) -> Evaluation:
    """The latest evaluation of the store with this name or id.

    Raises :class:`CheckFailed` when there is no such store or it is empty, :class:`NodeError`.
    """
    with dss.asking(f"read evaluation store {store} of project {project_key}"):
        project = dss.client.get_project(project_key)
        found = {str(one.id): one for one in expect(project.list_evaluation_stores(), list, "the list")}
        names = {identity: identity for identity in found}
        if store not in names:
            names = {str(one.get_settings().get_raw().get("name")): identity for identity, one in found.items()}
        if store not in names:
            raise CheckFailed(f"{dss}: project {project_key} has no evaluation store {store}{nearest(store, names)}")
        evaluation = found[names[store]].get_latest_evaluation()
        if evaluation is None:
            raise CheckFailed(
                f"{dss}: evaluation store {store} of project {project_key} is empty",
                next_step="name the scenario that evaluates the model on this node: `scenario` of the gate",
            )
        model = evaluation.get_full_info().model_full_id
        return Evaluation(names[store], str(evaluation.evaluation_id), str(model) if model else None)


def active_versions(dss: Dss, project_key: str) -> list[str]:
    """The full ids of the active versions of the project's saved models. Raises :class:`NodeError`."""
    with dss.asking(f"list the saved models of project {project_key}"):
        project = dss.client.get_project(project_key)
        models = [str(item["id"]) for item in expect(project.list_saved_models(), list, "the list")]
        active = {model: project.get_saved_model(model).get_active_version() for model in models}
        return [f"S-{project_key}-{model}-{version['id']}" for model, version in active.items() if version]


def drift(dss: Dss, project_key: str, evaluation: Evaluation, reference: str | None, deadline: Deadline) -> FoundDrift:
    """Lets the node compute drift of an evaluation, of all columns; it chooses the reference unless one is named.

    Raises :class:`NodeError`.
    """
    what = f"compute drift of evaluation {evaluation.id} of store {evaluation.store} of project {project_key}"
    with dss.within(deadline), dss.asking(what):
        handle = dss.client.get_project(project_key).get_model_evaluation_store(evaluation.store)
        params = DriftParams.from_params(PerColumnDriftParamBuilder().build(), nb_bins=BINS, compute_histograms=False)
        future = handle.get_evaluation(evaluation.id).compute_drift(reference, params, wait=False)
    result = futures.result_of(dss, future, what, deadline)
    with dss.asking(what):
        return _found(expect(result, dict, "the drift"))


def _found(raw: dict[str, Any]) -> FoundDrift:
    columns = expect(expect(raw["univariateDriftResult"], dict, "it")["columns"], dict, "the columns")
    model = expect(raw["driftModelResult"], dict, "the drift model")
    rows = int(model["referenceSampleSize"]), int(model["currentSampleSize"])
    chart = model.get("driftVersusImportance") or {}
    scores = chart.get("columnImportanceScores")
    importances = dict(zip(map(str, chart["columns"]), map(float, scores), strict=True)) if scores else None
    prediction = raw.get("predictionDriftResult")
    return FoundDrift(
        {str(name): _column(expect(one, dict, "a column")) for name, one in columns.items()},
        rows,
        importances,
        _column(prediction) if isinstance(prediction, dict) and "populationStabilityIndex" in prediction else None,
    )


def _column(raw: dict[str, Any]) -> ColumnDrift:
    for field, test in (("ksTestPvalue", "Kolmogorov-Smirnov"), ("chiSquareTestPvalue", "chi-squared")):
        if raw.get(field) is not None:
            psi, p_value = float(raw["populationStabilityIndex"]), float(raw[field])
            if not math.isfinite(psi) or not 0 <= p_value <= 1:
                raise ValueError(f"PSI {psi}, p-value {p_value}")
            return ColumnDrift(psi, p_value, test)
    raise KeyError("a p-value")
