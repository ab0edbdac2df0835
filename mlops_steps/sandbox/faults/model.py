"""One fault, checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mlops_steps.sandbox.faults.kinds import FOR_EVER, HEALTHS, HTML_STATUS, KINDS, OUTCOMES, Act, Kind
from mlops_steps.sandbox.faults.operations import OPERATIONS, is_operation
from mlops_steps.system.text import nearest

#: Settings that only some kinds take.
_OWN = ("seconds", "status", "retry_after", "message", "health", "outcome")


def _count(value: Any) -> Any:
    word = str(value).strip().lower()
    if word in ("for ever", "forever", "for-ever"):
        return FOR_EVER
    if word == "0":
        raise ValueError("must be 1 or more, or 'for ever'")
    return 1 if word == "once" else value


def _words(value: Any) -> Any:
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ValueError(f"no such kind of fault{nearest(str(value), KINDS)}")
    return str(value)


def _operation(value: Any) -> str:
    if not isinstance(value, str) or not is_operation(value):
        raise ValueError(
            "must be the name of an operation, or a method and a path such as 'GET /projects/*/scenarios/**'"
            + nearest(str(value), OPERATIONS)
        )
    return value


class Fault(BaseModel):
    """What a node does wrong. ``operation`` and ``target`` say to what, ``after`` and ``count`` when and how often.

    ``by`` limits it to requests of the Project Deployer, or of all others. ``act``: ``before`` the node does what it
    was asked (which it then doesn't), or ``after`` (it has, but that is not seen). ``name`` is for a rehearsal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=60)
    kind: Annotated[str, BeforeValidator(_kind)]
    operation: Annotated[str, BeforeValidator(_operation)] | None = None
    by: Literal["clients", "deployer"] | None = None
    target: str | None = Field(default=None, min_length=1, max_length=200)
    count: Annotated[int, BeforeValidator(_count), Field(ge=FOR_EVER, le=1_000_000)] = -1
    after: int = Field(default=0, ge=0, le=1_000_000)
    act: Act | None = None
    seconds: float | None = Field(default=None, ge=0, le=86400)
    status: int | None = Field(default=None, ge=200, le=599)
    retry_after: int | None = Field(default=None, ge=0, le=86400)
    message: str | None = Field(default=None, min_length=1, max_length=2000)
    health: Annotated[list[Literal[HEALTHS]] | None, BeforeValidator(_words)] = None  # type: ignore[valid-type]
    outcome: Literal[OUTCOMES] | None = None  # type: ignore[valid-type]

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """Fills in what the kind says; a kind that is not known is reported by its field."""
        kind = KINDS.get(str(data.get("kind"))) if isinstance(data, dict) else None
        if kind is None:
            return data
        own = {"act": kind.acts[0], "seconds": kind.seconds, "status": kind.status}
        given = {name: value for name, value in data.items() if value is not None}
        return {"count": "for ever" if kind.count == FOR_EVER else kind.count, **own, **given}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Fault:
        kind = KINDS[self.kind]
        own = {"seconds": kind.seconds, "status": kind.status}
        for name in _OWN:
            value = getattr(self, name)
            if value is not None and name not in kind.settings and value != own.get(name):
                raise ValueError(f"{name} does not apply to a fault of kind {kind.name}")
        for name in ("health", "outcome"):
            if name in kind.settings and not getattr(self, name):
                raise ValueError(f"{name} is missing: a fault of kind {kind.name} needs it")
        if self.act not in kind.acts:
            raise ValueError(f"act must be {' or '.join(kind.acts)} for a fault of kind {kind.name}")
        self._check_place(kind)
        return self

    def _check_place(self, kind: Kind) -> None:
        if kind.place == "work" and self.by is not None:
            raise ValueError(f"by does not apply to {kind.name}: nobody in particular asks for it")
        if kind.place == "work" and self.operation is not None:
            raise ValueError(f"operation does not apply to {kind.name}: use target (a scenario, a deployment, a label)")
        if kind.place != "work" and self.target is not None:
            raise ValueError(f"target does not apply to {kind.name}: use operation")
        if kind.name == "error" and (self.status or 0) < 400:
            raise ValueError("status must be 400 or more for a fault of kind error")
        if kind.name == "html" and self.status not in HTML_STATUS and (self.status or 0) < 400:
            raise ValueError("status must be 200, or 400 or more, for a fault of kind html")

    @property
    def what(self) -> Kind:
        """Its kind."""
        return KINDS[self.kind]

    def plain(self) -> dict[str, Any]:
        """The fault as plain data, from which it can be made again."""
        return {**self.model_dump(exclude_none=True), "count": "for ever" if self.count == FOR_EVER else self.count}

    def describe(self) -> str:
        """One line for people, without the node."""
        parts = [self.kind]
        if self.status and "status" in self.what.settings:
            parts.append(str(self.status))
        parts += [", ".join(self.health)] if self.health else []
        parts += [self.outcome] if self.outcome else []
        if self.retry_after is not None:
            parts.append(f"with Retry-After {self.retry_after}")
        if self.seconds is not None:
            parts.append(f"{self.seconds:g}s")
        parts += (
            [f"when asked by the {self.by}" if self.by == "deployer" else "when asked by clients"] if self.by else []
        )
        if self.operation or self.target:
            parts.append(f"on '{self.operation or self.target}'")
        if len(self.what.acts) > 1:
            parts.append("after it was done" if self.act == "after" else "before it is done")
        parts.append("for ever" if self.count == FOR_EVER else "once" if self.count == 1 else f"{self.count} times")
        parts += [f"after {self.after} others"] if self.after else []
        return " ".join(parts)


class BadFault(ValueError):
    """``problems``: place and text of each."""

    def __init__(self, found: list[tuple[tuple[str, ...], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(place)}: {text}" if place else text for place, text in found))
        self.problems = found


def problems(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a fault: the place (names and indexes) and a line for the person who wrote it."""
    for item in error.errors(include_url=False, include_input=True):
        place = tuple(str(word) for word in item["loc"])
        kind, given = item["type"], str(item.get("input"))
        if kind == "extra_forbidden":
            text = f"unknown key{nearest(place[-1], Fault.model_fields)}"
        elif kind == "literal_error":
            words = [*HEALTHS, *OUTCOMES, "before", "after", "clients", "deployer"]
            text = f"must be {item['ctx']['expected']}{nearest(given, words)}"
        elif kind == "missing":
            text = "is missing"
        elif kind == "value_error":
            text = str(item["ctx"]["error"])
        else:
            text = item["msg"].partition(",")[0].replace("Input should be", "must be")
        yield place, text
