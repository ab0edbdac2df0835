"""Statements of `package`, `test` and `release`, `verify`, and a release that requires them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.provenance.statements import PROVENANCE, SUMMARY, TEST_RESULT
from tests.front_door.conftest import Result, Workspace
from tests.front_door.test_integrity import published_archives
from tests.support.keys import KeyFiles, make_key

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BUILD = {"BUILD_URL": "https://jenkins.example.com/job/churn/7/", "JOB_NAME": "churn", "GIT_COMMIT": COMMIT}


@pytest.fixture
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return make_key(tmp_path_factory.mktemp("keys"))


def folder(workspace: Workspace) -> Path:
    return workspace.folder / ".mlops/statements" / workspace.project


def files(workspace: Workspace) -> list[str]:
    return sorted(str(path) for path in folder(workspace).glob("*.intoto.json"))


def said(workspace: Workspace, name: str) -> dict[str, Any]:
    """The statement in a file, signed or not."""
    content: dict[str, Any] = json.loads((folder(workspace) / f"{name}.intoto.json").read_text())
    return json.loads(base64.b64decode(content["payload"])) if "payload" in content else content


def archive(workspace: Workspace) -> Path:
    """The bundle's archive, as the Project Deployer has it."""
    bundle = workspace.record["bundle"]["id"]
    path = workspace.folder / f"{bundle}.zip"
    shutil.copy(published(workspace, bundle), path)
    return path


def published(workspace: Workspace, bundle: str) -> Path:
    """Where the sandbox's deployer keeps the archive."""
    (path,) = (path for path in published_archives(workspace) if path.name == f"{bundle}.zip")
    return path


def sign(workspace: Workspace, key: KeyFiles) -> None:
    workspace.environment["MLOPS_SIGNING_KEY_FILE"] = str(key.private)


def require(workspace: Workspace, key: KeyFiles) -> None:
    workspace.configure(release={"provenance": "required", "public_key": str(key.public)})


def refused(workspace: Workspace, before: str | None) -> Result:
    """A release that is refused for want of proof, and changes nothing."""
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 1, result.err
    assert "prod is untouched" in result.err
    assert workspace.live() == before
    assert result.case("release-prod", "provenance").find("failure") is not None
    return result


