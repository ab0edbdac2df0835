"""The team's own pytest suite, run against a stage's Automation node, or API nodes, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlops_steps.config import InfraSettings, Settings
from mlops_steps.config.api import SERVICE_KEY, ApiNodeSettings
from mlops_steps.errors import ReportError
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import duration

SCOPE = "pytest"

_KEY_VARIABLE = re.compile(
    r"^(MLOPS_[A-Z0-9_]+_API_KEY(_FILE)?|MLOPS_API_SERVICE_KEY(_FILE)?|MLOPS_SIGNING_KEY_FILE|JENKINS_API_\w+)$"
)
_KEPT_LINES = 5_000
# What pytest's exit codes mean (https://docs.pytest.org/en/stable/reference/exit-codes.html).
_ERRORS = {
    2: "pytest was interrupted, or could not collect the tests",
    3: "pytest ended with an internal error",
    4: "pytest was started in a wrong way",
    5: "the suite has no tests",
}


@dataclass
class _Ended:
    """How the process ended. ``code`` is None when the time limit was reached."""

    code: int | None
    output: str
    seconds: float


@dataclass(frozen=True)
class _Suite:
    """A suite: its folder, by the key ``setting`` of the configuration, and what it is given."""

    folder: Path | None
    setting: str
    limit: float
    options: list[str]
    settings: Settings
    variables: dict[str, str]


def run_suite(
    settings: Settings, report: Report, console: Console, stage: str, unit: InfraSettings, project_key: str
) -> None:
    """Runs the suite and adds its cases to the report, and one, ``pytest``, for the run as a whole.

    The suite gets the settings of this step and the API key of this node, of no other one. At the time limit
    (``test.pytest_timeout``) pytest is interrupted, then killed; what it has found until then is in the report.
    """
    test = settings.test
    node = unit.witnesses[0]
    options = [f"--mlops-stage={stage}", *([f"--mlops-infra={unit.place}"] if unit.place else [])]
    if project_key != settings.project:
        options.append(f"--mlops-project-key={project_key}")
    variables = {"MLOPS_STAGE": stage, f"{node.variable}_API_KEY": node.api_key().get_secret_value()}
    _run_suite(_Suite(test.pytest, "test.pytest", test.pytest_timeout, options, settings, variables), report, console)


def run_service_suite(
    settings: Settings, report: Report, console: Console, stage: str, service: str, nodes: Mapping[str, ApiNodeSettings]
) -> None:
    """The same for the suite of the API service (``api.test``), called ``service`` on these API nodes of the stage.

    The suite gets the key of the service, and of no node.
    """
    test = settings.api.test
    api = settings.api.model_copy(update={"service": service, "nodes": dict(nodes)})
    key = settings.api.service_key()
    variables = {"MLOPS_API_STAGE": stage, **({SERVICE_KEY: key.get_secret_value()} if key else {})}
    given = settings.model_copy(update={"api": api})
    options = [f"--mlops-api-stage={stage}"]
    _run_suite(_Suite(test.pytest, "api.test.pytest", test.pytest_timeout, options, given, variables), report, console)


def _run_suite(suite: _Suite, report: Report, console: Console) -> None:
    folder, root = suite.folder, suite.settings.root
    if folder is None:
        return
    # Until it has ended: an interruption leaves the case as it is here.
    case = report.add(Case(SCOPE, Outcome.ERROR, "the suite was interrupted"))
    if not folder.is_dir():
        case.outcome, case.message = (
            Outcome.ERROR,
            f"there is no folder {folder} ({suite.setting} in the configuration)",
        )
        return
    with tempfile.TemporaryDirectory(prefix="mlops-pytest-") as scratch:
        results = Path(scratch) / "pytest.xml"
        command = _command(folder, results, suite.options)
        environment = _environment(suite, Path(scratch), os.environ)
        with console.waiting(f"pytest {_shown(folder, root)}"):
            try:
                ended = _run(command, environment, root, suite.limit, console)
            finally:
                failed = _merge(report, results, case)
    case.seconds, case.stdout = ended.seconds, ended.output
    _judge(case, ended, failed, suite.limit)


def _command(folder: Path, results: Path, options: list[str]) -> list[str]:
    given = [
        *options,
        f"--junit-xml={results}",
        # A team's own ini file must not turn the report into another dialect.
        "--override-ini=junit_family=xunit2",
        "--override-ini=junit_logging=all",
        "--color=no",
        # By its name as an entry point: loaded once, also where the loading of plugins is switched off.
        "-p",
        "mlops_steps",
    ]
    return [sys.executable, "-m", "pytest", str(folder), *given]


def _environment(suite: _Suite, scratch: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of the suite: these settings as a file, and no key but those it is given."""
    settings = suite.settings
    environment = {name: value for name, value in inherited.items() if not _KEY_VARIABLE.match(name)}
    names = {"__all__": {"name"}}
    document = _without_key_files(settings).model_dump_json(
        by_alias=True,
        exclude_none=True,
        exclude={"root": True, "warnings": True, "nodes": names, "api": {"nodes": names}},
    )
    path = scratch / "mlops.yml"
    path.write_text(document, encoding="utf-8")
    environment["MLOPS_CONFIG"] = str(path)
    environment["MLOPS_PROJECT"] = settings.project
    for node in settings.nodes.values():
        environment[f"{node.variable}_URL"] = node.url
        if node.infra:
            environment[f"{node.variable}_INFRA"] = node.infra
    for api_node in settings.api.nodes.values():
        environment[f"{api_node.variable}_URL"] = api_node.url
        environment[f"{api_node.variable}_API_INFRA"] = api_node.infra
    environment["PYTHONUNBUFFERED"] = "1"
    return {**environment, **suite.variables}


