"""How far a project goes by itself: ``criticality`` and the section ``policy`` of ``mlops.yml``, and their minimums.

A key that is not set gets its value from the criticality, and from what the organisation requires at least:
:mod:`mlops_steps.policy` works that out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from mlops_steps.config.durations import parse_duration
from mlops_steps.config.fields import GateName
from mlops_steps.config.section import Section

Criticality = Literal["low", "medium", "high"]
Automation = Literal["full", "approval", "manual"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
#: The kinds of gates, which cost too much to import for a start: a test holds them together.
GateKind = Literal[
    "metric",
    "champion",
    "slices",
    "calibration",
    "drift",
    "data_quality",
    "project_standards",
    "governance",
    "custom",
]

#: What begins the name of a group of Jenkins among the approvers.
GROUP = "group:"
#: Stands for everybody in ``may_force``.
ANYBODY = "*"

_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)
_PERSON = r"^(group:)?[^\s,:][^,:\x00-\x1f]{0,199}$"


def _check_person(value: str) -> str:
    if not re.match(_PERSON, value):
        raise ValueError(f"must be the name of a user, or {GROUP}NAME for a group of Jenkins")
    return value


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "is no time zone that this machine knows: write it like Europe/Paris or UTC (if it is one, install tzdata)"
        ) from None
    return value


def _check_hours(value: str) -> str:
    found = _HOURS.fullmatch(value)
    if not found or value[:5] > "24:00" or value[6:] > "24:00" or value[:5] in (value[6:], "24:00"):
        raise ValueError("must be hours such as 09:00-17:30, or 22:00-06:00 for a night")
    return value


def _parse_soak(value: object) -> float:
    return 0.0 if str(value) in ("0", "0.0") else parse_duration(value)


Person = Annotated[str, AfterValidator(_check_person), WithJsonSchema({"type": "string", "pattern": _PERSON})]
Zone = Annotated[
    str, AfterValidator(_check_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Paris", "UTC"]})
]
Hours = Annotated[str, AfterValidator(_check_hours), WithJsonSchema({"type": "string", "pattern": _HOURS.pattern})]
Soak = Annotated[float, BeforeValidator(_parse_soak), WithJsonSchema({"type": ["string", "number"]})]


class Freeze(Section):
    """Days, or hours of days, at which nothing is released. All that is given must be so."""

    name: GateName = Field(description="Name of the freeze, for messages.")
    timezone: Zone = Field(description="Time zone of its days and hours, such as Europe/Paris.")
    days: list[Weekday] = Field(default=list(get_args(Weekday)), min_length=1, description="Days of the week.")
    hours: Hours | None = Field(
        default=None, description="Hours of these days, such as 16:00-24:00; 22:00-06:00 ends on the next day."
    )
    first: date | None = Field(default=None, alias="from", description="First day, such as 2026-12-18.")
    last: date | None = Field(default=None, alias="to", description="Last day, which belongs to it.")

    @model_validator(mode="after")
    def _says_when(self) -> Freeze:
        if "days" not in self.model_fields_set and not (self.hours or self.first or self.last):
            raise ValueError("must say when: days, hours, from, to")
        if self.first and self.last and self.first > self.last:
            raise ValueError("from must not be after to")
        return self

    @property
    def start(self) -> time:
        """The first moment of a day."""
        return _time(self.hours[:5]) if self.hours else time(0)

    @property
    def end(self) -> time | None:
        """The first moment after it; ``None``: the end of the day."""
        return _time(self.hours[6:]) if self.hours and self.hours[6:] != "24:00" else None


def _time(text: str) -> time:
    return time(int(text[:2]), int(text[3:]))


class PolicySettings(Section):
    """How far the project goes by itself. What is not set comes from `criticality` and the organisation's minimums."""

    approvers: list[Person] | None = Field(
        default=None, max_length=200, description="Who may approve a release: users, or group:NAME. Default: anybody."
    )
    separation_of_duties: bool | None = Field(
        default=None, description="Whoever approves a release must not have started the build."
    )
    required_gates: list[GateKind] | None = Field(
        default=None, description="Kinds of gates that must be among gates, and let nothing inconclusive pass."
    )
    min_scenarios: int | None = Field(
        default=None, ge=1, le=1000, description="Fewest test scenarios that the step test must run."
    )
    soak: Soak | None = Field(
        default=None, description="How long the bundle must have been on the stage before, after its tests."
    )
    canary: bool | None = Field(
        default=None, description="A version of the API service is released step by step, by a canary."
    )
    service_tests: bool | None = Field(
        default=None, description="`api.release.tests` may not be off: a version must have passed `api-test` before."
    )
    may_force: list[Person] | None = Field(
        default=None,
        max_length=200,
        description="Who may release during a freeze, or what was rolled back before, with a reason; * is anybody.",
    )
    freezes: list[Freeze] | None = Field(
        default=None, max_length=200, description="Days and hours without releases, besides those of the organisation."
    )


class Minimums(Section):
    """What an organisation requires at least, in the form of ``mlops.yml``; or where that is to be found."""

    criticality: Criticality | None = None
    automation: Automation | None = None
    policy: PolicySettings = PolicySettings()
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="before")
    @classmethod
    def _one_or_the_other(cls, values: Any) -> Any:
        if isinstance(values, dict) and ("url" in values) != ("sha256" in values):
            raise ValueError("url and sha256 go together")
        if isinstance(values, dict) and "url" in values and len(values) > 2:
            raise ValueError("with url, everything else stands in the file that it names")
        return values


@dataclass(frozen=True)
class MinimumSource:
    """Where minimums come from: the text of a file, or the path or URL of one (``URL#sha256=…``)."""

    name: str
    text: str | None = None
    place: str = ""
