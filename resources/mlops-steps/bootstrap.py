"""Makes mlops-steps of the version of the Jenkins library available to the builds on this agent.

What is asked for is one JSON value in the environment variable MLOPS_SETUP. One virtual environment per version and
requirement set serves all builds; when two builds make it at once, one of them waits. A link in the temporary folder of
the workspace tells the steps which one is theirs. Standard library only: nothing is installed yet when this runs.

Standard output holds lines name=value for the Groovy step; what people read goes to standard error.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

SOURCES = ("auto", "installed", "index", "wheels", "git")
PARAMETERS = ("source", "python", "wheels", "repository", "revision", "requirements", "sha256", "library")

LOCK_LIMIT = 1800.0  # seconds; another build may be installing over a slow line
INSTALL_LIMIT = 1500.0  # seconds
SHORT_LIMIT = 60.0  # seconds
UNUSED_DAYS = 30  # after that an environment is removed when a new one is made

# The line of a requirements file that is about this package itself.
OWN_LINE = re.compile(r"(?mi)^mlops[-_.]steps\b")
# What neither Git nor pip, nor anything that pip builds, has any business with.
KEY_VARIABLE = re.compile(r"MLOPS_\w+_API_KEY(_FILE)?|MLOPS_SIGNING_KEY_FILE|JENKINS_API_\w+")


class Problem(Exception):
    """What keeps mlops-steps from being there. The first line is enough to act on."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Wish:
    """What the Jenkinsfile asks for, with its defaults."""

    def __init__(self, text: str, environ: dict[str, str]) -> None:
        try:
            data = json.loads(text)
            self.version = str(data["version"])
            given = {name: value for name, value in data["parameters"].items() if value not in (None, "")}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Problem("MLOPS_SETUP holds no wish of the Jenkins library") from None
        for name, value in given.items():
            if name not in PARAMETERS:
                raise Problem(f"unknown parameter {name[:80]!r}{_nearest(name, PARAMETERS)}")
            if not isinstance(value, str):
                raise Problem(f"{name} must be text")
        self.source = given.get("source", "auto")
        if self.source not in SOURCES:
            raise Problem(f"source must be one of {', '.join(SOURCES)}{_nearest(self.source, SOURCES)}")
        self.wheels = given.get("wheels") or environ.get("MLOPS_WHEELS", "")
        self.repository = given.get("repository") or environ.get("MLOPS_REPOSITORY", "")
        self.revision = given.get("revision") or str(data.get("loaded") or "")
        self.requirements = given.get("requirements", "")
        self.sha256 = given.get("sha256", "").lower()
        self.library = given.get("library", "mlops-steps")
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise Problem("sha256 must be the 64 hexadecimal digits that sha256sum prints for the wheel of mlops-steps")
        if self.sha256 and self.source == "git":
            raise Problem("sha256 is that of a wheel; a Git repository is held to its commit: give revision")


def main() -> int:
    """Does what MLOPS_SETUP asks for; returns the exit code."""
    try:
        wish = Wish(os.environ.get("MLOPS_SETUP", ""), dict(os.environ))
        command, origin = _provide(wish)
        _link(command)
    except Problem as problem:
        _say(f"mlopsSetup: {problem}")
        if problem.details:
            _say(problem.details)
        print(f"problem={problem}")
        return 2
    except OSError as error:
        _say(f"mlopsSetup: {error}")
        print(f"problem={error.strerror}: {error.filename}")
        return 2
    _say(f"mlops-steps {wish.version} ({origin})")
    print(f"command={command}\nversion={wish.version}\norigin={origin}")
    return 0


def _provide(wish: Wish) -> tuple[Path, str]:
    """The command mlops-steps of the wished version, and where it comes from."""
    source = wish.source
    if source in ("auto", "installed"):
        there = shutil.which("mlops-steps")
        version = _version(Path(there)) if there else None
        if there and version == wish.version:
            return Path(there), f"already on this agent: {there}"
        if source == "installed":
            found = f"mlops-steps {version} ({there})" if there else "no mlops-steps"
            raise Problem(f"the Jenkins library is {wish.version}, but on the PATH of this agent there is {found}")
        source = "wheels" if wish.wheels else "git" if wish.repository else ""
        if not source:
            found = f"mlops-steps {version} ({there})" if there else "no mlops-steps"
            # Not from an index by itself: anybody may take a name there.
            raise Problem(
                f"the Jenkins library is {wish.version}, but on the PATH of this agent there is {found}, and nothing "
                "says where to take it from: mlopsSetup(repository: '…') takes the library's repository, wheels: '…' a "
                "folder, source: 'index' with sha256: '…' the package index"
            )
    return _environment(wish, source)