def _without_key_files(settings: Settings) -> Settings:
    nodes = {name: node.model_copy(update={"api_key_file": None}) for name, node in settings.nodes.items()}
    api = settings.api.model_copy(update={"service_key_file": None})
    return settings.model_copy(update={"nodes": nodes, "api": api})


def _run(command: list[str], environment: dict[str, str], cwd: Path, limit: float, console: Console) -> _Ended:
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    reader = threading.Thread(target=_read, args=(process.stdout, lines, console), daemon=True)
    reader.start()
    code: int | None = None
    try:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(limit)
    finally:
        _end(process)
        # Not for ever: a grandchild that left the process group may keep the pipe open.
        reader.join(pace().stop_child)
    return _Ended(code, "".join(lines), time.monotonic() - start)


def _read(stream: IO[bytes], lines: deque[str], console: Console) -> None:
    """Passes the output on, line by line."""
    for raw in iter(lambda: stream.readline(64 * 1024), b""):
        line = raw.decode("utf-8", "replace")
        lines.append(line)
        console.line(f"  {line.rstrip()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all of its group: Ctrl-C first, after which pytest still writes its report."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(pace().stop_child)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(pace().stop_child)


def _merge(report: Report, results: Path, case: Case) -> int:
    """Adds the suite's cases; returns how many of them failed."""
    try:
        found = junit.parse(results.read_bytes(), source="pytest's report")
    except FileNotFoundError:
        return 0
    except ReportError as error:
        case.stderr += f"{error.message}\n"
        return 0
    added = junit.merge(report, found, scope=SCOPE)
    return sum(inner.outcome in (Outcome.FAILURE, Outcome.ERROR) for inner in added)


def _judge(case: Case, ended: _Ended, failed: int, limit: float) -> None:
    """The outcome of the run as a whole. Tests that failed are cases of their own, so the run itself passed then."""
    case.outcome, case.message = Outcome.PASSED, ""
    if ended.code is None:
        case.outcome, case.message = Outcome.FAILURE, f"the suite did not end within {duration(limit)} and was stopped"
    elif ended.code == 1 and not failed:
        case.outcome, case.message = Outcome.FAILURE, "pytest says that tests failed, but its report names none"
    elif ended.code not in (0, 1):
        case.outcome = Outcome.ERROR
        case.message = _ERRORS.get(ended.code, f"pytest ended with exit code {ended.code}")
    if case.outcome is not Outcome.PASSED:
        case.details = "\n".join([case.message, "", *ended.output.splitlines()[-40:]])


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
