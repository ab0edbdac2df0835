"""One process at a time changes an infrastructure, by whatever stage name.

The kernel frees the lock of a process that is gone.
The lock is one for all workspaces of this user on this machine: two jobs of Jenkins on one agent do not mix either.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.record import build_from
from mlops_steps.errors import Busy, DeadlineExceeded
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline, poll


def lock_folder(settings: Settings) -> Path:
    """The folder of the locks of this project on this deployer; beside the record where there is no other place."""
    user = os.getuid()
    base = Path(tempfile.gettempdir(), f"mlops-steps-{user}")
    key = hashlib.sha256(f"{settings.deployer().url} {settings.project}".encode()).hexdigest()[:16]
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        # Anybody may make a folder of this name in the shared one.
        if base.lstat().st_uid != user or base.is_symlink():
            return settings.record.parent
        (base / key).mkdir(exist_ok=True)
    except OSError:
        return settings.record.parent
    return base / key


@contextmanager
def stage_lock(settings: Settings, stage: str, console: Console, wait: float = 0.0) -> Iterator[None]:
    """Holds the lock of the stage's infrastructure, waiting ``wait`` seconds at most for the one who has it.

    Raises :class:`Busy` when another process keeps it.
    """
    folder = lock_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    infra = str(settings.stage(stage).infra)
    path = folder / f"{hashlib.sha256(infra.encode()).hexdigest()[:16]}.lock"
    with path.open("a+") as file:
        _take(file.fileno(), path, stage, console, wait)
        file.truncate(0)
        file.write(f"{whoami()}\n")
        file.flush()
        yield


def whoami() -> str:
    """Job and build, and the process."""
    build = build_from(os.environ)
    process = f"process {os.getpid()} on {socket.gethostname()}"
    return f"{build.job} #{build.number} ({process})" if build.job and build.number else process


def _take(handle: int, path: Path, stage: str, console: Console, wait: float) -> None:
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
