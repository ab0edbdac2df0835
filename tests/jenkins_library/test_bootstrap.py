"""What mlopsSetup runs on an agent, with small packages in the place of the real ones: no network."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.jenkins_library.conftest import ROOT

FOLDER = ROOT / "resources/mlops-steps"
BACKEND = """
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = Path(__file__).with_name("name.whl").read_text()
    Path(folder, name).write_bytes(Path(__file__).with_name("content.whl").read_bytes())
    return name
"""


def make_wheel(folder: Path, project: str, version: str, *, command: bool = False) -> Path:
    """A wheel with an empty module; with ``command`` it has the script `mlops-steps` that tells the version."""
    folder.mkdir(parents=True, exist_ok=True)
    name = project.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print('mlops-steps {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if command:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\nmlops-steps = {name}:main\n"
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


#: In place of the module of this name: what Python makes with it takes seconds each time, most of it for pip.
VENV = """
import shutil, sys

shutil.copytree({template!r}, sys.argv[1], symlinks=True)
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Ended:
    """What the bootstrap has left."""

    told: dict[str, str]
    log: str


class Agent:
    """An agent with a workspace, a folder of wheels, and nothing else."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = environment or {}
        self.home = folder / "home"
        self.workspace = folder / "workspace"
        self.wheels = folder / "wheels"
        own = folder / "workspace@tmp/mlops-steps"
        self.link = own / "bin/mlops-steps"
        for made in (self.home, self.workspace, own):
            made.mkdir(parents=True)
        (own / "bootstrap.py").write_bytes((FOLDER / "bootstrap.py").read_bytes())
        self.requirements = self.workspace / "ci.txt"
        self.package = make_wheel(self.wheels, "mlops-steps", "1.2.3", command=True)
        self.require(sha256(make_wheel(self.wheels, "tinydep", "1.0")))

    def require(self, digest: str) -> None:
        self.requirements.write_text(f"tinydep==1.0 --hash=sha256:{digest}\n")

    def start(self, parameters: dict[str, Any], loaded: str = "", **environment: str) -> subprocess.Popen[str]:
        wish = {"version": "1.2.3", "loaded": loaded, "parameters": parameters}
        return subprocess.Popen(
            ["sh", str(FOLDER / "bootstrap.sh")],
            cwd=self.workspace,
            env={
                "PATH": os.pathsep.join([str(self.folder / "bin"), "/usr/bin", "/bin"]),
                "HOME": str(self.home),
                "WORKSPACE": str(self.workspace),
                "MLOPS_SETUP": json.dumps(wish),
                "MLOPS_PYTHON": sys.executable,
                # No index: what is not in the folder of wheels is not there.
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                **self.environment,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return Ended(dict(line.split("=", 1) for line in out.splitlines()), err)

    def set_up(self, parameters: dict[str, Any], loaded: str = "", **environment: str) -> Ended:
        return self.finish(self.start(parameters, loaded, **environment))

    def from_wheels(self, **more: str) -> dict[str, str]:
        return {"source": "wheels", "wheels": str(self.wheels), "requirements": "ci.txt", **more}

    @property
    def environments(self) -> list[Path]:
        return sorted(path.parent for path in self.home.glob(".cache/mlops-steps/environments/*/.complete"))


@pytest.fixture(scope="module")
def quick_venv(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What makes `python -m venv` copy a virtual environment that was really made, once."""
    folder = tmp_path_factory.mktemp("venv")
    template = folder / "template"
    subprocess.run([sys.executable, "-m", "venv", str(template)], check=True, timeout=120)
    (folder / "module").mkdir()
    (folder / "module" / "venv.py").write_text(VENV.format(template=str(template)))
    return {"PYTHONPATH": str(folder / "module")}


@pytest.fixture
def agent(tmp_path: Path, quick_venv: dict[str, str]) -> Agent:
    return Agent(tmp_path, quick_venv)


@pytest.fixture
def real_agent(tmp_path: Path) -> Agent:
    """An agent whose Python makes each virtual environment."""
    return Agent(tmp_path)


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", FOLDER / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_builds_at_once_make_one_environment_and_the_next_one_installs_nothing(real_agent: Agent) -> None:
    agent = real_agent
    wish = agent.from_wheels(sha256=sha256(agent.package))
    both = [agent.start(wish) for _ in range(2)]
    ended = [agent.finish(process) for process in both]
    assert [one.told["exit"] for one in ended] == ["0", "0"], ended
    assert len(agent.environments) == 1
    assert sum("making a virtual environment" in one.log for one in ended) == 1
    assert agent.link.resolve() == (agent.environments[0] / "bin/mlops-steps").resolve()
    assert subprocess.run([agent.link], capture_output=True, text=True).stdout == "mlops-steps 1.2.3\n"

    for wheel in agent.wheels.iterdir():
        wheel.unlink()
    again = agent.set_up(wish)
    assert (again.told["exit"], again.told["version"]) == ("0", "1.2.3")
    assert "making" not in again.log


def test_an_archive_with_another_hash_is_refused_and_nothing_is_left_behind(agent: Agent) -> None:
    agent.require("0" * 64)
    ended = agent.set_up(agent.from_wheels())
    assert ended.told["exit"] == "2"
    assert "ci.txt could not be installed" in ended.told["problem"]
    assert "hash" in ended.log.lower()
    assert not agent.environments
    assert not agent.link.exists()


def test_the_wheel_of_mlops_steps_itself_is_checked_when_its_hash_is_given(agent: Agent) -> None:
    ended = agent.set_up(agent.from_wheels(sha256="f" * 64))
    assert ended.told["exit"] == "2"
    assert "mlops-steps==1.2.3 could not be installed" in ended.told["problem"]
    assert not agent.environments


def test_from_git_at_the_version_that_jenkins_loaded_and_a_misfit_is_told(agent: Agent, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "library", agent)
    source = {"repository": repository.as_uri(), "requirements": "ci.txt"}
    offline = {"PIP_FIND_LINKS": str(agent.wheels)}
    ended = agent.set_up(source, loaded="v1", **offline)
    assert ended.told["exit"] == "0", ended
    commit = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "v1^{commit}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert f"git+{repository.as_uri()}@{commit}" in ended.told["origin"]
    misfit = agent.set_up(source, loaded="main", **offline)
    assert misfit.told["exit"] == "2"
    assert re.match(r"the Jenkins library is 1\.2\.3, but git\+file:.* is mlops-steps 9\.9", misfit.told["problem"])
    nowhere = agent.set_up(source, loaded="v7", **offline)
    assert nowhere.told["problem"].endswith("library has no tag or branch v7")
    unknown = agent.set_up(source, **offline)
    assert "Jenkins has loaded no library called 'mlops-steps'" in unknown.told["problem"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://git.example.com/a.git", "https://git.example.com/a.git"),
        ("git@git.example.com:team/a.git", "ssh://git@git.example.com/team/a.git"),
        ("git.example.com:/srv/a.git", "ssh://git.example.com/srv/a.git"),
        ("/srv/a b.git", "file:///srv/a%20b.git"),
    ],
)
def test_an_address_that_git_knows_is_one_that_pip_takes(bootstrap: ModuleType, given: str, url: str) -> None:
    assert bootstrap.as_url(given) == url


def test_the_library_can_be_installed_from_a_folder_on_the_agent(agent: Agent, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "library", agent)
    source = {"source": "git", "repository": str(repository), "requirements": "ci.txt"}
    ended = agent.set_up(source, loaded="v1", PIP_FIND_LINKS=str(agent.wheels))
    assert ended.told["exit"] == "0", ended


@pytest.mark.parametrize("named", ["repository", "MLOPS_REPOSITORY"])
@pytest.mark.parametrize(
    "address",
    [
        "https://jane:s3cret-word@git.example.com/a.git",
        "https://s3cret-word@git.example.com/a.git",
        "HTTPS://jane:s3cret-word@git.example.com/a.git",
        "https://jane:s3cret-word/x@git.example.com/a.git",
        "https://jane:s3cret-word?x@git.example.com/a.git",
        "ssh://jane:s3cret-word@git.example.com/a.git",
        "jane:s3cret-word@git.example.com/a.git",
    ],
)
def test_a_password_in_the_address_is_refused_and_never_told(agent: Agent, named: str, address: str) -> None:
    commands = write_down_what_git_gets(agent)
    wish, variables = {"source": "git", "requirements": "ci.txt"}, {}
    if named == "repository":
        wish[named] = address
    else:
        variables[named] = address
    ended = agent.set_up(wish, loaded="v1", **variables)
    assert ended.told["exit"] == "2"
    assert ended.told["problem"].startswith("repository (or MLOPS_REPOSITORY) holds a user name or a password")
    assert "a Git credential helper or ~/.netrc" in ended.told["problem"]
    assert "s3cret-word" not in ended.log + json.dumps(ended.told)
    assert not commands.exists(), "nothing may be started with it"


