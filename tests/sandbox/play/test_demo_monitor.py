"""The demo of monitoring, as a user runs it, and the quarters that it is made of."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_steps.config import load
from mlops_steps.errors import CheckFailed
from mlops_steps.report import attachments, junit
from mlops_steps.sandbox.content import quarters
from mlops_steps.sandbox.play import demo_monitor


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_decay_is_found_answered_once_and_over(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlops_steps", "sandbox", "demo", "monitor", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "retrainings, as the Design node itself says: 1" in done.stdout
    report = tmp_path / "demo/reports/mlops-monitor-prod.xml"
    looks = attachments.read(report).looks
    assert len(looks) == 5
    levels = [{measure.name: measure.level for measure in look.measures} for look in looks]
    assert [found["gate inputs"] for found in levels] == ["good", "warn", "warn", "warn", "good"]
    assert [found["auc by labels"] for found in levels] == ["good", "skipped", "act", "act", "good"]
    assert [found["reaction"] for found in levels] == ["skipped", "skipped", "good", "act", "skipped"]
    first, *others, last = [look.live["bundle"] for look in looks]
    assert set(others) == {first}
    assert last != first
    assert {one.release: one.passed for one in looks[-1].verdicts} == {first: False, last: True}
    # Through all gates, the champion among them.
    gates = {case.name: case.outcome.value for case in junit.read(report.with_name("mlops-test-test.xml")).cases}
    assert gates["gate champion"] == gates["gate metric"] == gates["gate calibration"] == "passed"


def test_more_than_one_retraining_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = object.__new__(demo_monitor._Demo)
    monkeypatch.setattr(demo, "retrainings", lambda: 2, raising=False)
    with pytest.raises(CheckFailed, match="trained anew 2 times instead of once"):
        demo.check()


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text(demo_monitor.CONFIG.format(project="P", design="http://d", test="http://t", prod="http://p"))
    assert load(path, {}).monitor.react == "retrain"


def test_a_quarter_is_the_same_each_time_and_its_labels_are_of_its_customers() -> None:
    customers, labels = rows(quarters.customers(2, 50)), rows(quarters.labels(2, 50))
    assert quarters.customers(2, 50) == quarters.customers(2, 50) != quarters.customers(3, 50)
    assert [row["customer"] for row in customers] == [row["customer"] for row in labels]
    assert {row["churn"] for row in labels} <= {"yes", "no"}
    assert "churn" not in customers[0]
    assert list(rows(quarters.table(2, 5))[0]) == [*list(customers[0])[1:], "churn"]


def test_the_second_quarter_has_moved_away_from_the_first() -> None:
    def mean(quarter: int) -> float:
        found = [float(row["total_day_minutes"]) for row in rows(quarters.customers(quarter, 500))]
        return sum(found) / len(found)

    assert mean(2) - mean(1) > 50
    assert abs(mean(3) - mean(2)) < 10
