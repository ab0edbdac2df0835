from __future__ import annotations

from mlops_steps.config import ValidateSettings
from mlops_steps.dss.facts import CodeEnvUse, ProjectFacts, Recipe, Scenario
from mlops_steps.rules.references import code_env_exists, flow_complete
from mlops_steps.rules.scenarios import has_smoke_scenario, has_test_scenario

SETTINGS = ValidateSettings()


def test_a_code_environment_that_is_named_must_exist_in_its_language() -> None:
    project = ProjectFacts(
        "P",
        code_envs=frozenset({("PYTHON", "py_churn"), ("R", "stats")}),
        code_env_uses=(
            CodeEnvUse("PYTHON", "py_churn", "project P"),
            CodeEnvUse("PYTHON", "stats", "recipe a"),
            CodeEnvUse("PYTHON", "stats", "scenario b"),
        ),
    )
    good, bad = code_env_exists(project, SETTINGS)
    assert good.ok
    assert not bad.ok
    assert bad.object == "code environment stats (PYTHON)"
    assert bad.details == "named by recipe a, scenario b"


def test_where_the_node_does_not_tell_its_code_environments_the_check_is_skipped() -> None:
    project = ProjectFacts("P", code_envs=None, code_env_uses=(CodeEnvUse("PYTHON", "py", "project P"),))
    (finding,) = code_env_exists(project, SETTINGS)
    assert finding.skipped == "this key may not list the code environments"


def test_what_a_recipe_reads_or_writes_must_exist() -> None:
    project = ProjectFacts(
        "P",
        recipes=(
            Recipe("a", "python", inputs=("raw", "OTHER.rates"), outputs=("clean",)),
            Recipe("b", "python", inputs=("clean", "SECRET.x"), outputs=("model",)),
        ),
        flow_objects=frozenset({"raw", "model", "OTHER.rates"}),
        unseen={"SECRET.x": "this key may not see project SECRET"},
    )
    findings = {finding.object: finding for finding in flow_complete(project, SETTINGS)}
    assert [name for name, finding in findings.items() if not finding.ok and not finding.skipped] == ["clean"]
    assert findings["clean"].message == "clean does not exist; needed by recipe a, recipe b"
    assert findings["SECRET.x"].skipped == "this key may not see project SECRET"
    assert set(findings) == {"raw", "clean", "model", "OTHER.rates", "SECRET.x"}


def test_a_project_needs_a_test_scenario_and_the_smoke_scenario() -> None:
    project = ProjectFacts("P", scenarios=(Scenario("BUILD"), Scenario("CHECK", is_test=True), Scenario("TEST_SMOKE")))
    assert [finding.ok for finding in has_test_scenario(project, SETTINGS)] == [True]
    assert [finding.ok for finding in has_smoke_scenario(project, SETTINGS)] == [True]
    empty = ProjectFacts("P", scenarios=(Scenario("BUILD"),), smoke_scenario="SMOKE")
    (test,) = has_test_scenario(empty, SETTINGS)
    (smoke,) = has_smoke_scenario(empty, SETTINGS)
    assert (test.object, test.ok, test.message) == (
        "project P",
        False,
        "no scenario matches TEST_* or is marked as test",
    )
    assert (smoke.object, smoke.ok) == ("scenario SMOKE", False)
    assert "BUILD" in smoke.details


def test_a_scenario_that_is_named_without_a_pattern_must_exist() -> None:
    project = ProjectFacts("P", scenarios=(Scenario("A", is_test=True),), test_patterns=("A", "B", "C*"))
    assert [(finding.object, finding.ok) for finding in has_test_scenario(project, SETTINGS)] == [
        ("project P", True),
        ("scenario A", True),
        ("scenario B", False),
    ]
