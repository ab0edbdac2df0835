"""Infrastructures of a deployer: an id, a stage, and which nodes stand behind it."""

from __future__ import annotations

from typing import Any, cast

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.store import read_json, write_json
from mlops_steps.sandbox.services.deployers.places import Places

STAGES = (
    {"id": "Development", "desc": "Development stage"},
    {"id": "Test", "desc": "Test stage"},
    {"id": "Production", "desc": "Production stage"},
)
GOVERN_POLICIES = ("PREVENT", "WARN", "NO_CHECK")
# A key that was saved is not given out again; saving this value keeps it.
HIDDEN = "********"


class Infras:
    """The infrastructures of a deployer. Those of the sandbox's own nodes are there from the beginning.

    A subclass says what they are at first (:meth:`seeds`), what a new one is (:meth:`new_settings`), and what is shown
    and kept of their nodes (:meth:`shown`, :meth:`kept`).
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        with places.lock:
            if not (places.root / "infras").exists():
                for infra_id, settings in self.seeds().items():
                    write_json(places.infra(infra_id), settings)

    def seeds(self) -> dict[str, dict[str, Any]]:
        """The settings of the sandbox's own infrastructures, by id."""
        raise NotImplementedError

    def new_settings(self, infra_id: str, stage: str, policy: str) -> dict[str, Any]:
        """The settings of a new infrastructure, which stands for no node yet."""
        raise NotImplementedError

    def shown(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings as they are given out: with the present URLs, without keys."""
        raise NotImplementedError

    def kept(self, known: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        """The settings as they are saved: a hidden key is the known one. Raises 400."""
        raise NotImplementedError

    def basic_info(self, infra_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        raise NotImplementedError

    def ids(self) -> list[str]:
        """The ids of all infrastructures."""
        return sorted(path.stem for path in (self.places.root / "infras").glob("*.json") if path.name[0] != ".")

    def load(self, infra_id: str) -> dict[str, Any]:
        """The settings as they are saved, keys included. Raises 404."""
        settings = read_json(self.places.infra(infra_id))
        if settings is None:
            raise not_found(f"infrastructure {infra_id} does not exist on the {self.places.title}")
        return cast(dict[str, Any], settings)

    def settings(self, infra_id: str) -> dict[str, Any]:
        """The settings, with the present URLs of nodes of the sandbox and without keys. Raises 404."""
        return self.shown(self.load(infra_id))

    def create(self, infra_id: str, stage: str, policy: str) -> dict[str, Any]:
        """Creates an infrastructure that stands for no node yet. Raises 400 and 409."""
        path = self.places.infra(infra_id)
        _check_stage(stage)
        if policy not in GOVERN_POLICIES:
            raise bad_request(f"Unknown governCheckPolicy {policy!r}: use one of {', '.join(GOVERN_POLICIES)}")
        with self.places.lock:
            if path.exists():
                raise conflict(f"infrastructure {infra_id} already exists on the {self.places.title}")
            write_json(path, self.new_settings(infra_id, stage, policy))
        return self.settings(infra_id)

    def save(self, infra_id: str, settings: dict[str, Any]) -> None:
        """Replaces the settings; the id stays, and so do keys that are the hidden one. Raises 400 and 404."""
        with self.places.lock:
            known = self.load(infra_id)
            if settings.get("id", infra_id) != infra_id:
                raise bad_request("The id of an infrastructure can't be changed")
            _check_stage(settings.get("stage"))
            write_json(self.places.infra(infra_id), {**self.kept(known, settings), "id": infra_id})

    def delete(self, infra_id: str) -> None:
        """Deletes an infrastructure that no deployment uses. Raises 404."""
        with self.places.lock:
            self.load(infra_id)
            self.places.infra(infra_id).unlink()


def _check_stage(stage: object) -> None:
    known = [str(one["id"]) for one in STAGES]
    if stage not in known:
        raise bad_request(f"Unknown stage {stage!r}: use one of {', '.join(known)}")
