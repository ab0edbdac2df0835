from __future__ import annotations

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import LARGEST, Bundle, Package, ReleaseRecord, build_from, load_for
from mlops_steps.delivery.unit import Measured, Outcome, Previous
from mlops_steps.errors import ConfigError

SHA = "a" * 64


def record_with_test(result: str, bundle: str = "b2") -> ReleaseRecord:
    record = ReleaseRecord(project="P", bundle=Bundle(id="b2", sha256=SHA, size=1))
    record.stage("test").test = Outcome(result=result, bundle=bundle)  # type: ignore[arg-type]
    return record


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "release.json"
    record = record_with_test("passed")
    record.unit("test", "auto-test", "P-on-auto-test").previous = Previous(version="b1")
    record.save(path)
    assert ReleaseRecord.load(path) == record
    assert json.loads(path.read_text())["schema"] == 2
    assert path.stat().st_mode & 0o007 == 0


@settings(deadline=None)
@given(st.text(st.characters(), max_size=50).map(lambda text: f"half an emoji \ud83d, {text}"))
def test_whatever_a_node_says_the_record_can_be_written_and_read(message: str) -> None:
    record = record_with_test("passed")
    part = record.stages["test"]
    record.unit("test", "i", "d").why = message
    part.test and part.test.end("failed", message * 20_000)
    data = record.model_dump_json(by_alias=True).encode()
    assert len(data) < LARGEST / 100
    assert ReleaseRecord.parse(data, "r.json") == record


def test_the_name_of_a_job_may_hold_anything() -> None:
    build = build_from({"JOB_NAME": "team\udcff/\x1b[1mchurn\n", "BUILD_NUMBER": "7"})
    assert (build.job, build.number) == ("team/churn", "7")


def test_what_gates_have_measured_is_kept_and_records_without_it_still_load() -> None:
    record = record_with_test("failed")
    test = record.stages["test"].test
    assert test is not None
    test.gates = {"auc": Measured(verdict="failed", value=0.71, limit="at least 0.8", rows=900)}
    again = ReleaseRecord.parse(record.model_dump_json(by_alias=True).encode(), "r.json")
    assert again == record
    document = json.loads(record.model_dump_json(by_alias=True))
    del document["stages"]["test"]["test"]["gates"]
    older = ReleaseRecord.parse(json.dumps(document).encode(), "r.json").stages["test"].test
    assert older is not None
    assert older.gates == {}


def test_what_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    record = ReleaseRecord(project="P\ud83d")
    with pytest.raises(ConfigError, match="cannot write the release record"):
        record.save(tmp_path / "r.json")


def test_it_is_flushed_to_disk_before_it_is_put_into_place_and_the_place_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, put = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        done.append("flush folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "flush file")
        flush(descriptor)

    def replace(path: Path, target: Path) -> Path:
        done.append("put")
        return put(path, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    record_with_test("passed").save(tmp_path / "r.json")
    assert done == ["flush file", "put", "flush folder"]


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert ReleaseRecord.load(tmp_path / "none.json") is None
    assert load_for(tmp_path / "none.json", "P").project == "P"


def test_the_record_of_another_project_is_refused(tmp_path: Path) -> None:
    ReleaseRecord(project="Q").save(tmp_path / "r.json")
    with pytest.raises(ConfigError, match="is the record of project Q, not of P"):
        load_for(tmp_path / "r.json", "P")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"schema": 3, "project": "P"}')
    with pytest.raises(ConfigError, match="schema 3"):
        ReleaseRecord.load(tmp_path / "r.json")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_garbage_is_a_clear_error_and_nothing_else(data: bytes) -> None:
    try:
        ReleaseRecord.parse(data, "release.json")
    except ConfigError as error:
        assert error.message.startswith("release.json:")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(["schema", "project", "bundle", "stages", "build", "project_commit"])


@given(st.dictionaries(keys, json_values))
def test_nonsense_in_a_known_field_is_a_clear_error(document: dict[str, object]) -> None:
    try:
        ReleaseRecord.parse(json.dumps(document).encode(), "release.json")
    except ConfigError as error:
        assert error.exit_code == 2


def test_only_a_passed_test_of_this_very_bundle_counts() -> None:
    assert record_with_test("passed").tested("test")
    assert not record_with_test("failed").tested("test")
    assert not record_with_test("started").tested("test")
    assert not record_with_test("passed", bundle="b1").tested("test")
    assert not record_with_test("passed").tested("uat")


def test_a_new_bundle_forgets_the_stages_but_not_what_is_pending() -> None:
    record = record_with_test("passed")
    prod = record.unit("prod", "auto-prod", "P-on-auto-prod")
    prod.phase, prod.version, prod.previous, prod.deploy = (
        Phase.VERIFYING,
        "b2",
        Previous(version="b1"),
        Outcome(bundle="b2"),
    )
    done = record.unit("prod", "other", "P-on-other")
    done.phase, done.version = Phase.LIVE, "b2"
    record.stage("prod").test = Outcome(bundle="b2")
    record.begin(Bundle(id="b3", sha256=SHA, size=2))
    assert list(record.stages) == ["prod"]
    assert record.stages["prod"].units == {"auto-prod": prod}
    assert record.stages["prod"].test is None
    assert not record.tested("test")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the release record"):
        ReleaseRecord(project="P").save(tmp_path / "file" / "release.json")


def test_steps_that_share_a_workspace_keep_what_each_of_them_writes(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    record_with_test("passed").save(path)
    start = threading.Barrier(6)

    def step(name: str) -> None:
        record = load_for(path, "P")
        start.wait(30)  # all have read it before one of them writes
        for _ in range(10):
            record.stage(name).test = Outcome(bundle=f"b-{name}")
            record.save(path)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(step, "abcdef"))
    found = load_for(path, "P")
    assert found.bundle
    assert found.bundle.id == "b2"
    assert {name: part.test and part.test.bundle for name, part in found.stages.items()} == {
        "test": "b2",
        **{name: f"b-{name}" for name in "abcdef"},
    }


def test_a_part_that_a_step_has_not_changed_is_the_one_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    record_with_test("passed").save(path)
    early, other = load_for(path, "P"), load_for(path, "P")
    other.stage("test").test = Outcome(result="failed", bundle="b2")
    other.package = Package(service="s", version="v1", sha256=SHA, size=1)
    other.save(path)
    early.stage("prod").test = Outcome(bundle="b2")
    early.save(path)
    early.save(path)
    found = load_for(path, "P")
    assert [found.stages[name].test.result for name in ("test", "prod")] == ["failed", "started"]  # type: ignore[union-attr]
    assert found.package
    assert found.package.version == "v1"


def test_a_stage_that_a_step_takes_out_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    record_with_test("passed").save(path)
    record = load_for(path, "P")
    record.begin(Bundle(id="b3", sha256=SHA, size=1))
    record.save(path)
    assert (load_for(path, "P").stages, record.bundle and record.bundle.id) == ({}, "b3")


def test_a_record_of_another_project_in_its_place_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    ours = record_with_test("passed")
    ReleaseRecord(project="Q").save(path)
    ours.save(path)
    assert load_for(path, "P") == ours
