"""The section ``api.release.canary`` of ``mlops.yml``: how a new version of a service gets its calls step by step."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mlops_steps.config.durations import Duration
from mlops_steps.config.fields import FilePath
from mlops_steps.config.section import Section

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class CanarySettings(Section):
    """How a canary shifts the calls, and what the new version must fulfil at each step."""

    shares: list[Percent] = Field(
        default=[5.0, 25.0, 100.0],
        description="Shares of the calls that the new version gets, in percent, step by step; the last one is 100. "
        "[0] compares only: the new version gets no call of a user.",
    )
    calls: int = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="So many calls of the new version a step needs for a verdict: comparisons, and calls of users "
        "where the API nodes report them.",
    )
    step_timeout: Duration = Field(default=1800.0, description="Limit of the calls of one step.")
    inconclusive: Literal["rollback", "continue"] = Field(
        default="rollback",
        description="What follows a step with too few calls at its limit: rollback, or continue with the next share.",
    )
    records: FilePath | None = Field(
        default=None,
        description="Path of a file with the records that both versions are asked, in the form of the test queries. "
        "Default: api.test.queries, and the test queries of the service.",
    )
    parallel: int = Field(default=4, ge=1, le=64, description="How many calls are under way at the same time.")
    max_errors: Fraction = Field(
        default=0.05, description="Share of failed calls, from 0 to 1, that the new version may have at most."
    )
    max_latency: Duration | None = Field(
        default=None, description="The 95th percentile of the new version's response times may be this long at most."
    )
    slower: float = Field(
        default=2.0,
        ge=1,
        le=100,
        allow_inf_nan=False,
        description="So many times as many calls may be slower than the 95th (99th) percentile of the live version.",
    )
    worse: Fraction = Field(
        default=0.0,
        description="Where the records say what is right: so much less may be right, as a share from 0 to 1.",
    )
    agreement: Fraction = Field(
        default=0.8,
        description="Where they do not: the share of records that both versions must answer alike, from 0 to 1.",
    )
    tolerance: float = Field(
        default=0.01,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Numbers this close are alike: a share of the live one's.",
    )
    false_alarms: float = Field(
        default=0.05,
        gt=0,
        le=0.5,
        description="How often a version that is as good as the live one may fail the canary: a share, over all steps.",
    )
    mode: str | None = Field(
        default=None,
        max_length=100,
        pattern=r"^[A-Z_]+$",
        description="The API Deployer's word for several versions (generationsMapping.mode). Default: the one in the "
        "deployment's settings or its history.",
    )

    @field_validator("shares")
    @classmethod
    def _grow(cls, shares: list[float]) -> list[float]:
        grow = all(before < after for before, after in itertools.pairwise(shares))
        if not shares or not grow or (shares[-1] != 100 and shares != [0]):
            raise ValueError("must grow, and end with 100; or be [0], which only compares")
        return shares

    @property
    def steps(self) -> list[float]:
        """The shares at which the two versions are compared."""
        return [share for share in self.shares if share < 100]

    @property
    def only_compares(self) -> bool:
        """Whether the new version gets no call of a user, and is not released."""
        return self.shares == [0]
