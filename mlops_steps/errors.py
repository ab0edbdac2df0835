"""Every error that a user can meet, each with its exit code.

    MlopsError                  3
    ├── CheckFailed             1
    │   ├── NotApproved         1
    │   └── SomebodyElse        1
    ├── ConfigError             2
    ├── NodeError               3
    │   ├── Busy                3
    │   ├── ControllerError     3
    │   ├── DeadlineExceeded    3
    │   ├── NonsenseAnswer      3
    │   ├── Refusal             3
    │   └── Unreachable         3
    ├── ReportError             3
    ├── InternalError           3
    ├── RolledBack              4
    ├── ProductionInDoubt       5
    └── Interrupted             128 + the number of the signal

The first line of a message is enough for the person who reads a Jenkins log at night: what failed, on which
node. ``live`` says what runs in production now, ``next_step`` what to do; ``details`` hold the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class MlopsError(Exception):
    """Base of all errors that end a step. ``str(error)`` is its first line.

    ``is_reported``: the error sums up failed cases of the report, so the report needs no case for it.
    """

    exit_code: ClassVar[int] = 3
    label: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        details: Sequence[str] = (),
        live: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.is_reported = False
        self.details = tuple(details)
        self.live = live
        self.next_step = next_step

    def lines(self, *, with_live: bool = True) -> list[str]:
        """The whole message, first line first, without terminal colours; ``with_live``: with what is live now."""
        lines = [self.message]
        if self.live and with_live:
            lines.append(f"  live now: {self.live}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        lines.extend(f"  {detail}" for detail in self.details)
        return lines


class CheckFailed(MlopsError):
    """A check was made and failed: a rule, a scenario, a test, a gate. Production is untouched.

    ``inconclusive``: it says nothing against the version that was checked.
    """

    exit_code = 1
    label = "check failed"
    inconclusive = False


class SomebodyElse(CheckFailed):
    """Somebody else has changed the deployment, or has taken over the stage; that is not overwritten."""


class ConfigError(MlopsError):
    """Wrong usage or configuration. Nothing was changed."""

    exit_code = 2
    label = "configuration"


class NodeError(MlopsError):
    """A node refused, could not be reached, or answered nonsense, after retries."""

    exit_code = 3
    label = "node"


class DeadlineExceeded(NodeError):
    """A wait reached its limit."""

    label = "time limit"


class Refusal(NodeError):
    """The node answered and refused. ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int, *, next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.status = status


class NotApproved(CheckFailed):
    """A wave of the release waits for an approval; what is live stays as it is."""


class Busy(NodeError):
    """Another run is at work on the stage, so this one has changed nothing."""


class Unreachable(NodeError):
    """The node gave no answer, or none of DSS: what was asked may or may not have been done."""


class NonsenseAnswer(NodeError):
    """The node's answer does not have the form that DSS gives it."""


class ControllerError(NodeError):
    """The Jenkins controller refused or could not be reached.

    ``status`` is the HTTP status if there was an answer; ``temporary`` that a request which may be sent twice is worth
    another try, ``repeatable`` that any request is.
    """

    label = "Jenkins"

    def __init__(self, message: str, *, status: int | None = None, next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.status = status
        self.repeatable = False
        self.temporary = False


class ReportError(MlopsError):
    """A report could not be written, or what was to be read is not a report."""

    label = "report"


class InternalError(MlopsError):
    """A mistake in mlops-steps. Where it may have left production in doubt, the step ends with that error instead."""

    label = "mlops-steps"

    @classmethod
    def of(cls, error: BaseException, *, details: Sequence[str] = (), next_step: str | None = None) -> InternalError:
        """The mistake that an unexpected exception shows."""
        text = f": {error}" if str(error) else ""
        return cls(f"internal error: {type(error).__name__}{text}", details=details, next_step=next_step)


class RolledBack(MlopsError):
    """The release failed and the previous version is live again, verified."""

    exit_code = 4
    label = "rolled back"


class ProductionInDoubt(MlopsError):
    """The release failed and the previous version could not be restored: a person must act."""

    exit_code = 5
    label = "PRODUCTION IN DOUBT"


class Interrupted(MlopsError):
    """The step was interrupted by SIGINT (130), SIGTERM (143) or SIGHUP (129)."""

    exit_code = 130
    label = "interrupted"

    def __init__(self, message: str, *, signal_number: int, live: str | None = None, next_step: str | None = None):
        super().__init__(message, live=live, next_step=next_step)
        self.exit_code = 128 + signal_number  # type: ignore[misc]
