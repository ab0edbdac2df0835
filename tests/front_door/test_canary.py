"""A canary through the front door: what it judges, what answers afterwards, and that users lose no call."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.report import attachments
from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.test_api_release import deployment, on_prod, unit

__all__ = ["api"]

AGES = range(2, 82, 2)


@pytest.fixture
def canary(api: ApiWorkspace) -> ApiWorkspace:
    """Version v1 is live; its model says 1 from the age of 50 on."""
    configure(api)
    api.deployed("v1")
    api.ok("api-release", "--stage", "prod")
    return api


def configure(api: ApiWorkspace, **settings: Any) -> None:
    """A canary with 40 records, of which the file says what is right."""
    queries = [
        {"name": f"age {age}", "features": {"age": age, "calls": 3}, "expect": {"prediction": str(int(age >= 50))}}
        for age in AGES
    ]
    document = {"endpoint": "score", "queries": queries}
    (api.folder / "records.yml").write_text(json.dumps(document))
    given = {"shares": [5, 50, 100], "calls": 80, "records": "records.yml", "mode": "MULTI_GENERATION", **settings}
    # Milliseconds differ by chance on a busy machine: what is said of them has a test of its own.
    given.setdefault("slower", 100)
    api.configure(api={"release": {"tests": "off", "strategy": "canary", "canary": given}})


@contextlib.contextmanager
def users(api: ApiWorkspace) -> Iterator[Counter[str]]:
    """Calls of a user, one after the other on each node in turn, and how they were answered."""
    answered: Counter[str] = Counter()
    over = threading.Event()
    nodes = [
        dataikuapi.APINodeClient(api.sandbox.nodes[node].url, api.service) for node in ("api-prod-1", "api-prod-2")
    ]

    def call() -> None:
        while not over.is_set():
            for node in nodes:
                try:
                    answer = node.predict_record("score", {"age": 20, "calls": 1})
                    answered[answer["apiContext"]["serviceGeneration"]] += 1
                except DataikuException as error:
                    answered[f"failed: {error}"] += 1
            time.sleep(0.005)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()


def failed(answered: Counter[str]) -> list[str]:
    return [name for name in answered if name.startswith("failed")]


def test_a_good_version_gets_all_calls_step_by_step(canary: ApiWorkspace) -> None:
    canary.deployed("v2")
    with users(canary) as answered:
        result = canary.ok("api-release", "--stage", "prod")
    assert canary.serving("api-prod") == on_prod("v2")
    assert not failed(answered)
    assert answered["v1"] > 0 < answered["v2"]
    # The plan comes first: what a verdict needs, and how long that takes at the rate seen.
    assert re.search(
        r"canary: 5 % of the calls, 80 calls of each version compared \(about \d+m?s? at the rate", result.err
    )
    assert "canary: 160 calls of each version in all find " in result.err
    report = result.report("api-release-prod")
    names = [case.get("name") for case in report.iter("testcase")]
    assert names == ["gate", "archive", "canary 5 %", "canary 50 %", "deploy", "smoke-test"]
    properties = {item.get("name"): item.get("value") for item in report.iter("property")}
    # What the API nodes report of the calls of users is counted, beside the comparison's own.
    assert int(properties["canary.50.errors.rows"]) > 160
    assert properties["canary.50.answers.value"] == "0"
    assert int(str(properties["user_calls"])) > 20
    assert properties["user_calls_failed"] == "0"
    assert (unit(canary)["phase"], unit(canary)["share"]) == ("live", 50.0)
    gates = canary.record["api_stages"]["prod"]["gates"]
    assert gates["canary 50 %: errors"]["verdict"] == "passed"
    shares, latency = attachments.read(result.reports / "mlops-api-release-prod.xml").figures
    assert shares.series[0].y == (5, 5, 50, 50)
    assert "got 5 %, 50 % of the calls" in shares.about
    assert [line.name for line in latency.series] == ["new version", "live version"]
    page = (result.reports / "html" / "index.html").read_text()
    assert f"Version {unit(canary)['version']} has been live on prod since" in page
    assert "canary 50 %: latency" in page


def test_a_service_goes_from_its_package_to_all_calls(api: ApiWorkspace) -> None:
    """Each step as a pipeline runs it, on two builds; the release requires the tests."""
    configure(api)
    records = json.loads((api.folder / "records.yml").read_text())
    records["queries"] = [query for query in records["queries"] if query["name"] != "age 50"]  # the model is in doubt
    (api.folder / "records.yml").write_text(json.dumps(records))
    path = api.folder / "mlops.yml"
    document = json.loads(path.read_text())
    del document["api"]["release"]["tests"]
    path.write_text(json.dumps({**document, "api": {**document["api"], "test": {"queries": "records.yml"}}}))
    versions = []
    for build in ("1", "2"):
        build_number = {"BUILD_NUMBER": build}
        api.ok("api-package", **build_number)
        api.ok("api-deploy", "--stage", "dev", **build_number)
        untested = api.run("api-release", "--stage", "prod", **build_number)
        assert untested.code == 1, untested.err
        assert "its tests there: none" in untested.err
        api.ok("api-test", "--stage", "dev", **build_number)
        released = api.ok("api-release", "--stage", "prod", **build_number)
        versions.append(api.record["package"]["version"])
        assert api.serving("api-prod") == on_prod(versions[-1])
    assert sorted(versions) == versions
    assert "canary 5 %" in [case.get("name") for case in released.report("api-release-prod").iter("testcase")]
    assert unit(api)["previous"]["version"] == versions[0]


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ({"weight": 4}, {}, "answers worse than the live version"),
        ({"fails_over": 60}, {}, "fails more often than the live version"),
        ({"seconds": 0.15}, {"slower": 2}, "slower than the live version"),
    ],
    ids=["predictions", "errors", "latency"],
)
def test_a_worse_version_is_taken_back(
    canary: ApiWorkspace, model: dict[str, Any], settings: dict[str, Any], words: str
) -> None:
    configure(canary, **settings)
    canary.model("m2", **model)
    canary.deployed("v2")
    with users(canary) as answered:
        result = canary.run("api-release", "--stage", "prod")
    assert result.code == 4, result.err
    assert "the canary failed at 5 %" in result.err
    assert words in result.err
    assert canary.serving("api-prod") == on_prod("v1")
    assert unit(canary)["phase"] == "restored"
    assert not failed(answered)
    properties = result.properties("api-release-prod")
    assert int(properties["user_calls"]) > 0
    assert properties["user_calls_failed"] == "0"


def regression(api: ApiWorkspace, version: str, weight: float) -> None:
    """A model of numbers, and records of which it is known which number is right: the age, with noise."""
    api.model(version, weight=weight, predictionType="REGRESSION", classes=[], probaPercentiles=[])
    queries = [
        {"name": f"age {age}", "features": {"age": age, "calls": 3}, "expect": {"prediction": age + (age * 7) % 5 - 2}}
        for age in AGES
    ]
    (api.folder / "records.yml").write_text(json.dumps({"endpoint": "score", "queries": queries}))


@pytest.mark.parametrize(("weight", "code"), [(1.02, 0), (1.3, 4)], ids=["as good", "worse"])
def test_numbers_are_compared_by_a_paired_bootstrap(api: ApiWorkspace, weight: float, code: int) -> None:
    configure(api)
    regression(api, "m1", 1.0)
    api.deployed("v1")
    api.ok("api-release", "--stage", "prod")
    regression(api, "m2", weight)
    api.deployed("v2")
    result = api.run("api-release", "--stage", "prod")
    assert result.code == code, result.err
    assert api.serving("api-prod") == on_prod("v1" if code else "v2")
    properties = result.properties("api-release-prod")
    assert "paired bootstrap, studentized" in properties["canary.5.answers.interval"]
    assert ("answers worse than the live version: mean absolute error" in result.err) == bool(code)


def test_a_version_that_is_slow_for_users_alone_is_taken_back(canary: ApiWorkspace) -> None:
    """The records of the comparison are answered at once; what users ask is not."""
    configure(canary, calls=1200, shares=[50, 100], slower=2)
    canary.model("m2", slow_over=85, seconds=0.05)
    canary.deployed("v2")
    over = threading.Event()
    nodes = [
        dataikuapi.APINodeClient(canary.sandbox.nodes[node].url, canary.service)
        for node in ("api-prod-1", "api-prod-2")
    ]

    def old_customer(node: Any) -> None:
        while not over.is_set():
            with contextlib.suppress(DataikuException):
                node.predict_record("score", {"age": 95, "calls": 1})

    threads = [threading.Thread(target=old_customer, args=(node,)) for node in nodes for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        result = canary.run("api-release", "--stage", "prod")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert result.code == 4, result.err
    assert "slower for users than the live version: score on api-prod-" in result.err
    assert canary.serving("api-prod") == on_prod("v1")


def test_too_few_calls_are_inconclusive_and_do_what_is_configured(canary: ApiWorkspace) -> None:
    configure(canary, calls=4000, step_timeout="1s")
    canary.deployed("v2")
    result = canary.run("api-release", "--stage", "prod")
    assert result.code == 4, result.err
    assert "the canary is inconclusive at 5 %" in result.err
    assert canary.serving("api-prod") == on_prod("v1")
    configure(canary, calls=4000, step_timeout="1s", inconclusive="continue")
    again = canary.ok("api-release", "--stage", "prod")
    assert "is inconclusive" in again.err
    assert canary.serving("api-prod") == on_prod("v2")


def test_a_comparison_alone_gives_users_nothing_of_the_new_version(canary: ApiWorkspace) -> None:
    configure(canary, shares=[0])
    canary.deployed("v2")
    with users(canary) as answered:
        result = canary.ok("api-release", "--stage", "prod")
    assert set(answered) == {"v1"}
    assert canary.serving("api-prod") == on_prod("v1")
    assert "compared: version v2 passed; version v1 on api-prod (HEALTHY), verified" in result.err


def test_a_first_release_has_nothing_to_be_compared_with(api: ApiWorkspace) -> None:
    configure(api)
    api.deployed("v1")
    result = api.ok("api-release", "--stage", "prod")
    assert "it gets all calls at once" in result.err
    assert api.serving("api-prod") == on_prod("v1")


def test_without_the_word_for_several_versions_nothing_is_changed(canary: ApiWorkspace) -> None:
    configure(canary, mode=None)
    canary.deployed("v2")
    result = canary.run("api-release", "--stage", "prod")
    assert result.code == 2, result.err
    assert "set api.release.canary.mode in mlops.yml" in result.err
    doctor = canary.run("doctor")
    assert doctor.code == 1, doctor.err
    assert "word for several versions is not known" in doctor.err
    assert canary.serving("api-prod") == on_prod("v1")
    assert len(deployment(canary).list_updates()) == 1


def test_calls_of_users_that_fail_take_a_version_back(canary: ApiWorkspace) -> None:
    configure(canary, calls=400, shares=[50, 100])
    canary.model("m2", fails_over=85)  # no record of the comparison is that old
    canary.deployed("v2")
    over = threading.Event()
    node = dataikuapi.APINodeClient(canary.sandbox.nodes["api-prod-1"].url, canary.service)

    def old_customer() -> None:
        while not over.is_set():
            with contextlib.suppress(DataikuException):
                node.predict_record("score", {"age": 95, "calls": 1})

    thread = threading.Thread(target=old_customer)
    thread.start()
    try:
        result = canary.run("api-release", "--stage", "prod")
    finally:
        over.set()
        thread.join()
    assert result.code == 4, result.err
    assert int(result.properties("api-release-prod")["user_calls_failed"]) > 0
    assert "errors: fails more often than the live version" in result.err
    assert canary.serving("api-prod") == on_prod("v1")


@pytest.mark.parametrize("then", ["api-release", "api-recover"])
@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_canary_that_is_killed_is_finished_or_taken_back(canary: ApiWorkspace, then: str, record: str) -> None:
    configure(canary, calls=100_000)
    canary.deployed("v2")
    kept = canary.record
    process = _at_work(canary)
    process.send_signal(signal.SIGKILL)
    canary.finish(process)
    if record == "lost":
        kept["api_stages"].pop("prod", None)
        (canary.folder / ".mlops" / "release.json").write_text(json.dumps(kept))
    configure(canary)
    canary.ok(then, "--stage", "prod")
    assert canary.serving("api-prod") == on_prod("v2" if then == "api-release" else "v1")
    assert not any(found.get("pending") for found in canary.record["api_stages"].values())


def test_an_aborted_canary_gives_the_old_version_everything_back(canary: ApiWorkspace) -> None:
    configure(canary, calls=100_000)
    canary.deployed("v2")
    with users(canary) as answered:
        process = _at_work(canary)
        process.send_signal(signal.SIGTERM)
        result = canary.finish(process)
    assert result.code == 143, result.err
    assert canary.serving("api-prod") == on_prod("v1")
    assert "live again, verified" in result.err
    assert not failed(answered)


def test_shares_that_somebody_else_has_set_are_not_overwritten(canary: ApiWorkspace, tmp_path: Path) -> None:
    del tmp_path
    configure(canary, calls=100_000)
    canary.packaged("v3")
    canary.deployed("v2")
    process = _at_work(canary)
    settings = deployment(canary).get_settings()
    entries = [{"generation": "v1", "proba": 0.5}, {"generation": "v3", "proba": 0.5}]
    settings.get_raw()["generationsMapping"] = {"mode": "MULTI_GENERATION", "entries": entries}
    settings.save()
    deployment(canary).start_update().wait_for_result()
    process.send_signal(signal.SIGTERM)
    result = canary.finish(process)
    assert result.code == 5, result.err
    assert {node: sorted(found) for node, found in canary.serving("api-prod").items()} == on_prod("v1", "v3")


def _at_work(api: ApiWorkspace) -> Any:
    """A release whose canary compares at its first step, and does not end."""
    process = api.start("api-release", "--stage", "prod")
    limit = time.monotonic() + 60
    while sorted(api.serving("api-prod")["api-prod-2"]) != ["v1", "v2"]:
        assert time.monotonic() < limit
        assert process.poll() is None, api.finish(process).err
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same agent", "another agent"])
def test_of_two_releases_at_once_the_second_changes_nothing(
    canary: ApiWorkspace, tmp_path_factory: pytest.TempPathFactory, elsewhere: bool
) -> None:
    configure(canary, calls=100_000)
    canary.deployed("v2")
    process = _at_work(canary)
    other, variables = copy.copy(canary), {}
    if elsewhere:
        other.folder = tmp_path_factory.mktemp("agent") / "workspace"
        shutil.copytree(canary.folder, other.folder)
        variables = {"TMPDIR": str(tmp_path_factory.mktemp("locks"))}
    second = other.run("api-release", "--stage", "prod", **variables)
    assert second.code == 3, second.err
    assert "at work on" in second.err
    assert sorted(canary.serving("api-prod")["api-prod-1"]) == ["v1", "v2"]
    process.send_signal(signal.SIGTERM)
    assert canary.finish(process).code == 143
    assert canary.serving("api-prod") == on_prod("v1")


def test_a_canary_that_cannot_begin_again_says_that_a_restore_is_pending(canary: ApiWorkspace) -> None:
    configure(canary, calls=100_000)
    canary.deployed("v2")
    process = _at_work(canary)
    process.send_signal(signal.SIGKILL)
    canary.finish(process)
    (canary.folder / "records.yml").write_text("queries: 7")
    result = canary.run("api-release", "--stage", "prod")
    assert result.code == 2, result.err
    assert "its restore is pending: run `mlops-steps api-recover --stage prod`" in result.err
    canary.ok("api-recover", "--stage", "prod")
    assert canary.serving("api-prod") == on_prod("v1")
