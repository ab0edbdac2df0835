"""The gates of ``mlops.yml``: what a candidate must fulfil before it goes live. One model per kind of gate."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import GateName, Id, NodeName, RuleReference
from mlops_steps.config.section import Section

#: Metrics that the gate ``champion`` compares.
ComparedMetric = Literal["accuracy", "auc", "f1", "log_loss", "mae", "rmse"]
#: Metrics that the gate ``slices`` measures: shares of rows.
SliceMetric = Literal["accuracy", "precision", "recall"]

#: Severities of Project Standards, from 1 to 5.
StandardsSeverity = Literal["lowest", "low", "medium", "high", "critical"]

#: The steps that measure gates.
GateStep = Literal["test", "release"]
#: The steps that call a function of the team's own: those of the API service too.
AnyGateStep = Literal["test", "release", "api-test", "api-release"]

_BOTH = "The steps that measure it: test, release, or both."

ObjectName = Annotated[str, Field(min_length=1, max_length=300)]


class GateSettings(Section):
    """What all gates share."""

    name: GateName = Field(description="Name of the gate in the report. Default: its kind.")
    inconclusive: Literal["fail", "skip"] = Field(
        default="fail", description="What too few rows count as: fail (the step fails) or skip."
    )
    timeout: Duration = Field(default=900.0, description="Limit of the gate, the scenario that it runs included.")
    steps: list[GateStep] = Field(default=["test"], min_length=1, description=_BOTH)

    @model_validator(mode="before")
    @classmethod
    def _name_by_kind(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") is None and isinstance(values.get("gate"), str):
            return {**values, "name": values["gate"]}
        return values

    @property
    def definition(self) -> str:
        """Stands for all that decides the verdict: two gates with the same one measure the same, against the same."""
        text = self.model_dump_json(exclude={"name", "timeout", "steps"})
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class ScoredRows(GateSettings):
    """Gates that look at rows which the model has scored: a dataset of the deployed project."""

    steps: list[AnyGateStep] = Field(  # type: ignore[assignment]
        default=["test"], min_length=1, description=_BOTH + " With an endpoint: api-test, api-release, or both."
    )
    dataset: ObjectName = Field(
        description="Dataset with the scored rows, in the deployed project; with an endpoint, in the project on the "
        "Design node."
    )
    endpoint: ObjectName | None = Field(
        default=None,
        description="Endpoint of the API service that scores the rows: its answers are the columns prediction and "
        "proba_<class>.",
    )
    scenario: Id | None = Field(default=None, description="Scenario that scores the rows; it is run first.")
    label: ObjectName = Field(description="Column with the true class or value.")
    positive: str = Field(default="1", description="The positive class, as it stands in the column of labels.")
    rows: int = Field(default=200, ge=20, le=10_000_000, description="Fewest rows; fewer are inconclusive.")
    confidence: float = Field(default=0.95, ge=0.5, le=0.999, description="Confidence of the intervals.")

    @model_validator(mode="before")
    @classmethod
    def _steps_by_endpoint(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("endpoint") and not values.get("steps"):
            return {
                **values,
                "steps": ["api-test", "api-release"] if values.get("gate") == "champion" else ["api-test"],
            }
        return values

    @model_validator(mode="after")
    def _scored_where_it_is_measured(self) -> ScoredRows:
        of_service = [step.startswith("api-") for step in self.steps]
        if self.endpoint and not all(of_service):
            raise ValueError("with an endpoint, steps may be api-test and api-release only")
        if self.endpoint and self.scenario:
            raise ValueError("endpoint and scenario exclude each other: one of them scores the rows")
        if not self.endpoint and any(of_service):
            raise ValueError("must name the endpoint that scores the rows in api-test and api-release")
        return self


class MetricGate(GateSettings):
    """A metric of the candidate's active model version, against a limit."""

    gate: Literal["metric"] = Field(description="Kind of the gate.")
    steps: list[GateStep] = Field(default=["test", "release"], min_length=1, description=_BOTH)
    model: ObjectName = Field(description="Name or id of the saved model.")
    metric: ObjectName = Field(description="Name of the metric, as DSS calls it (auc, f1, rmse …).")
    at_least: float | None = Field(default=None, description="Smallest value that passes.")
    at_most: float | None = Field(default=None, description="Largest value that passes.")

    @model_validator(mode="after")
    def _has_a_limit(self) -> MetricGate:
        if self.at_least is None and self.at_most is None:
            raise ValueError("must have a limit: at_least, at_most, or both")
        return self


