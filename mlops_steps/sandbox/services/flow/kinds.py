"""The kinds of objects of a flow, each with its folder, its names in the API, and its objects of a project."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import Objects


@dataclass(frozen=True)
class Kind:
    """One kind: ``type`` as in jobs, ``node`` as in the flow's graph, ``report`` as in a step's report."""

    type: str
    folder: str
    label: str
    node: str
    report: str

    def of(self, project: Project) -> Objects:
        """The project's objects of this kind."""
        return Objects(project, self.folder, self.label)


DATASET = Kind("DATASET", "datasets", "dataset", "COMPUTABLE_DATASET", "BUILT_DATASET")
FOLDER = Kind("MANAGED_FOLDER", "managed_folders", "managed folder", "COMPUTABLE_FOLDER", "BUILT_MANAGED_FOLDER")
MODEL = Kind("SAVED_MODEL", "saved_models", "saved model", "COMPUTABLE_SAVED_MODEL", "BUILT_MODEL")
STORE = Kind(
    "MODEL_EVALUATION_STORE",
    "model_evaluation_stores",
    "evaluation store",
    "COMPUTABLE_MODEL_EVALUATION_STORE",
    "BUILT_MODEL_EVALUATION_STORE",
)
KINDS = (DATASET, FOLDER, MODEL, STORE)

RECIPES = Kind("RECIPE", "recipes", "recipe", "RUNNABLE_RECIPE", "")


def recipes_of(project: Project) -> Objects:
    """The recipes of a project."""
    return RECIPES.of(project)


def kind_of(project: Project, name: str) -> Kind | None:
    """The kind of the object that recipes call ``name``, None when there is none."""
    return next((kind for kind in KINDS if kind.of(project).exists(name)), None)
