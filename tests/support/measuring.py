"""Coverage of what is measured, the product, at little cost for what is not, the sandbox and the tests.

Python's tracing slows down every line of a thread, measured or not, to half of its speed. The threads of a sandbox run
no code that is measured, so they are not traced.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import coverage

import mlops_steps

#: With this in its environment a process measures coverage.
MEASURES = "COVERAGE_PROCESS_CONFIG"
#: What a process measures with that has not begun to.
LATER = "TESTS_COVERAGE_CONFIG"

# Modules that the work of the sandbox's threads is in, and how the pool of its recipes is called.
_SANDBOX = ("mlops_steps.sandbox", "uvicorn", "anyio")
_POOL = "recipe"


def leave_out_the_sandbox() -> None:
    """From here on, threads of a sandbox in this process are not traced."""
    trace = threading.gettrace()
    if trace is None:
        return

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        if _is_of_the_sandbox(threading.current_thread()):
            sys.settrace(None)
            return None
        return trace(frame, event, argument)

    threading.settrace(begin)


def _is_of_the_sandbox(thread: threading.Thread) -> bool:
    work = getattr(thread, "_target", None)
    owner = getattr(work, "__self__", None)
    modules = (type(thread).__module__, getattr(work, "__module__", None), type(owner).__module__)
    return any(str(module).startswith(_SANDBOX) for module in modules) or thread.name.startswith(_POOL)


def prepared() -> coverage.Coverage | None:
    """What a forked process measures with after ``start()``, made once in the process that it is forked from.

    It does not look for files that were never run: the process of the tests does, which measures from its beginning.
    """
    config = os.environ.pop(LATER, None)
    if config is None:
        return None
    found = coverage.Coverage(config_file=f":data:{config}")
    found.set_option("run:source_pkgs", [])
    found.set_option("run:include", [str(Path(mlops_steps.__file__).parent / "*")])
    found.set_option("run:sigterm", False)
    found.start()
    found.stop()
    os.environ.pop(MEASURES, None)
    return found
