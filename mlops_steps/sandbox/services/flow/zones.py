"""Flow zones: ``zones/<id>.json`` of a project's configuration, as real exports hold them.

A file has ``name``, ``color``, ``items`` and ``shared``. The default zone has no file of its own: it holds what is in
no other zone. (Where its name and colour are changed, the sandbox keeps them in ``zones/default.json``: inferred.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, not_found
from mlops_steps.sandbox.services.flow.graph import graph_of, part_of
from mlops_steps.sandbox.services.flow.kinds import KINDS, RECIPES, recipes_of
from mlops_steps.sandbox.services.flow.plan import Flow
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import Objects, new_id

DEFAULT = "default"
_DEFAULT_ZONE = {"name": "Default", "color": "#2ab1ac"}
Item = dict[str, Any]


class Zones:
    """The zones of a project."""

    def __init__(self, project: Project, user: str = "admin") -> None:
        self.project = project
        self.user = user
        self.objects = Objects(project, "zones", "flow zone")
        self._there = self._existing()

    def _existing(self) -> dict[str, list[str]]:
        return {kind.type: kind.of(self.project).ids() for kind in (*KINDS, RECIPES)}

    # ---- looking

    def all(self) -> list[dict[str, Any]]:
        """The zones: the default one, then the others by id."""
        return [self.get(DEFAULT), *(self.get(identity) for identity in self._own_ids())]

    def _own_ids(self) -> list[str]:
        return [identity for identity in self.objects.ids() if identity != DEFAULT]

    def get(self, identity: str) -> dict[str, Any]:
        """A zone: ``id``, ``name``, ``color``, ``items``, ``shared``.

        :raises DssError: 404, there is none.
        """
        stored = self._stored(identity)
        items = self._rest() if identity == DEFAULT else self._only_existing(stored.get("items"))
        return {**stored, "id": identity, "items": items, "shared": self._only_existing(stored.get("shared"))}

    def _stored(self, identity: str) -> dict[str, Any]:
        if identity == DEFAULT and not self.objects.exists(DEFAULT):
            return dict(_DEFAULT_ZONE)
        return self.objects.get(identity)

    def _only_existing(self, items: Any) -> list[Item]:
        """What was deleted since, or never came along, is in no zone; objects of other projects stay."""
        return [
            dict(item)
            for item in items or []
            if item.get("projectKey", self.project.key) != self.project.key
            or item.get("objectId") in self._there.get(item.get("objectType"), [item.get("objectId")])
        ]

    def _rest(self) -> list[Item]:
        taken = [_place(item) for identity in self._own_ids() for item in self.objects.get(identity).get("items") or []]
        everything = [(kind, name) for kind, names in self._there.items() for name in names]
        return [{"objectId": name, "objectType": kind} for kind, name in everything if (kind, name) not in taken]

    def graph(self, identity: str) -> dict[str, Any]:
        """The graph of what is in a zone and of what is shared with it."""
        zone = self.get(identity)
        return part_of(graph_of(self.project), {item["objectId"] for item in (*zone["items"], *zone["shared"])})

    # ---- changing

    def create(self, name: Any, color: Any) -> dict[str, Any]:
        """Creates an empty zone. Raises 400 when it has no name."""
        if not isinstance(name, str) or not name.strip():
            raise bad_request("A flow zone needs a name")
        identity = new_id()[:7]
        document: dict[str, Any] = {
            "name": name,
            "color": color or _DEFAULT_ZONE["color"],
            "items": [],
            "shared": [],
            "tags": [],
        }
        self.objects.create(identity, document, self.user)
        return self.get(identity)

    def save(self, identity: str, wanted: Mapping[str, Any]) -> None:
        """Changes name, colour and what else is no list of objects, which have requests of their own. Raises 404."""
        kept = ("id", "projectKey", "items", "shared", "versionTag", "creationTag")
        changes = {name: value for name, value in wanted.items() if name not in kept}
        self._change(identity, lambda zone: {**zone, **changes})

    def delete(self, identity: str) -> None:
        """Deletes a zone; its objects are in the default one again. Raises 400 for the default zone, and 404."""
        if identity == DEFAULT:
            raise bad_request("The default zone of a flow cannot be deleted")
        self.objects.delete(identity, self.user)

    def add(self, identity: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Moves objects into a zone, each with the recipe that makes it, out of the zones where they are."""
        with self.project.node.lock(self.project.key):
            self._stored(identity)
            moved = self._with_recipes([self._checked(item) for item in items])
            for other in self._own_ids():
                here = self._stored(other).get("items") or []
                left = [item for item in here if _place(item) not in moved]
                if other == identity:
                    left += [{"objectId": name, "objectType": kind} for kind, name in moved]
                if left != here:
                    self._set(other, "items", left)
        return self.get(identity)

    def _with_recipes(self, items: list[Item]) -> list[tuple[str, str]]:
        flow = Flow.of(recipes_of(self.project).all_named(), self.project.key)
        places = []
        for item in items:
            producer = None if item["objectType"] == RECIPES.type else flow.producer(item["objectId"])
            places += [_place(item)] + ([(RECIPES.type, producer)] if producer else [])
        return list(dict.fromkeys(places))

    def share(self, identity: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """Shows an object of another zone in this one too."""
        wanted = self._checked(item)
        shared = [one for one in self._stored(identity).get("shared") or [] if _place(one) != _place(wanted)]
        self._set(identity, "shared", [*shared, wanted])
        return self.get(identity)

    def unshare(self, identity: str, kind: str, name: str) -> dict[str, Any]:
        """Takes back :meth:`share`. Raises 404 when the object was not shared with the zone."""
        shared = self._stored(identity).get("shared") or []
        left = [one for one in shared if _place(one) != (kind, name)]
        if len(left) == len(shared):
            raise not_found(f"{kind} {name} is not shared with flow zone {identity}")
        self._set(identity, "shared", left)
        return self.get(identity)

    def _set(self, identity: str, field: str, items: Sequence[Mapping[str, Any]]) -> None:
        self._change(identity, lambda zone: {**zone, field: list(items)})

    def _change(self, identity: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with self.project.node.lock(self.project.key):
            changed = change(self._stored(identity))
            if self.objects.exists(identity):
                self.objects.save(identity, changed, self.user)
            else:
                self.objects.create(identity, changed, self.user)

    def _checked(self, item: Mapping[str, Any]) -> Item:
        kind, name = str(item.get("objectType")), str(item.get("objectId"))
        if item.get("projectKey", self.project.key) != self.project.key:
            return {**item, "objectType": kind, "objectId": name}
        if kind not in self._there:
            raise bad_request(f"objects of type {kind} in flow zones are not supported by the sandbox")
        if name not in self._there[kind]:
            label = next(one.label for one in (*KINDS, RECIPES) if one.type == kind)
            raise not_found(f"{label} {name} does not exist in project {self.project.key}")
        return {"objectId": name, "objectType": kind}


def _place(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item.get("objectType")), str(item.get("objectId"))
