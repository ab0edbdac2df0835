"""The first thing a child process runs: ``python dku_child.py``. What to do is in the context file.

The process has a lifeline: its standard input, whose other end only the node holds. When the node dies, however it
dies, the line ends, and so does the whole process group.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

# What comes of the reading of the lifeline when the node is gone.
_GONE = b""


def hold_lifeline() -> None:
    """Gives the code an empty standard input, and ends the process group when the node is gone."""
    line = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    def wait() -> None:
        if os.read(line, 1) == _GONE:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def report_error(path: Path, error: BaseException) -> None:
    """Prints the traceback, without the frames of this file, and leaves the error for the node."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [number for number, frame in enumerate(frames) if frame.filename == __file__]
    kept = frames[own[-1] + 1 :] if own else frames
    stack = "".join(traceback.format_list(kept))
    last = "".join(traceback.format_exception_only(type(error), error))
    print(f"Traceback (most recent call last):\n{stack}{last}", file=sys.stderr, flush=True)
    document = {"clazz": type(error).__name__, "message": str(error) or type(error).__name__, "stack": stack + last}
    path.write_text(json.dumps(document), encoding="utf-8")


def run_code(task: dict[str, Any]) -> int:
    """Runs a script as ``__main__``."""
    import types

    module = types.ModuleType("__main__")
    module.__file__ = task["script"]
    sys.modules["__main__"] = module
    sys.argv = [task["script"]]
    source = Path(task["script"]).read_text(encoding="utf-8")
    import linecache

    linecache.cache[task["label"]] = (len(source), None, source.splitlines(keepends=True), task["label"])
    try:
        exec(compile(source, task["label"], "exec"), module.__dict__)  # noqa: S102 - this is what the process is for
    except SystemExit as error:
        if error.code in (None, 0):
            return 0
        report_error(Path(task["errorFile"]), RuntimeError(f"the code ended with exit status {error.code}"))
        return 1
    except BaseException as error:
        report_error(Path(task["errorFile"]), error)
        return 1
    return 0


def run_pytest(task: dict[str, Any]) -> int:
    """Runs pytest in this process."""
    import pytest

    os.chdir(task["root"])
    return int(pytest.main(task["arguments"]))


def main() -> int:
    """Does what the context file says and returns the exit status."""
    hold_lifeline()
    document = json.loads(Path(os.environ["DKU_SANDBOX_CONTEXT"]).read_text(encoding="utf-8"))
    task = document["task"]
    # The project's library comes after the folder of the sandbox's own `dataiku`, so that it cannot hide it.
    sys.path[1:1] = task["path"]
    return run_pytest(task) if task["kind"] == "pytest" else run_code(task)


if __name__ == "__main__":
    sys.exit(main())
