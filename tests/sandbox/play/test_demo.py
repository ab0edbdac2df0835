"""The demo's own parts; the demo itself is a step of CI."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_steps.config import load
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.unit import Outcome
from mlops_steps.errors import ConfigError
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Report
from mlops_steps.report.model import Outcome as CaseOutcome
from mlops_steps.sandbox.content import REVISIONS
from mlops_steps.sandbox.play import demo
from mlops_steps.sandbox.play.demo import _smoke_test_of
from mlops_steps.sandbox.play.demo_base import prepare
from mlops_steps.sandbox.play.demo_board import Board, last_line
from mlops_steps.sandbox.play.demo_stories import AGAIN, GATES, MARK, RELEASES, STORIES, Story
from mlops_steps.system.console import Console
from mlops_steps.system.secrets import register


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlops.yml").write_text("project: MINE\n")
    with pytest.raises(ConfigError, match="is not empty and holds no earlier demo"):
        prepare(tmp_path)
    assert (tmp_path / "mlops.yml").read_text() == "project: MINE\n"


def test_what_an_earlier_demo_left_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mlops.yml").write_text(MARK)
    for name in ("reports", ".mlops", "revision-1", "mine"):
        (tmp_path / name).mkdir()
    prepare(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mlops.yml"]


def test_only_the_last_revision_is_stopped_and_rolled_back_when_it_is_released_all_the_same() -> None:
    assert {revision.number: RELEASES.end(revision.number, "release") for revision in REVISIONS} == {1: 0, 2: 0, 3: 1}
    assert (list(RELEASES.again), RELEASES.end(3, AGAIN)) == ([3], 4)
    assert RELEASES.revisions == REVISIONS


def test_two_of_three_candidates_are_stopped_by_gates_and_the_better_one_is_live() -> None:
    ends = {revision.number: GATES.end(revision.number, "test") for revision in GATES.revisions}
    assert (ends, GATES.live) == ({8: 0, 9: 0, 10: 1, 11: 1}, 9)


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_the_configuration_of_a_story_is_valid(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "mlops.yml"
    text = story.config.format(project="P", design="http://d", test="http://t", prod="http://p")
    for more in story.again.values():
        path.write_text(text + more)
        assert load(path, {}).compare.at_release == "off"
    path.write_text(text)
    assert [stage.name for stage in load(path, {}).stages()] == ["test", "prod"]


def test_what_stopped_a_candidate_is_read_from_the_report(tmp_path: Path) -> None:
    report = Report("P", "test", "test")
    result = GateResult(GateVerdict.FAILED, "0.2 for AL", 0.2, "at least 0.5", rows=31, name="slices")
    report.add(Case("gate slices", CaseOutcome.FAILURE, result.message))
    report.add(Case("TEST_SMOKE", CaseOutcome.FAILURE, "no"))
    report.set(**{f"gate.slices.{name}": value for name, value in {**result.facts(), "verdict": "failed"}.items()})
    junit.write(report, tmp_path / "mlops-test-test.xml")
    assert demo._failed_gates(tmp_path) == ["gate slices: 0.2 for AL; limit: at least 0.5; 31 rows"]


@pytest.mark.parametrize(
    ("release", "live", "words"),
    [
        (None, None, "not reached"),
        (0, "b-2", "released, live"),
        (0, "b-3", "released"),
        (1, "b-1", "stopped"),
        (4, "b-1", "rolled back"),
        (5, None, "exit 5"),
    ],
)
def test_the_closing_table_says_what_became_of_a_revision(release: int | None, live: str | None, words: str) -> None:
    outcome = demo.Outcome(REVISIONS[0], bundle="b-2", release=release)
    assert demo._fate(outcome, live) == words


def test_production_that_runs_another_bundle_fails_the_demo() -> None:
    outcomes = [demo.Outcome(revision, bundle=f"b-{revision.number}") for revision in REVISIONS]
    demo._check_live("b-2", outcomes, 2)
    with pytest.raises(demo.CheckFailed, match="auto-prod runs b-3 instead of b-2"):
        demo._check_live("b-3", outcomes, 2)
    with pytest.raises(demo.CheckFailed, match="auto-prod runs nothing"):
        demo._check_live(None, outcomes, 2)


def test_a_record_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    record = tmp_path / "release.json"
    assert demo._bundle_of(record) == "-"
    record.write_text(json.dumps({"bundle": {"id": "b-1"}, "stages": {"prod": {"smoke_test": None}}}))
    assert demo._bundle_of(record) == "b-1"
    assert demo._smoke_test_of(record) == "see its report"


def test_off_a_terminal_each_end_is_a_line() -> None:
    stream = io.StringIO()
    board = Board(["1 first"], ["validate", "test"], Console(stream, live=False))
    with board.shown():
        board.start("1 first", "validate", Path("none.log"))
        board.end("1 first", "validate", "good", "9/9")
    assert stream.getvalue().split() == ["1", "first", "validate", "9/9"]


def test_the_last_line_of_a_log_is_short_and_masked(tmp_path: Path) -> None:
    register("a-key-of-the-demo")
    log = tmp_path / "step.log"
    assert last_line(None) == last_line(log) == ""
    log.write_text("first\nkey a-key-of-the-demo " + "x" * 500 + "\n\n")
    assert last_line(log).startswith("key ********")
    assert len(last_line(log)) <= 100


def test_an_interrupted_demo_stops_its_step_and_its_nodes(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "mlops_steps", "sandbox", "demo", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log, limit = tmp_path / "out" / "revision-1" / "test.log", time.monotonic() + 240
    try:
        while not (log.is_file() and log.stat().st_size):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < limit, "the step `test` did not come"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "interrupted" in log.read_text()
    assert not list(tmp_path.glob("mlops-sandbox-*"))


def test_the_reason_of_a_rollback_is_read_from_the_record(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    record = ReleaseRecord(project="DKU_CHURN")
    unit = record.unit("prod", "auto-prod", "d")
    unit.smoke_test = Outcome(bundle="b").end("failed", "the variable retention_budget is not set on this node")
    record.save(path)
    assert _smoke_test_of(path) == "the variable retention_budget is not set on this node"