def _environment(wish: Wish, source: str) -> tuple[Path, str]:
    """The command in the virtual environment for this wish, which is made when it is not there yet."""
    requirements = _requirements(wish)
    what = _package(wish, source)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = json.dumps([sys.executable, source, what, wish.sha256, requirements.read_text(encoding="utf-8")])
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    folder = _home() / f"{wish.version}-py{python}-{digest}"
    command, marker = folder / "bin" / "mlops-steps", folder / ".complete"
    if not marker.exists():
        with _lock(folder.with_suffix(".lock")):
            if not marker.exists():
                _make(wish, source, what, requirements, folder)
                marker.touch()
    # Shows that it is in use.
    with suppress(OSError):
        os.utime(marker)
    version = _version(command)
    if version != wish.version:
        with suppress(OSError):
            marker.unlink()
        raise Problem(f"the Jenkins library is {wish.version}, but {_without_user(what)} is mlops-steps {version}")
    return command, f"from {_without_user(what)}, in {folder}"


def _requirements(wish: Wish) -> Path:
    """The requirements file: the team's own, or the library's, which lies beside this file."""
    if not wish.requirements:
        return Path(__file__).with_name("requirements.txt")
    path = Path(wish.requirements)
    if not path.is_file():
        raise Problem(f"requirements: no such file: {path.absolute()}")
    return path


def _package(wish: Wish, source: str) -> str:
    """What pip is told to install as mlops-steps itself."""
    if source == "wheels":
        if not wish.wheels:
            raise Problem("source: 'wheels' needs the folder: mlopsSetup(source: 'wheels', wheels: '/srv/wheels')")
        if not Path(wish.wheels).is_dir():
            raise Problem(f"wheels: no such folder on this agent: {Path(wish.wheels).absolute()}")
    if source == "index":
        text = _requirements(wish).read_text(encoding="utf-8")
        if "--hash" not in text:
            raise Problem(f"source: 'index' needs hashes, and {wish.requirements} holds none")
        if not wish.sha256 and not OWN_LINE.search(text):
            raise Problem(
                "source: 'index' needs sha256: '…', the SHA-256 of the wheel of mlops-steps: anybody may publish one"
            )
    if source != "git":
        return f"mlops-steps=={wish.version}"
    if not wish.repository:
        raise Problem(
            "source: 'git' needs the library's repository: mlopsSetup(repository: 'https://…/mlops-steps.git')"
        )
    if has_login(wish.repository):
        raise Problem(
            "repository (or MLOPS_REPOSITORY) holds a user name or a password, and the processes of this agent would "
            "show it: leave it out; a Git credential helper or ~/.netrc of the agent's user gives it to Git"
        )
    if not wish.revision:
        raise Problem(
            f"Jenkins has loaded no library called {wish.library!r}, so the version to install is not known: "
            "give the name it has in Jenkins as library, or a tag or commit as revision"
        )
    return f"git+{as_url(wish.repository)}@{_commit(wish.repository, wish.revision)}"


def as_url(repository: str) -> str:
    """The address of a repository in the form that pip takes: Git also knows paths and `git@host:team/name.git`."""
    if "://" in repository:
        return repository
    host, colon, path = repository.partition(":")
    if colon and "/" not in host:
        return f"ssh://{host}/{path.removeprefix('/')}"
    return Path(repository).absolute().as_uri()


def has_login(repository: str) -> bool:
    """Whether the address holds a user name or a password. The user of ssh alone is none: `git@` opens nothing."""
    scheme, separator, rest = repository.partition("://")
    if not separator:
        # Meant as https: what Git takes is user@host:path, where the user comes before the colon.
        first, _, rest = repository.partition(":")
        return "/" not in first and "@" not in first and "@" in rest.partition("/")[0]
    server, _, path = rest.partition("/")
    user, at, host = server.rpartition("@")
    # No port is there but the beginning of a password with "/" in it.
    cut_off = "@" in path and re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:[0-9]*)?", host) is None
    return cut_off or (":" in user if scheme.lower() == "ssh" else bool(at))


