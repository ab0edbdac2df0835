"""Forks the processes that run users' code: ``python -u dku_forks.py FD``.

Each request on the socket ``FD`` names libraries, which are imported here, once; the process that it asks for is then
forked, starts in milliseconds and shares their memory. What a process imports or changes itself, no other one sees.

A request is JSON, with the file handles that the process gets:

- ``child``: the end of a line for its process id and its exit status, its lifeline, the file that it prints to;
- ``worker``: the line on which it answers (see ``dku_scorer.py``).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import dku_child  # type: ignore[import-not-found]  # beside this file
import dku_scorer  # type: ignore[import-not-found]

NUMBER = struct.Struct(">i")


class Forks:
    """The control line, and the processes that were forked from this one."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.lines: dict[int, socket.socket] = {}  # who is to be told of the end of a process
        self.ended, self._wake = os.pipe()
        os.set_blocking(self.ended, False)
        os.set_blocking(self._wake, False)

    def serve(self) -> int:
        """Forks until the sandbox has closed the control line. Returns the exit status, in forked processes too."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sandbox, which closes the lines
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self.control.sendall(b".")
        while True:
            ready, _, _ = select.select([self.control.fileno(), self.ended], [], [])
            if self.ended in ready:
                self._tell_of_ends()
            if self.control.fileno() in ready:
                content, handles, _flags, _address = socket.recv_fds(self.control, 65536, 3)
                if not content:
                    return 0
                self._fork(json.loads(content), handles)

    def _tell_of_ends(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.ended, 4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                line = self.lines.pop(pid, None)
                if line is not None:
                    with line, contextlib.suppress(OSError):
                        line.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))

    def _fork(self, task: dict[str, Any], handles: list[int]) -> None:
        for name in task["libraries"]:
            # One that is missing or broken is not an error before the code needs it.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()
        with contextlib.suppress(OSError):  # no more processes: the sandbox sees that the line is closed
            pid = os.fork()
            if pid == 0:
                _leave_with(self._begin, task, handles)
            if task["kind"] == "child":
                self.lines[pid] = socket.socket(fileno=handles.pop(0))
        for handle in handles:
            os.close(handle)

    def _begin(self, task: dict[str, Any], handles: list[int]) -> int:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for handle in (self.ended, self._wake):
            os.close(handle)
        for line in (self.control, *self.lines.values()):
            line.close()
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed()  # or all processes would draw the same numbers
        return worker(task, handles) if task["kind"] == "worker" else child(task, handles)


def _leave_with(begin: Any, *given: Any) -> None:
    """Ends this process as the interpreter ends, but for the clean-up of modules that it shares with others."""
    status = 1
    try:
        status = begin(*given)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that the code has started
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status & 0xFF)


def worker(task: dict[str, Any], handles: list[int]) -> int:
    """Serves a package until the line is closed."""
    with socket.socket(fileno=handles[0]) as line, contextlib.suppress(OSError):  # the sandbox has gone
        dku_scorer.work(line, task)
    return 0


def child(task: dict[str, Any], handles: list[int]) -> int:
    """Runs code as a process that was started with this environment, in this folder, with this output."""
    line, lifeline, output = handles
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with socket.socket(fileno=line) as told:
        told.sendall(NUMBER.pack(os.getpid()))  # from here on its process group can be ended
    for handle, number in ((lifeline, 0), (output, 1), (output, 2)):
        os.dup2(handle, number)
    for handle in (lifeline, output):
        os.close(handle)
    os.environ.clear()
    os.environ.update(task["environment"])
    time.tzset()
    os.chdir(task["folder"])
    sys.argv = [dku_child.__file__]
    tempfile.tempdir = None
    if _hides_a_module([Path(folder) for folder in task["library"]]):
        # The code has a module of its own where there is another one already: it starts with nothing imported.
        os.execve(sys.executable, [sys.executable, "-u", dku_child.__file__], dict(os.environ))  # noqa: S606
    return int(dku_child.main())


def _hides_a_module(library: list[Path]) -> bool:
    return any(
        path.stem in sys.modules and (path.is_dir() or path.suffix == ".py")
        for folder in library
        if folder.is_dir()
        for path in folder.iterdir()
    )


if __name__ == "__main__":
    sys.exit(Forks(socket.socket(fileno=int(sys.argv[1]))).serve())
