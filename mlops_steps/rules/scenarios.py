"""Rules on scenarios."""

from __future__ import annotations

from collections.abc import Iterator

from mlops_steps.config import ValidateSettings
from mlops_steps.dss.facts import ProjectFacts
from mlops_steps.rules.model import Finding, rule


@rule("test-scenario")
def has_test_scenario(project: ProjectFacts, _settings: ValidateSettings) -> Iterator[Finding]:
    """The project has at least one test scenario: its id matches `test.scenarios`, or it is marked as test in DSS.

    Each scenario that `test.scenarios` names without a pattern exists.
    """
    tests = [scenario.id for scenario in project.scenarios if scenario.is_test]
    patterns = ", ".join(project.test_patterns)
    yield Finding(
        f"project {project.key}",
        ok=bool(tests),
        message=f"no scenario matches {patterns} or is marked as test",
        details=f"scenarios of the project: {', '.join(scenario.id for scenario in project.scenarios) or 'none'}",
    )
    for name in project.test_patterns:
        if not set("*?[") & set(name):
            ok = any(scenario.id == name for scenario in project.scenarios)
            yield Finding(f"scenario {name}", ok=ok, message=f"there is no scenario {name}; test.scenarios names it")


@rule("smoke-scenario")
def has_smoke_scenario(project: ProjectFacts, _settings: ValidateSettings) -> Iterator[Finding]:
    """The scenario that a release is checked with (`release.smoke_scenario`) exists."""
    wanted = project.smoke_scenario
    ids = [scenario.id for scenario in project.scenarios]
    yield Finding(
        f"scenario {wanted}",
        ok=wanted in ids,
        message=f"there is no scenario {wanted}: create it, or name another one in release.smoke_scenario",
        details=f"scenarios of the project: {', '.join(ids) or 'none'}",
    )
