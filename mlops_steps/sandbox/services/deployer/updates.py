"""Updates: making an Automation node what a deployment's settings say, with a history."""

from __future__ import annotations

import functools
import weakref
from pathlib import Path
from typing import Any, cast

from mlops_steps.sandbox.node.errors import DssError, conflict, not_found
from mlops_steps.sandbox.node.futures import Aborted, Future, Futures, current_future
from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.remote import AutomationNode, RemoteError

RUNNING = "RUNNING"
# The updates under way since a node started; a node gets new futures each time it starts. None: about to start.
_UNDER_WAY: weakref.WeakKeyDictionary[Futures, dict[tuple[str, int], Future | None]] = weakref.WeakKeyDictionary()


class UpdateFailed(Exception):
    """The node could not be made what it should be; the text is the message of the update."""


class Update:
    """One update under way: its record is written with every line of its log, so that a crash leaves it readable."""

    def __init__(self, deployments: Deployments, settings: dict[str, Any], started: int, user: str) -> None:
        self.deployments = deployments
        self.settings = settings
        self.id = settings["id"]
        self.messages: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {
            "deploymentId": self.id,
            "type": "UPDATE",
            "status": RUNNING,
            "startTimestamp": started,
            "endTimestamp": None,
            "requester": user,
            "bundleId": settings["bundleId"],
            "enabled": settings["enabled"],
            "infoMessages": report([]),
            "logs": {"lines": []},
        }
        self.write()

    def write(self) -> None:
        """Writes the record as it is now."""
        started = self.record["startTimestamp"]
        write_json(self.deployments.places.updates(self.id) / f"{started}.json", self.record)

    def log(self, line: str) -> None:
        """Adds a line to the log. Raises :class:`Aborted` when the update is to end."""
        self.record["logs"]["lines"].append(f"[{now_ms()}] {line}")
        self.write()
        future = current_future()
        if future is not None:
            future.check()

    def take(self, found: dict[str, Any]) -> None:
        """Takes over the warnings and errors of a report of the node. Raises :class:`UpdateFailed` for errors."""
        serious = [item for item in found.get("messages", []) if item["severity"] in ("WARNING", "ERROR")]
        self.messages += [item for item in serious if item["severity"] == "WARNING"]
        errors = [item["message"] for item in serious if item["severity"] == "ERROR"]
        if errors:
            raise UpdateFailed("; ".join(errors))

    def run(self) -> dict[str, Any]:
        """Does the work and returns the result of the future; what fails stands in its messages."""
        try:
            with self.deployments.infras.automation_node(self.settings["infraId"]) as node:
                self.log(f"Update of deployment {self.id} on node {node.name} ({node.url})")
                self._work(node)
            self._end("WARNING" if self.messages else "SUCCESS")
        except (UpdateFailed, RemoteError, DssError) as error:
            text = error.message if isinstance(error, DssError) else str(error)
            self.messages.append(
                message("ERROR", "ERR_PROJECT_DEPLOYMENT_UPDATE_FAILED", "Update failed", text, fatal=True)
            )
            self._end("ERROR")
        except Aborted:
            self.messages.append(
                message("ERROR", "ERR_PROJECT_DEPLOYMENT_UPDATE_ABORTED", "Update aborted", "The update was aborted")
            )
            self._end("ABORTED")
            raise
        except BaseException:
            self._end("ERROR")
            raise
        return {name: self.record[name] for name in ("deploymentId", "status", "bundleId", "infoMessages")}

    def _end(self, status: str) -> None:
        for item in self.messages:
            self.record["logs"]["lines"].append(f"[{now_ms()}] {item['severity']}: {item['message']}")
        self.record["logs"]["lines"].append(f"[{now_ms()}] Update ended: {status}")
        self.record.update(status=status, endTimestamp=now_ms(), infoMessages=report(self.messages))
        self.write()

    # ---- the work

    def _work(self, node: AutomationNode) -> None:
        """Makes the node what the settings say, unless a fault keeps the update from it."""
        faults = self.deployments.infras.faults(self.settings["infraId"])
        failure = faults.take("update-fails", key=self.id)
        if failure is not None and failure.fault.act == "before":
            raise UpdateFailed(failure.fault.message or "The update failed")
        if faults.take("update-lies", key=self.id) is None:
            self._deploy(node) if self.settings["enabled"] else self._disable(node)
        if failure is not None:
            raise UpdateFailed(failure.fault.message or "The update failed after the bundle was activated")

    def _deploy(self, node: AutomationNode) -> None:
        settings, key, bundle_id = self.settings, self.settings["deployedProjectKey"], self.settings["bundleId"]
        store = self.deployments.projects.bundles(settings["publishedProjectKey"])
        wanted = store.get(bundle_id)
        archive = str(store.archive_path(bundle_id))
        if node.project(key) is None:
            self.log(f"Project {key} does not exist on the node: creating it from bundle {bundle_id}")
            node.create_project(key, archive)
        else:
            self._import(node, key, bundle_id, archive, wanted["sha256"])
        self.log("Settings of the project on the node")
        paused = bool(settings.get("disableAutomaticTriggers"))
        container = settings.get("bundleContainerSettings") or {}
        node.change_settings(key, bundleContainerSettings=container, disableAutomaticTriggers=paused)
        if settings.get("localVariables"):
            self.log("Local variables of the project on the node")
            node.set_local_variables(key, settings["localVariables"])
        self.log(f"Preloading bundle {bundle_id}")
        self.take(node.preload(key, bundle_id))
        self.log(f"Activating bundle {bundle_id}")
        self.take(node.activate(key, bundle_id, settings.get("scenariosToActivate") or {}))
        active = ((node.project(key) or {}).get("activeBundleState") or {}).get("bundleId")
        if active != bundle_id:
            raise UpdateFailed(f"Bundle {bundle_id} was activated, but node {node.name} says that {active} is active")

    def _import(self, node: AutomationNode, key: str, bundle_id: str, archive: str, sha256: str) -> None:
        known = node.bundles(key).get(bundle_id)
        if known is not None and known.get("archiveSha256", sha256) == sha256:
            self.log(f"Bundle {bundle_id} is on the node already")
            return
        if known is not None:
            self.log(f"Node {node.name} has another archive under the id {bundle_id}: replacing it")
            node.delete_bundle(key, bundle_id)
        self.log(f"Importing bundle {bundle_id}")
        node.import_bundle(key, archive)

    def _disable(self, node: AutomationNode) -> None:
        key = self.settings["deployedProjectKey"]
        self.log(f"The deployment is disabled: switching off the triggers of project {key}")
        if node.project(key) is None:
            self.log(f"Project {key} does not exist on the node: nothing to switch off")
            return
        node.change_settings(key, disableAutomaticTriggers=True)


