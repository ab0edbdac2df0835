"""No trace of a key, whatever runs and however it ends: every command, at the highest verbosity, with marked keys.

Looked into: what is printed, the command lines of all processes, the environments of all that are started, and all
files that are left: reports, records, bundles (unpacked), temporary files, what the nodes keep.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mlops_steps.commands import runner
from mlops_steps.config import load
from mlops_steps.steps.context import Context
from mlops_steps.steps.registry import STEPS
from tests.front_door.conftest import Workspace, set_stage_variable
from tests.jenkins.fake_controller import TOKEN, USER, Answer, FakeBuild, FakeController
from tests.support.processes import Seen, Watch, children

SUITE = """
import os

def test_fails_with_a_traceback():
    environment = dict(os.environ)
    raise RuntimeError("a failure with a traceback of its own")
"""


def forms(key: str) -> list[bytes]:
    """The key as it is, and as it travels in headers and addresses."""
    return [key.encode(), base64.b64encode(f"{key}:".encode()), base64.b64encode(f":{key}".encode())]


def contents(folder: Path, leave_out: Callable[[Path], bool] = lambda _path: False) -> Iterator[tuple[str, bytes]]:
    """Every file below the folder by its name; archives also by what they hold."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or leave_out(path):
            continue
        yield str(path), path.read_bytes()
        if zipfile.is_zipfile(path):
            # Other tests leave broken archives in the sandbox; those are read as they are.
            with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path}!{name}", archive.read(name)


def found_in(texts: Iterator[tuple[str, bytes]], secrets: list[str]) -> list[str]:
    """The names of the texts in which one of the secrets stands."""
    wanted = [form for secret in secrets for form in forms(secret)]
    return [name for name, text in texts if any(form in text for form in wanted)]


class Session:
    """Runs commands, and keeps what they print and who they were."""

    def __init__(self, workspace: Workspace, **environment: str) -> None:
        self.workspace = workspace
        self.environment = environment
        self.said: list[tuple[str, bytes]] = []
        self.pids: list[int] = []
        self.watch = Watch()
        self.watch.start()

    def run(self, *arguments: str, code: int, forked: bool = False, **environment: str) -> str:
        """Runs a command that must end with the code; returns what it has printed.

        One that is ``forked`` has no command line of its own, and starts no children that are looked at.
        """
        start = self.workspace.start if forked else self.workspace.start_really
        process = start(*arguments, **{**self.environment, **environment})
        if not forked:
            self.pids.append(process.pid)
        result = self.workspace.finish(process)
        said = result.out + result.err
        assert result.code == code, f"{arguments}: exit code {result.code}\n{said}"
        self.said.append((f"what {' '.join(arguments)} prints", said.encode()))
        return said

    def traces(
        self, secrets: list[str], allowed: Callable[[Seen, str], bool] = lambda _seen, _secret: False
    ) -> list[str]:
        """Where one of the secrets is to be seen: in the output, a command line, or the environment of a child."""
        seen = self.watch.stop()
        below = children(seen, *self.pids)
        found = found_in(iter(self.said), secrets)
        found += found_in(((f"command line {one.command!r}", one.command) for one in seen), secrets)
        found += [
            f"environment of {one.command!r}"
            for one in below
            for secret in secrets
            if secret.encode() in one.environment and not allowed(one, secret)
        ]
        self.started = below
        return found


