"""Projects for the conformance suite: what code by others reads of a node, asked through the official client."""

from __future__ import annotations

import time
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject

from mlops_steps.sandbox.node.node import Node
from tests.sandbox.flows import flow_files, make_project

ENDED = ("DONE", "FAILED", "ABORTED")


@pytest.fixture
def project(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> DSSProject:
    """A project of the test's own: people → adults → counted."""
    make_project(design_node, new_key, flow_files())
    return design.get_project(new_key)


def build(project: DSSProject, output: str, seconds: float = 60.0) -> dict[str, Any]:
    """Builds a dataset and returns the status of the job that has ended."""
    job = project.new_job("RECURSIVE_BUILD").with_output(output).start()
    limit = time.monotonic() + seconds
    while job.get_status()["baseStatus"]["state"] not in ENDED:
        assert time.monotonic() < limit, f"job {job.id} has not ended after {seconds:g} s"
        time.sleep(0.05)
    status: dict[str, Any] = job.get_status()["baseStatus"]
    return status
