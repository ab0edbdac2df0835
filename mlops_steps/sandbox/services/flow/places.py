"""Where a project's data lie, for the node and for its child processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_steps.sandbox.runtime.lib.dataiku._layout import Places
from mlops_steps.sandbox.services.projects.model import Project


def places_of(project: Project, variables: Mapping[str, Any] | None = None) -> Places:
    """The places of a project, with the node's connections but none of their secrets."""
    node = project.node
    connections = {}
    for name, connection in node.connections().items():
        root = (connection.get("params") or {}).get("root")
        params = {"root": str(root).replace("${dip.home}", str(node.dir / "data"))} if root else {}
        connections[name] = {"type": connection.get("type"), "params": params}
    return Places(
        project_key=project.key,
        config_dir=project.config_dir,
        uploads_dir=project.uploads_dir,
        data_dir=project.data_dir,
        connections=connections,
        values=project.resolved_variables(variables),
        node=node.id,
    )