class Updates:
    """Starts updates, one at a time for each deployment, and knows the past ones."""

    def __init__(self, deployments: Deployments) -> None:
        self.deployments = deployments

    def start(self, deployment_id: str, user: str) -> Future:
        """Starts an update with the settings of this moment. Raises 404, and 409 while another one runs."""
        places, node = self.deployments.places, self.deployments.node
        with places.lock:
            settings = self.deployments.settings(deployment_id)
            last = self.last(deployment_id)
            if last and last["status"] == RUNNING:
                raise conflict(f"an update of deployment {deployment_id} is under way already")
            self.deployments.set_deployed(deployment_id, settings)
            started = max(now_ms(), last["startTimestamp"] + 1 if last else 0)
            under_way = _UNDER_WAY.setdefault(node.futures, {})
            under_way[deployment_id, started] = None
            update = Update(self.deployments, settings, started, user)
            future = node.futures.start(update.run, label=f"Update of deployment {deployment_id}", owner=user)
            under_way[deployment_id, started] = future
            return future

    def _stamps(self, deployment_id: str) -> list[int]:
        """When the updates began, the newest first. Raises 404."""
        self.deployments.settings(deployment_id)
        folder = self.deployments.places.updates(deployment_id)
        return sorted((int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit()), reverse=True)

    def list(self, deployment_id: str) -> list[dict[str, Any]]:
        """The updates without their logs, the newest first. Raises 404."""
        folder = self.deployments.places.updates(deployment_id)
        found = []
        for stamp in self._stamps(deployment_id):
            path = folder / f"{stamp}.json"
            item = _summary(path, path.stat().st_mtime_ns)
            found.append(dict(item) if item["status"] != RUNNING else _without_logs(self._read(deployment_id, stamp)))
        return found

    def get(self, deployment_id: str, timestamp: str) -> dict[str, Any]:
        """One update. Raises 404."""
        self.deployments.settings(deployment_id)
        if not timestamp.isdecimal():
            raise not_found(f"deployment {deployment_id} has no update of {timestamp}")
        return self._read(deployment_id, int(timestamp))

    def _read(self, deployment_id: str, stamp: int) -> dict[str, Any]:
        record = read_json(self.deployments.places.updates(deployment_id) / f"{stamp}.json")
        if record is None:
            raise not_found(f"deployment {deployment_id} has no update of {stamp}")
        return self._ended_by_a_crash(record) if record["status"] == RUNNING else cast(dict[str, Any], record)

    def _ended_by_a_crash(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record that says it is running: so it is, or the deployer was stopped in the middle of it."""
        under_way = _UNDER_WAY.get(self.deployments.node.futures, {})
        stamp = (record["deploymentId"], record["startTimestamp"])
        future = under_way.get(stamp)
        if stamp in under_way and (future is None or not future.done.is_set()):
            return record
        told = read_json(self.deployments.places.updates(stamp[0]) / f"{stamp[1]}.json")
        if told["status"] != RUNNING:
            return cast(dict[str, Any], told)
        text = "The Project Deployer was stopped while the update ran: what is on the node must be looked at"
        lost = message("ERROR", "ERR_PROJECT_DEPLOYMENT_UPDATE_INTERRUPTED", "Update interrupted", text, fatal=True)
        return {**record, "status": "ERROR", "infoMessages": report([lost])}

    def last(self, deployment_id: str) -> dict[str, Any] | None:
        """The newest update; ``None`` before the first. Raises 404."""
        stamps = self._stamps(deployment_id)
        return self._read(deployment_id, stamps[0]) if stamps else None


def _without_logs(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "logs"}


@functools.lru_cache(maxsize=20_000)
def _summary(path: Path, _changed: int) -> dict[str, Any]:
    """An update without its log. Kept until its record changes: clients ask for the whole list again and again."""
    return _without_logs(read_json(path))
