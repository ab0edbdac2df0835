"""What a bundle says of itself, in the form that real bundles have."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import dataikuapi

from mlops_steps.sandbox.services.projects.model import Project


def age(text: str) -> float:
    """Seconds since a time in the form of DSS."""
    return (datetime.now(timezone.utc) - datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")).total_seconds()


def test_the_manifest_is_that_of_a_real_bundle(
    design: dataikuapi.DSSClient, tiny: Project, exported: Callable[[Project, str], Path]
) -> None:
    with zipfile.ZipFile(exported(tiny, "v1")) as archive:
        manifest = json.loads(archive.read("export-manifest.json"))
        changes = json.loads(archive.read("changelog.json"))["logEntries"]
    assert abs(age(manifest["exportUserInfo"]["exportedOn"])) < 600
    assert manifest["generatedWithDSSConfVersion"]
    content = manifest["actualContent"]["configContent"]
    assert (content["datasets"], content["recipes"], content["scenarios"]) == (2, 1, 1)
    assert tiny.git.head() in [entry["commit"] for entry in changes]
    assert design.get_project(tiny.key).list_exported_bundles()["bundles"][0]["exportManifest"] == manifest


def test_an_import_says_when_as_an_iso_text(
    auto_test: dataikuapi.DSSClient, tiny: Project, exported: Callable[[Project, str], Path]
) -> None:
    with exported(tiny, "v1").open("rb") as file:
        auto_test.create_project_from_bundle_archive(file)
    (bundle,) = auto_test.get_project(tiny.key).list_imported_bundles()["bundles"]
    assert abs(age(bundle["importState"]["importedOn"])) < 600


def test_the_changelog_names_the_bundle_before(tiny: Project, exported: Callable[[Project, str], Path]) -> None:
    exported(tiny, "v1")
    with zipfile.ZipFile(exported(tiny, "v2")) as archive:
        changelog = json.loads(archive.read("changelog.json"))
    assert changelog["previousBundleId"] == "v1"
    assert isinstance(changelog["previousBundleTime"], int)
