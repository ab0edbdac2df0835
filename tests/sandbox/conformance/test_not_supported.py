"""What the sandbox cannot do is said once, by name, with a status that clients neither repeat nor misread."""

from __future__ import annotations

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node


def test_an_operation_that_is_not_supported_is_named_and_not_repeated(
    design: dataikuapi.DSSClient, design_node: Node
) -> None:
    design_node.faults.clear_requests()
    with pytest.raises(DataikuException, match="not supported by the sandbox: GET /admin/clusters"):
        design.list_clusters()
    (request,) = (
        entry for entry in design_node.faults.requests() if entry.path.rstrip("/").endswith("/admin/clusters")
    )
    assert request.status == 400
