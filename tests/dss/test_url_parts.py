"""Names that a node answers with become part of a URL only when they stay in their place there."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dataikuapi import DSSClient

from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.dss import automation, bundles, deployments, scenarios
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss
from mlops_steps.dss.url_parts import check_url
from mlops_steps.errors import CheckFailed, ConfigError, NonsenseAnswer
from mlops_steps.system import secrets
from tests.dss.conftest import traces
from tests.dss.test_answers_properties import Garbage

KEY = "Marked-Key-In-A-Name-0123456789abcdef"
HOSTILE = ["../../x", "..", ".", "a/b", "a?b", "a#b", "a\nb", "a\\b", "%2e%2e%2fx", "x" * 5000, "", None, 7, ["a"], {}]

READERS = {
    "bundle id": lambda dss: automation.active_bundle(dss, "P"),
    "deployment id": lambda dss: deployments.find(dss, "P", "infra", None, "D"),
    "deployed key": lambda dss: deployments.read(dss, "D", "P", "infra"),
    "scenario id": lambda dss: scenarios.list_scenarios(dss, "P"),
}


def answer(reader: str, name: Any) -> Any:
    info = {"id": name, "publishedProjectKey": "P", "infraId": "infra"}
    return {
        "bundle id": [{"projectKey": "P", "activeBundleState": {"bundleId": name}}],
        "deployment id": [{"deploymentBasicInfo": info}],
        "deployed key": {"infraId": "infra", "bundleId": "b", "publishedProjectKey": "P", "deployedProjectKey": name},
        "scenario id": [{"id": name}],
    }[reader]


def node(*answers: Any) -> Dss:
    session = Garbage()
    session.answers = list(answers)
    client = DSSClient("http://127.0.0.1:9", api_key="k" * 32)
    client._session = session
    return Dss("prod", "http://127.0.0.1:9", client, session)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:20])
def test_a_hostile_name_is_no_answer_of_dss(reader: str, name: Any) -> None:
    if reader == "bundle id" and name is None:
        pytest.skip("no bundle is active: a good answer")
    if reader == "deployed key" and name in (None, ""):
        pytest.skip("no key of its own: a good answer")
    dss = node(answer(reader, name))
    with pytest.raises(NonsenseAnswer) as error:
        READERS[reader](dss)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 500
    assert isinstance(dss.session, Garbage)
    assert dss.session.asked == 1, "nothing is asked with such a name"


@pytest.mark.parametrize("reader", READERS)
def test_a_good_name_is_taken(reader: str) -> None:
    settings = {"infraId": "infra", "bundleId": "b", "publishedProjectKey": "P"}
    READERS[reader](node(answer(reader, "GOOD.name-1"), settings))


@pytest.mark.parametrize("before", range(50, 81, 10))
@pytest.mark.parametrize("reader", READERS)
def test_a_key_across_the_end_of_what_is_shown_of_a_name_is_masked_too(reader: str, before: int) -> None:
    secrets.register(KEY)
    with pytest.raises(NonsenseAnswer) as error:
        READERS[reader](node(answer(reader, "/" * before + KEY)))
    assert not traces(KEY, error.value.message)


@pytest.mark.parametrize("before", range(260, 301, 10))
def test_a_key_across_the_end_of_what_is_shown_of_a_url_is_masked_too(before: int) -> None:
    secrets.register(KEY)
    with pytest.raises(ValueError, match="leads out of its place") as error:
        check_url("http://127.0.0.1:9/../".ljust(before, "x") + KEY)
    assert not traces(KEY, str(error.value))


@pytest.mark.parametrize("before", range(170, 201, 10))
def test_a_key_across_the_end_of_what_is_shown_of_a_manifest_is_masked_too(tmp_path: Path, before: int) -> None:
    secrets.register(KEY)
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export-manifest.json", json.dumps({"projectKey": "x" * before + KEY}))
        archive.writestr("project_config/params.json", "{}")
    with pytest.raises(CheckFailed, match="the archive is of project") as error:
        bundles.check_archive(path, "P", "b")
    assert not traces(KEY, error.value.message)


@pytest.mark.parametrize("path", ["a/../b", "a/%2e%2e/b", "./a", "a/b#c", "a\nb", "a\\b", "a\0b"])
def test_no_url_that_leads_elsewhere_is_sent(path: str) -> None:
    session = NodeSession(HttpLimits(1, 1, 0, 0))
    with pytest.raises(ValueError, match="leads out of its place"):
        session.request("GET", f"http://127.0.0.1:9/dip/publicapi/{path}")


@pytest.mark.parametrize("path", ["projects/P", "projects/P/libraries/contents//python/a b..py", "x?y=../z"])
def test_ordinary_urls_are_sent(path: str) -> None:
    check_url(f"http://127.0.0.1:9/dip/publicapi/{path}")


@pytest.mark.parametrize("name", ["../../x", "a/b", "a?b", "", "x" * 101, "a\n", ".hidden"])
def test_a_record_with_such_a_bundle_id_is_refused(name: str) -> None:
    document = {"schema": 1, "project": "P", "bundle": {"id": name, "sha256": "0" * 64, "size": 1}}
    with pytest.raises(ConfigError, match=r"bundle\.id"):
        ReleaseRecord.parse(json.dumps(document).encode(), "release.json")
