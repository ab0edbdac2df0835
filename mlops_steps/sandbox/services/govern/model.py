"""The items of Govern ("artifacts" in the API), and their sign-offs.

Published projects and bundles are items by themselves, as DSS keeps them in step. What governs a bundle is an item
that somebody makes; it has a sign-off in the step ``review``. Ids of blueprints and the fields ``governed_by``,
``dataiku_item``, ``dataiku_project``, ``node_id`` and ``project_key`` are those of the documentation of DSS. That
the item of a bundle has the bundle's id as its name is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json

DATAIKU_PROJECT, DATAIKU_BUNDLE = "bp.system.dataiku_project", "bp.system.dataiku_bundle"
GOVERN_BUNDLE = "bp.system.govern_bundle"
STATUSES = ("NOT_STARTED", "WAITING_FOR_FEEDBACK", "WAITING_FOR_APPROVAL", "APPROVED", "REJECTED", "ABANDONED")
_FINAL = ("APPROVED", "REJECTED", "ABANDONED")
_REVIEW = "review"
_FILE = "govern.json"


class Govern:
    """The items of the node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._path = node.config_dir / _FILE

    def _load(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self._path, {})
        return {"last": 1000, "artifacts": {}, "signoffs": {}, **found}

    def _add(self, document: dict[str, Any], blueprint: str, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        document["last"] += 1
        identity = f"ar.{document['last']}"
        version = {"blueprintId": blueprint, "versionId": "bv.system.default"}
        artifact = {"id": identity, "name": name, "blueprintVersionId": version, "fields": dict(fields)}
        document["artifacts"][identity] = artifact
        return artifact

    def published(self, key: str, bundle_id: str, user: str) -> None:
        """Makes an item of a bundle that was published, and of its project when that has none yet."""
        with self.node.lock(_FILE):
            document = self._load()
            fields = {"node_id": self.node.id, "project_key": key}
            project = _found(document, DATAIKU_PROJECT, key, key) or self._add(document, DATAIKU_PROJECT, key, fields)
            old = _found(document, DATAIKU_BUNDLE, bundle_id, key)
            if old is not None:
                # It was deleted and is another one now: what was approved was the other.
                old["fields"].pop("governed_by", None)
            else:
                more = {"dataiku_project": project["id"], "createdBy": user}
                self._add(document, DATAIKU_BUNDLE, bundle_id, {**fields, **more})
            write_json(self._path, document)

    # ---- items

    def get(self, identity: str) -> dict[str, Any]:
        """An item. Raises 404."""
        found: dict[str, Any] | None = self._load()["artifacts"].get(identity)
        if found is None:
            raise not_found(f"artifact {identity} does not exist")
        return found

    def create(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Makes an item. One that governs a bundle is linked with it, and gets its sign-off. Raises 400."""
        blueprint = str((wanted.get("blueprintVersionId") or {}).get("blueprintId") or "")
        if not blueprint or blueprint in (DATAIKU_PROJECT, DATAIKU_BUNDLE):
            raise bad_request("An artifact needs a blueprintVersionId, of what is not an item of Dataiku itself")
        fields = dict(wanted.get("fields") or {})
        with self.node.lock(_FILE):
            document = self._load()
            unknown = [one for one in fields.get("dataiku_item") or [] if one not in document["artifacts"]]
            if unknown:
                raise bad_request(f"artifact {unknown[0]} does not exist")
            artifact = self._add(document, blueprint, str(wanted.get("name") or "item"), fields)
            for item in fields.get("dataiku_item") or []:
                document["artifacts"][item]["fields"]["governed_by"] = artifact["id"]
            if blueprint == GOVERN_BUNDLE:
                document["signoffs"][artifact["id"]] = {_REVIEW: _new_signoff(artifact["id"], _REVIEW)}
            write_json(self._path, document)
        return artifact

    def save(self, identity: str, artifact: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces name and fields of an item. Raises 404."""
        with self.node.lock(_FILE):
            document = self._load()
            known = self.get(identity)
            changed = {**known, "name": artifact.get("name", known["name"]), "fields": artifact.get("fields") or {}}
            document["artifacts"][identity] = changed
            write_json(self._path, document)
        return changed

    def delete(self, identity: str) -> None:
        """Deletes an item, and the links to it. Raises 404."""
        with self.node.lock(_FILE):
            self.get(identity)
            document = self._load()
            del document["artifacts"][identity]
            document["signoffs"].pop(identity, None)
            for artifact in document["artifacts"].values():
                if artifact["fields"].get("governed_by") == identity:
                    del artifact["fields"]["governed_by"]
            write_json(self._path, document)

    def search(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The items that all filters let through, by their ids. Raises 400 for a filter that is not known."""
        filters = query.get("artifactFilters") or []
        artifacts = sorted(self._load()["artifacts"].values(), key=lambda artifact: int(artifact["id"][3:]))
        return [artifact for artifact in artifacts if all(_passes(artifact, one) for one in filters)]

    # ---- sign-offs

    def signoffs(self, identity: str) -> list[dict[str, Any]]:
        """The sign-offs of an item. Raises 404."""
        self.get(identity)
        return list(self._load()["signoffs"].get(identity, {}).values())

    def signoff(self, identity: str, step: str) -> dict[str, Any]:
        """The sign-off of a step. Raises 404."""
        for signoff in self.signoffs(identity):
            if signoff["signoffId"]["stepId"] == step:
                return signoff
        raise not_found(f"artifact {identity} has no sign-off in step {step}")

    def create_signoff(self, identity: str, step: str) -> None:
        """Adds a sign-off. Raises 404, and 409 when the step has one."""
        if step in [one["signoffId"]["stepId"] for one in self.signoffs(identity)]:
            raise conflict(f"artifact {identity} has a sign-off in step {step}")
        self._keep(identity, step, _new_signoff(identity, step))

    def set_status(self, identity: str, step: str, status: str) -> None:
        """Moves a sign-off on. A final status comes with the approval, and goes when it is reset. Raises 400, 404."""
        signoff = self.signoff(identity, step)
        if status not in STATUSES:
            raise bad_request(f"Unknown sign-off status {status!r}: use one of {', '.join(STATUSES)}")
        self._keep(identity, step, {**signoff, "status": status, "approverResponse": None})

    def respond(self, identity: str, step: str, response: Mapping[str, Any], user: str) -> dict[str, Any]:
        """The final approval: approved, rejected or abandoned. Raises 400 and 404."""
        status = response.get("status")
        if status not in _FINAL:
            raise bad_request(f"Unknown approval status {status!r}: use one of {', '.join(_FINAL)}")
        signoff = self.signoff(identity, step)
        if signoff["status"] == "NOT_STARTED":
            raise conflict(f"the sign-off of step {step} has not been started")
        given = {"status": status, "comment": response.get("comment"), "userLogin": user, "creationTime": now_ms()}
        self._keep(identity, step, {**signoff, "status": status, "approverResponse": given})
        return given

    def withdraw(self, identity: str, step: str) -> None:
        """Takes the final approval back. Raises 404."""
        self._keep(identity, step, {**self.signoff(identity, step), "status": STATUSES[2], "approverResponse": None})

    def _keep(self, identity: str, step: str, signoff: dict[str, Any]) -> None:
        with self.node.lock(_FILE):
            document = self._load()
            document["signoffs"].setdefault(identity, {})[step] = signoff
            write_json(self._path, document)

    # ---- what the Project Deployer asks

    def why_not(self, project_key: str, bundle_id: str) -> str | None:
        """Why a bundle is not approved; ``None`` when it is."""
        bundle = _found(self._load(), DATAIKU_BUNDLE, bundle_id, project_key)
        governed_by = bundle and bundle["fields"].get("governed_by")
        if not governed_by:
            return f"bundle {bundle_id} of project {project_key} is not governed"
        signoffs = self.signoffs(governed_by)
        if not signoffs:
            return f"bundle {bundle_id} has no sign-off"
        for signoff in signoffs:
            if signoff["status"] != "APPROVED":
                return f"sign-off {signoff['signoffId']['stepId']} of bundle {bundle_id} is {signoff['status']}"
        return None


def _new_signoff(identity: str, step: str) -> dict[str, Any]:
    return {
        "signoffId": {"artifactId": identity, "stepId": step},
        "status": STATUSES[0],
        "configuration": {},
        "feedbackResponses": [],
        "approverResponse": None,
    }


def _found(document: Mapping[str, Any], blueprint: str, name: str, key: str) -> dict[str, Any] | None:
    for artifact in document["artifacts"].values():
        is_kind = artifact["blueprintVersionId"]["blueprintId"] == blueprint
        if is_kind and artifact["name"] == name and artifact["fields"].get("project_key") == key:
            found: dict[str, Any] = artifact
            return found
    return None


_CONDITIONS: dict[str, Callable[[str, str], bool]] = {
    "EQUALS": lambda value, wanted: value == wanted,
    "CONTAINS": lambda value, wanted: wanted in value,
    "START_WITH": lambda value, wanted: value.startswith(wanted),
    "END_WITH": lambda value, wanted: value.endswith(wanted),
}


def _passes(artifact: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    kind = one.get("type")
    if kind == "archived":
        return True  # nothing is archived
    if kind == "blueprints":
        return artifact["blueprintVersionId"]["blueprintId"] in (one.get("blueprintIds") or [])
    if kind == "artifacts":
        return artifact["id"] in (one.get("artifactIds") or [])
    if kind != "field" or one.get("conditionType") not in _CONDITIONS:
        raise bad_request(f"Unknown filter of artifacts: {kind} {one.get('conditionType', '')}")
    field = one.get("fieldId")
    value = str(artifact["name"] if not field else artifact["fields"].get(field, ""))
    wanted = str(one.get("condition") or "")
    if not one.get("caseSensitive"):
        value, wanted = value.lower(), wanted.lower()
    return _CONDITIONS[str(one["conditionType"])](value, wanted) is not bool(one.get("negateCondition"))
