"""Flow graphs as a controller serves them: the nodes of a pipeline, written down as a tree."""

from __future__ import annotations

from typing import Any

PACKAGE = "org.jenkinsci.plugins.workflow"


class Graph:
    """Builds the nodes in the order in which Pipeline makes them. Methods nest: ``begin`` … ``end``."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self._last = ""
        self._node("graph.FlowStartNode", "Start of Pipeline")

    def step(self, name: str = "Shell Script", ball: str = "blue") -> Graph:
        self._node("cps.nodes.StepAtomNode", name, ball)
        return self

    def begin(self, name: str, step: str = "Stage", ball: str = "blue") -> Graph:
        """A step with a block, and the block, which bears the name. ``ball`` is that of the step itself."""
        self._node("cps.nodes.StepStartNode", f"{step} : Start", ball)
        self._node("cps.nodes.StepStartNode", name)
        return self

    def end(self, ball: str = "blue", step: str = "Stage") -> Graph:
        self._node("cps.nodes.StepEndNode", f"{step} : Body : End", ball)
        self._node("cps.nodes.StepEndNode", f"{step} : End", ball)
        return self

    def stage(self, name: str, ball: str = "blue") -> Graph:
        """A stage with one step that ends like it."""
        return self.begin(name).step(ball=ball).end("blue" if ball == "yellow" else ball)

    def parallel(self, **branches: str) -> Graph:
        """A stage for each branch, side by side; the value is the stage's ball."""
        self._node("cps.nodes.StepStartNode", "Execute in parallel : Start")
        fork, ends = self._last, []
        for name, ball in branches.items():
            self._last = fork
            self._node("cps.nodes.StepStartNode", f"Branch: {name}")
            self.stage(name, ball)
            self._node("cps.nodes.StepEndNode", "Execute in parallel : Body : End")
            ends.append(self._last)
        self._node("cps.nodes.StepEndNode", "Execute in parallel : End", parents=ends)
        return self

    def _node(self, kind: str, name: str, ball: str = "blue", parents: list[str] | None = None) -> None:
        number = str(len(self.nodes) + 2)
        self.nodes.append(
            {
                "_class": f"{PACKAGE}.{kind}",
                "displayName": name,
                "iconColor": ball,
                "id": number,
                "parents": parents or ([self._last] if self._last else []),
            }
        )
        self._last = number
