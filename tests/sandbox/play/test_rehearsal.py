"""`mlops-steps sandbox rehearse`: the plan that comes with it, its verdicts, and a short rehearsal as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_steps.errors import ConfigError
from mlops_steps.sandbox.play import rehearsal
from mlops_steps.sandbox.play.rehearsal import Played, Rehearsal
from mlops_steps.sandbox.play.rehearsal_api import ServiceRehearsal

OLD, NEW = "000001-aaaa", "000002-bbbb"


def played(code: int, recovered: int | None = None) -> Played:
    return Played("a fault", code, "", "", 1.0, recovered)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """A rehearsal without a sandbox, at whose end the old bundle is live."""
    found = Rehearsal.__new__(Rehearsal)
    found.old, found.new = OLD, NEW
    monkeypatch.setattr(Rehearsal, "_live", lambda self: OLD)
    return found


@pytest.mark.parametrize(("kind", "least"), [(Rehearsal, 16), (ServiceRehearsal, 12)])
def test_the_built_in_plan_names_each_of_its_faults(kind: type[Rehearsal], least: int) -> None:
    plan = rehearsal._plan(None, kind.plan)
    names = [item.fault.name for item in plan]
    assert len(plan) >= least
    assert None not in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("code", "live", "said", "recovered", "expected"),
    [
        (0, NEW, "", None, ""),
        (0, OLD, "", None, f"released, and bundle {OLD} is live"),
        (4, OLD, f"bundle {OLD} on auto-prod (HEALTHY), verified", None, ""),
        (4, NEW, f"bundle {OLD} on auto-prod (HEALTHY), verified", None, f"exit code 4, and bundle {NEW} is live"),
        (3, OLD, "", None, ""),
        (1, NEW, "", None, f"exit code 1, and bundle {NEW} is live"),
        (5, NEW, f"bundle {NEW} on auto-prod (OUT_OF_SYNC)", 0, ""),
        (5, NEW, "unknown (node 'prod' cannot be asked)", 0, ""),
        (5, NEW, f"bundle {OLD} on auto-prod (HEALTHY)", 0, f"it said bundle {OLD} on auto-prod (HEALTHY), and"),
        (5, NEW, "unknown (no answer)", 5, "recover ended with 5"),
    ],
)
def test_a_release_is_held_to_its_word(
    stage: Rehearsal, code: int, live: str, said: str, recovered: int | None, expected: str
) -> None:
    verdict = stage._wrong(played(code, recovered), live, said)
    assert verdict.startswith(expected)
    assert bool(verdict) is bool(expected)


def test_what_the_user_saw_is_told_in_short(stage: Rehearsal) -> None:
    assert stage._in_short(f"prod: bundle {NEW} was not released: no luck") == "rolled back: no luck"
    doubt = f"prod: the release failed and what was live before could not be restored: bundle {OLD} is gone"
    assert stage._in_short(doubt) == "in doubt: the old bundle is gone"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlops.yml").write_text("project: MINE\n")
    with pytest.raises(ConfigError, match="is not empty and holds no earlier rehearsal"):
        rehearsal._prepare(tmp_path)


def test_a_bad_plan_is_told_before_anything_starts(tmp_path: Path) -> None:
    plan = tmp_path / "faults.yml"
    plan.write_text("faults:\n  - {node: prod, kind: dorp}\n")
    with pytest.raises(ConfigError, match="did you mean drop"):
        rehearsal._plan(plan)


def test_a_rehearsal_plays_each_fault_and_prints_how_it_ended(tmp_path: Path) -> None:
    plan = tmp_path / "faults.yml"
    plan.write_text(
        """
faults:
  - {name: lost answer, node: design, kind: drop, operation: start update, act: after}
  - {node: prod, kind: update-fails, message: no luck today}
"""
    )
    command = [sys.executable, "-m", "mlops_steps", "sandbox", "rehearse", "--faults", str(plan), "--out", "out"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [line for line in result.stdout.splitlines() if "bundle" in line]
    assert "lost answer" in rows[0]
    assert rows[0].split()[2:5] == ["0", "released", "the"]
    assert "the new bundle" in rows[0]
    assert "no luck today" in " ".join(result.stdout.split())
    assert "the old bundle" in rows[1]
    assert len(list((tmp_path / "out").glob("0?-*/mlops-release-prod.xml"))) == 2


class _Site:
    """Two API nodes, of which each has a folder with the state of the service."""

    def __init__(self, folder: Path, *mappings: dict[str, object] | None) -> None:
        self.nodes = []
        for number, mapping in enumerate(mappings):
            node = type("Node", (), {"dir": folder / str(number), "id": f"api-prod-{number}"})()
            if mapping is not None:
                state = node.dir / "services" / "churn" / "state.json"
                state.parent.mkdir(parents=True)
                state.write_text(json.dumps({"serviceId": "churn", "enabled": True, "mapping": mapping}))
            self.nodes.append(node)

    def api_infrastructures(self) -> dict[str, tuple[list[object], str]]:
        return {"api-prod": (self.nodes, "prod")}


@pytest.mark.parametrize(
    ("mappings", "live"),
    [
        (({"generation": "v1"}, {"generation": "v1"}), "v1"),
        (({"generation": "v1"}, {"generation": "v2"}), "v1, v2"),
        (({"generation": "v1"}, None), "v1, nothing"),
        (({"entries": []}, {"entries": []}), "several versions"),
    ],
)
def test_what_answers_is_what_each_api_node_has(
    tmp_path: Path, mappings: tuple[dict[str, object] | None, ...], live: str
) -> None:
    found = ServiceRehearsal.__new__(ServiceRehearsal)
    found.sandbox = _Site(tmp_path, *mappings)  # type: ignore[assignment]
    assert found._live() == live
