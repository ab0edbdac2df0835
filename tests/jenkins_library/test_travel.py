"""The record on its way through a build: whatever the order, the workspaces, and what runs side by side."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.commands.groovy.travel import Travel
from mlops_steps.config import Settings, load

NODES = {"MLOPS_PROJECT": "CHURN", "MLOPS_DESIGN_URL": "https://127.0.0.1:1"}


class Build:
    """A build in which steps run in workspaces, with the stashes that Jenkins keeps of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int = 1) -> None:
        self.folder = folder
        self.number = number
        self.stashes: dict[str, bytes] = {}
        self.names: list[str] = []
        self._enter = monkeypatch.chdir

    def begin(self, workspace: str, config: str = "mlops.yml") -> Travel:
        """A step begins there: what it has not seen is unstashed, and put together."""
        folder = self.folder / workspace
        folder.mkdir(parents=True, exist_ok=True)
        self._enter(folder)
        (folder / config).parent.mkdir(exist_ok=True)
        (folder / config).touch()
        travel = Travel(self.settings(config), self.environ())
        for name in travel.missing:
            self.place(config, name).parent.mkdir(parents=True, exist_ok=True)
            self.place(config, name).write_bytes(self.stashes[name])
        travel.arrive()
        return travel

    def end(self, travel: Travel, *, with_record: bool = True) -> None:
        """The step ends: its copy is stashed, and counts in the place of those that it has seen."""
        name, path = travel.leave(with_record=with_record)
        assert name not in self.stashes  # Jenkins warns of a stash that is overwritten
        self.stashes[name] = path.read_bytes()
        self.names = [one for one in self.names if one not in travel.names] + [name]

    def step(self, workspace: str, config: str = "mlops.yml", **stages: str) -> dict[str, Any]:
        """A whole step that sets these parts of stages; returns the record that it has found."""
        travel = self.begin(workspace, config)
        found = self.record(config)
        if stages:
            self.write(config, **stages)
        self.end(travel)
        return found

    def settings(self, config: str) -> Settings:
        return load(Path(config), NODES, {})

    def environ(self) -> dict[str, str]:
        return {"MLOPS_STASHES": ",".join(self.names), "JOB_NAME": "churn", "BUILD_NUMBER": str(self.number)}

    def place(self, config: str, name: str) -> Path:
        return self.settings(config).record.parent / "stashed" / f"{name}.json"

    def record(self, config: str = "mlops.yml") -> dict[str, Any]:
        path = self.settings(config).record
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def write(self, config: str = "mlops.yml", bundle: str | None = None, **stages: str) -> None:
        record = self.record(config) or {"project": "CHURN", "stages": {}}
        if bundle:
            record["bundle"] = {"id": bundle}
        record["stages"] |= stages
        path = self.settings(config).record
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, monkeypatch)


def test_a_record_comes_to_every_agent(build: Build) -> None:
    build.step("a1", bundle="b1")
    assert build.step("a2", test="deployed")["bundle"] == {"id": "b1"}
    assert build.step("a1", test="tested")["stages"] == {"test": "deployed"}
    build.step("a2", uat="deployed", prod="live")
    assert list(build.step("a3")["stages"]) == ["test", "uat", "prod"]
    assert len(build.names) == 1


def test_a_step_that_has_no_record_does_not_lose_that_of_the_others(build: Build) -> None:
    # doctor on an agent of its own: it once replaced the stash with one that held its report alone.
    build.step("a1", bundle="b1", test="tested")
    doctor = build.begin("a2")
    build.end(doctor, with_record=False)
    assert build.step("a3")["stages"] == {"test": "tested"}


def test_packaging_in_another_workspace_makes_the_record_one_of_that_bundle(build: Build) -> None:
    build.step("a1", bundle="b1", test="tested")
    build.step("a2", bundle="b2")
    assert build.step("a1")["bundle"] == {"id": "b2"}


@pytest.mark.parametrize("order", list(itertools.permutations(["a", "b", "c"])))
def test_parallel_stages_keep_what_each_of_them_wrote(build: Build, order: tuple[str, ...]) -> None:
    build.step("a0", bundle="b1")
    begun = {}
    for name in ("a", "b", "c"):
        begun[name] = build.begin(f"agent-{name}")
    for name in order:  # they end in any order
        os.chdir(build.folder / f"agent-{name}")
        build.write(**{name: f"tested {name}"})
        build.end(begun[name])
    found = build.step("a0", prod="live")
    assert found["stages"] == {"a": "tested a", "b": "tested b", "c": "tested c"}
    assert found["bundle"] == {"id": "b1"}
    assert build.step("a9")["stages"] == {"prod": "live", **found["stages"]}


def test_a_bundle_and_a_package_of_the_service_are_made_side_by_side(build: Build) -> None:
    build.step("a0", bundle="b1")
    package, service = build.begin("a1"), build.begin("a2")
    build.write()
    record = build.record()
    build.settings("mlops.yml").record.write_text(json.dumps({**record, "package": {"version": "v1"}}))
    build.end(service)
    os.chdir(build.folder / "a1")
    build.write(bundle="b2")
    build.end(package)
    found = build.step("a3")
    assert (found["bundle"], found["package"]) == ({"id": "b2"}, {"version": "v1"})