@pytest.mark.parametrize(
    "address",
    [
        "ssh://git@git.example.com/team/a.git",
        "git@git.example.com:team/a.git",
        "git.example.com:/srv/a@b.git",
        "https://git.example.com:8443/team/@scope/a.git",
        "https://[::1]:8443/a@b.git",
        "/srv/a:b@c.git",
    ],
)
def test_an_address_without_a_password_is_asked(agent: Agent, address: str) -> None:
    commands = write_down_what_git_gets(agent)
    ended = agent.set_up({"source": "git", "repository": address, "requirements": "ci.txt"}, loaded="v1")
    assert f"the repository {address.replace('git@', '') if '://' in address else address} cannot be read" in ended.log
    assert address in commands.read_text()


def write_down_what_git_gets(agent: Agent) -> Path:
    """A Git on the agent that can do nothing; its command lines are in the file."""
    commands = agent.folder / "git-commands"
    write_command(agent, "git", f'echo "$@" >> {commands}\nexit 1\n')
    return commands


def write_command(agent: Agent, name: str, script: str) -> None:
    command = agent.folder / "bin" / name
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/bin/sh\n{script}")
    command.chmod(0o755)


KEYS = ("MLOPS_PROD_API_KEY", "MLOPS_PROD_EU_API_KEY_FILE", "JENKINS_API_TOKEN", "JENKINS_API_EXTRA_HEADERS")


def test_no_command_that_it_starts_gets_a_key(agent: Agent, tmp_path: Path) -> None:
    """Git, pip with what it builds, and the command that is asked for its version."""
    seen = tmp_path / "seen"
    seen.mkdir()
    write_command(agent, "mlops-steps", f"env > {seen}/version\necho mlops-steps 1.0\n")
    write_command(agent, "git", f'env > {seen}/git\nexec /usr/bin/git "$@"\n')
    dump = f"import os\nopen({str(seen / 'pip')!r}, 'w').write(repr(dict(os.environ)))\n"
    repository = make_repository(tmp_path / "library", agent, dump)
    keys = {name: f"marked-value-of-{name}" for name in KEYS}
    wish = {"repository": repository.as_uri(), "requirements": "ci.txt"}
    ended = agent.set_up(wish, loaded="v1", PIP_FIND_LINKS=str(agent.wheels), MARK="kept", **keys)
    assert ended.told["exit"] == "0", ended
    texts = {path.name: path.read_text() for path in seen.iterdir()}
    assert texts.keys() == {"version", "git", "pip"}
    for name, text in texts.items():
        assert "kept" in text, name
        assert "marked-value" not in text, name


def make_repository(folder: Path, agent: Agent, first: str = "") -> Path:
    """A repository whose tag v1 builds mlops-steps 1.2.3, and whose branch main builds 9.9.

    ``first`` is code that its build runs.
    """
    folder.mkdir()
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    (folder / "backend.py").write_text(first + BACKEND)
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(build)
    for version, tag in (("1.2.3", "v1"), ("9.9", None)):
        wheel = make_wheel(agent.folder / version, "mlops-steps", version, command=True)
        (folder / "name.whl").write_text(wheel.name)
        (folder / "content.whl").write_bytes(wheel.read_bytes())
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", version], check=True)
        if tag:
            subprocess.run([*git, "tag", "-a", tag, "-m", tag], check=True)
    return folder


def test_what_is_installed_is_taken_when_it_fits(agent: Agent) -> None:
    install(agent, "1.2.3")
    ended = agent.set_up({})
    assert ended.told["exit"] == "0"
    assert ended.told["origin"].startswith("already on this agent: ")
    assert subprocess.run([agent.link], capture_output=True, text=True).stdout == "mlops-steps 1.2.3\n"
    assert not agent.environments


