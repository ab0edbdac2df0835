"""Applies rules to a project: severities and exceptions as the configuration says, one result per rule and object."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from mlops_steps.config import RuleException, Settings, Severity
from mlops_steps.dss.facts import ProjectFacts
from mlops_steps.errors import ConfigError
from mlops_steps.rules.model import Finding, Rule
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import duration

# A rule that finds more is broken; the report would be useless.
_MOST_FINDINGS = 20_000


class Verdict(str, Enum):
    """What became of a rule on an object. ``error``: the rule itself failed."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True)
class Result:
    """A rule on one object; ``name`` is unique and the same from build to build."""

    name: str
    verdict: Verdict
    message: str = ""
    details: str = ""
    seconds: float = 0.0


@dataclass
class _Finished:
    findings: list[Finding]
    error: BaseException | None = None
    seconds: float = 0.0


class Engine:
    """Runs rules one after the other. ``unused`` holds the exceptions that matched nothing so far."""

    def __init__(self, rules: Iterable[Rule], settings: Settings) -> None:
        self.rules = list(rules)
        self.settings = settings
        self.validation = settings.validation
        self.unused: list[RuleException] = list(settings.validation.exceptions)
        self._check_ids()

    def _check_ids(self) -> None:
        """Raises :class:`ConfigError` when the configuration names a rule that there is not."""
        known = [rule.id for rule in self.rules]
        named: list[tuple[tuple[str, ...], str]] = [
            (("validate", "severity", rule_id), rule_id) for rule_id in self.validation.severity
        ]
        for index, exception in enumerate(self.validation.exceptions):
            named.append((("validate", "exceptions", str(index), "rule"), exception.rule))
        problems = [
            f"{self.settings.place(*key)}: unknown rule {rule_id!r}{nearest(rule_id, known)}"
            for key, rule_id in named
            if rule_id not in known
        ]
        if problems:
            raise ConfigError(problems[0], details=[*problems[1:], f"rules: {', '.join(known)}"])

    def severity(self, rule: Rule) -> Severity:
        """The rule's severity, from the configuration or its own."""
        return self.validation.severity.get(rule.id, rule.severity)

    def run(self, project: ProjectFacts) -> Iterator[Result]:
        """The results, rule by rule. What a rule raises is a result too."""
        for rule in self.rules:
            if self.severity(rule) == "off":
                place = self.settings.place("validate", "severity", rule.id)
                self.unused = [exception for exception in self.unused if exception.rule != rule.id]
                yield Result(rule.id, Verdict.SKIPPED, f"switched off ({place})")
                continue
            yield from self._unique(self._run(rule, project))

    def _run(self, rule: Rule, project: ProjectFacts) -> Iterator[Result]:
        finished = _finish(rule, project, self.settings)
        seconds = finished.seconds / max(1, len(finished.findings))
        for finding in finished.findings:
            yield self._judge(rule, finding, seconds)
        if finished.error is not None:
            kind = type(finished.error).__name__
            text = str(finished.error).strip().partition("\n")[0][:300]
            yield Result(rule.id, Verdict.ERROR, f"rule {rule.id} ({rule.origin}) failed: {kind}: {text}")

    def _judge(self, rule: Rule, finding: Finding, seconds: float) -> Result:
        name = f"{rule.id} {' '.join(finding.object.split())}"
        exception = self._exception(rule, finding.object)
        if exception:
            return Result(name, Verdict.SKIPPED, f"exception: {exception.reason}", seconds=seconds)
        if finding.skipped:
            return Result(name, Verdict.SKIPPED, finding.skipped, seconds=seconds)
        if finding.ok:
            return Result(name, Verdict.PASSED, seconds=seconds)
        verdict = Verdict.WARNING if self.severity(rule) == "warning" else Verdict.FAILED
        return Result(name, verdict, finding.message or "failed", finding.details, seconds)

    def _exception(self, rule: Rule, name: str) -> RuleException | None:
        """The first exception for the object; all that match count as used."""
        matching = [
            exception
            for exception in self.validation.exceptions
            if exception.rule == rule.id and fnmatchcase(name, exception.object)
        ]
        self.unused = [exception for exception in self.unused if exception not in matching]
        return matching[0] if matching else None

    @staticmethod
    def _unique(results: Iterable[Result]) -> Iterator[Result]:
        """Jenkins follows a test by its name: a second one of the same name gets a number."""
        seen: dict[str, int] = {}
        for result in results:
            seen[result.name] = count = seen.get(result.name, 0) + 1
            yield result if count == 1 else Result(**{**vars(result), "name": f"{result.name} ({count})"})


def _finish(rule: Rule, project: ProjectFacts, settings: Settings) -> _Finished:
    """Runs the rule to its end in a thread of its own, so that a rule that hangs does not hang the step."""
    finished = _Finished([])
    stopped = threading.Event()

    def work() -> None:
        try:
            for finding in rule.check(project, settings.validation):
                if stopped.is_set():
                    return
                if not isinstance(finding, Finding):
                    raise TypeError(f"a rule yields Finding, not {type(finding).__name__}")
                finished.findings.append(finding)
                if len(finished.findings) > _MOST_FINDINGS:
                    raise ValueError(f"more than {_MOST_FINDINGS} findings")
        except BaseException as error:  # a rule may be the code of others, and may call exit()
            finished.error = error

    start = time.monotonic()
    limit = settings.validation.rule_timeout
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    while thread.is_alive() and time.monotonic() - start < limit:
        thread.join(min(0.5, limit))  # in pieces, so that a signal handler gets its turn
    stopped.set()
    result = _Finished(list(finished.findings), finished.error, time.monotonic() - start)
    if thread.is_alive():
        result.error = TimeoutError(f"timed out after {duration(limit)}")
    return result
