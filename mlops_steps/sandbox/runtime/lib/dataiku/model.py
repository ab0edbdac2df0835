"""Saved models: their versions, predictions, and how a recipe adds a version."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._context import Unsupported, context, split_reference
from ._layout import LayoutError, read_document, write_document

if TYPE_CHECKING:
    import pandas as pd

ESTIMATOR_FILE = "model.joblib"
VERSION_FILE = "version.json"
#: Rows that a later evaluation is compared with: of a version, and of an evaluation.
SAMPLE_FILE = "sample.csv.gz"
SAMPLE_ROWS = 10_000


class Model:
    """A saved model of the project, by its id or its name."""

    def __init__(self, lookup: str, project_key: str | None = None, ignore_flow: bool = False):
        key, name = split_reference(lookup, project_key)
        self._context = context(key)
        self.project_key = self._context.project_key
        self.short_name = self._context.places.lookup("saved_models", name, "saved model")
        self.full_name = f"{self.project_key}.{self.short_name}"
        self.ignore_flow = ignore_flow

    def _definition(self) -> dict[str, Any]:
        return self._context.places.definition("saved_models", self.short_name, "saved model")

    def _check(self, direction: str) -> Path:
        references = (self.short_name, self.full_name)
        self._context.check_declared(direction, references, f"saved model {self.get_name()}", self.ignore_flow)
        return self._context.places.model(self.short_name)

    def get_id(self) -> str:
        """The id."""
        return self.short_name

    def get_name(self) -> str:
        """The name that users see."""
        return str(self._definition().get("name", self.short_name))

    def get_type(self) -> str:
        """``PREDICTION`` or another kind of model."""
        return str(self._definition().get("type", "PREDICTION"))

    def list_versions(self) -> list[dict[str, Any]]:
        """The versions, newest first: ``versionId``, ``active``, and the snippet with the metrics."""
        active = self._definition().get("activeVersion")
        root = self._context.places.model(self.short_name)
        versions = [read_document(path) for path in root.glob(f"*/{VERSION_FILE}")]
        versions.sort(key=lambda version: int(version.get("trainDate", 0)), reverse=True)
        return [
            {
                "versionId": version["id"],
                "active": version["id"] == active,
                "snippet": {**version, **version["metrics"]},
            }
            for version in versions
        ]

    def activate_version(self, version_id: str) -> None:
        """Makes a version the active one."""
        self._version_dir(version_id)
        path = self._context.places.config_dir / "saved_models" / f"{self.short_name}.json"
        write_document(path, {**self._definition(), "activeVersion": version_id})

    def get_version_metrics(self, version_id: str) -> ModelVersionMetrics:
        """The metrics of a version."""
        return ModelVersionMetrics(read_document(self._version_dir(version_id) / VERSION_FILE))

    def get_predictor(self, version_id: str | None = None) -> Predictor:
        """The predictor of a version, by default the active one."""
        self._check("inputs")
        directory = self._version_dir(version_id)
        return Predictor(directory, read_document(directory / VERSION_FILE))

    def _version_dir(self, version_id: str | None) -> Path:
        wanted = version_id or self._definition().get("activeVersion")
        if not wanted:
            raise LayoutError(f"saved model {self.get_name()} has no active version")
        directory = self._context.places.model(self.short_name) / str(wanted)
        if not (directory / VERSION_FILE).is_file():
            raise LayoutError(f"saved model {self.get_name()}: version {wanted} has no files on this node")
        return directory

    def save_version(
        self,
        estimator: Any = None,
        metrics: Mapping[str, float] | None = None,
        *,
        features: Sequence[str] = (),
        target: str | None = None,
        prediction_type: str = "BINARY_CLASSIFICATION",
        algorithm: str | None = None,
        probabilities: Sequence[float] = (),
        missing_handling: str = "DROP_ROW",
        sample: pd.DataFrame | None = None,
        files: Mapping[str, str | bytes] | None = None,
        activate: bool = True,
        version_id: str | None = None,
    ) -> str:
        """Adds a version to the saved model. The sandbox's own; in DSS a recipe imports an MLflow model instead.

        :param estimator: a fitted scikit-learn estimator; it is kept with joblib.
        :param metrics: by name, as DSS has them: ``accuracy``, ``auc``, ``f1``, ``precision``, ``recall``, ``logLoss``.
        :param features: the columns that the estimator wants, in order.
        :param probabilities: of the last class, on held-out rows: an API node tells a percentile among them.
        :param missing_handling: what an API node does with a record that lacks a feature: ``DROP_ROW`` ignores it,
            ``PASS_ON`` gives it to the estimator with a gap.
        :param sample: rows that the version knows, such as its training data: drift is computed against them.
        :param files: further files of the version, by name.
        :return: the id of the version, which is active now unless ``activate`` is False.
        """
        root = self._check("outputs")
        root.mkdir(parents=True, exist_ok=True)
        trained = int(time.time() * 1000)
        version = version_id or str(trained)
        if "/" in version or version.startswith("."):
            raise ValueError(f"{version!r} is not the id of a version")
        if missing_handling not in ("DROP_ROW", "PASS_ON"):
            raise ValueError(f"{missing_handling!r} is not a handling of missing values: use DROP_ROW or PASS_ON")
        staged = Path(tempfile.mkdtemp(dir=root, prefix="."))
        try:
            if estimator is not None:
                import joblib

                joblib.dump(estimator, staged / ESTIMATOR_FILE)
            if sample is not None:
                sample.head(SAMPLE_ROWS).to_csv(staged / SAMPLE_FILE, index=False)
            for name, content in (files or {}).items():
                (staged / Path(name).name).write_bytes(content.encode() if isinstance(content, str) else content)
            classes = getattr(estimator, "classes_", None)
            document = {
                "id": version,
                "trainDate": trained,
                "metrics": {name: float(value) for name, value in (metrics or {}).items()},
                "algorithm": algorithm or (type(estimator).__name__ if estimator is not None else "CUSTOM"),
                "predictionType": prediction_type,
                "target": target,
                "features": list(features),
                "classes": [_plain(label) for label in classes] if classes is not None else [],
                "missingHandling": missing_handling,
                "probaPercentiles": _percentiles(probabilities),
                "recipe": (self._context.recipe or {}).get("name"),
            }
            write_document(staged / VERSION_FILE, document)
            staged.chmod(0o755)
            staged.rename(root / version)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        if activate:
            self.activate_version(version)
        return version

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"dataiku.Model.{name} is not supported by the sandbox")


class ModelVersionMetrics:
    """The metrics of one version."""

    def __init__(self, version: dict[str, Any]):
        self._version = version

    def get_performance_values(self) -> dict[str, float]:
        """The metrics by name."""
        return dict(self._version["metrics"])

    def get_all(self) -> dict[str, Any]:
        """The metrics with what else is known of the version."""
        return dict(self._version)


class Predictor:
    """Predicts with one version of a saved model."""

    def __init__(self, directory: Path, version: dict[str, Any]):
        path = directory / ESTIMATOR_FILE
        if not path.is_file():
            raise LayoutError(f"version {version['id']} holds no estimator")
        import joblib

        self._estimator = joblib.load(path)
        self._version = version

    def get_features(self) -> list[str]:
        """The columns that the model wants."""
        return list(self._version["features"])

    def get_classes(self) -> list[Any]:
        """The classes of a classification."""
        return list(self._version["classes"])

    def predict(
        self, df: pd.DataFrame, with_input_cols: bool = False, with_prediction: bool = True, with_probas: bool = True
    ) -> pd.DataFrame:
        """A data frame with ``prediction`` and ``proba_<class>`` for each row."""
        import pandas as pd

        features = self._version["features"]
        missing = [name for name in features if name not in df.columns]
        if missing:
            raise ValueError(f"the model's columns {', '.join(missing)} are missing")
        inputs = df[features] if features else df
        result: pd.DataFrame = df.copy() if with_input_cols else pd.DataFrame(index=df.index)
        if with_probas and self._version["classes"] and hasattr(self._estimator, "predict_proba"):
            for label, column in zip(self._version["classes"], self._estimator.predict_proba(inputs).T, strict=True):
                result[f"proba_{label}"] = column
        if with_prediction:
            result["prediction"] = self._estimator.predict(inputs)
        return result


def _percentiles(values: Sequence[float]) -> list[float]:
    """The 100 values below which 1 % to 100 % of the values are; ``[]`` for none."""
    ordered = sorted(map(float, values))
    return [ordered[len(ordered) * percent // 100 - (percent == 100)] for percent in range(1, 101)] if ordered else []


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