def test_what_is_installed_and_does_not_fit_is_told_in_one_line(agent: Agent) -> None:
    install(agent, "1.2.4")
    ended = agent.set_up({"source": "installed"})
    assert ended.told["problem"].startswith(
        "the Jenkins library is 1.2.3, but on the PATH of this agent there is mlops-steps 1.2.4 ("
    )


def install(agent: Agent, version: str) -> None:
    write_command(agent, "mlops-steps", f"echo mlops-steps {version}\n")


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"sorce": "git"}, "unknown parameter 'sorce'; did you mean source?"),
        ({"source": "whels"}, "source must be one of auto, installed, index, wheels, git; did you mean wheels?"),
        (
            {"source": "installed"},
            "the Jenkins library is 1.2.3, but on the PATH of this agent there is no mlops-steps",
        ),
        (
            {"source": "wheels"},
            "source: 'wheels' needs the folder: mlopsSetup(source: 'wheels', wheels: '/srv/wheels')",
        ),
        # Nothing is named: a name in an index is not taken on trust.
        ({}, "the Jenkins library is 1.2.3, but on the PATH of this agent there is no mlops-steps, and nothing says"),
        (
            {"source": "index", "requirements": "ci.txt"},
            "source: 'index' needs sha256: '…', the SHA-256 of the wheel of mlops-steps",
        ),
        ({"wheels": "/nowhere"}, "wheels: no such folder on this agent: /nowhere"),
        ({"source": "git"}, "source: 'git' needs the library's repository: mlopsSetup(repository: "),
        ({"requirements": "none.txt", "source": "index"}, "requirements: no such file: "),
        ({"sha256": "abc"}, "sha256 must be the 64 hexadecimal digits"),
        ({"python": 3}, "python must be text"),
        ({"repository": "--upload-pack=x", "revision": "v1", "requirements": "ci.txt"}, "repository and revision must"),
    ],
)
def test_a_mistake_is_one_clear_line(agent: Agent, parameters: dict[str, Any], problem: str) -> None:
    ended = agent.set_up(parameters)
    assert ended.told["exit"] == "2"
    assert ended.told["problem"].startswith(problem)
    assert problem in ended.log
    assert "Traceback" not in ended.log


@pytest.mark.parametrize(
    ("python", "problem"),
    [
        ("/nowhere/python3", "no Python on this agent (/nowhere/python3): install Python 3.10 or later"),
        ("old", "Python 3.10 or later is needed on this agent: "),
    ],
)
def test_a_python_that_is_missing_or_too_old_is_one_clear_line(agent: Agent, python: str, problem: str) -> None:
    if python == "old":
        old = agent.folder / "python-old"
        old.write_text("#!/bin/sh\necho 3.8\nexit 1\n")
        old.chmod(0o755)
        python = str(old)
    ended = agent.set_up({}, MLOPS_PYTHON=python)
    assert ended.told["exit"] == "2"
    assert ended.told["problem"].startswith(problem)


def test_environments_that_nobody_uses_any_more_are_removed(bootstrap: ModuleType, tmp_path: Path) -> None:
    for name, age in (("old", 31), ("used", 1)):
        marker = tmp_path / name / ".complete"
        marker.parent.mkdir()
        marker.touch()
        os.utime(marker, (time.time() - age * 86400,) * 2)
    (tmp_path / "half-made").mkdir()
    bootstrap._remove_unused(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half-made", "used"]


def test_the_requirements_cover_the_dependencies_and_what_builds_them(bootstrap: ModuleType) -> None:
    text = (FOLDER / "requirements.txt").read_text()
    assert "--hash=sha256:" in bootstrap.build_tool(text)
    assert bootstrap.build_tool(text).startswith("setuptools==")
    locked = {name.lower().replace("_", "-") for name in re.findall(r"(?m)^([A-Za-z0-9_.-]+)==", text)}
    project = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [")[2].partition("\n]")[0]
    needed = {name.lower().replace("_", "-") for name in re.findall(r'"([A-Za-z0-9_.-]+?)[><=~!]', project)}
    assert len(needed) > 5
    assert needed <= locked, "run tools/lock-requirements"
