"""The section ``api.test.load`` of ``mlops.yml``: a measured load, and the limits that its latency must keep."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import Id
from mlops_steps.config.section import Section

_MILLISECONDS = r"^[0-9]{1,7}(?:\.[0-9]{1,3})?(?:ms|s)?$"
_PERCENT = r"^[0-9]{1,3}(?:\.[0-9]{1,3})?\s?%?$"

#: The fewest calls of which a percentile says more than the two or three slowest of them.
FEWEST = {"p50": 10, "p95": 60, "p99": 300}
LONGEST_LOAD = 3600.0
MOST_CALLS = 500_000


def parse_latency(value: object) -> float:
    """Returns milliseconds for ``'250ms'``, ``'1.5s'`` or ``250``; raises ``ValueError`` for everything else."""
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    if not re.match(_MILLISECONDS, text, re.ASCII):
        raise ValueError("must be a time such as 250ms, 1.5s, or a number of milliseconds")
    seconds = text.endswith("s") and not text.endswith("ms")
    found = float(text.removesuffix("ms").removesuffix("s")) * (1000 if seconds else 1)
    if not 0 < found <= 600_000:
        raise ValueError("must be more than zero and at most 10 minutes")
    return found


def parse_share(value: object) -> float:
    """Returns 0 to 1 for ``'1%'``, ``'0.5 %'`` or ``0.01``; raises ``ValueError`` for everything else.

    A plain 1 might be meant as 1 %, so it is refused.
    """
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    known = re.match(_PERCENT, text, re.ASCII) is not None
    share = float(text.rstrip("% ")) / (100 if text.endswith("%") else 1) if known else 1.0
    if share >= 1:
        raise ValueError("must be a share such as 1%, or a number below 1")
    return share


Latency = Annotated[
    float,
    BeforeValidator(parse_latency),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _MILLISECONDS}], "examples": ["250ms"]}
    ),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _PERCENT}]}),
]


class LoadSettings(Section):
    """A load on the API nodes of a stage: calls arrive at a rate, whether or not earlier ones are answered."""

    rate: float = Field(gt=0, le=1000, description="Calls a second, on all API nodes together.")
    duration: Duration | None = Field(default=None, description="How long calls are measured. Or give `calls`.")
    calls: int | None = Field(default=None, ge=10, le=MOST_CALLS, description="How many calls are measured.")
    warm_up: Duration | None = Field(
        default=None,
        description="How long calls arrive before any is measured. Default: 5s, or a tenth of the load.",
    )
    endpoint: Id | None = Field(
        default=None, description="Prediction endpoint that is called. Default: that of the queries, if there is one."
    )
    under_way: int = Field(
        default=64, ge=1, le=500, description="Most calls under way; later ones wait, and their waiting is measured."
    )
    p50: Latency | None = Field(default=None, description="Limit of the median latency.")
    p95: Latency | None = Field(default=None, description="Limit of the latency of 95 % of the calls.")
    p99: Latency | None = Field(default=None, description="Limit of the latency of 99 % of the calls.")
    errors: Share = Field(default=0.01, description="Largest share of failed calls; at more the load stops.")
    throughput: float | None = Field(default=None, gt=0, description="Fewest answered calls a second.")

    @model_validator(mode="after")
    def _makes_sense(self) -> LoadSettings:
        if (self.duration is None) == (self.calls is None):
            raise ValueError("must have duration or calls, not both")
        if self.measured_seconds > LONGEST_LOAD:
            raise ValueError("must not last longer than an hour")
        for name, fewest in FEWEST.items():
            if getattr(self, name) is not None and self.planned < fewest:
                raise ValueError(f"has {self.planned} calls, too few for {name}: {fewest} at least")
        if self.throughput is not None and self.throughput > self.rate:
            raise ValueError("cannot reach a throughput above its rate")
        return self

    @property
    def planned(self) -> int:
        """How many calls are measured."""
        return self.calls if self.calls is not None else max(1, round(self.rate * (self.duration or 0)))

    @property
    def measured_seconds(self) -> float:
        """How long measured calls arrive."""
        return self.planned / self.rate

    @property
    def warm_up_calls(self) -> int:
        """How many calls come before those."""
        seconds = self.warm_up if self.warm_up is not None else min(5.0, self.measured_seconds / 10)
        return round(self.rate * seconds)
