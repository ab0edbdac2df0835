"""Entries of a project's Git log, as public code reads them."""

from __future__ import annotations

from datetime import datetime, timezone

import dataikuapi

from mlops_steps.sandbox.services.projects.model import Project


def test_an_entry_has_its_commit_and_an_iso_timestamp(design: dataikuapi.DSSClient, tiny: Project) -> None:
    entry = design.get_project(tiny.key).get_project_git().log()["entries"][0]
    assert entry["commit"] == entry["commitId"] == tiny.git.head()
    made = datetime.strptime(entry["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs((datetime.now(timezone.utc) - made).total_seconds()) < 600


def test_the_timeline_keeps_milliseconds(design: dataikuapi.DSSClient, tiny: Project) -> None:
    newest = design.get_project(tiny.key).get_timeline()["items"][0]
    assert isinstance(newest["time"], int)