class ChampionGate(ScoredRows):
    """The candidate against the version that is live on the release stage, on the same rows."""

    gate: Literal["champion"] = Field(description="Kind of the gate.")
    steps: list[AnyGateStep] = Field(
        default=["test", "release"],
        min_length=1,
        description=_BOTH + " With an endpoint: api-test, api-release, or both.",
    )
    metric: ComparedMetric = Field(description="Metric that is compared.")
    key: ObjectName = Field(description="Column that identifies a row in both datasets.")
    prediction: ObjectName | None = Field(default=None, description="Column with the predicted class or value.")
    probability: ObjectName | None = Field(
        default=None, description="Column with the probability of the positive class (auc, log_loss)."
    )
    margin: float = Field(default=0.0, ge=0.0, description="How much worse than the champion the candidate may be.")

    @model_validator(mode="after")
    def _has_its_columns(self) -> ChampionGate:
        needed = "probability" if self.metric in ("auc", "log_loss") else "prediction"
        if getattr(self, needed) is None:
            raise ValueError(f"must name the column {needed} for the metric {self.metric}")
        return self


class SlicesGate(ScoredRows):
    """A metric for each value of a column: the worst one, and how far apart they lie."""

    gate: Literal["slices"] = Field(description="Kind of the gate.")
    by: ObjectName = Field(description="Column whose values are the slices.")
    prediction: ObjectName = Field(description="Column with the predicted class.")
    metric: SliceMetric = Field(default="accuracy", description="Metric of each slice.")
    at_least: float | None = Field(default=None, ge=0.0, le=1.0, description="What every slice must reach.")
    spread: float | None = Field(default=None, ge=0.0, le=1.0, description="How far apart two slices may lie.")
    rows: int = Field(default=50, ge=5, le=10_000_000, description="Fewest rows of a slice; smaller ones are named.")

    @model_validator(mode="after")
    def _has_a_limit(self) -> SlicesGate:
        if self.at_least is None and self.spread is None:
            raise ValueError("must have a limit: at_least, spread, or both")
        return self


class CalibrationGate(ScoredRows):
    """Whether the probabilities mean what they say."""

    gate: Literal["calibration"] = Field(description="Kind of the gate.")
    probability: ObjectName = Field(description="Column with the probability of the positive class.")
    at_most: float = Field(gt=0.0, le=1.0, description="Largest expected calibration error.")
    bins: int = Field(default=10, ge=2, le=100, description="Number of bins, each with as many rows.")


class DriftGate(GateSettings):
    """Whether a dataset has moved away from a reference, column by column."""

    gate: Literal["drift"] = Field(description="Kind of the gate.")
    reference: ObjectName | None = Field(
        default=None, description="Dataset that the model knows, such as its training data."
    )
    current: ObjectName | None = Field(default=None, description="Dataset that is compared with it.")
    store: ObjectName | None = Field(
        default=None, description="Name or id of an evaluation store: the node computes drift of its latest evaluation."
    )
    against: ObjectName | None = Field(
        default=None,
        description="Full id of the model version or evaluation that it is compared with. Default: what DSS chooses.",
    )
    scenario: Id | None = Field(default=None, description="Scenario that makes the current dataset; it is run first.")
    psi: float = Field(default=0.2, gt=0.0, description="Largest population stability index of a column.")
    columns: dict[str, float] = Field(
        default={}, description="Limits per column. With them only these columns are compared."
    )
    importances: dict[str, float] = Field(
        default={}, description="Weights of the columns in the correction for many of them."
    )
    alpha: float = Field(default=0.05, gt=0.0, le=0.5, description="Share of false alarms among drifted columns.")
    rows: int = Field(default=500, ge=20, le=10_000_000, description="Fewest rows; fewer are inconclusive.")

    @model_validator(mode="after")
    def _has_two_samples(self) -> DriftGate:
        if bool(self.store) is bool(self.reference or self.current):
            raise ValueError("must name either reference and current, or store")
        if not self.store and not (self.reference and self.current):
            raise ValueError("must name both reference and current")
        if self.against and not self.store:
            raise ValueError("against goes with store")
        return self