def test_each_step_states_what_it_did_and_verify_says_what_that_proves(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    workspace.environment.update(BUILD)
    workspace.released(7)
    record = workspace.record
    subject = [{"name": record["bundle"]["id"], "digest": {"sha256": record["bundle"]["sha256"]}}]
    package, tested, released = (said(workspace, name) for name in ("package", "test-test", "release-prod"))
    assert [one["subject"] for one in (package, tested, released)] == [subject] * 3
    assert [one["predicateType"] for one in (package, tested, released)] == [PROVENANCE, TEST_RESULT, SUMMARY]

    made = package["predicate"]
    digests = [one.get("digest") for one in made["buildDefinition"]["resolvedDependencies"]]
    assert digests == [{"gitCommit": record["project_commit"]}, {"gitCommit": COMMIT}]
    assert made["runDetails"]["builder"]["id"] == "https://jenkins.example.com/job/churn/"
    assert made["runDetails"]["metadata"]["invocationId"] == BUILD["BUILD_URL"]
    assert made["runDetails"]["builder"]["version"]["dss-design"] == "14.2.1"
    assert tested["predicate"]["result"] == "PASSED"
    assert {"TEST_ONE", "TEST_SMOKE"} <= set(tested["predicate"]["passedTests"])
    assert tested["predicate"]["configuration"][0]["uri"].startswith(workspace.sandbox.nodes["auto-test"].url)
    assert released["predicate"]["verificationResult"] == "PASSED"
    inputs = {one["uri"]: one["digest"]["sha256"] for one in released["predicate"]["inputAttestations"]}
    assert inputs == {
        name: hashlib.sha256((folder(workspace) / name).read_bytes()).hexdigest()
        for name in ("package.intoto.json", "test-test.intoto.json")
    }

    path = archive(workspace)
    result = workspace.ok("verify", "--public-key", str(key.public), str(path), *files(workspace))
    for text in (
        record["bundle"]["sha256"],
        record["project_commit"],
        COMMIT,
        BUILD["BUILD_URL"],
        "stage test",
        "PASSED",
    ):
        assert text in result.out
    assert result.out.count("PROVEN") == 3
    assert "no proof" not in result.out
    path.write_bytes(path.read_bytes() + b"\0")
    other = workspace.run("verify", "--public-key", str(key.public), str(path), *files(workspace))
    assert other.code == 1
    assert other.out.count("REFUSED") == 3
    assert "about another archive" in other.err
    line = key.text.splitlines()[1]
    for written in [
        result.out,
        result.err,
        *(p.read_text() for p in workspace.folder.rglob("*") if p.suffix in (".json", ".xml")),
    ]:
        assert line not in written
        assert "PRIVATE KEY" not in written


def test_without_a_key_the_statements_say_so_and_prove_nothing(workspace: Workspace, key: KeyFiles) -> None:
    workspace.variables()
    result = workspace.ok("package", BUILD_NUMBER="1")
    assert "package.intoto.json (not signed: MLOPS_SIGNING_KEY_FILE is not set)" in result.err
    path = archive(workspace)
    for options in ([], ["--public-key", str(key.public)]):
        verified = workspace.run("verify", *options, str(path), *files(workspace))
        assert verified.code == 1
        assert "not signed: anybody may have written it" in verified.err
        assert "no proof that the bundle was tested" in verified.out


def test_tests_that_fail_are_stated_and_no_bundle_inherits_a_statement(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    workspace.variables(test="fail")
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    assert workspace.run("test", "--stage", "test").code == 1
    predicate = said(workspace, "test-test")["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == ("FAILED", ["TEST_ONE", "TEST_ONE.run"])
    verified = workspace.run("verify", "--public-key", str(key.public), str(archive(workspace)), *files(workspace))
    assert verified.code == 1
    assert "it says that this failed" in verified.err
    workspace.variables()
    workspace.ok("package", BUILD_NUMBER="2")
    assert [Path(name).name for name in files(workspace)] == ["package.intoto.json"]


def test_a_release_that_requires_proof_accepts_a_signed_chain(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    require(workspace, key)
    bundle = workspace.released(1)
    assert workspace.live() == bundle


def test_a_release_that_fails_is_stated_as_failed(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    workspace.tested(1)
    workspace.configure(release={"smoke_scenario": "NONE_SUCH"})
    assert workspace.run("release", "--stage", "prod").code == 4
    predicate = said(workspace, "release-prod")["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_a_release_that_requires_proof_refuses_what_has_none(
    workspace: Workspace, key: KeyFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require(workspace, key)
    workspace.tested(1)  # not signed
    assert "not signed" in refused(workspace, None).err
    other = make_key(tmp_path_factory.mktemp("other"))
    sign(workspace, other)
    workspace.tested(2)
    assert "signed by another key" in refused(workspace, None).err
    sign(workspace, key)
    workspace.tested(3)
    kept = {path.name: path.read_bytes() for path in folder(workspace).iterdir()}
    for name in kept:
        (folder(workspace) / name).unlink()
        assert f"there is no statement {name}" in refused(workspace, None).err
        (folder(workspace) / name).write_bytes(kept[name])
    workspace.tested(4)
    signed = {path.name: path.read_bytes() for path in folder(workspace).iterdir()}
    for name, data in kept.items():  # those of another bundle
        (folder(workspace) / name).write_bytes(data)
        assert f"{name}: it is about another archive" in refused(workspace, None).err
        (folder(workspace) / name).write_bytes(signed[name])
    # A statement of another kind in the place of the tests' one.
    shutil.copy(folder(workspace) / "package.intoto.json", folder(workspace) / "test-test.intoto.json")
    assert "it is not about tests on stage test" in refused(workspace, None).err


def test_a_bundle_that_was_there_before_is_not_vouched_for(workspace: Workspace, key: KeyFiles) -> None:
    # Somebody exports a bundle by hand under the id that the next build would take.
    workspace.client("design").get_project(workspace.project).export_bundle("by-hand")
    sign(workspace, key)
    require(workspace, key)
    workspace.ok("package", "--bundle-id", "by-hand")
    workspace.ok("deploy", "--stage", "test")
    workspace.ok("test", "--stage", "test")
    assert "nobody knows who made it" in refused(workspace, None).err
    # The build that made a bundle may run again: its own statement stays.
    workspace.variables()
    workspace.ok("package", "--bundle-id", "b2")
    before = (folder(workspace) / "package.intoto.json").read_bytes()
    workspace.ok("package", "--bundle-id", "b2")
    assert (folder(workspace) / "package.intoto.json").read_bytes() == before


def test_a_replaced_archive_with_a_record_that_fits_is_refused(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    require(workspace, key)
    bundle = workspace.tested(1)
    path = published(workspace, bundle)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(replaced := workspace.folder / "replaced.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))  # the same entries, not the same bytes
    shutil.copy(replaced, path)
    record = workspace.record
    record["bundle"].update(sha256=hashlib.sha256(replaced.read_bytes()).hexdigest(), size=replaced.stat().st_size)
    (workspace.folder / ".mlops/release.json").write_text(json.dumps(record))
    assert "package.intoto.json: it is about another archive" in refused(workspace, None).err


def test_a_key_that_cannot_be_used_ends_the_step_before_anything_is_done(workspace: Workspace, key: KeyFiles) -> None:
    bad = workspace.folder / "bad.pem"
    for content, text in (
        (None, "No such file"),
        ("", "it is empty"),
        ("nonsense", "does not hold a private key"),
        (key.public.read_text(), "does not hold a private key"),
    ):
        if content is not None:
            bad.write_text(content)
        result = workspace.run("package", BUILD_NUMBER="1", MLOPS_SIGNING_KEY_FILE=str(bad))
        assert (result.code, text in result.err) == (2, True), result.err
    assert workspace.client("design").get_project(workspace.project).list_exported_bundles()["bundles"] == []
    workspace.configure(release={"provenance": "required"})
    workspace.tested(1)
    result = workspace.run("release", "--stage", "prod")
    assert (result.code, "MLOPS_PUBLIC_KEY_FILE" in result.err) == (2, True)
    result = workspace.run("release", "--stage", "prod", MLOPS_PUBLIC_KEY_FILE=str(key.private))
    assert (result.code, "holds a private key" in result.err) == (2, True)
    assert workspace.live() is None
    workspace.ok("validate", MLOPS_SIGNING_KEY_FILE=str(bad))  # it signs nothing


def test_wrong_usage_of_verify(workspace: Workspace, key: KeyFiles) -> None:
    there = workspace.folder / "mlops.yml"
    assert workspace.run("verify", str(there)).code == 2
    assert workspace.run("verify", str(workspace.folder / "none.zip"), str(there)).code == 2
    assert workspace.run("verify", str(there), str(workspace.folder / "none.json")).code == 2
    assert workspace.run("verify", "--public-key", str(there), str(there), str(there)).code == 2
    assert workspace.run("verify", str(there), str(there)).code == 1
