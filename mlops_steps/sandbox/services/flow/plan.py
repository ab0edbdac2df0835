"""Which recipes a build has to run, and in which order. Pure logic: no files, no processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

# The build modes of DSS. A "smart" build runs what is missing or out of date.
FORCED_ONE = "NON_RECURSIVE_FORCED_BUILD"
FORCED_ALL = "RECURSIVE_FORCED_BUILD"
SMART = "RECURSIVE_BUILD"
MISSING = "RECURSIVE_MISSING_ONLY_BUILD"
MODES = (FORCED_ONE, FORCED_ALL, SMART, MISSING)


class PlanError(Exception):
    """A build that cannot be planned. The message names the objects."""


@dataclass(frozen=True)
class RecipeNode:
    """A recipe in the flow: the names of what it reads and of what it writes."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, definition: Mapping[str, Any], project_key: str) -> RecipeNode:
        """The node of a recipe's definition."""
        return cls(
            definition["name"],
            definition.get("type", ""),
            references(definition.get("inputs"), project_key),
            references(definition.get("outputs"), project_key),
        )


def references(roles: Mapping[str, Any] | None, project_key: str) -> tuple[str, ...]:
    """The names in the roles of a recipe; those of the own project without its key."""
    names = []
    for role in (roles or {}).values():
        for item in role.get("items") or []:
            name = str(item.get("ref", "")).removeprefix(f"{project_key}.")
            if name and name not in names:
                names.append(name)
    return tuple(names)


@dataclass
class Flow:
    """The recipes of a project and what connects them. ``in_folders``: datasets that are the files of a folder."""

    recipes: dict[str, RecipeNode] = field(default_factory=dict)
    in_folders: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, definitions: Iterable[Mapping[str, Any]], project_key: str, in_folders: Mapping[str, str] | None = None
    ) -> Flow:
        """The flow of these recipes."""
        nodes = [RecipeNode.of(definition, project_key) for definition in definitions]
        return cls({node.name: node for node in nodes}, in_folders or {})

    def producer(self, name: str) -> str | None:
        """The recipe that writes an object, None for a source."""
        names = (name, self.in_folders.get(name))
        return next((node.name for node in self.recipes.values() if not set(names).isdisjoint(node.outputs)), None)

    def direct_upstream(self, recipe: str) -> set[str]:
        """The recipes that write what this one reads."""
        producers = (self.producer(name) for name in self.recipes[recipe].inputs)
        return {producer for producer in producers if producer is not None and producer != recipe}

    def upstream(self, recipe: str) -> set[str]:
        """This recipe and all that it depends on."""
        found: set[str] = set()
        waiting = [recipe]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self.direct_upstream(current))
        return found

    def order(self, recipes: Iterable[str]) -> list[str]:
        """These recipes so that each comes after those it depends on.

        :raises PlanError: they depend on each other in a circle.
        """
        wanted = set(recipes)
        try:
            ordered = TopologicalSorter({name: self.direct_upstream(name) & wanted for name in sorted(wanted)})
            return list(ordered.static_order())
        except CycleError as error:
            raise PlanError(f"the flow has a circle: {' → '.join(error.args[1])}") from None

    def plan(
        self,
        outputs: Iterable[str],
        mode: str,
        *,
        has_data: Callable[[str], bool],
        is_current: Callable[[RecipeNode], bool],
    ) -> list[RecipeNode]:
        """The recipes to run for ``outputs``, in order.

        :param has_data: whether an object has data.
        :param is_current: whether a recipe and its inputs are as they were when it last ran.
        :raises PlanError: an unknown mode, or an output that no recipe writes and that has no data.
        """
        if mode not in MODES:
            raise PlanError(f"build mode {mode!r} is not supported by the sandbox: use one of {', '.join(MODES)}")
        wanted: set[str] = set()
        for output in outputs:
            producer = self.producer(output)
            if producer is not None:
                wanted |= {producer} if mode == FORCED_ONE else self.upstream(producer)
            elif not has_data(output):
                raise PlanError(f"{output} cannot be built: no recipe writes it, and it has no data")
        ordered = [self.recipes[name] for name in self.order(wanted)]
        if mode in (FORCED_ONE, FORCED_ALL):
            return ordered
        running: set[str] = set()
        for node in ordered:
            missing = not all(has_data(name) for name in node.outputs)
            stale = mode == SMART and (bool(running & self.direct_upstream(node.name)) or not is_current(node))
            if missing or stale:
                running.add(node.name)
        return [node for node in ordered if node.name in running]
