"""One process at a time changes an infrastructure, whatever the stage is called, on whatever agent.

On one machine a lock file keeps processes apart, for all workspaces of this user: two jobs of Jenkins on one agent do
not mix either. The kernel frees the lock of a process that is gone. Across machines a note does
(:mod:`mlops_steps.dss.claims`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from mlops_steps.config import Settings
from mlops_steps.config.api import ApiReleaseSettings
from mlops_steps.delivery.record import build_from
from mlops_steps.dss import claims, quarantines
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.deployers import Deployer
from mlops_steps.dss.node_note import ON_NODE
from mlops_steps.dss.quarantines import Quarantine
from mlops_steps.dss.session import Dss
from mlops_steps.errors import Busy, DeadlineExceeded, MlopsError, Refusal, Unreachable
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, poll

_TRIES = 3
# Infrastructures that are named in a line about many.
_NAMED = 3
# Characters of an infrastructure's id that a claim keeps.
_KEPT = 120


class Claimable(Protocol):
    """An infrastructure with the node that keeps the notes, ``notes``; ``project`` is the key, or id, of what has them.

    ``quarantine``, and ``lifted``, the version whose quarantine ends, are written when the claim is given back.
    ``later``: a claim that waits for what will have the notes to be created.
    """

    settings: Settings
    stage: str
    project: str
    infra: str
    of: Deployer
    claim: Claim | None
    later: Claim | None
    takes_over: bool
    found_dead: bool
    quarantine: Quarantine | None
    lifted: str | None

    @property
    def notes(self) -> Dss:
        """The node that keeps the notes."""

    def within(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Requests in the block end at the deadline."""


def lock_folder(settings: Settings) -> Path:
    """The folder of the locks of this project on this deployer; beside the record where there is no other place."""
    user = os.getuid()
    base = Path(tempfile.gettempdir(), f"mlops-steps-{user}")
    key = hashlib.sha256(f"{settings.deployer().url} {settings.project}".encode()).hexdigest()[:16]
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        # Any user can make a folder of this name in the shared one.
        if base.lstat().st_uid != user or base.is_symlink():
            return settings.record.parent
        (base / key).mkdir(exist_ok=True)
    except OSError:
        return settings.record.parent
    return base / key


@contextmanager
def stage_lock(
    settings: Settings, stage: str, console: Console, wait: float = 0.0, infra: str | None = None
) -> Iterator[None]:
    """Holds the locks of the stage's infrastructures, waiting ``wait`` seconds at most for the one who has them.

    ``infra``: of that one alone. All processes take them in the same order, so that none waits for another in a circle.
    Raises :class:`Busy` when another process keeps one.
    """
    deadline = Deadline(wait)
    with ExitStack() as stack:
        for name in sorted({str(unit.infra) for unit in settings.units(stage, infra)}):
            stack.enter_context(infra_lock(settings, name, stage, console, deadline.remaining if wait else 0.0))
        yield


@contextmanager
def infra_lock(settings: Settings, infra: str, stage: str, console: Console, wait: float = 0.0) -> Iterator[None]:
    """The same for the infrastructure of this name. Raises :class:`Busy`."""
    folder = lock_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(infra.encode()).hexdigest()[:16]}.lock"
    with path.open("a+") as file:
        _lock(file.fileno(), path, stage, console, wait)
        file.truncate(0)
        file.write(f"{whoami()}\n")
        file.flush()
        yield


def whoami() -> str:
    """Job and build, and the process."""
    build = build_from(os.environ)
    process = f"process {os.getpid()} on {socket.gethostname()}"
    return f"{build.job} #{build.number} ({process})" if build.job and build.number else process


def _lock(handle: int, path: Path, stage: str, console: Console, wait: float) -> None:
    def take() -> bool | None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return True

    if take():
        return
    owner = path.read_text(errors="replace").strip()[:200] or "another process"
    try:
        with console.waiting(f"{owner} works on stage {stage}; waiting for it") if wait else nullcontext():
            poll(take, deadline=Deadline(wait), what="the lock", longest=1.0)
    except DeadlineExceeded:
        raise Busy(
            f"stage {stage}: {owner} is at work on it; two releases of one stage must not mix",
            next_step="wait until it has ended, then run the step again",
        ) from None


