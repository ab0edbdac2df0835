"""The section ``monitor`` of ``mlops.yml``: what is looked at after a release, its limits, and what follows decay.

Each limit has two levels. At ``warn`` the test case passes and carries the text; at ``act`` it fails, and decay is
answered as ``react`` says.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from mlops_steps.config.api_load import Latency, Share
from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import GateName, Id, ScenarioPattern
from mlops_steps.config.section import Section

_DAYS = re.compile(r"([0-9]{1,4})([dw])", re.ASCII)
_UNITS = {"d": 1.0, "w": 7.0}

ObjectName = Annotated[str, Field(min_length=1, max_length=300)]
#: Metrics of predictions whose truth is known, and those of them of which less is better.
LabelMetric = Literal["accuracy", "auc", "f1", "log_loss", "mae", "rmse"]
LOWER_IS_BETTER = ("log_loss", "mae", "rmse")


def _parse_days(value: object) -> float:
    found = _DAYS.fullmatch(str(value).strip())
    if not found or not int(found[1]):
        raise ValueError("must be days or weeks, such as 30d or 12w")
    return float(found[1]) * _UNITS[found[2]] * 86_400


#: A field that takes days or weeks, and holds seconds: models live longer than anybody waits.
Days = Annotated[
    float,
    BeforeValidator(_parse_days),
    WithJsonSchema({"type": "string", "pattern": f"^{_DAYS.pattern}$", "examples": ["30d", "12w"]}),
]


class ScenarioLimits(Section):
    """How many runs of scenarios may fail between two looks."""

    names: list[ScenarioPattern] = Field(
        default=["*"], description="Ids of scenarios on the stage, or patterns with *, ? and […]."
    )
    warn: int | None = Field(default=1, ge=1, description="So many failed runs since the last look are a warning.")
    act: int | None = Field(default=3, ge=1, description="So many fail the step.")


class AgeLimits(Section):
    """How old the active version of the model may be."""

    model: ObjectName = Field(description="Name or id of the saved model.")
    warn: Days | None = Field(default=None, description="Age of the active version that is a warning, such as 30d.")
    act: Days | None = Field(default=None, description="Age that calls for a new one.")


class ErrorLimits(Section):
    """How many calls of the API service may fail."""

    warn: Share | None = Field(default=None, description="Share of failed calls (1%, 0.01) that is a warning.")
    act: Share | None = Field(default=None, description="Share that fails the step.")
    calls: int = Field(default=100, ge=1, description="Fewest calls; of fewer nothing is concluded.")


class LatencyLimits(Section):
    """How long the API service may take to answer."""

    warn: Latency | None = Field(default=None, description="Mean response time that is a warning, such as 200ms.")
    act: Latency | None = Field(default=None, description="Mean response time that fails the step.")
    p95_warn: Latency | None = Field(
        default=None,
        description="95th percentile of the live version's response times, on the slowest API node, that is a warning.",
    )
    p95_act: Latency | None = Field(default=None, description="95th percentile that fails the step.")
    calls: int = Field(default=100, ge=1, description="Fewest calls; of fewer nothing is concluded.")


class LabelSettings(Section):
    """Predictions that were logged, and the labels that have arrived since."""

    predictions: ObjectName = Field(description="Dataset with the logged predictions, in the deployed project.")
    labels: ObjectName | None = Field(
        default=None, description="Dataset with the labels. Default: the one with the predictions."
    )
    key: ObjectName = Field(description="Column that identifies a row in both datasets.")
    version: ObjectName = Field(
        description="Column that says which version made the prediction: a bundle, a version of the API service, or a "
        "version of the model."
    )
    label: ObjectName = Field(description="Column with the true class or value; empty until it is known.")
    prediction: ObjectName | None = Field(default=None, description="Column with the predicted class or value.")
    probability: ObjectName | None = Field(
        default=None, description="Column with the probability of the positive class (auc, log_loss)."
    )
    positive: str = Field(default="1", description="The positive class, as it stands in the column of labels.")
    metric: LabelMetric = Field(description="Metric of the predictions.")
    model: ObjectName | None = Field(
        default=None, description="Saved model whose versions the column `version` names, where it names such."
    )
    time: ObjectName | None = Field(
        default=None, description="Column with the time of the prediction (ISO 8601, or milliseconds since 1970)."
    )
    window: Days | None = Field(
        default=None,
        description="Only predictions of this time count for the live version, such as 30d. Default: all of its own.",
    )
    scenario: Id | None = Field(default=None, description="Scenario that collects predictions and labels; run first.")
    warn: float | None = Field(default=None, allow_inf_nan=False, description="Value that is a warning when passed.")
    act: float | None = Field(
        default=None, allow_inf_nan=False, description="Value that is decay, and fails the release that predicted so."
    )
    rows: int = Field(default=200, ge=20, le=10_000_000, description="Fewest labelled rows of a version.")

    @model_validator(mode="after")
    def _has_its_columns(self) -> LabelSettings:
        if getattr(self, self.score) is None:
            raise ValueError(f"must name the column {self.score} for the metric {self.metric}")
        if self.window and not self.time:
            raise ValueError("window requires time, the column with the time of the prediction")
        return self

    @property
    def score(self) -> str:
        """The setting that names the column with what was predicted."""
        return "probability" if self.metric in ("auc", "log_loss") else "prediction"


class MonitorSettings(Section):
    """What the step `monitor` looks at, and what it does when the model decays."""

    # The models of gates are loaded in `loading.py`, when there are any: a start must be quick.
    gates: list[Any] = Field(
        default=[], description="Gates that are measured on what is live; the limits in them are those of a warning."
    )
    act: dict[GateName, dict[str, Any]] = Field(
        default={},
        description="By the name of a gate: its limits at the level act, such as {psi: 0.25}; {} for the same ones.",
    )
    health: Literal["act", "warn", "off"] = Field(
        default="act", description="What a deployment counts for that is not HEALTHY."
    )
    scenarios: ScenarioLimits = Field(default=ScenarioLimits(), description="Runs of scenarios since the last look.")
    age: AgeLimits | None = Field(default=None, description="Age of the model.")
    errors: ErrorLimits = Field(default=ErrorLimits(), description="Failed calls of the API service.")
    latency: LatencyLimits = Field(default=LatencyLimits(), description="Response times of the API service.")
    labels: LabelSettings | None = Field(default=None, description="Metrics of predictions whose labels have arrived.")
    react: Literal["none", "retrain", "release"] = Field(
        default="none",
        description="What follows decay: retrain runs `retrain_scenario`; release runs it, if there is one, and then "
        "the pipeline `job`.",
    )
    retrain_scenario: Id | None = Field(
        default=None, description="Scenario on the Design node that trains the model anew."
    )
    retrain_timeout: Duration = Field(default=7200.0, description="Limit of that scenario.")
    job: ObjectName | None = Field(default=None, description="The project's pipeline job in Jenkins.")
    parameter: ObjectName = Field(default="REASON", description="Parameter of the job that is given the reason.")
    period: Duration = Field(default=86_400.0, description="At most one reaction in that time.")
    budget: int = Field(default=3, ge=1, le=100, description="At most so many reactions in 30 days.")
    timeout: Duration = Field(default=1800.0, description="Limit of all that is looked at.")

    @model_validator(mode="after")
    def _can_react(self) -> MonitorSettings:
        if self.react == "retrain" and not self.retrain_scenario:
            raise ValueError("react: retrain requires retrain_scenario")
        if self.react == "release" and not self.job:
            raise ValueError("react: release requires job, the pipeline job in Jenkins")
        return self
