"""The step that runs pytest on files of the project's library, and keeps pytest's own JUnit report.

Public material names this step ("Execute Python unit test") but not its type and parameters in files: both
``python_unit_test`` and ``pytestSelector`` are the sandbox's reading.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from defusedxml import ElementTree

from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.runtime.lib.dataiku._layout import LayoutError, inside
from mlops_steps.sandbox.runtime.process import End
from mlops_steps.sandbox.services.flow.children import python_path, thrown
from mlops_steps.sandbox.services.scenarios.step_context import StepAborted, StepContext, StepFailed, end_of

_TESTS_FAILED, _NO_TESTS = 1, 5


def run_pytest(context: StepContext) -> None:
    """Runs pytest; the step fails when a test fails or when there is none."""
    selectors = shlex.split(str(context.params.get("pytestSelector") or ""))
    root = python_path(context.project)[0]
    targets = [_target(context, root, selector) for selector in selectors] or [str(root)]
    suite = f"{context.run.scenario['id']}.{context.step['name']}"
    arguments = [
        *targets,
        f"--rootdir={root}",
        f"--confcutdir={root}",
        f"--junitxml={context.report_path}",
        "-o",
        f"junit_suite_name={suite}",
        "-p",
        "no:cacheprovider",
        "--color=no",
        *_own_settings(root),
    ]
    result = context.run_pytest(f"step {context.step['name']}", arguments)
    if result.end is End.ABORTED:
        raise StepAborted
    if result.end is End.FAILED and result.status == _TESTS_FAILED and context.report_path.is_file():
        raise StepFailed(thrown({"clazz": "TestsFailed", "message": _summary(context.report_path)}))
    if result.end is End.FAILED and result.status == _NO_TESTS:
        chosen = " ".join(selectors) or "the library"
        raise StepFailed(thrown({"clazz": "NoTests", "message": f"pytest found no test in {chosen}"}))
    end_of(result)
    context.log(_summary(context.report_path))


def _target(context: StepContext, root: Path, selector: str) -> str:
    if selector.startswith("-"):
        return selector
    path, separator, test = selector.partition("::")
    for folder in (context.project.library_dir, root):
        try:
            target = inside(folder, path)
        except LayoutError as error:
            raise bad_request(str(error)) from None
        if target.exists():
            return f"{target}{separator}{test}"
    raise bad_request(f"step {context.step['name']}: {path} does not exist in the library of {context.project.key}")


def _own_settings(root: Path) -> list[str]:
    # Without settings of its own, pytest would take those of a project in whose folder the sandbox lies.
    if any((root / name).is_file() for name in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")):
        return []
    return ["-c", "/dev/null"]


def _summary(report: Path) -> str:
    root = ElementTree.fromstring(report.read_bytes(), forbid_dtd=True)
    suites = list(root.iter("testsuite"))
    counts = {
        name: sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    }
    failed = [
        case.get("name")
        for suite in suites
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    bad = counts["failures"] + counts["errors"]
    text = f"{bad} of {counts['tests']} tests failed" if bad else f"{counts['tests']} tests, none failed"
    return f"{text}: {', '.join(map(str, failed))}" if failed else text