class DataQualityGate(GateSettings):
    """The data quality rules of datasets, computed on the node."""

    gate: Literal["data_quality"] = Field(description="Kind of the gate.")
    datasets: list[ObjectName] = Field(
        min_length=1, max_length=100, description="Datasets whose rules are computed, in the deployed project."
    )
    scenario: Id | None = Field(default=None, description="Scenario that makes the datasets; it is run first.")
    warnings: Literal["pass", "fail"] = Field(default="pass", description="What a rule counts for that warns.")


class ProjectStandardsGate(GateSettings):
    """The checks of Project Standards that ran when the bundle was made (DSS 14 and later)."""

    gate: Literal["project_standards"] = Field(description="Kind of the gate.")
    fail_at: StandardsSeverity = Field(
        default="medium", description="Severity from which a check fails: lowest, low, medium, high or critical."
    )


class GovernanceGate(GateSettings):
    """Whether the Project Deployer, and sign-offs in Dataiku Govern, let the bundle into production."""

    gate: Literal["governance"] = Field(description="Kind of the gate.")
    steps: list[GateStep] = Field(default=["test", "release"], min_length=1, description=_BOTH)
    govern: NodeName | None = Field(
        default=None, description="Node with Dataiku Govern, as named in nodes: every sign-off must be APPROVED there."
    )
    warnings: Literal["pass", "fail"] = Field(
        default="fail", description="What a warning of the Project Deployer counts for (policy WARN)."
    )


class CustomGate(GateSettings):
    """A function of the team's own."""

    gate: Literal["custom"] = Field(description="Kind of the gate.")
    steps: list[AnyGateStep] = Field(  # type: ignore[assignment]
        default=["test"], min_length=1, description="The steps that call it: test, release, api-test, api-release."
    )
    function: RuleReference = Field(description="path/to/file.py:function or package.module:function.")
    options: dict[str, Any] = Field(default={}, description="What the function is given besides.")


Gate = Annotated[
    MetricGate
    | ChampionGate
    | SlicesGate
    | CalibrationGate
    | DriftGate
    | DataQualityGate
    | ProjectStandardsGate
    | GovernanceGate
    | CustomGate,
    Field(discriminator="gate"),
]


class Gates(Section):
    """The gates of the file, each under a name of its own."""

    gates: list[Gate] = Field(
        default=[], description="What a candidate must fulfil before it goes live, besides its tests."
    )

    @model_validator(mode="after")
    def _have_names_of_their_own(self) -> Gates:
        names = [gate.name for gate in self.gates]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two gates are called {twice!r}: give each its own name")
        return self


class MonitoredGates(Section):
    """The gates of `monitor`, at their place in the file."""

    monitor: Gates


def at_act(gate: GateSettings, limits: dict[str, Any]) -> GateSettings:
    """The gate with the limits of the level `act`. Raises ``ValidationError`` for limits that it does not have."""
    return type(gate).model_validate({**gate.model_dump(), **limits})


#: The model of each kind of gate.
KINDS: dict[str, type[GateSettings]] = {
    "metric": MetricGate,
    "champion": ChampionGate,
    "slices": SlicesGate,
    "calibration": CalibrationGate,
    "drift": DriftGate,
    "data_quality": DataQualityGate,
    "project_standards": ProjectStandardsGate,
    "governance": GovernanceGate,
    "custom": CustomGate,
}
