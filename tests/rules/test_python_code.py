from __future__ import annotations

from textwrap import dedent

import pytest

from mlops_steps.config import LimitSettings, ValidateSettings
from mlops_steps.dss.facts import ProjectFacts, Recipe
from mlops_steps.rules import python_code
from mlops_steps.rules.model import Check, Finding

SETTINGS = ValidateSettings(limits=LimitSettings(lines=5, logical_lines=3, complexity=2))


def recipe(code: str, kind: str = "python") -> ProjectFacts:
    return ProjectFacts("P", recipes=(Recipe("compute", kind, code=dedent(code)),))


def only(check: Check, project: ProjectFacts) -> Finding:
    (finding,) = check(project, SETTINGS)
    return finding


def test_recipes_in_python_and_modules_of_the_library_are_looked_at() -> None:
    project = ProjectFacts(
        "P",
        recipes=(
            Recipe("a", "python", code="x = 1"),
            Recipe("b", "pyspark", code="x = 1"),
            Recipe("c", "sql_script", code="SELECT 1"),
            Recipe("d", "sync"),
        ),
        library={"python/churn/model.py": "x = 1", "R/util.R": "x <- 1"},
    )
    names = [finding.object for finding in python_code.python_parses(project, SETTINGS)]
    assert names == ["recipe a", "recipe b", "library python/churn/model.py"]
    assert all(finding.ok for finding in python_code.python_parses(project, SETTINGS))


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("x = 1\ndef f(:\n    pass", "line 2: SyntaxError"),
        ("print 'hello'", "line 1: SyntaxError"),
        ("if x:\n\ty\n        z", "line 3: TabError"),
        ("x = '\x00'", ""),
        ("x = " + "(" * 500 + ")" * 500, ""),
        ("x = " + "-" * 100_000 + "1", ""),
    ],
)
def test_code_that_does_not_parse_is_found_with_its_line(code: str, place: str) -> None:
    finding = only(python_code.python_parses, recipe(code))
    assert not finding.ok
    assert place in finding.message
    assert "\n" not in finding.message


def test_the_text_of_a_line_that_does_not_parse_is_not_shown() -> None:
    finding = only(python_code.python_parses, recipe("password = 'hunter2' 'x\n"))
    assert not finding.ok
    assert "hunter2" not in finding.message + finding.details


def test_a_syntax_warning_is_no_error(recwarn: pytest.WarningsRecorder) -> None:
    assert only(python_code.python_parses, recipe(r"x = '\d'")).ok
    assert not recwarn.list


def test_lines_are_counted_all_of_them() -> None:
    assert only(python_code.max_lines, recipe("x = 1\n\n\n\n# five\n")).ok
    finding = only(python_code.max_lines, recipe("x = 1\n\n\n\n\n# six\n"))
    assert not finding.ok
    assert finding.message == "6 lines; the limit is 5"


def test_logical_lines_are_statements() -> None:
    assert only(python_code.max_logical_lines, recipe("x = (1,\n2,\n3)\ny = 2\n# comment\n\nz = 3")).ok
    finding = only(python_code.max_logical_lines, recipe("a = 1; b = 2; c = 3; d = 4"))
    assert not finding.ok
    assert finding.message == "4 logical lines; the limit is 3"


def test_the_worst_function_decides_and_all_that_are_too_complex_are_told() -> None:
    finding = only(
        python_code.max_complexity,
        recipe(
            """
            def good(x):
                return 1 if x else 2
            class Model:
                def bad(self, x):
                    if x and x > 1:
                        return [y for y in x]
            def worse(x):
                for y in x:
                    if y or x:
                        while x:
                            pass
            """
        ),
    )
    assert not finding.ok
    assert finding.message == "function worse has complexity 5; the limit is 2"
    assert finding.details.splitlines() == [
        "line 8: function worse has complexity 5",
        "line 5: function Model.bad has complexity 4",
    ]


def test_code_outside_of_functions_is_measured_too_for_a_recipe_may_have_none() -> None:
    assert only(python_code.max_complexity, recipe("if x:\n    y = 1")).ok
    finding = only(python_code.max_complexity, recipe("for x in y:\n    if x:\n        z = 1"))
    assert finding.message == "the code outside of functions has complexity 3; the limit is 2"


@pytest.mark.parametrize("check", [python_code.max_logical_lines, python_code.max_complexity])
def test_what_does_not_parse_is_not_measured(check: Check) -> None:
    assert only(check, recipe("def f(:")).skipped == "the code does not parse"


@pytest.mark.parametrize("check", [python_code.max_lines, python_code.max_logical_lines, python_code.max_complexity])
@pytest.mark.parametrize("code", ["", "\n", "# only a comment", "\ufeffx = 1", "x = 1\x0c\ny = 2"])
def test_odd_but_valid_code_is_measured(check: Check, code: str) -> None:
    assert only(check, recipe(code)).ok
