"""The rehearsal: one release after the other, each under a fault, by the command itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from rich import box
from rich.console import Console as RichConsole
from rich.table import Table

from mlops_steps.errors import CheckFailed, ConfigError, MlopsError
from mlops_steps.report import junit
from mlops_steps.sandbox.content import PROJECT_KEY
from mlops_steps.sandbox.faults.plan import Planned, load
from mlops_steps.sandbox.services.projects.model import active_bundle_id
from mlops_steps.sandbox.session import command_environment, running
from mlops_steps.sandbox.signals import Signals, Stopped
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.sandbox.specs import NODES
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import duration

PLAN = "rehearsal.yml"
# A bundle that was rolled back under one fault is released again under the next.
RELEASE = ("release", "--stage", "prod", "--force", "a rehearsal")
RECOVER = ("recover", "--stage", "prod")

MARK = "# Written by `mlops-steps sandbox rehearse`.\n"
# Patience is short, in seconds: what takes minutes in real life is over in seconds here.
_CONFIG = (
    MARK
    + """\
project: {project}
http: {{read_timeout: {read}, retries: 3, max_wait: 8s}}
deploy: {{health_timeout: {read}}}
test: {{scenarios: ["TEST_LIBRARY"], marked: false}}
release: {{smoke_scenario: TEST_SMOKE, timeout: {update}, smoke_timeout: {smoke}, rollback_timeout: {restore}}}
"""
)
_LIMITS = {"read": 5.0, "update": 12.0, "smoke": 10.0, "restore": 25.0}
# A smoke test takes about so long on a machine that these limits fit; on a slower or busier one they are stretched.
USUAL_SMOKE = 3.0
# Nothing is known of the machine yet.
_AT_FIRST = 6.0
_NOT_INHERITED = ("MLOPS_CONFIG", "GIT_COMMIT", "JOB_NAME", "BUILD_URL")
# Only a build of which it is known who has started it may force something.
_STARTED_BY = '{"causes": [{"kind": "UserIdCause", "user": "rehearsal"}]}'
_TAIL_LINES = 25
_WIDTH = 120
_IN_DOUBT = 5


@dataclass
class Played:
    """What came of one release. ``live`` is what the production node itself has active, looked up past the faults."""

    name: str
    code: int
    saw: str
    live: str
    seconds: float
    recovered: int | None
    wrong: str = ""


def run_rehearsal(out: Path, faults: Path | None, console: Console, signals: Signals, kind: type[Rehearsal]) -> int:
    """Plays the faults of a plan (the built-in one without ``faults``) and prints the table.

    ``kind``: what is released. Returns 0. Raises :class:`CheckFailed` when a release said something else than what was
    true, :class:`ConfigError` for a plan or a folder that cannot be used.
    """
    started = time.monotonic()
    out = out.absolute()
    plan = _plan(faults, kind.plan)
    _prepare(out)
    with running(None, None, console) as sandbox:
        rehearsal = kind(sandbox, out, console, signals)
        rehearsal.set_the_stage()
        played = [rehearsal.play(number, item) for number, item in enumerate(plan, 1)]
    _print_table(played, time.monotonic() - started, out, kind.place)
    wrong = [f"{item.name}: {item.wrong}" for item in played if item.wrong]
    if wrong:
        raise CheckFailed(f"{len(wrong)} of {len(played)} releases did not end as they said", details=wrong)
    return 0


def _plan(path: Path | None, plan: str = PLAN) -> list[Planned]:
    names = [name for spec in NODES for name in (spec.id, spec.name)]
    if path is not None:
        return load(path, names)
    with as_file(files(__package__).joinpath(plan)) as built_in:
        return load(built_in, names)


class Rehearsal:
    """Releases of a project's bundle: how they are prepared, and how it is known what is live."""

    plan = PLAN
    config = _CONFIG
    release: tuple[str, ...] = RELEASE
    recover: tuple[str, ...] = RECOVER
    rollback: tuple[str, ...] = ("rollback", "--stage", "prod", "--to")
    #: What a version is called, and where it is live.
    word, place = "bundle", "auto-prod"

    def __init__(self, sandbox: Sandbox, out: Path, console: Console, signals: Signals) -> None:
        self.sandbox = sandbox
        self.out = out
        self.console = console
        self._signals = signals
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        self._environment = command_environment(sandbox, inherited)
        self.record = out / ".mlops" / "release.json"
        self.kept_record = out / "release-before.json"
        self.set_patience(_AT_FIRST)
        self.old = self.new = ""

    def set_the_stage(self) -> None:
        """One bundle is live on production; another one has passed its tests."""
        self.must("package", build=1)
        self.must("deploy", "--stage", "prod")
        self.old = self._live()
        began = time.monotonic()
        self.must("smoke-test", "--stage", "prod")
        self.set_patience(max(1.0, (time.monotonic() - began) / USUAL_SMOKE))
        self.must("package", build=2)
        self.must("deploy", "--stage", "test")
        self.must("test", "--stage", "test")
        shutil.copy(self.record, self.kept_record)
        self.new = properties_of(self.out / "reports" / "mlops-package.xml").get("bundle", "")
        self.say_ready()

    def say_ready(self) -> None:
        ready = f"{self.word} {self.old} is live on {self.place}, and {self.word} {self.new} has passed its tests"
        self.console.good(ready)

    def set_patience(self, times: float) -> None:
        """Writes the configuration, with limits that many times as long as usual."""
        limits = {name: f"{seconds * times:.1f}s" for name, seconds in _LIMITS.items()}
        (self.out / "mlops.yml").write_text(self.config.format(project=PROJECT_KEY, **limits), encoding="utf-8")

    def play(self, number: int, item: Planned) -> Played:
        """Releases under one fault, looks what is live, and puts things back."""
        name = item.fault.name or item.fault.describe()
        shutil.copy(self.kept_record, self.record)
        folder = self.out / f"{number:02d}-{_file_name(name)}"
        folder.mkdir()
        self.sandbox.node(item.node).faults.add(item.fault)
        start = time.monotonic()
        code = self._run(self.release, folder / "release.log")
        seconds, live = time.monotonic() - start, self._live()
        self._keep_reports(folder)
        properties = properties_of(folder / f"mlops-{self.release[0]}-prod.xml")
        saw = self._in_short(properties.get("error", "")) or ("released" if code == 0 else "see the log")
        self._clear()
        recovered = self._run(self.recover, folder / "recover.log") if code == _IN_DOUBT else None
        played = Played(name, code, saw, self._name_of(live), seconds, recovered)
        played.wrong = self._wrong(played, live, properties.get("live", ""))
        self.console.line(f"{number:2} {name:40} exit {code}, live: {played.live} ({duration(round(seconds, 1))})")
        self._put_back(folder)
        return played

    def _wrong(self, played: Played, live: str, said: str) -> str:
        """What is not as it was said; empty when all is."""
        if played.code == 0:
            return "" if live == self.new else f"released, and {self.word} {live} is live"
        if played.code != _IN_DOUBT:
            return "" if live == self.old else f"exit code {played.code}, and {self.word} {live} is live"
        if "unknown" not in said and f"{self.word} {live} " not in said:
            return f"it said {said}, and {self.word} {live} is live"
        if played.recovered != 0 or self._live() != self.old:
            return f"{self.recover[0]} ended with {played.recovered}, and {self.word} {self._live()} is live"
        return ""

    def _clear(self) -> None:
        for node in self.sandbox.nodes.values():
            node.faults.clear()
        limit = time.monotonic() + 10
        while any(node.faults.refusing for node in self.sandbox.nodes.values()) and time.monotonic() < limit:
            time.sleep(0.05)

    def _put_back(self, folder: Path) -> None:
        """The old bundle is live again, whatever happened."""
        if self._live() != self.old:
            code = self._run((*self.rollback, self.old), folder / "rollback.log")
            if code != 0:
                raise self._failed("rollback", code, folder / "rollback.log")
        shutil.rmtree(self.out / "reports", ignore_errors=True)

    def _live(self) -> str:
        return active_bundle_id(self.sandbox.nodes["auto-prod"], PROJECT_KEY) or "nothing"

    def _name_of(self, bundle: str) -> str:
        return {self.old: f"the old {self.word}", self.new: f"the new {self.word}"}.get(bundle, bundle)

    def _in_short(self, error: str) -> str:
        """The first line of the error, without what is the same in all of them."""
        for bundle in filter(None, (self.old, self.new)):
            error = error.replace(f"{self.word} {bundle}", self._name_of(bundle))
        error = re.sub(rf"^prod: the new {self.word} was not released: ", "rolled back: ", error)
        return re.sub(
            r"^prod: the release failed and what was live before could not be restored: ", "in doubt: ", error
        )

    def must(self, *arguments: str, build: int = 0) -> None:
        log = self.out / "preparation.log"
        if build:
            self._environment["BUILD_NUMBER"] = str(build)
            self._environment["MLOPS_STARTED_BY"] = _STARTED_BY
        with self.console.waiting(f"preparing: mlops-steps {' '.join(arguments)}"):
            code = self._run(arguments, log)
        if code != 0:
            raise self._failed(" ".join(arguments), code, log)

    def _failed(self, what: str, code: int, log: Path) -> CheckFailed:
        tail = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return CheckFailed(f"mlops-steps {what} ended with {code}", details=[f"the end of {log}:", *tail])

    def _run(self, arguments: Sequence[str], log: Path) -> int:
        with log.open("ab") as file:
            code = self._signals.run(
                [sys.executable, "-m", "mlops_steps", *arguments],
                cwd=self.out,
                env={**self._environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if self._signals.received is not None:
            raise Stopped(self._signals.received)
        return code

    def _keep_reports(self, folder: Path) -> None:
        for path in (self.out / "reports").glob("*"):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
            else:
                shutil.copy(path, folder)


def _prepare(out: Path) -> None:
    """Makes the folder, and removes what an earlier rehearsal left in it. Raises :class:`ConfigError`."""
    config = out / "mlops.yml"
    try:
        if out.is_dir() and any(out.iterdir()) and not (config.is_file() and config.read_text().startswith(MARK)):
            raise ConfigError(f"{out} is not empty and holds no earlier rehearsal: choose another folder with --out")
        for old in (out / "reports", out / ".mlops", *out.glob("[0-9][0-9]-*")):
            shutil.rmtree(old, ignore_errors=True)
        (out / "preparation.log").unlink(missing_ok=True)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be used: {error.strerror}") from error


def properties_of(report: Path) -> dict[str, str]:
    """What a report says of the step as such; nothing when there is none that can be read."""
    try:
        return junit.read(report).properties
    except MlopsError:
        return {}


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:40]


def _print_table(played: Sequence[Played], seconds: float, out: Path, place: str = "auto-prod") -> None:
    table = Table(title=f"{len(played)} releases in {duration(round(seconds))}", title_justify="left", box=box.SIMPLE)
    table.add_column("fault", ratio=2)
    table.add_column("exit", justify="right")
    table.add_column("what the user saw", overflow="fold", ratio=4)
    table.add_column(f"live on {place}", ratio=2)
    table.add_column("took", justify="right")
    for item in played:
        live = item.live
        if item.recovered is not None:
            live += "; after recover the old one" if item.recovered == 0 else f"; recover ended with {item.recovered}"
        table.add_row(item.name, str(item.code), item.saw, live, duration(round(item.seconds, 1)))
    screen = RichConsole(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH)
    screen.print(table, markup=False, highlight=False)
    screen.print(f"logs and reports of each: {out}", markup=False, highlight=False, soft_wrap=True)
