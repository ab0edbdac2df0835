"""One sandbox for all tests of the sandbox, on free ports, in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator

import dataikuapi
import pytest

from mlops_steps.sandbox.core.node import Node
from mlops_steps.sandbox.core.server import Sandbox


def client_of(node: Node) -> dataikuapi.DSSClient:
    """The official client with the node's key."""
    return dataikuapi.DSSClient(node.url, node.api_key)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox.open(tmp_path_factory.mktemp("sandbox") / "nodes") as running:
        yield running


@pytest.fixture(scope="session")
def design_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["design"]


@pytest.fixture(scope="session")
def test_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["auto-test"]


@pytest.fixture(scope="session")
def prod_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["auto-prod"]


@pytest.fixture
def design(design_node: Node) -> dataikuapi.DSSClient:
    return client_of(design_node)


@pytest.fixture
def auto_test(test_node: Node) -> dataikuapi.DSSClient:
    return client_of(test_node)


@pytest.fixture
def auto_prod(prod_node: Node) -> dataikuapi.DSSClient:
    return client_of(prod_node)
