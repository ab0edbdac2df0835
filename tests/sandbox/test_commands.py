"""`mlops-steps sandbox up | run | apply`, as processes."""

from __future__ import annotations

import os
import random
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from mlops_steps.sandbox import session
from mlops_steps.sandbox.commands import sandbox as group
from mlops_steps.system.console import Console

COMMAND = [sys.executable, "-m", "mlops_steps", "sandbox"]
LIMIT = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sandbox that has its project already, so that starting it again is quick."""
    path = tmp_path_factory.mktemp("commands") / "nodes"
    with session.running(path, None, Console(quiet=True)):
        pass
    return path


def finished(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT, **options)


@contextmanager
def started(*arguments: str | Path, **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def read_until(stream: object, text: str) -> list[str]:
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} did not come: {''.join(lines)}")


def appears(path: Path) -> None:
    limit = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < limit, f"{path} did not come"
        time.sleep(0.02)


def variables_of(export_lines: list[str]) -> dict[str, str]:
    assignments = [shlex.split(line)[1] for line in export_lines]
    return dict(assignment.split("=", 1) for assignment in assignments)


class TestRun:
    def test_the_command_has_the_environment_of_the_nodes_and_its_exit_code_is_passed_on(
        self, folder: Path, tmp_path: Path
    ) -> None:
        script = "import os, json, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w')); sys.exit(7)"
        target = tmp_path / "environment.json"
        done = finished("run", "--dir", folder, "--", sys.executable, "-c", script, target)
        assert done.returncode == 7, done.stderr
        import json

        variables = json.loads(target.read_text())
        for name in ("DESIGN", "TEST", "PROD"):
            assert variables[f"MLOPS_{name}_URL"].startswith("http://127.0.0.1:")
            assert len(variables[f"MLOPS_{name}_API_KEY"]) > 30
        assert (variables["MLOPS_TEST_INFRA"], variables["MLOPS_PROD_INFRA"]) == ("auto-test", "auto-prod")
        assert variables["MLOPS_PROJECT"] == "DKU_CHURN"

    def test_options_of_the_command_are_the_command_s(self, folder: Path) -> None:
        done = finished("run", "--dir", folder, "sh", "-c", "exit 5")
        assert done.returncode == 5, done.stderr

    def test_variables_that_point_to_other_nodes_do_not_reach_the_command(self, folder: Path) -> None:
        other = {"MLOPS_UAT_URL": "https://uat.example.com", "MLOPS_DESIGN_API_KEY_FILE": "/etc/key", "MINE": "yes"}
        check = 'test -z "$MLOPS_UAT_URL$MLOPS_DESIGN_API_KEY_FILE" && test "$MINE" = yes'
        done = finished("run", "--dir", folder, "--", "sh", "-c", check, env={**os.environ, **other})
        assert done.returncode == 0, done.stderr

    def test_a_proxy_is_not_used_for_the_nodes(self, folder: Path) -> None:
        environment = {**os.environ, "HTTP_PROXY": "http://192.0.2.1:3128", "NO_PROXY": "example.com"}
        check = 'test "$NO_PROXY" = example.com,127.0.0.1,localhost'
        assert finished("run", "--dir", folder, "--", "sh", "-c", check, env=environment).returncode == 0

    def test_sigterm_goes_to_the_command_and_the_nodes_outlive_its_clean_up(self, folder: Path, tmp_path: Path) -> None:
        script = tmp_path / "command.py"
        script.write_text(
            "import os, pathlib, requests, signal, sys, time\n"
            "here = pathlib.Path(__file__).parent\n"
            "def clean_up(*_):\n"
            "    time.sleep(0.5)\n"
            "    url, key = os.environ['MLOPS_DESIGN_URL'], os.environ['MLOPS_DESIGN_API_KEY']\n"
            "    answer = requests.get(url + '/dip/publicapi/projects/', auth=(key, ''), timeout=10)\n"
            "    (here / 'status').write_text(str(answer.status_code))\n"
            "    sys.exit(42)\n"
            "signal.signal(signal.SIGTERM, clean_up)\n"
            "(here / 'url').write_text(os.environ['MLOPS_DESIGN_URL'])\n"
            "signal.pause()\n"
        )
        with started("run", "--dir", folder, "--", sys.executable, script) as process:
            appears(tmp_path / "url")
            time.sleep(0.1)  # the file is there before the command pauses
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=LIMIT)
        assert process.returncode == 42
        assert (tmp_path / "status").read_text() == "200"
        with pytest.raises(requests.ConnectionError):
            requests.get((tmp_path / "url").read_text(), timeout=5)

    def test_a_command_that_is_killed_by_a_signal_ends_as_in_a_shell(self, folder: Path) -> None:
        assert finished("run", "--dir", folder, "--", "sh", "-c", "kill -KILL $$").returncode == 137

    def test_a_command_that_does_not_exist_is_named(self, folder: Path) -> None:
        done = finished("run", "--dir", folder, "--", "no-such-command")
        assert done.returncode == 127, done.stderr
        assert "no-such-command: no such command" in done.stderr

    def test_a_temporary_folder_goes_with_the_nodes_also_when_they_are_stopped_while_they_start(
        self, tmp_path: Path
    ) -> None:
        with started("run", "--", "true", env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
            read_until(process.stderr, "auto-prod")
            assert any(path.name.startswith("mlops-sandbox-") for path in tmp_path.iterdir())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=LIMIT)
        assert process.returncode == 143
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("mlops-sandbox-")]


class TestUp:
    def test_it_prints_the_environment_and_nothing_else_on_standard_output(self, folder: Path) -> None:
        with started("up", "--dir", folder) as process:
            read_until(process.stderr, "ready")
            variables = variables_of(read_until(process.stdout, "MLOPS_SANDBOX_DIR"))
            url, key = variables["MLOPS_PROD_URL"], variables["MLOPS_PROD_API_KEY"]
            assert requests.get(f"{url}/dip/publicapi/projects/", auth=(key, ""), timeout=10).status_code == 200
            arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0
        assert (out, key in err, key in arguments) == ("", False, False)
        assert variables["MLOPS_SANDBOX_DIR"] == str(folder)

    def test_an_environment_file_is_the_owner_s_only_and_goes_with_the_nodes(
        self, folder: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "nodes.env"
        with started("up", "--dir", folder, "--env-file", target) as process:
            read_until(process.stderr, "ready")
            assert stat.S_IMODE(target.stat().st_mode) == 0o600
            assert "MLOPS_DESIGN_URL" in variables_of(target.read_text().splitlines())
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=LIMIT)
        assert (process.returncode, out, target.exists()) == (0, "", False)

    def test_the_nodes_take_the_ports_that_were_asked_for(self, folder: Path, free_ports: int) -> None:
        with started("up", "--dir", folder, "--port", str(free_ports)) as process:
            variables = variables_of(read_until(process.stdout, "MLOPS_SANDBOX_DIR"))
        names = ("DESIGN", "TEST", "PROD", "API_DEV_1", "API_DEV_2", "API_PROD_1", "API_PROD_2")
        ports = [int(variables[f"MLOPS_{name}_URL"].rpartition(":")[2]) for name in names]
        assert ports == list(range(free_ports, free_ports + 7))

    def test_a_signal_that_interrupts_no_wait_stops_them(self, folder: Path, tmp_path: Path) -> None:
        """Given to another thread, as one that comes just before the wait, it interrupts nothing."""
        ready = tmp_path / "nodes.env"
        program = (
            "import pathlib, signal, sys, threading, time\n"
            "from mlops_steps.cli import main\n"
            "def stop():\n"
            "    while not pathlib.Path(sys.argv[-1]).exists():\n"
            "        time.sleep(0.01)\n"
            "    time.sleep(0.3)\n"
            "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
            "threading.Thread(target=stop, daemon=True).start()\n"
            "main()\n"
        )
        command = [sys.executable, "-c", program, "sandbox", "up", "--dir", folder, "--env-file", ready]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        assert "stopped by SIGTERM" in done.stderr

    def test_a_port_that_is_taken_is_an_error_in_one_line(self, folder: Path, free_ports: int) -> None:
        with socket.create_server(("127.0.0.1", free_ports + 1)):
            done = finished("up", "--dir", folder, "--port", str(free_ports))
        assert done.returncode == 2, done.stderr
        assert f"Port {free_ports + 1} for node auto-test cannot be used" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_folder_with_other_things_in_it_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("x")
        done = finished("up", "--dir", tmp_path)
        assert done.returncode == 2, done.stderr
        assert "is not empty and holds no sandbox" in done.stderr

    def test_a_folder_is_used_by_one_sandbox_at_a_time(self, folder: Path) -> None:
        with started("up", "--dir", folder) as process:
            read_until(process.stderr, "ready")
            done = finished("up", "--dir", folder)
        assert done.returncode == 2, done.stderr
        assert "Another sandbox runs in" in done.stderr


class TestApply:
    def test_a_folder_without_a_sandbox_is_refused(self, tmp_path: Path) -> None:
        done = finished("apply", "2", "--dir", tmp_path)
        assert done.returncode == 2, done.stderr
        assert "holds no sandbox" in done.stderr

    def test_a_sandbox_that_does_not_run_is_named(self, folder: Path) -> None:
        done = finished("apply", "2", "--dir", folder)
        assert done.returncode == 3, done.stderr
        assert "The Design node of the sandbox does not answer" in done.stderr

    def test_an_unknown_revision_is_refused(self, folder: Path) -> None:
        assert finished("apply", "99", "--dir", folder).returncode == 2


def test_a_missing_extra_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None if name == "uvicorn" else object())
    result = CliRunner().invoke(group, ["run", "--", "true"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "configuration: The sandbox needs uvicorn, not installed here: "
        "pip install '.[sandbox]' in a checkout of mlops-steps, or 'mlops-steps[sandbox]' from your index"
    ]


def test_missing_git_is_said_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(group, ["run", "--", "true"])
    assert result.exit_code == 2
    assert "needs git" in result.stderr


@pytest.fixture
def free_ports() -> int:
    """The first of seven free ports in a row, below those that the system gives out by itself."""
    # At random: other tests look for ports at this moment.
    for base in random.sample(range(21000, 32000, 7), 1000):
        if all(_is_free(base + offset) for offset in range(7)):
            return base
    raise AssertionError("no three free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
