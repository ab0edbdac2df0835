"""How commands are measured: seconds, CPU, peak memory, each in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable
STEPS = (PYTHON, "-m", "mlops_steps")


@dataclass(frozen=True)
class Measured:
    """One run: seconds by the clock, seconds of CPU, peak memory in MiB."""

    wall: float
    cpu: float
    peak: float


def run(command: Sequence[str], environment: dict[str, str], folder: Path) -> Measured:
    """Runs the command to its end. Raises :class:`SystemExit` with its output when it fails."""
    with (folder / "out.log").open("w+b") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{log.read().decode(errors='replace')}")
    return Measured(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def alternating(ours: Callable[[], float], baseline: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """The medians of both, and of the ratio of each pair. They take turns, so that a busy moment hits both."""
    pairs = [(ours(), baseline()) for _ in range(rounds)]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )
