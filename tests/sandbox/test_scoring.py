"""The processes that score: what hangs or dies in one of them harms nobody else, and none is left behind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_steps.sandbox.runtime.forks import Forks
from mlops_steps.sandbox.runtime.scoring import Scoring, ScoringError

CODE = """
import os, time

def api_py_function(do, seconds=0):
    if do == "sleep":
        time.sleep(seconds)
    if do == "die":
        os._exit(3)
    print("asked to", do)
    return {"pid": os.getpid(), "keys": sorted(name for name in os.environ if "KEY" in name)}
"""


@pytest.fixture
def forks() -> Forks:
    return Forks()


@pytest.fixture
def scoring(forks: Forks) -> Iterator[Scoring]:
    found = Scoring(forks)
    yield found
    found.leave("test", Path("/"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An unpacked package with a function."""
    folder = tmp_path / "v1"
    folder.mkdir()
    endpoint = {"id": "work", "type": "PY_FUNCTION", "code": CODE}
    (folder / "service.json").write_text(json.dumps({"endpoints": [endpoint]}))
    return folder


def ask(scoring: Scoring, root: Path, seconds: float = 60.0, **arguments: object) -> dict:
    wanted = {"do": "answer", "endpoint": "work"}
    header, body = scoring.ask("test", root, wanted, json.dumps(arguments).encode(), seconds)
    assert header["status"] == 200, header
    return json.loads(body)


def gone(pid: int) -> bool:
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_process_is_used_again_and_ends_with_its_package(scoring: Scoring, forks: Forks, root: Path) -> None:
    first, second = ask(scoring, root, do="x"), ask(scoring, root, do="x")
    assert first["pid"] == second["pid"] != os.getpid()
    scoring.forget(root)
    assert gone(first["pid"])
    assert forks.running
    assert ask(scoring, root, do="x")["pid"] != first["pid"]


def test_nothing_runs_when_nobody_needs_it(scoring: Scoring, forks: Forks, root: Path) -> None:
    assert not forks.running
    pid = ask(scoring, root, do="x")["pid"]
    scoring.leave("test", root.parent)
    assert not forks.running
    assert gone(pid)


def test_a_call_that_hangs_ends_at_its_limit_and_so_does_its_process(scoring: Scoring, root: Path) -> None:
    pid = ask(scoring, root, do="x")["pid"]
    with pytest.raises(ScoringError, match="gave no answer within"):
        scoring.ask("test", root, {"do": "answer", "endpoint": "work"}, b'{"do": "sleep", "seconds": 600}', 0.5)
    assert gone(pid)
    assert ask(scoring, root, do="x")["pid"] != pid


def test_a_process_that_dies_is_replaced(scoring: Scoring, root: Path) -> None:
    with pytest.raises(ScoringError, match="has ended"):
        ask(scoring, root, do="die")
    assert ask(scoring, root, do="x")["pid"]


def test_the_processes_get_no_keys_and_print_to_a_file(
    scoring: Scoring, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_PROD_API_KEY", "secret")
    assert ask(scoring, root, do="speak")["keys"] == []
    scoring.forget(root)
    limit = time.monotonic() + 30
    while "asked to speak" not in (root.parent / "v1.log").read_text():
        assert time.monotonic() < limit
        time.sleep(0.02)
