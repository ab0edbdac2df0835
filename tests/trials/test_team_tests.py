"""The run of a team's pytest suite: how it may end, and what it is given. No node is asked here."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import Pace, use
from mlops_steps.trials import team_tests

KEYS = {f"MLOPS_{node}_API_KEY": f"key-of-{node.lower()}-0123456789" for node in ("DESIGN", "UAT", "PROD_EU")}


def settings_of(folder: Path, **test: object) -> Settings:
    document = {
        "project": "DKU_CHURN",
        "nodes": {
            "design": {"url": "https://design.example.com:11200"},
            "uat": {"url": "https://uat.example.com:11200", "infra": "auto-uat", "verify": "false"},
            "prod-eu": {"url": "https://prod.example.com:11200", "infra": "auto-prod", "deployment": "churn-eu"},
        },
        "test": {"pytest": "checks", "scenarios": ["TEST_*", "DATA_?"], "timeout": "1h30m", **test},
        "validate": {"severity": {"lines": "off"}},
        "release": {"stage": "prod-eu"},
    }
    (folder / "mlops.yml").write_text(json.dumps(document))
    return load(folder / "mlops.yml", KEYS)


def run_suite(folder: Path, files: dict[str, str] | None, **test: object) -> tuple[Case, dict[str, Case]]:
    """Runs a suite of these files; returns the case of the run, and those of the tests by name."""
    if files is not None:
        (folder / "checks").mkdir()
        for name, code in files.items():
            (folder / "checks" / name).write_text(code)
    settings = settings_of(folder, **test)
    report = Report("DKU_CHURN", "test", "uat")
    console = Console(io.StringIO())
    unit = settings.units("uat")[0]
    team_tests.run_suite(settings, report, console, "uat", unit, "DKU_CHURN_ON_UAT")
    run, *inner = report.cases
    assert run.name == "pytest"
    return run, {case.name: case for case in inner}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def test_x(:\n", "could not collect"),
        ("import os\n\ndef test_x():\n    os._exit(3)\n", "internal error"),
        ("import os, signal\n\ndef test_x():\n    os.kill(os.getpid(), signal.SIGKILL)\n", "exit code -9"),
        ("HELPER = 1\n", "the suite has no tests"),
    ],
    ids=["syntax error", "crash", "killed", "no tests"],
)
def test_a_suite_that_does_not_run_is_an_error(tmp_path: Path, code: str, says: str) -> None:
    run, _ = run_suite(tmp_path, {"test_churn.py": code})
    assert run.outcome is Outcome.ERROR
    assert says in run.message
    assert run.details.startswith(run.message)


def test_options_of_the_teams_own_that_are_wrong_are_an_error(tmp_path: Path) -> None:
    run, _ = run_suite(tmp_path, {"pytest.ini": "[pytest]\naddopts = --no-such-option\n", "test_x.py": ""})
    assert (run.outcome, run.message) == (Outcome.ERROR, "pytest was started in a wrong way")
    assert "--no-such-option" in run.stdout


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    run, _ = run_suite(tmp_path, None)
    assert run.outcome is Outcome.ERROR
    assert run.message.startswith("there is no folder ")


def test_failures_that_the_report_does_not_name_are_a_failure(tmp_path: Path) -> None:
    hook = "import os\n\ndef pytest_unconfigure():\n    os._exit(1)\n"
    run, _ = run_suite(tmp_path, {"conftest.py": hook, "test_x.py": "def test_x():\n    pass\n"})
    assert (run.outcome, run.message) == (Outcome.FAILURE, "pytest says that tests failed, but its report names none")


def test_each_test_is_a_case_with_a_stable_class(tmp_path: Path) -> None:
    code = (
        "import pytest\n\ndef test_good():\n    print('said')\n\nclass TestModel:\n"
        "    @pytest.mark.parametrize('auc', [0.7, 0.9])\n    def test_auc(self, auc):\n        assert auc > 0.8\n\n"
        "def test_later():\n    pytest.skip('not yet')\n"
    )
    run, tests = run_suite(tmp_path, {"test_churn.py": code})
    assert (run.outcome, run.message) == (Outcome.PASSED, "")
    assert {name: case.outcome for name, case in tests.items()} == {
        "test_good": Outcome.PASSED,
        "test_auc[0.7]": Outcome.FAILURE,
        "test_auc[0.9]": Outcome.PASSED,
        "test_later": Outcome.SKIPPED,
    }
    assert tests["test_good"].classname == "DKU_CHURN.test.uat.pytest.checks.test_churn"
    assert tests["test_auc[0.7]"].classname == "DKU_CHURN.test.uat.pytest.checks.test_churn.TestModel"
    assert "said" in tests["test_good"].stdout
    assert "1 failed, 2 passed, 1 skipped" in run.stdout


def test_a_suite_beyond_its_limit_is_stopped_and_what_it_found_is_kept(tmp_path: Path) -> None:
    # A child that ignores signals must go too.
    mark = f"left-behind-{tmp_path}"
    code = (
        "import subprocess, sys, time\n\ndef test_1():\n    pass\n\ndef test_2():\n"
        "    child = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'\n"
        "    subprocess.Popen([sys.executable, '-c', child, MARK])\n    time.sleep(600)\n"
    ).replace("MARK", repr(mark))
    start = time.monotonic()
    run, tests = run_suite(tmp_path, {"test_churn.py": code}, pytest_timeout="12s")
    assert time.monotonic() - start < 33
    assert (run.outcome, run.message) == (Outcome.FAILURE, "the suite did not end within 12s and was stopped")
    assert tests["test_1"].outcome is Outcome.PASSED
    assert not left_behind(mark)


def test_a_suite_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time\n\ndef test_1():\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)\n"
    )
    start = time.monotonic()
    with use(Pace(stop_child=0.3)):
        run, _ = run_suite(tmp_path, {"test_churn.py": code}, pytest_timeout="3s")
    assert time.monotonic() - start < 20
    assert run.outcome is Outcome.FAILURE


def test_the_suite_has_the_settings_of_the_step_and_the_key_of_its_stage_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setenv("MLOPS_DESIGN_API_KEY_FILE", "/etc/hostname")
    for name in ("JENKINS_API_TOKEN", "JENKINS_API_TOKEN_FILE", "JENKINS_API_EXTRA_HEADERS"):
        monkeypatch.setenv(name, "X-Login: of-a-proxy")
    monkeypatch.setenv("MLOPS_API_SERVICE_KEY", "key-of-the-service")
    monkeypatch.setenv("MLOPS_PROJECT", "ANOTHER")
    monkeypatch.setenv("MLOPS_UAT_URL", "https://another.example.com")
    code = (
        "import json, os, pathlib\n\ndef test_x(mlops_settings, mlops_stage, dss_project, request):\n"
        "    found = mlops_settings.model_dump_json()\n"
        "    keys = {name: value for name, value in os.environ.items() if 'API_' in name}\n"
        "    folder = pathlib.Path(__file__).parent\n"
        "    text = json.dumps([json.loads(found), mlops_stage, dss_project.project_key, keys])\n"
        "    (folder / 'found.json').write_text(text)\n"
    )
    run, tests = run_suite(tmp_path, {"test_x.py": code})
    assert tests["test_x"].outcome is Outcome.PASSED, run.stdout
    found, stage, key, keys = json.loads((tmp_path / "checks" / "found.json").read_text())
    expected = json.loads(settings_of(tmp_path).model_dump_json())
    # What the file, in which the suite is given them, cannot say the same way.
    for document in (found, expected):
        document.pop("root")
        document.pop("warnings")
    assert found == expected
    assert (stage, key) == ("uat", "DKU_CHURN_ON_UAT")
    assert keys == {"MLOPS_UAT_API_KEY": KEYS["MLOPS_UAT_API_KEY"]}


def test_nothing_is_left_of_the_settings_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(team_tests.tempfile, "tempdir", str(scratch))
    run_suite(tmp_path, {"test_x.py": "def test_x():\n    pass\n"})
    assert list(scratch.iterdir()) == []


def test_a_broken_report_of_pytest_does_not_hide_that_tests_failed(tmp_path: Path) -> None:
    hook = (
        "import pathlib\n\ndef pytest_unconfigure(config):\n"
        "    pathlib.Path(config.option.xmlpath).write_text('<broken')\n"
    )
    run, _ = run_suite(tmp_path, {"conftest.py": hook, "test_x.py": "def test_x():\n    assert False\n"})
    assert run.outcome is Outcome.FAILURE
    assert "is not XML" in run.stderr


def left_behind(mark: str, seconds: float = 5.0) -> list[str]:
    """Processes that were started with the mark and do not go away: a killed one takes a moment to be gone."""
    limit = time.monotonic() + seconds
    while (found := _started_with(mark)) and time.monotonic() < limit:
        time.sleep(0.05)
    return found


def _started_with(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in command and path.parent.name != str(os.getpid()):
            found.append(path.parent.name)
    return found
