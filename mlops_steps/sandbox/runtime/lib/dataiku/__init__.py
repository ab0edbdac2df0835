"""The ``dataiku`` package of the sandbox's recipes and scenarios: the calls that recipes commonly make.

It exists in child processes only. What it does not have raises an error that names it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ._context import Unsupported, context
from .dataset import Dataset
from .folder import Folder
from .model import Model

if TYPE_CHECKING:
    from dataikuapi import DSSClient

__all__ = [
    "Dataset",
    "Folder",
    "Model",
    "api_client",
    "default_project_key",
    "get_custom_variables",
    "get_flow_variables",
]


def default_project_key() -> str:
    """The key of the project whose code runs."""
    return os.environ["DKU_CURRENT_PROJECT_KEY"]


def get_custom_variables(project_key: str | None = None, typed: bool = False) -> dict[str, Any]:
    """The resolved variables: instance, project, local, and those of the scenario run, later ones first.

    :param typed: values as they are; otherwise every value is a string, structures in JSON.
    """
    return context(project_key).variables(typed=typed)


def get_flow_variables(project_key: str | None = None, typed: bool = False) -> dict[str, Any]:
    """The variables of the current recipe. The sandbox has no partitions, so these are the resolved variables."""
    return context(project_key).variables(typed=typed)


def api_client() -> DSSClient:
    """The official client on the node that runs this code, with the rights of this run."""
    from dataikuapi import DSSClient

    return DSSClient(os.environ["DKU_NODE_URL"], internal_ticket=os.environ["DKU_API_TICKET"])


def __getattr__(name: str) -> Any:
    if name == "dku_flow_variables":
        return get_flow_variables()
    if name.startswith("__"):
        raise AttributeError(name)
    raise Unsupported(f"dataiku.{name} is not supported by the sandbox")
