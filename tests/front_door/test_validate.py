"""validate through the front door: the real command against the sandbox."""

from __future__ import annotations

from tests.front_door.conftest import Workspace


def add_recipe(workspace: Workspace, code: str) -> None:
    """A Python recipe from dataset `raw` to dataset `clean`; only the first one exists."""
    project = workspace.client("design").get_project(workspace.project)
    project.create_dataset("raw", "Filesystem", params={"connection": "filesystem_managed", "path": "/raw"})
    creator = project.new_recipe("python", "clean_up")
    creator.recipe_proto["inputs"] = {"main": {"items": [{"ref": "raw"}]}}
    creator.recipe_proto["outputs"] = {"main": {"items": [{"ref": "clean"}]}}
    creator.set_raw_mode()
    recipe = creator.create()
    settings = recipe.get_settings()
    settings.set_code(code)
    settings.save()


def test_a_good_project_passes(workspace: Workspace) -> None:
    result = workspace.ok("validate")
    suite = result.report("validate")
    assert suite.get("failures") == "0"
    assert result.case("validate", "smoke-scenario scenario TEST_SMOKE").find("skipped") is None
    assert {case.get("classname") for case in suite.iter("testcase")} == {f"{workspace.project}.validate"}


def test_what_does_not_hold_is_told_by_rule_and_object_and_no_secret_is(workspace: Workspace) -> None:
    add_recipe(workspace, 'password = "hunter2x-hunter2x"\n' + "x = 1\n" * 120)
    project = workspace.client("design").get_project(workspace.project)
    project.get_library().get_folder("/").add_file("broken.py").write("def f(:\n")
    result = workspace.run("validate")
    assert result.code == 1
    for name in (
        "max-lines recipe clean_up",
        "max-logical-lines recipe clean_up",
        "no-credentials recipe clean_up",
        "python-parses library broken.py",
        "flow-complete clean",
    ):
        assert result.case("validate", name).find("failure") is not None, name
    assert result.case("validate", "flow-complete raw").find("failure") is None
    assert result.report("validate").get("failures") == "5"
    assert "hunter2" not in result.err + result.out + (result.reports / "mlops-validate.xml").read_text()


def test_limits_severities_and_exceptions_come_from_the_configuration(workspace: Workspace) -> None:
    add_recipe(workspace, "x = 1\n" * 120)
    workspace.configure(
        validate={
            "limits": {"lines": 120},
            "severity": {"max-logical-lines": "warning"},
            "exceptions": [{"rule": "flow-complete", "object": "clean", "reason": "is made by the first run"}],
        }
    )
    result = workspace.ok("validate")
    assert "warning: max-logical-lines recipe clean_up: 120 logical lines; the limit is 50" in result.err
    skipped = result.case("validate", "flow-complete clean").find("skipped")
    assert skipped is not None
    assert "is made by the first run" in str(skipped.get("message"))


def test_a_rule_of_the_team_is_applied(workspace: Workspace) -> None:
    (workspace.folder / "checks.py").write_text(
        "from mlops_steps.rules.model import Finding\n"
        "def scenarios_have_names(project, settings):\n"
        "    for scenario in project.scenarios:\n"
        "        yield Finding(f'scenario {scenario.id}', ok=scenario.name != scenario.id, message='has no name')\n"
    )
    workspace.configure(validate={"rules": ["checks.py:scenarios_have_names"]})
    result = workspace.run("validate")
    assert result.code == 1
    assert result.case("validate", "scenarios-have-names scenario TEST_ONE").find("failure") is not None


def test_an_unknown_rule_is_exit_code_2_before_anything_is_asked(workspace: Workspace) -> None:
    workspace.configure(validate={"severity": {"max-line": "off"}})
    result = workspace.run("validate", MLOPS_DESIGN_URL="http://127.0.0.1:9")
    assert result.code == 2
    assert "unknown rule 'max-line'; did you mean max-lines?" in result.err.splitlines()[0]


def test_a_project_that_is_not_there_is_exit_code_3(workspace: Workspace) -> None:
    result = workspace.run("validate", "--project", "NOT_THERE")
    assert result.code == 3
    assert "cannot read project NOT_THERE" in result.err
    assert "Traceback" not in result.err