@pytest.mark.timeout(1200)  # some forty real starts
def test_every_step_on_success_and_on_failure(workspace: Workspace, tmp_path: Path) -> None:
    nodes = workspace.sandbox.nodes
    keys = {
        name: nodes[node].api_key for name, node in (("DESIGN", "design"), ("TEST", "auto-test"), ("PROD", "auto-prod"))
    }
    temporary, suite = workspace.folder / "temporary", workspace.folder / "deployed"
    for place in (temporary, suite):
        place.mkdir(mode=0o700)
    (suite / "test_it.py").write_text(SUITE)
    marked = {"JENKINS_API_TOKEN": "marked-token-of-jenkins", "MLOPS_UAT_API_KEY": "marked-key-of-uat"}
    session = Session(workspace, TMPDIR=str(temporary), BUILD_NUMBER="1", **marked)
    run = session.run

    run("config", "init", "--project", workspace.project, "--output", "made.yml", code=0)
    run("doctor", "-vv", code=0)
    run("validate", "-vv", code=0)
    workspace.variables(smoke="pass")
    run("package", "-vv", code=0)
    run("deploy", "--stage", "test", "-vv", code=0)
    run("test", "--stage", "test", "-vv", code=0)
    run("approve", "--stage", "prod", "--by", "somebody", "-vv", code=0)
    run("release", "--stage", "prod", "-vv", code=0)
    run("status", "-vv", code=0)
    run("smoke-test", "--stage", "prod", "-vv", code=0)
    run("recover", "--stage", "prod", "-vv", code=0)
    set_stage_variable(workspace)
    # The smoke test fails: rolled back. A suite of the team's that fails.
    workspace.variables(smoke="fail")
    session.environment["BUILD_NUMBER"] = "2"
    run("package", "-vv", code=0, forked=True)
    run("deploy", "--stage", "test", "-vv", code=0, forked=True)
    run("test", "--stage", "test", "-vv", code=0, forked=True)
    run("release", "--stage", "prod", "-vv", code=4)
    run("rollback", "--stage", "prod", "--to", "no-such-bundle", "-vv", code=1)
    workspace.configure(test={"pytest": "deployed"})
    run("test", "--stage", "test", "-vv", code=1)
    run("release", "--stage", "prod", "-vv", code=1, forked=True)
    run("validate", "--project", "NOWHERE", "-vv", code=3, forked=True)
    # Nodes that repeat the key in what they answer, at each request.
    for node in nodes.values():
        echo = f"bad credentials {node.api_key} for http://{node.api_key}:@{node.url.partition('//')[2]}"
        node.faults.add("error", status=403, message=echo, count="for ever")
    for step in ("doctor", "validate", "package", "status"):
        assert "bad credentials ********" in run(step, "-vv", code=3, forked=True)
    for step in ("deploy", "test", "smoke-test", "rollback", "recover"):
        stage = "test" if step in ("deploy", "test") else "prod"
        assert "bad credentials ********" in run(step, "--stage", stage, "-vv", code=3, forked=True)
    for node in nodes.values():
        node.faults.clear()
    run("status", "-vv", code=3, forked=True, MLOPS_DESIGN_API_KEY="wrong-key-that-nobody-has")
    run("status", "-vv", code=2, forked=True, MLOPS_DESIGN_URL=f"http://{keys['DESIGN']}:@127.0.0.1:1")

    def needs(child: Seen, secret: str) -> bool:
        return b"pytest" in child.command and secret == keys["TEST"]

    secrets = [*keys.values(), *marked.values(), "wrong-key-that-nobody-has"]
    assert session.traces(secrets, needs) == []
    assert any(needs(child, keys["TEST"]) for child in session.started), "the watch saw the team's suite"
    left = [*contents(workspace.folder)]
    names = [name for name, _ in left]
    assert {"release.json", "mlops-release-prod.xml", "mlops-test-test.xml"} <= {Path(name).name for name in names}
    assert any(b"a failure with a traceback of its own" in text for _, text in left)
    assert found_in(iter(left), secrets) == []
    # What the nodes keep: all but the file that says with which keys they are to be started.
    kept = [*contents(workspace.sandbox.dir, lambda path: path.name == "sandbox.json")]
    assert any("project_config" in name and ".zip!" in name for name, _ in kept), "bundles were looked into"
    assert found_in(iter(kept), secrets) == []


def test_keys_in_files_stay_there(workspace: Workspace) -> None:
    keys, suite = workspace.folder / "keys", workspace.folder / "deployed"
    for place in (keys, suite):
        place.mkdir(mode=0o700)
    (suite / "test_it.py").write_text(SUITE)
    workspace.configure(test={"pytest": "deployed"})
    secrets = {}
    for name, node in (("DESIGN", "design"), ("TEST", "auto-test"), ("PROD", "auto-prod")):
        secrets[name] = workspace.sandbox.nodes[node].api_key
        (keys / name).write_text(secrets[name] + "\n")
        del workspace.environment[f"MLOPS_{name}_API_KEY"]
        workspace.environment[f"MLOPS_{name}_API_KEY_FILE"] = str(keys / name)
    session = Session(workspace, BUILD_NUMBER="1")
    session.run("package", "-vv", code=0, forked=True)
    session.run("deploy", "--stage", "test", "-vv", code=0, forked=True)
    session.run("test", "--stage", "test", "-vv", code=1)
    session.run("release", "--stage", "prod", "-vv", code=1, forked=True)

    def needs(child: Seen, secret: str) -> bool:
        return b"pytest" in child.command and secret == secrets["TEST"]

    assert session.traces([*secrets.values()], needs) == []
    suites = [child for child in session.started if b"pytest" in child.command]
    assert suites, "the watch saw the team's suite"
    assert not any(b"_API_KEY_FILE=" in child.environment for child in suites)
    assert found_in(contents(workspace.folder, lambda path: keys in path.parents), [*secrets.values()]) == []