@contextmanager
def claimed(target: Claimable, console: Console, deadline: Deadline) -> Iterator[None]:
    """Claims the stage's infrastructure against other agents for the block; waits until the deadline at most to get it.

    Raises :class:`Busy` when another process has it. A deployer that keeps no tags, or does not let this key write
    them, is warned of: then only this machine's lock, and the comparison of settings before each change, are left.
    """
    with all_claimed([target], console, deadline):
        yield


@contextmanager
def all_claimed(
    targets: Sequence[Claimable], console: Console, deadline: Deadline, limit: float | None = None
) -> Iterator[None]:
    """The same for several infrastructures of one project. Those whose notes are in one place are claimed all at once:
    nobody has some of them and waits for others.

    ``limit``: the seconds after which this process cannot be at work any more; by default that of one infrastructure.
    """
    with ExitStack() as stack:
        for group in _by_place(targets):
            stack.enter_context(_claimed(group, console, deadline, limit))
        yield


def _by_place(targets: Sequence[Claimable]) -> list[list[Claimable]]:
    """The targets, together where one node keeps their notes."""
    groups: dict[int, list[Claimable]] = {}
    for target in targets:
        groups.setdefault(id(target.notes), []).append(target)
    return list(groups.values())


@contextmanager
def _claimed(targets: Sequence[Claimable], console: Console, deadline: Deadline, limit: float | None) -> Iterator[None]:
    first, mine = targets[0], _mine(targets, limit)
    try:
        with first.within(deadline):
            held = _take(targets, mine, console)
    except (Stop, Unreachable):
        _give_back(targets, mine, console)  # they may have been written already
        raise
    for target, claim in zip(targets, mine, strict=True):
        target.claim, target.later = (claim, None) if held else (None, claim)
    try:
        yield
    finally:
        left = [claim for target, claim in zip(targets, mine, strict=True) if target.claim is not None]
        for target in targets:
            target.claim = target.later = None
        if left:
            _give_back(targets, left, console)


def wait_for_others(targets: Sequence[Claimable], console: Console, limit: float) -> None:
    """Waits, ``limit`` seconds at most, for a process that is at work on one of them; after that it counts as gone.

    A process of the same build is not waited for: it was interrupted, or `recover` would not have been called.
    """
    deadline = Deadline(limit)
    for group in _by_place(targets):
        _wait_for_others(group, console, max(deadline.remaining, pace().grace))


def _wait_for_others(targets: Sequence[Claimable], console: Console, limit: float) -> None:
    first, mine = targets[0], _mine(targets)
    infras = [target.infra for target in targets]
    where = ", ".join(infras[:_NAMED]) + (" …" if len(infras) > _NAMED else "")

    def look() -> bool | None:
        found = claims.read(first.notes, first.project, infras, first.of)
        alive = _others(found, mine)[0]
        others = [other for other in alive if not (mine[0].build and other.build == mine[0].build)]
        # When this wait is over, whoever is noted there counts as gone.
        _note_dead(targets, [other for other in found if other.token != mine[0].token])
        if not others:
            return True
        wait.state(f"{others[0]} is at work on {others[0].infra}")
        return None

    with first.within(Deadline(limit)), console.waiting(f"looking who is at work on {where}") as wait:
        try:
            poll(look, deadline=Deadline(limit), what="the other process", longest=5.0)
        except DeadlineExceeded:
            console.warn(f"another process is noted to be at work on {where} still; taking over")
        except Refusal as error:
            if not _nowhere_yet(first, error):
                console.warn(error.message)


def _note_dead(targets: Sequence[Claimable], dead: Sequence[Claim]) -> None:
    gone = {claim.infra[:_KEPT] for claim in dead}
    for target in targets:
        target.found_dead = target.found_dead or target.infra[:_KEPT] in gone