@pytest.mark.parametrize("first", [0, 1])
def test_parallel_stages_of_one_workspace_keep_what_each_of_them_wrote(build: Build, first: int) -> None:
    build.step("a1", bundle="b1")
    begun = [build.begin("a1"), build.begin("a1")]
    build.write(a="deployed")
    build.end(begun[first])
    build.write(b="deployed")
    build.end(begun[1 - first])
    assert build.step("a1")["stages"] == {"a": "deployed", "b": "deployed"}
    assert build.step("a2")["stages"] == {"a": "deployed", "b": "deployed"}


def test_the_newer_word_on_a_stage_counts(build: Build) -> None:
    build.step("a1", bundle="b1", test="deployed")
    slow = build.begin("a2")  # begins early, and ends last without a word on the stage
    build.step("a1", test="tested")
    os.chdir(build.folder / "a2")
    build.write(other="live")
    build.end(slow)
    assert build.step("a3")["stages"] == {"test": "tested", "other": "live"}


def test_a_stage_that_is_taken_out_stays_out(build: Build) -> None:
    build.step("a1", bundle="b1", test="tested")
    travel = build.begin("a2")
    record = build.record()
    del record["stages"]["test"]
    build.settings("mlops.yml").record.write_text(json.dumps(record))
    build.end(travel)
    assert build.step("a3")["stages"] == {}


def test_what_a_killed_step_has_written_is_not_lost_in_its_workspace(build: Build) -> None:
    build.step("a1", bundle="b1")
    build.begin("a1")
    build.write(prod="restore pending")  # killed: nothing was stashed
    assert build.step("a1")["stages"] == {"prod": "restore pending"}


def test_the_workspace_of_an_earlier_build_has_no_part_in_this_one(build: Build) -> None:
    build.step("a1", bundle="old", prod="live")
    shutil.copytree(build.folder / "a1", build.folder / "a2")
    build.number, build.names = 2, []
    build.step("a3", bundle="new")
    assert build.step("a2") == {"project": "CHURN", "stages": {}, "bundle": {"id": "new"}}


def test_records_of_two_projects_in_one_build_do_not_mix(build: Build) -> None:
    build.step("a1", "one/mlops.yml", bundle="b1")
    build.step("a1", "two/mlops.yml", bundle="b2")
    assert build.step("a2", "one/mlops.yml")["bundle"] == {"id": "b1"}
    assert build.step("a2", "two/mlops.yml")["bundle"] == {"id": "b2"}


def test_a_workspace_that_has_seen_everything_unstashes_nothing(build: Build) -> None:
    build.step("a1", bundle="b1")
    assert Travel(build.settings("mlops.yml"), build.environ()).missing == []
    assert len(Travel(build.settings("mlops.yml"), build.environ()).names) == 1


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"generations": {"": "x"}}', '{"generations": {}, "record": [1]}']
)
def test_a_damaged_copy_is_passed_over(build: Build, content: str) -> None:
    build.step("a1", bundle="b1")
    (name,) = build.names
    build.stashes[name] = content.encode()
    assert build.step("a2") == {}


@pytest.mark.parametrize("names", ["../../x", "mlops-00000000-0123456789abcdef", "x,,y"])
def test_names_that_are_not_of_this_record_are_left_alone(build: Build, names: str) -> None:
    build.begin("a1")
    assert Travel(build.settings("mlops.yml"), {"MLOPS_STASHES": names}).missing == []


def statements(build: Build, workspace: str, **contents: str | None) -> dict[str, str]:
    """A whole step that sets (``None``: removes) statements; returns those that it has found."""
    travel = build.begin(workspace)
    folder = build.settings("mlops.yml").record.parent / "statements/CHURN"
    found = {path.name.removesuffix(".intoto.json"): path.read_text() for path in folder.glob("*")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        path = folder / f"{name.replace('_', '-')}.intoto.json"
        path.write_text(text) if text is not None else path.unlink()
    build.end(travel)
    return found


def test_statements_come_to_every_agent(build: Build) -> None:
    build.step("a1", bundle="b1")
    statements(build, "a1", package="P")
    assert statements(build, "a2", test_a="A") == {"package": "P"}
    assert statements(build, "a3") == {"package": "P", "test-a": "A"}
    statements(build, "a2", test_a="B", package=None)
    assert statements(build, "a1") == {"test-a": "B"}  # what is newer, and not what was taken out
    assert statements(build, "a9") == {"test-a": "B"}
    statements(build, "a9", package="Q")
    assert statements(build, "a3") == {"package": "Q", "test-a": "B"}
    assert list(build.step("a4")["stages"]) == []  # they are no stages


def test_statements_of_parallel_stages_are_put_together(build: Build) -> None:
    build.step("a0", bundle="b1")
    statements(build, "a0", package="P", test_a="failed")
    slow = build.begin("b")  # begins early, ends last, and knows the old word on a
    statements(build, "a", test_a="passed")
    os.chdir(build.folder / "b")
    (build.settings("mlops.yml").record.parent / "statements/CHURN/test-b.intoto.json").write_text("B")
    build.end(slow)
    assert statements(build, "c") == {"package": "P", "test-a": "passed", "test-b": "B"}


def test_a_copy_cannot_write_elsewhere(build: Build) -> None:
    build.step("a1", bundle="b1")
    (name,) = build.names
    copy = json.loads(build.stashes[name])
    copy["statements"] = {"../../x.intoto.json": "X"}
    copy["generations"]["statement:../../x.intoto.json"] = 1
    build.stashes[name] = json.dumps(copy).encode()
    build.begin("a2")
    assert list(build.folder.rglob("*x.intoto.json")) == []
