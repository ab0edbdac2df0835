"""What an Automation node says runs on it."""

from __future__ import annotations

from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id


def active_bundle(node: Dss, project_key: str) -> str | None:
    """The id of the project's active bundle as the node itself reports it; ``None`` when there is none.

    The node's list of projects carries it (``activeBundleState.bundleId``). Raises :class:`NodeError`.
    """
    with node.asking(f"ask which bundle of project {project_key} is active"):
        for project in expect(node.client.list_projects(), list, "the list of projects"):
            if expect(project, dict, "a project").get("projectKey") == project_key:
                state = expect(project.get("activeBundleState") or {}, dict, "activeBundleState")
                bundle = state.get("bundleId")
                return None if bundle is None else node_id(bundle, "the bundle id")
        return None
