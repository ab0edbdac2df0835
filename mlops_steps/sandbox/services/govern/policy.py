"""What the Project Deployer makes of Govern: the policy of an infrastructure, and the status of a bundle there."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.govern.model import Govern

_CODE = "ERR_GOVERN_BUNDLE_NOT_APPROVED"


def status(node: Node, policy: str, project_key: str, bundle_id: str) -> dict[str, Any]:
    """The messages about a bundle. None where the infrastructure does not check (``NO_CHECK``)."""
    if policy == "NO_CHECK":
        return report([])
    problem = Govern(node).why_not(project_key, bundle_id)
    if problem is None:
        return report([message("SUCCESS", "GOVERN_BUNDLE_APPROVED", "Approved", f"Bundle {bundle_id} is approved")])
    if policy == "PREVENT":
        return report([message("ERROR", _CODE, "Not approved", problem, fatal=True)])
    return report([message("WARNING", _CODE, "Not approved", problem)])
