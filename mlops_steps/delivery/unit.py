"""A unit of a release: what is changed as one, where it is, and how each part of its change has ended."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlops_steps.delivery.phases import GIVEN_UP, PENDING, IllegalTransition, Phase, Transition
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import clean, shorten_middle

# Bytes of a message, which may be a node's.
_MESSAGE = 4000

#: What a unit is.
Kind = Literal["bundle", "api service"]
Result = Literal["started", "passed", "failed", "error", "skipped"]


#: How the record writes a time, in UTC.
TIME = "%Y-%m-%dT%H:%M:%SZ"


def now() -> str:
    """UTC in ISO 8601 with seconds."""
    return datetime.now(timezone.utc).strftime(TIME)


class Part(BaseModel):
    """A part of the release record."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, defer_build=True)


def _fit(text: str) -> str:
    fit = redact(clean(text))
    # What was shortened once stays as it is: the line that says so is added to the limit.
    return fit if len(fit.encode()) <= _MESSAGE + 100 else shorten_middle(fit, _MESSAGE)


# A text that may be a node's, without what is secret, and not too long.
Message = Annotated[str, AfterValidator(_fit)]


class Measured(Part):
    """What a gate has measured, so that a history can be drawn of the records of many builds.

    ``value`` is a finite number, or None where there is none; ``limit``, ``interval``, ``source`` and ``message`` are
    in words; ``rows`` is how many rows the value rests on. ``against`` is the bundle that it was compared with,
    ``definition`` stands for the settings of the gate.
    """

    verdict: str = Field(max_length=50)
    value: float | None = Field(default=None, allow_inf_nan=False)
    limit: Message = ""
    interval: Message = ""
    rows: int | None = None
    source: Message = ""
    message: Message = ""
    against: str = Field(default="", max_length=200)
    definition: str = Field(default="", max_length=50)


class Outcome(Part):
    """How a part of a step has ended, or that it has begun.

    ``attempt`` names the scenario runs of this attempt, so that after a crash they are found and not run again.
    ``gates`` is what the gates have measured, by name.
    """

    result: Result = "started"
    bundle: str | None = None
    attempt: str = Field(default="", max_length=200)
    started: str = Field(default_factory=now)
    ended: str | None = None
    message: Message = ""
    gates: dict[str, Measured] = Field(default_factory=dict, max_length=500)

    def end(self, result: Result, message: str = "") -> Outcome:
        """Notes the end; returns itself."""
        self.result, self.message, self.ended = result, message, now()
        return self


class Named(Part):
    """A version that a deployment's settings name, and whether the deployment is enabled.

    ``shared``: they named several versions of an API service, which share the calls.
    """

    version: str | None = None
    enabled: bool = True
    shared: bool = False


class Previous(Named):
    """What a failed change returns to. ``version`` is None when nothing was live, and no deployment was enabled.

    ``active``: whether the node said that the version is live. A deployment that is enabled is returned to what its
    settings name even when it did not. ``seen`` is what the settings named when the change began: another version
    after an update that failed. ``state``: what the project had on its node besides the bundle, as
    `dss/project_state.py` has it; None where that is not known: then it stays as it is.
    """

    active: bool = True
    state: dict[str, list[Any]] | None = Field(default=None, max_length=10_000)
    seen: Named = Field(default_factory=Named)


class Unit(Part):
    """What is changed as one: a bundle, or an API service's version, on an infrastructure. Only :meth:`go` changes it.

    ``version`` is the id of what is made live, or given up; ``previous`` what is returned to when that fails, if
    ``restores``. ``why`` says why it was given up. ``share``: the percentage of the calls that a canary gives to
    ``version``, None before it gives any. ``since``: when the phase was reached.
    """

    kind: Kind = "bundle"
    infra: str
    deployment: str
    phase: Phase = Phase.NOTED
    since: str = Field(default_factory=now)
    version: str | None = None
    previous: Previous | None = None
    restores: bool = True
    why: Message = ""
    share: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    deploy: Outcome | None = None
    smoke_test: Outcome | None = None
    restore: Outcome | None = None

    @property
    def pending(self) -> bool:
        """Whether what was live before must be made live again, or verified, by whoever comes next."""
        return self.restores and self.phase in PENDING

    @property
    def given_up(self) -> bool:
        """Whether the change has failed, and what was live before is not live again yet."""
        return self.restores and self.phase in GIVEN_UP

    @property
    def verified(self) -> str | None:
        """The version that was made live and has passed its smoke test, if there is one."""
        passed = self.phase is Phase.LIVE and self.smoke_test and self.smoke_test.result == "passed"
        return self.version if passed else None

    @property
    def was_live(self) -> bool:
        """Whether a smoke test, a restore, or a finished deployment shows that the version was live for a while."""
        return bool(self.smoke_test or self.restore) or (self.deploy is not None and self.deploy.result == "passed")

    @property
    def ours(self) -> set[str]:
        """The versions that the deployment's settings may name when nobody else has changed them."""
        before = self.previous
        names = (self.version, before and before.version, before and before.seen.version)
        return {name for name in names if name}

    def is_ours(self, version: str | None, enabled: bool, sharing: frozenset[str] = frozenset()) -> bool:
        """Whether settings that name this version may be what this change has made of them, or has found.

        ``sharing``: the versions that they name where the calls are shared.

        A deployment that was enabled is disabled by a change only when there is nothing to go back to.
        """
        before = self.previous
        may_be_disabled = before is None or before.version is None or not (before.enabled and before.seen.enabled)
        shared = bool(before and before.seen.shared) or (self.share is not None and sharing <= self.ours)
        named = version in self.ours if version else shared
        return (not self.ours or named) and (enabled or may_be_disabled)

    def still_previous(self, version: str | None, enabled: bool) -> Previous | None:
        """What a resumed change returns to, after it has found settings that name this version."""
        if self.previous and version is not None and self.is_ours(version, enabled):
            return self.previous.model_copy(update={"seen": Named(version=version, enabled=enabled)})
        return self.previous

    def ended(self, why: str) -> dict[str, Outcome | None]:
        """The outcomes; those that had only begun have failed."""
        found = {name: getattr(self, name) for name in ("deploy", "smoke_test", "restore")}
        return {
            name: part.model_copy().end("failed", why) if part and part.result == "started" else part
            for name, part in found.items()
        }

    def go(self, transition: Transition, **fields: Any) -> None:
        """Takes the transition, and sets the fields that it writes. Raises :class:`IllegalTransition`."""
        if self.phase not in transition.before:
            raise IllegalTransition(f"{transition.name}: not from phase {self.phase}")
        if set(fields) != set(transition.writes):
            raise IllegalTransition(f"{transition.name}: writes {transition.writes}, not {tuple(fields)}")
        for name, value in fields.items():
            setattr(self, name, value)
        self.phase, self.since = transition.after, now()
