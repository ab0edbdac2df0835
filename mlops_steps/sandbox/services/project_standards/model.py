"""The checks and scopes of a node, and the reports of projects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.futures import current_future
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.services.project_standards.checks import SPECS, run
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import new_id

_FILE = "project-standards.json"
_METHODS = ("BY_PROJECT", "BY_FOLDER", "BY_TAG")
DEFAULT_SCOPE: dict[str, Any] = {
    "name": "Default",
    "description": "Projects that no other scope selects",
    "selectionMethod": "ALL",
    "checks": [],
}


class Standards:
    """What administrators have set up on a node. Scopes are tried in their order; the default one comes last."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._path = node.config_dir / _FILE

    @property
    def _document(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self._path, {})
        return {"checks": [], "scopes": [], "default": DEFAULT_SCOPE, **found}

    def _save(self, **changes: Any) -> None:
        write_json(self._path, {**self._document, **changes})

    # ---- checks

    def checks(self) -> list[dict[str, Any]]:
        """All checks."""
        found: list[dict[str, Any]] = self._document["checks"]
        return found

    def check(self, check_id: str) -> dict[str, Any]:
        """A check. Raises 404."""
        for check in self.checks():
            if check["id"] == check_id:
                return check
        raise not_found(f"Project Standards check {check_id} does not exist")

    def import_checks(self, element_types: Sequence[Any]) -> list[dict[str, Any]]:
        """Makes a check of each kind. Raises 400 for a kind that there is not."""
        unknown = [str(name) for name in element_types if name not in SPECS]
        if unknown:
            raise bad_request(f"Unknown check spec {', '.join(unknown)}")
        new = [
            {
                "id": new_id(),
                "name": SPECS[name].label,
                "description": SPECS[name].description,
                "checkElementType": name,
                "checkParams": dict(SPECS[name].params),
                "tags": [],
            }
            for name in element_types
        ]
        with self.node.lock(_FILE):
            self._save(checks=[*self.checks(), *new])
        return new

    def save_check(self, check_id: str, check: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces a check; its id and its kind stay. Raises 404."""
        with self.node.lock(_FILE):
            known = self.check(check_id)
            changed = {**check, "id": check_id, "checkElementType": known["checkElementType"]}
            self._save(checks=[changed if one["id"] == check_id else one for one in self.checks()])
        return changed

    def delete_check(self, check_id: str) -> None:
        """Deletes a check, also from the scopes. Raises 404."""
        with self.node.lock(_FILE):
            self.check(check_id)
            scopes = [_without(scope, check_id) for scope in self._document["scopes"]]
            default = _without(self._document["default"], check_id)
            checks = [check for check in self.checks() if check["id"] != check_id]
            self._save(checks=checks, scopes=scopes, default=default)

    # ---- scopes

    def scopes(self) -> list[dict[str, Any]]:
        """All scopes, in the order in which they are tried."""
        return [*self._document["scopes"], self._document["default"]]

    def scope(self, name: str) -> dict[str, Any]:
        """A scope. Raises 404."""
        for scope in self.scopes():
            if scope["name"] == name:
                return scope
        raise not_found(f"Project Standards scope {name} does not exist")

    def create_scope(self, name: str, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a scope, the last one before the default. Raises 400 and 409."""
        with self.node.lock(_FILE):
            if name in [known["name"] for known in self.scopes()]:
                raise conflict(f"Project Standards scope {name} already exists")
            new = {**scope, "name": name}
            self._check_scope(new)
            self._save(scopes=[*self._document["scopes"], new])
        return new

    def save_scope(self, name: str, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces a scope; of the default one only its checks. Raises 400 and 404."""
        with self.node.lock(_FILE):
            known = self.scope(name)
            if known["selectionMethod"] == "ALL":
                changed = {**known, "checks": scope.get("checks") or []}
                self._check_scope({**changed, "selectionMethod": _METHODS[0]})
                self._save(default=changed)
                return changed
            changed = {**scope, "name": name}
            self._check_scope(changed)
            self._save(scopes=[changed if one["name"] == name else one for one in self._document["scopes"]])
        return changed

    def delete_scope(self, name: str) -> None:
        """Deletes a scope. Raises 404, and 409 for the default one."""
        with self.node.lock(_FILE):
            self._refuse_default(name)
            self._save(scopes=[one for one in self._document["scopes"] if one["name"] != name])

    def reorder_scope(self, name: str, index: int) -> None:
        """Moves a scope to another place. Raises 404, and 409 for the default one."""
        with self.node.lock(_FILE):
            self._refuse_default(name)
            others = [one for one in self._document["scopes"] if one["name"] != name]
            others.insert(index, self.scope(name))
            self._save(scopes=others)

    def _refuse_default(self, name: str) -> None:
        if self.scope(name)["selectionMethod"] == "ALL":
            raise conflict("The default scope can be neither moved nor deleted")

    def _check_scope(self, scope: Mapping[str, Any]) -> None:
        if scope.get("selectionMethod") not in _METHODS:
            raise bad_request(f"Unknown selectionMethod: use one of {', '.join(_METHODS)}")
        for check_id in scope.get("checks") or []:
            self.check(str(check_id))

    def scope_of(self, project: Project) -> dict[str, Any]:
        """The scope of a project: the first that selects it. The sandbox has no project folders."""
        for scope in self.scopes():
            method = scope["selectionMethod"]
            tags = {*(scope.get("selectedTags") or [])} & {*project.params.get("tags", [])}
            if (
                method == "ALL"
                or (method == "BY_PROJECT" and project.key in (scope.get("selectedProjects") or []))
                or (method == "BY_TAG" and tags)
            ):
                return scope
        return DEFAULT_SCOPE

    # ---- runs

    def report(self, project: Project, check_ids: Sequence[str] | None, user: str) -> dict[str, Any]:
        """Runs checks on a project as it is now: those of its scope, unless others are named. Raises 404."""
        scope = self.scope_of(project)
        chosen = [
            self.check(str(check_id)) for check_id in (scope.get("checks") or [] if check_ids is None else check_ids)
        ]
        started, found = now_ms(), {}
        for check in chosen:
            if future := current_future():
                future.check()
            found[check["id"]] = run(check, project)
        return {
            "projectKey": project.key,
            "scope": scope["name"] if check_ids is None else None,
            "requester": user,
            "startTime": started,
            "totalDurationMs": now_ms() - started,
            "bundleChecksRunInfo": found,
        }

    def run(self, project: Project, check_ids: Sequence[str] | None, user: str) -> dict[str, Any]:
        """The report; kept as the project's last one when it is of the checks of its scope."""
        found = self.report(project, check_ids, user)
        if check_ids is None:
            write_json(project.data_dir / _FILE, found)
        return found

    def last_report(self, project: Project) -> dict[str, Any] | None:
        """The last report of a project; ``None`` when there is none."""
        found: dict[str, Any] | None = read_json(project.data_dir / _FILE)
        return found


def _without(scope: Mapping[str, Any], check_id: str) -> dict[str, Any]:
    return {**scope, "checks": [one for one in scope.get("checks") or [] if one != check_id]}