def test_records_and_reports_are_not_for_everybody(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    for path in (workspace.folder / ".mlops" / "release.json", workspace.folder / "reports" / "mlops-package.xml"):
        assert path.stat().st_mode & 0o007 == 0, path


def test_an_internal_error_shows_its_place_and_no_key(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace.folder)
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    key = workspace.sandbox.nodes["design"].api_key

    def call(context: Context) -> None:
        secret = context.settings.node("design").api_key().get_secret_value()
        raise RuntimeError(f"broken with {secret} and {base64.b64encode(f'{secret}:'.encode()).decode()}")

    assert runner.run_step(STEPS["status"], None, call, load, verbose=2) == 3
    out, err = capfd.readouterr()
    said = (out + err).encode()
    assert b"internal error: RuntimeError: broken with ********" in said
    assert b"in call" in said
    texts = [("the output", said), *contents(workspace.folder)]
    assert found_in(iter(texts), [key]) == []


def test_the_commands_for_jenkins(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.folder / "Jenkinsfile").write_text(
        "pipeline { agent any; stages { stage('a') { steps { echo 'a' } } } }"
    )
    setup = (
        "jenkins",
        "setup",
        "-vv",
        "--folder",
        "team",
        "--library-version",
        "v1",
        "--library-url",
        "https://git.example.com/x.git",
    )
    with FakeController().running() as controller:
        session = Session(workspace, JENKINS_URL=controller.url, JENKINS_USER=USER, JENKINS_API_TOKEN=TOKEN)
        session.run(*setup, code=0)
        controller.add_job("team/job", FakeBuild(), FakeBuild(result="FAILURE"))
        session.run("jenkins", "run", "team/job", "-vv", code=0)
        session.run("jenkins", "run", "team/job", "-vv", code=1, forked=True)
        session.run("jenkins", "lint", "Jenkinsfile", "-vv", code=0)
        session.run("jenkins", "lint", "Jenkinsfile", "--offline", "-vv", code=0)
        echo = f"<html>no such user {USER}:{TOKEN}</html>".encode()
        controller.before.append(lambda _method, _path: Answer(403, echo, "text/html"))
        session.run(*setup, code=3, forked=True)
        session.run("jenkins", "run", "team/job", "-vv", code=3, forked=True)
        session.run("jenkins", "lint", "Jenkinsfile", "-vv", code=3, forked=True)
        session.run(
            "jenkins", "lint", "Jenkinsfile", code=2, forked=True, JENKINS_URL=f"http://{USER}:{TOKEN}@127.0.0.1:1"
        )
    bodies = b"".join(controller.bodies)
    keys = [node.api_key for node in workspace.sandbox.nodes.values()]
    assert keys[0].encode() in bodies, "the credentials were made with the keys of the nodes"
    assert session.traces([*keys, TOKEN]) == []
    assert any(b"groovy" in child.command.lower() for child in session.started), "the watch saw Groovy"
    assert found_in(contents(workspace.folder), [*keys, TOKEN]) == []


def test_the_code_of_a_project_in_the_sandbox_sees_no_key(tmp_path: Path) -> None:
    """A recipe or scenario of the sandbox runs beside the keys of the nodes, and those of the user who started it."""
    (tmp_path / "look.py").write_text(LOOK)
    marked = {"JENKINS_API_TOKEN": "marked-token-of-jenkins", "MLOPS_UAT_API_KEY": "marked-key-of-uat"}
    watch = Watch()
    watch.start()
    ended = subprocess.run(
        [sys.executable, "-m", "mlops_steps", "sandbox", "run", "--", sys.executable, "look.py"],
        cwd=tmp_path,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}, **marked},
        capture_output=True,
        timeout=120,
        check=False,
    )
    seen = watch.stop()
    assert ended.returncode == 0, ended.stderr.decode()
    code = [one for one in seen if b"dku_forks" in one.command]
    assert len({one.pid for one in code}) > 1, "the watch saw the scenario, and what it is forked from"
    keys = ended.stdout.decode().split()
    assert len(keys) == 7  # three DSS nodes and four API nodes
    for secret in [*keys, *marked.values()]:
        assert not any(secret.encode() in one.environment for one in code)
        assert not any(secret.encode() in one.command for one in seen)


LOOK = """
import os
import dataikuapi

keys = {name: value for name, value in os.environ.items() if name.endswith("_API_KEY") and "UAT" not in name}
client = dataikuapi.DSSClient(os.environ["MLOPS_DESIGN_URL"], keys["MLOPS_DESIGN_API_KEY"])
project = client.create_project("LOOK", "Look", "admin")
steps = [{"id": "s", "name": "s", "type": "custom_python", "params": {"script": "import time; time.sleep(1)"}}]
project.create_scenario("WAIT", "step_based", {"params": {"steps": steps, "triggers": [], "reporters": []}})
project.get_scenario("WAIT").run_and_wait()
print(*keys.values())
"""
