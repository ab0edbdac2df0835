"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from mlops_steps.config import Severity, ValidateSettings
from mlops_steps.dss.facts import ProjectFacts


@dataclass(frozen=True)
class Finding:
    """What a rule says of one object: that it holds, that it does not (``ok=False``) or why it was ``skipped``.

    ``object`` is part of the test's name in Jenkins, so it must be the same from build to build; ``message`` is one
    line, ``details`` are any number.
    """

    object: str
    ok: bool = True
    message: str = ""
    details: str = ""
    skipped: str = ""


Check = Callable[[ProjectFacts, ValidateSettings], Iterable[Finding]]
F = TypeVar("F", bound=Check)


@dataclass(frozen=True)
class Rule:
    """A rule: its id, its check, its severity unless the configuration says otherwise, and where it comes from."""

    id: str
    check: Check
    severity: Severity = "error"
    origin: str = "mlops-steps"


def rule(rule_id: str, severity: Severity = "error") -> Callable[[F], F]:
    """Gives a function the id and the severity that it has as a rule."""

    def mark(check: F) -> F:
        check.__mlops_rule__ = (rule_id, severity)  # type: ignore[attr-defined]
        return check

    return mark


def as_rule(check: Check, origin: str = "mlops-steps", rule_id: str | None = None) -> Rule:
    """The rule that a function is. Without :func:`rule` its id is its name, ``my_rule`` → ``my-rule``."""
    default_id = rule_id or getattr(check, "__name__", "rule").strip("_").replace("_", "-")
    marked: tuple[str, Severity] = getattr(check, "__mlops_rule__", (default_id, "error"))
    marked_id, severity = marked
    return Rule(marked_id, check, severity, origin)
