"""Signals, sent for real to a process of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

from mlops_steps.system.interrupts import Interrupts

PROGRAM = textwrap.dedent(
    """
    import sys, time
    from mlops_steps.system.interrupts import Interrupts, Stop

    interrupts = Interrupts()
    with interrupts.handled():
        try:
            print("working", flush=True)
            time.sleep(30)
        except Stop as stop:
            print("stopped by", stop, flush=True)
            with interrupts.shielded():
                for number in range(int(sys.argv[1])):
                    print("restoring", flush=True)
                    time.sleep(0.3)
            print("restored", flush=True)
    """
)


def start(rounds: int = 3, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(rounds)],
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_the_work_and_the_way_out_begins(number: signal.Signals) -> None:
    process = start(0)
    assert line(process) == "working"
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert out.split("\n")[:2] == [f"stopped by {number.name}", "restored"]


def test_further_sigterms_do_not_cut_the_restore_off() -> None:
    process = start(4)
    assert line(process) == "working"
    process.send_signal(signal.SIGTERM)
    assert line(process) == "stopped by SIGTERM"
    for _ in range(3):
        assert line(process) == "restoring"
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert out.endswith("restored\n")
    assert err.count("SIGTERM noted") == 3
    assert process.returncode == 0


def test_a_second_sigint_without_a_terminal_does_not_cut_the_restore_off() -> None:
    process = start(3)
    assert line(process) == "working"
    process.send_signal(signal.SIGINT)
    assert line(process) == "stopped by SIGINT"
    assert line(process) == "restoring"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert out.endswith("restored\n")


def test_a_second_ctrl_c_on_a_terminal_ends_it() -> None:
    master, slave = pty.openpty()
    process = start(30, stdin=slave)
    os.close(slave)
    assert line(process) == "working"
    process.send_signal(signal.SIGINT)
    assert line(process) == "stopped by SIGINT"
    assert line(process) == "restoring"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    os.close(master)
    assert "restored" not in out
    assert "Stop: SIGINT" in err


def test_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_signals_are_left_alone() -> None:
    seen: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with Interrupts().handled():
            seen.append(signal.getsignal(signal.SIGTERM) == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_steps.config import load
    from mlops_steps.delivery.exclusive import stage_lock
    from mlops_steps.errors import NodeError
    from mlops_steps.system.console import Console

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    nodes = {"test": "auto-test", "prod": "auto-prod", "production": "auto-prod"}
    file = {
        "project": "P",
        "nodes": {"design": {"url": "https://d"}}
        | {
            name: {"url": f"https://{infra}", "infra": infra, "deployment": f"P-{name}"}
            for name, infra in nodes.items()
        },
    }
    Path("mlops.yml").write_text(json.dumps(file))
    settings, quiet = load(None, {}), Console(quiet=True)
    program = (
        "import time; from mlops_steps.config import load; from mlops_steps.system.console import Console; "
        "from mlops_steps.delivery.exclusive import stage_lock\n"
        "with stage_lock(load(None, {}), 'prod', Console()): print('held', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert line(process) == "held"
    for same in ("prod", "production"):  # whatever the stage is called, it is one infrastructure
        with pytest.raises(NodeError, match=f"process {process.pid} on"), stage_lock(settings, same, quiet):
            pass
    with stage_lock(settings, "test", quiet):
        pass  # another infrastructure is another lock
    process.kill()
    process.wait()
    with stage_lock(settings, "prod", quiet, wait=5):
        pass


FINALIZER = textwrap.dedent(
    """
    import time
    from mlops_steps.system.interrupts import Interrupts, Stop

    class Slow:
        def __del__(self):
            print("in a finalizer", flush=True)
            time.sleep(0.5)

    with Interrupts().handled():
        try:
            Slow()
            time.sleep(30)
        except Stop as stop:
            print("stopped by", stop, flush=True)
    """
)


def test_a_signal_that_comes_in_a_finalizer_is_not_lost() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FINALIZER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert line(process) == "in a finalizer"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert out == "stopped by SIGTERM\n"
    assert "ignored" not in err


def run(program: str) -> subprocess.Popen[str]:
    """A process that ends with the stacks of its threads when it hangs."""
    limited = "import faulthandler; faulthandler.dump_traceback_later(20, exit=True)\n" + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", limited], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("wait", ["time.sleep(30)", "threading.Event().wait(30)", "os.read(os.pipe()[0], 1)"])
def test_a_signal_that_does_not_interrupt_the_wait_is_heard_all_the_same(wait: str) -> None:
    """Given to another thread, as one that comes just before the wait, it interrupts nothing."""
    process = run(
        f"""
        import os, signal, threading, time
        from mlops_steps.system.interrupts import Interrupts, Stop

        def elsewhere():
            time.sleep(0.3)
            print("sent", flush=True)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            time.sleep(30)

        with Interrupts().handled():
            try:
                threading.Thread(target=elsewhere, daemon=True).start()
                {wait}
            except Stop as stop:
                print("stopped by", stop, flush=True)
        """
    )
    assert line(process) == "sent"
    start = time.monotonic()
    assert line(process) == "stopped by SIGTERM"
    assert time.monotonic() - start < 1
    process.communicate(timeout=10)
    assert process.returncode == 0


# Code with the name of a module that takes locks, slow enough for a signal in the middle.
LOCKING = """
import threading, time, types
from mlops_steps.system.interrupts import Interrupts, Stop

class Taken:
    lock = threading.Lock()
    def __enter__(self):
        self.lock.acquire()
        print("taken", flush=True)
        time.sleep(0.04)
    def __exit__(self, *_):
        self.lock.release()

Taken.__enter__ = types.FunctionType(Taken.__enter__.__code__, {**globals(), "__name__": "queue"})
"""


def test_a_signal_that_comes_where_a_lock_is_taken_does_not_leave_it_taken() -> None:
    process = run(
        LOCKING
        + """
with Interrupts().handled():
    try:
        with Taken():
            time.sleep(30)
    except Stop as stop:
        print("stopped by", stop, "taken" if Taken.lock.locked() else "free", flush=True)
"""
    )
    assert line(process) == "taken"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert out == "stopped by SIGTERM free\n", err


def test_a_signal_that_was_put_off_outlives_the_block_that_it_came_in() -> None:
    process = run(
        LOCKING
        + """
interrupts = Interrupts()
with interrupts.handled():
    try:
        with interrupts.handled():
            with Taken():
                pass
        time.sleep(30)
    except Stop as stop:
        print("stopped by", stop, flush=True)
"""
    )
    assert line(process) == "taken"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert out == "stopped by SIGTERM\n", err
