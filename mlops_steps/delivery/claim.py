"""One process at a time changes a stage, whatever agent it runs on."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.lock import lock_folder
from mlops_steps.delivery.record import build_from
from mlops_steps.delivery.targets.project_deployer import Target
from mlops_steps.dss import claims
from mlops_steps.dss.claims import Claim
from mlops_steps.errors import Busy, DeadlineExceeded, MlopsError, Refusal, Unreachable
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, poll

_TRIES = 3


@contextmanager
def claimed(target: Target, console: Console, deadline: Deadline) -> Iterator[None]:
    """Holds the stage's infrastructure against other agents; takes hold of it until the deadline at most.

    Raises :class:`NodeError` when another process has it. A deployer that keeps no tags, or does not let this key write
    them, is warned of: then only this machine's lock, and the comparison of settings before each change, are left.
    """
    claim = _mine(target)
    try:
        with target.within(deadline):
            held = _take(target, claim, console)
    except (Stop, Unreachable):
        _give_back(target, claim, console)  # it may have been written already
        raise
    target.claim = claim if held else None
    try:
        yield
    finally:
        target.claim = None
        if held:
            _give_back(target, claim, console)


def wait_for_others(target: Target, console: Console, limit: float) -> None:
    """Waits, ``limit`` seconds at most, for a process that is at work on the stage; after that it counts as gone.

    A process of the same build is not waited for: it was cut off, or `recover` would not have been called.
    """
    mine = _mine(target)

    def look() -> bool | None:
        others = [other for other in _others(target, mine)[0] if not (mine.build and other.build == mine.build)]
        if not others:
            return True
        wait.state(f"{others[0]} is at work on {target.infra}")
        return None

    with target.within(Deadline(limit)), console.waiting(f"looking who is at work on {target.infra}") as wait:
        try:
            poll(look, deadline=Deadline(limit), what="the other process", longest=5.0)
        except DeadlineExceeded:
            console.warn(f"another process is noted to be at work on {target.infra} still; taking over")
        except Refusal as error:
            console.warn(error.message)


def _take(target: Target, mine: Claim, console: Console) -> bool:
    try:
        for _ in range(_TRIES):
            others, dead = _others(target, mine)
            target.found_dead = target.found_dead or dead
            if others and not target.takes_over:
                raise Busy(
                    f"stage {target.stage}: {others[0]} is at work on {target.infra}; "
                    "two releases of one stage must not mix; nothing was changed",
                    next_step="wait until it has ended, then run the step again; if it is dead, run "
                    f"`mlops-steps recover --stage {target.stage}`",
                )
            claims.write(target.deployer, target.project, mine)
            time.sleep(pace().settle)
            if mine in claims.read(target.deployer, target.project, target.infra):
                return True
    except Refusal as error:
        console.warn(f"releases from other agents are not locked out: {error.message}")
        return False
    _give_back(target, mine, console)
    console.warn("releases from other agents are not locked out: the Project Deployer does not keep the project's tags")
    return False


def _others(target: Target, mine: Claim) -> tuple[list[Claim], bool]:
    """The claims of processes that may be alive, and whether there are some of processes that are not.

    One of this place is dead: its process would hold the lock that this one has.
    """
    found = [claim for claim in claims.read(target.deployer, target.project, target.infra) if claim.token != mine.token]
    alive = [claim for claim in found if claim.place != mine.place and claim.until > time.time()]
    return alive, len(alive) < len(found)


def _give_back(target: Target, claim: Claim, console: Console) -> None:
    def remove() -> None:
        claims.remove(target.deployer, target.project, claim, Deadline(pace().release_note))

    try:
        try:
            remove()
        except Stop:
            remove()  # what the step was asked to do is done, and no further signal raises
    except (MlopsError, Stop) as error:
        console.warn(f"the note that this process is at work on {target.infra} is left behind: {error}")


def _mine(target: Target) -> Claim:
    host = socket.gethostname()
    build = build_from(os.environ)
    return Claim(
        infra=target.infra,
        token=secrets.token_hex(6),
        place=_place(lock_folder(target.settings), host),
        owner=f"process {os.getpid()} on {host}",
        build=" ".join(part for part in (build.job, f"#{build.number}" if build.number else None) if part),
        until=int(time.time() + _limit(target.settings) + pace().slack),
    ).as_kept()


def _limit(settings: Settings) -> float:
    release = settings.release
    return max(release.timeout, settings.deploy.timeout) + release.smoke_timeout + release.rollback_timeout


def _place(folder: Path, host: str) -> str:
    """Processes of the same place share the lock file: they cannot be at work at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    found = folder.stat()
    return f"{host}:{found.st_dev:x}:{found.st_ino:x}"
