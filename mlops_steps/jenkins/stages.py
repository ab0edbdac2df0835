"""The stages of a build and how they ended, from the graph that Pipeline itself serves.

The stage view's API (``wfapi``) belongs to a plugin of its own, which a controller need not have. Each build of a
pipeline has its graph among its data instead: nodes with their parents, and a ball for how each ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_steps.jenkins.builds import Build, ask_of_build
from mlops_steps.jenkins.session import Session

_TREE = "actions[_class,nodes[_class,id,displayName,iconColor,parents]]"

# Of a block's end, or of a step: what the ball says.
_ENDED = {"red": "FAILED", "aborted": "aborted", "yellow": "unstable", "notbuilt": "not built"}
_WORST_FIRST = ("FAILED", "aborted", "unstable", "not built")

_SKIPPED = re.compile(r'^Stage "(?P<name>.+)" skipped due to (?P<why>.+)$')


@dataclass(frozen=True)
class Stage:
    """A stage: ``depth`` 0 is the outermost. ``state`` is passed, FAILED, aborted, unstable, skipped … or running."""

    name: str
    depth: int
    state: str


def of(session: Session, build: Build, skipped: Mapping[str, str] | None = None) -> list[Stage]:
    """The stages of a build in the order in which they began; none for a build that is not a pipeline.

    ``skipped`` has the reasons of those that were skipped (see :func:`skipped_in`): the graph does not tell them from
    those that passed.
    """
    data = ask_of_build(session, build, "", _TREE) or {}
    graphs = [action["nodes"] for action in data.get("actions") or [] if action.get("nodes")]
    return from_graph(graphs[0] if graphs else [], skipped or {})


def skipped_in(lines: Iterable[str]) -> dict[str, str]:
    """The stages that lines of the console say were skipped, with the reason."""
    return {found["name"]: found["why"] for line in lines if (found := _SKIPPED.match(line))}


def from_graph(nodes: Iterable[Mapping[str, Any]], skipped: Mapping[str, str]) -> list[Stage]:
    """The stages of the graph's nodes."""
    graph = _Graph(nodes)
    return [
        Stage(graph.name(node), len(graph.stages_around(node)) - 1, _state(graph, node, skipped))
        for node in graph.in_order
        if graph.is_stage(node)
    ]


def _state(graph: _Graph, stage: str, skipped: Mapping[str, str]) -> str:
    end = graph.end_of.get(stage)
    if end is None:
        return "running"
    # A step that failed and was caught is not held against the stage; a warning that it left is.
    found = {_ENDED.get(graph.ball(end))}
    found |= {
        _ENDED.get(graph.ball(node)) for node in graph.in_order if graph.warns(node) and stage in graph.around(node)
    }
    for state in _WORST_FIRST:
        if state in found:
            return state
    if graph.name(stage) in skipped:
        return f"skipped ({skipped[graph.name(stage)]})"
    return "passed"


class _Graph:
    """Nodes in their order. The API names each node's parents; which block it lies in follows from them."""

    def __init__(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        self._nodes = {str(node["id"]): node for node in nodes}
        self.in_order = sorted(self._nodes, key=int)
        self._block: dict[str, str | None] = {}
        self.end_of: dict[str, str] = {}
        for node in self.in_order:  # parents come before their children
            self._place(node)

    def name(self, node: str) -> str:
        return str(self._nodes[node].get("displayName") or "?")

    def ball(self, node: str) -> str:
        return str(self._nodes[node].get("iconColor") or "").removesuffix("_anime")

    def warns(self, node: str) -> bool:
        """Whether the ball comes from a warning: a step that failed is red too, the start of a block never is."""
        return self.ball(node) == "yellow" or (self._is(node, "StartNode") and self.ball(node) != "blue")

    def is_stage(self, node: str) -> bool:
        """Whether the node begins a stage's body, which bears the stage's name."""
        parent = self._parent(node)
        return self._is(node, "StepStartNode") and parent is not None and self.name(parent) == "Stage : Start"

    def around(self, node: str) -> list[str]:
        """The blocks that the node lies in, itself included if it begins one; innermost first."""
        found: list[str] = []
        block: str | None = node if self._is(node, "StartNode") else self._block[node]
        while block is not None:
            found.append(block)
            block = self._block[block]
        return found

    def stages_around(self, node: str) -> list[str]:
        return [block for block in self.around(node) if self.is_stage(block)]

    def _place(self, node: str) -> None:
        parent = self._parent(node)
        if parent is None:
            block = None
        elif self._is(parent, "StartNode"):
            block = parent
        else:
            block = self._block[parent]
        if self._is(node, "EndNode") and block is not None:
            # It ends the block that its parent lies in, and stands where that block stands.
            self.end_of[block] = node
            block = self._block[block]
        self._block[node] = block

    def _parent(self, node: str) -> str | None:
        parents = [str(parent) for parent in self._nodes[node].get("parents") or []]
        return parents[0] if parents and parents[0] in self._nodes else None

    def _is(self, node: str, kind: str) -> bool:
        return str(self._nodes[node].get("_class", "")).endswith(kind)
