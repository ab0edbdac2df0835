"""Forks child processes: each starts in milliseconds, with the large libraries imported already.

Only what an earlier child has imported is imported here, once that child has ended: a sandbox whose code needs no
pandas never pays for it. A child has modules of its own beyond that; what it does to the libraries stays with it.

The control line carries, from the sandbox, a JSON object with two handles (the lifeline, the log), or one that names
libraries to be imported at once; and to the sandbox lines of JSON: ``{"child": 3, "pid": 4711}`` when a child has
started, ``{"child": 3, "status": 0}`` when it has ended.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

#: Packages that cost much to import, and do nothing but that when they are.
_LARGE = ("numpy", "pandas", "scipy", "sklearn", "joblib", "requests")
_LARGEST_TASK = 1024 * 1024


class Forks:
    """The process that children are forked from. It has one thread."""

    def __init__(self, control: socket.socket, main: Callable[[], int]) -> None:
        self._control = control
        self._main = main
        self._children: dict[int, int] = {}
        self._wanted: set[str] = set()
        self._notes, self._note = os.pipe()
        self._woken, wakes = os.pipe()
        for handle in (self._woken, wakes, self._notes):
            os.set_blocking(handle, False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sandbox, which closes the line
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def serve(self) -> int:
        """Forks a child for each request, until the sandbox has closed the control line."""
        with selectors.DefaultSelector() as selector:
            for source in (self._control, self._woken, self._notes):
                selector.register(source, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._woken in ready:
                    os.read(self._woken, 4096)
                if self._notes in ready:
                    self._wanted.update(os.read(self._notes, 65536).decode(errors="replace").split())
                self._reap()
                if self._control in ready and not self._fork():
                    return 0
                if not self._children and self._wanted:
                    self._import()

    def _fork(self) -> bool:
        content, handles, _flags, _address = socket.recv_fds(self._control, _LARGEST_TASK, 2)
        if not content:
            return False
        task = json.loads(content)
        if "import" in task:
            self._wanted.update(task["import"])
            self._import()
            return True
        pid = os.fork()
        if pid == 0:
            self._be_child(task, handles)
        for handle in handles:
            os.close(handle)
        self._children[pid] = task["child"]
        self._say(child=task["child"], pid=pid)
        return True

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid in self._children:
                    self._say(child=self._children.pop(pid), status=status)

    def _import(self) -> None:
        """Imports what an ended child has imported."""
        for name in sorted(self._wanted):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self._wanted.clear()
        gc.collect()
        gc.freeze()

    def _say(self, **message: int) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")

    def _be_child(self, task: dict[str, Any], handles: list[int]) -> None:
        """Becomes a process as it would be if it had been started by itself, and never returns."""
        status = 1
        try:
            os.setsid()
            known = set(sys.modules)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._control.close()
            for number, handle in enumerate((handles[0], handles[1], handles[1])):
                os.dup2(handle, number)
            for handle in (*handles, self._woken, self._notes):
                os.close(handle)
            os.environ.clear()
            os.environ.update(task["environment"])
            os.chdir(task["folder"])
            if "numpy" in sys.modules:
                sys.modules["numpy"].random.seed()  # the state is the parent's otherwise, for all children
            if "tempfile" in sys.modules:
                vars(sys.modules["tempfile"])["tempdir"] = None
            status = self._main()
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            self._tell_imports(known)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _tell_imports(self, known: set[str]) -> None:
        """Writes which large packages this child has imported, and which public parts of them."""
        names = [name for name in list(sys.modules) if name not in known and name.split(".")[0] in _LARGE]
        public = [name for name in names if name.count(".") < 2 and "._" not in name]
        with contextlib.suppress(OSError):
            os.write(self._note, "".join(f"{name}\n" for name in public).encode()[:4000])