def _take(targets: Sequence[Claimable], mine: Sequence[Claim], console: Console) -> bool:
    first = targets[0]

    def check(found: list[Claim]) -> None:
        others, dead = _others(found, mine)
        _note_dead(targets, dead)
        if others and not first.takes_over:
            raise Busy(
                f"stage {first.stage}: {others[0]} is at work on {others[0].infra}; "
                "two releases of one stage must not mix; nothing was changed",
                next_step="wait until it has ended, then run the step again; if it is dead, run "
                f"`mlops-steps recover --stage {first.stage}`",
            )

    try:
        for _ in range(_TRIES):
            claims.write(first.notes, first.project, mine, check, first.of)
            time.sleep(pace().settle)
            if set(mine) <= set(claims.read(first.notes, first.project, [one.infra for one in targets], first.of)):
                return True
    except Busy:
        if len(mine) > 1:
            _give_back(targets, mine, console)  # the other one may have left some of them
        raise
    except Refusal as error:
        if _nowhere_yet(first, error):
            console.line(f"project {first.project} is not on {first.infra} yet: who is at work is noted once it is")
        else:
            console.warn(f"releases from other agents are not locked out: {error.message}")
        return False
    _give_back(targets, mine, console)
    console.warn("releases from other agents are not locked out: the deployer does not keep the tags")
    return False


def _nowhere_yet(target: Claimable, error: Refusal) -> bool:
    """Whether the note has no place yet: the project of a first direct deployment."""
    return error.status == 404 and target.of is ON_NODE


def _others(found: list[Claim], mine: Sequence[Claim]) -> tuple[list[Claim], list[Claim]]:
    """The claims of processes that may be alive, and those of processes that are not.

    A claim of this place is of a dead process: a living one would hold the lock that this one has.
    """
    others = [claim for claim in found if claim.token != mine[0].token]
    alive = [claim for claim in others if claim.place != mine[0].place and claim.until > time.time()]
    return alive, [claim for claim in others if claim not in alive]


def _give_back(targets: Sequence[Claimable], mine: Sequence[Claim], console: Console) -> None:
    first = targets[0]
    noted = next((target.quarantine for target in targets if target.quarantine), None)
    # Live and verified on one of several is not enough; a rollback puts one version in quarantine and lifts another.
    everywhere = {target.lifted for target in targets} == {first.lifted}
    lifted = first.lifted if everywhere and not (noted and noted.version == first.lifted) else None

    def amend(tags: list[Any]) -> list[Any]:
        return quarantines.amended(tags, noted, lifted)

    def remove() -> None:
        claims.remove(first.notes, first.project, mine, Deadline(pace().release_note), first.of, amend)

    try:
        try:
            remove()
        except Stop:
            remove()  # what the step was asked to do is done, and no further signal raises
    except (MlopsError, Stop) as error:
        console.warn(f"the note that this process is at work on {mine[0].infra} is left behind: {error}")
        if noted:
            console.warn(f"it may not be noted on the deployer that {noted.version} is quarantined")


def _mine(targets: Sequence[Claimable], limit: float | None = None) -> list[Claim]:
    host, first = socket.gethostname(), targets[0]
    build = build_from(os.environ)
    token, place = secrets.token_hex(6), _place(lock_folder(first.settings), host)
    until = int(time.time() + (limit or _limit(first.settings)) + pace().slack)
    return [
        Claim(
            infra=target.infra,
            token=token,
            place=place,
            owner=f"process {os.getpid()} on {host}",
            build=" ".join(part for part in (build.job, f"#{build.number}" if build.number else None) if part),
            until=until,
        ).as_kept()
        for target in targets
    ]


def _limit(settings: Settings) -> float:
    release, service = settings.release, settings.api.release
    return max(
        max(release.timeout, settings.deploy.timeout, settings.api.deploy_timeout)
        + release.smoke_timeout
        + release.rollback_timeout,
        service.timeout + _canary(service) + service.verify_timeout + service.rollback_timeout,
    )


def _canary(release: ApiReleaseSettings) -> float:
    """The limit of the steps of a canary, in seconds."""
    steps = len(release.canary.steps) if release.strategy == "canary" else 0
    return steps * (release.timeout + release.canary.step_timeout)


def _place(folder: Path, host: str) -> str:
    """Processes of the same place share the lock file: they cannot be at work at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    found = folder.stat()
    return f"{host}:{found.st_dev:x}:{found.st_ino:x}"