def _commit(repository: str, revision: str) -> str:
    """The commit that a tag or branch of the repository stands for."""
    if repository.startswith("-") or revision.startswith("-") or re.search(r"[\s\x00-\x1f]", repository + revision):
        raise Problem("repository and revision must be an address and a tag, branch or commit")
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    names = [f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/heads/{revision}"]
    listed = _run(
        ["git", "ls-remote", repository, *names],
        SHORT_LIMIT,
        f"the repository {_without_user(repository)} cannot be read",
        GIT_TERMINAL_PROMPT="0",
    )
    commits = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for name in names:
        if name in commits:
            return commits[name]
    raise Problem(f"{_without_user(repository)} has no tag or branch {revision}")


def _make(wish: Wish, source: str, what: str, requirements: Path, folder: Path) -> None:
    _say(f"making a virtual environment for mlops-steps {wish.version} in {folder}")
    _remove_unused(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    _run(
        [sys.executable, "-m", "venv", str(folder)],
        INSTALL_LIMIT,
        f"{sys.executable} cannot make a virtual environment; on Debian and Ubuntu install python3-venv",
    )
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    if source == "wheels":
        pip += ["--no-index", "--find-links", str(Path(wish.wheels).absolute())]
    text = requirements.read_text(encoding="utf-8")
    checked = ["--require-hashes"] if "--hash" in text else []
    if not checked:
        _say(f"warning: {requirements} holds no hashes; what is installed is not checked")
    why = f"{requirements.name} could not be installed"
    # What has to be built is built with the setuptools that the file names, not with one that nobody has checked.
    tool = build_tool(text)
    if tool:
        own = folder / "setuptools.txt"
        own.write_text(tool, encoding="utf-8")
        _run([*pip, *checked, "--requirement", str(own)], INSTALL_LIMIT, why)
        pip += ["--no-build-isolation"]
    _run([*pip, *checked, "--requirement", str(requirements)], INSTALL_LIMIT, why)
    if OWN_LINE.search(text):
        return
    pip += ["--no-deps"]
    why = f"{_without_user(what)} could not be installed"
    if wish.sha256:
        own = folder / "mlops-steps.txt"
        own.write_text(f"{what} --hash=sha256:{wish.sha256}\n", encoding="utf-8")
        _run([*pip, "--require-hashes", "--requirement", str(own)], INSTALL_LIMIT, why)
    else:
        _run([*pip, what], INSTALL_LIMIT, why, GIT_TERMINAL_PROMPT="0")


def build_tool(requirements: str) -> str:
    """The lines of a requirements file that are about setuptools."""
    found = re.search(r"(?m)^setuptools\b(?:.*\\\n)*.*\n?", requirements)
    return found[0] if found else ""


def _home() -> Path:
    """The folder of the environments: one that outlives the build where there is one."""
    candidates = []
    if os.environ.get("MLOPS_STEPS_HOME"):
        candidates.append(Path(os.environ["MLOPS_STEPS_HOME"]))
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/nonexistent", ".cache")
        candidates += [Path(cache, "mlops-steps"), _own_folder()]
    for candidate in candidates:
        home = candidate.absolute() / "environments"
        with suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            if os.access(home, os.W_OK):
                return home
    raise Problem(f"{candidates[0]} cannot be written; set MLOPS_STEPS_HOME to a folder that can")


def _own_folder() -> Path:
    """The folder of this library in the temporary folder of the workspace."""
    temporary = os.environ.get("WORKSPACE_TMP") or os.environ.get("WORKSPACE", ".") + "@tmp"
    return Path(temporary).absolute() / "mlops-steps"


def _link(command: Path) -> None:
    """Lets the steps of this workspace find the command, and nothing else of its environment."""
    bin_folder = _own_folder() / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    staged = bin_folder / f".{os.getpid()}"
    staged.symlink_to(command.absolute())
    staged.replace(bin_folder / "mlops-steps")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    end = time.monotonic() + LOCK_LIMIT
    warned = False
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not warned:
                    _say("another build is making this environment; waiting for it")
                    warned = True
                if time.monotonic() > end:
                    raise Problem(f"another build has held {path} for {LOCK_LIMIT / 60:.0f} min") from None
                time.sleep(0.2)
        yield


def _remove_unused(home: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for marker in home.glob("*/.complete"):
        with suppress(OSError):
            if marker.stat().st_mtime < oldest:
                marker.unlink()
                shutil.rmtree(marker.parent, ignore_errors=True)


def _version(command: Path) -> str | None:
    try:
        ended = subprocess.run(
            [str(command), "--version"], capture_output=True, text=True, timeout=SHORT_LIMIT, env=_without_keys()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = ended.stdout.split()
    return words[-1] if ended.returncode == 0 and words else None


def _without_keys() -> dict[str, str]:
    """The environment without the keys of the nodes and of Jenkins."""
    return {name: value for name, value in os.environ.items() if not KEY_VARIABLE.fullmatch(name)}


def _run(command: list[str], limit: float, why: str, **variables: str) -> str:
    """Runs a command; its output is shown when it fails. Raises :class:`Problem` that begins with ``why``."""
    environment = {**_without_keys(), **variables}
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
            env=environment,
        )
    except FileNotFoundError:
        raise Problem(f"{why}: {command[0]} is not on this agent") from None
    except subprocess.TimeoutExpired:
        raise Problem(f"{why}: not done after {limit / 60:.0f} min") from None
    if ended.returncode != 0:
        lines = [_without_user(line) for line in ended.stdout.splitlines() if line.strip()]
        telling = [line for line in lines if re.match(r"(?i)(error|fatal)\b", line)] or lines[-1:]
        raise Problem(f"{why}: {telling[-1][:300] if telling else 'no reason given'}", "\n".join(lines[-30:]))
    return ended.stdout


def _without_user(text: str) -> str:
    return re.sub(r"://[^\s/@]+@", "://", text)


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else f" ({', '.join(known)})"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    _leave(main())
