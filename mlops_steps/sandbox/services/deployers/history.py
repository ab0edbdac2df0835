"""Updates of deployments: one under way at a time, with a record that a crash leaves readable, and the past ones."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

from mlops_steps.sandbox.node.errors import DssError, conflict, not_found
from mlops_steps.sandbox.node.futures import Aborted, Future, Futures, current_future
from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.services.deployers.deployments import Deployments
from mlops_steps.sandbox.services.deployers.remote import RemoteError

RUNNING = "RUNNING"
# The updates under way since a node started; a node gets new futures each time it starts. None: about to start.
_UNDER_WAY: weakref.WeakKeyDictionary[Futures, dict[tuple[Path, int], Future | None]] = weakref.WeakKeyDictionary()


class UpdateFailed(Exception):
    """The node could not be made what it should be; the text is the message of the update."""


class Update:
    """One update under way: its record is written with every line of its log, so that a crash leaves it readable.

    A subclass says what is done (:meth:`work`). ``code`` begins the codes of its messages.
    """

    code = "ERR_DEPLOYMENT_UPDATE"

    def __init__(self, folder: Path, settings: dict[str, Any], started: int, user: str, **details: Any) -> None:
        """``details`` stand in the record and in the result."""
        self.settings = settings
        self.id = settings["id"]
        self.messages: list[dict[str, Any]] = []
        self.details = details
        self._folder = folder
        self.record: dict[str, Any] = {
            "deploymentId": self.id,
            "type": "UPDATE",
            "status": RUNNING,
            "startTimestamp": started,
            "endTimestamp": None,
            "requester": user,
            **details,
            "enabled": settings["enabled"],
            "infoMessages": report([]),
            "logs": {"lines": []},
        }
        self.write()

    def work(self) -> None:
        """Makes the node what the settings say. Raises :class:`UpdateFailed` and the errors of nodes."""
        raise NotImplementedError

    def write(self) -> None:
        """Writes the record as it is now."""
        write_json(self._folder / f"{self.record['startTimestamp']}.json", self.record)

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
            self.work()
            warned = any(item["severity"] == "WARNING" for item in self.messages)
            self._end("WARNING" if warned else "SUCCESS")
        except (UpdateFailed, RemoteError, DssError) as error:
            text = error.message if isinstance(error, DssError) else str(error)
            self.messages.append(message("ERROR", f"{self.code}_FAILED", "Update failed", text, fatal=True))
            self._end("ERROR")
        except Aborted:
            self.messages.append(message("ERROR", f"{self.code}_ABORTED", "Update aborted", "The update was aborted"))
            self._end("ABORTED")
            raise
        except BaseException:
            self._end("ERROR")
            raise
        return {name: self.record[name] for name in ("deploymentId", "status", *self.details, "infoMessages")}

    def _end(self, status: str) -> None:
        for item in self.messages:
            self.record["logs"]["lines"].append(f"[{now_ms()}] {item['severity']}: {item['message']}")
        self.record["logs"]["lines"].append(f"[{now_ms()}] Update ended: {status}")
        self.record.update(status=status, endTimestamp=now_ms(), infoMessages=report(self.messages))
        self.write()


class History:
    """The updates of one deployment, past and under way.

    ``folder`` holds their records; ``code`` as in :class:`Update`.
    """

    def __init__(self, node: Node, deployment_id: str, folder: Path, code: str) -> None:
        self.node = node
        self.id = deployment_id
        self.folder = folder
        self.code = code

    def start(self, make: Callable[[int], Update], user: str) -> Future:
        """Starts the update that ``make`` returns for its time stamp. The caller holds the deployer's lock.

        Raises 409 while another one runs.
        """
        last = self.last()
        if last and last["status"] == RUNNING:
            raise conflict(f"an update of deployment {self.id} is under way already")
        started = max(now_ms(), last["startTimestamp"] + 1 if last else 0)
        under_way = _UNDER_WAY.setdefault(self.node.futures, {})
        under_way[self.folder, started] = None
        update = make(started)
        future = self.node.futures.start(update.run, label=f"Update of deployment {self.id}", owner=user)
        under_way[self.folder, started] = future
        return future

    def _stamps(self) -> list[int]:
        """When the updates began, the newest first."""
        return sorted((int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit()), reverse=True)

    def list(self) -> list[dict[str, Any]]:
        """The updates without their logs, the newest first."""
        found = []
        for stamp in self._stamps():
            path = self.folder / f"{stamp}.json"
            item = _summary(path, path.stat().st_mtime_ns)
            found.append(dict(item) if item["status"] != RUNNING else _without_logs(self._read(stamp)))
        return found

    def get(self, timestamp: str) -> dict[str, Any]:
        """One update. Raises 404."""
        if not timestamp.isdecimal():
            raise not_found(f"deployment {self.id} has no update of {timestamp}")
        return self._read(int(timestamp))

    def last(self) -> dict[str, Any] | None:
        """The newest update; ``None`` before the first."""
        stamps = self._stamps()
        return self._read(stamps[0]) if stamps else None

    def _read(self, stamp: int) -> dict[str, Any]:
        record = read_json(self.folder / f"{stamp}.json")
        if record is None:
            raise not_found(f"deployment {self.id} has no update of {stamp}")
        return self._ended_by_a_crash(record) if record["status"] == RUNNING else cast(dict[str, Any], record)

    def _ended_by_a_crash(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record that says it is running: so it is, or the deployer was stopped in the middle of it."""
        under_way = _UNDER_WAY.get(self.node.futures, {})
        stamp = (self.folder, record["startTimestamp"])
        future = under_way.get(stamp)
        if stamp in under_way and (future is None or not future.done.is_set()):
            return record
        update = read_json(self.folder / f"{stamp[1]}.json")
        if update["status"] != RUNNING:
            return cast(dict[str, Any], update)
        text = "The deployer was stopped while the update ran: what is on the node must be looked at"
        lost = message("ERROR", f"{self.code}_INTERRUPTED", "Update interrupted", text, fatal=True)
        return {**record, "status": "ERROR", "infoMessages": report([lost])}


class Updates:
    """Starts updates, one at a time for each deployment, and knows the past ones. A subclass makes them."""

    code: ClassVar[str]

    def __init__(self, deployments: Deployments) -> None:
        self.deployments = deployments

    def make(self, settings: dict[str, Any], started: int, user: str) -> Update:
        """The update, with these settings; ``started`` is its time stamp."""
        raise NotImplementedError

    def _history(self, deployment_id: str) -> History:
        """The updates of a deployment. Raises 404."""
        self.deployments.settings(deployment_id)
        folder = self.deployments.places.updates(deployment_id)
        return History(self.deployments.node, deployment_id, folder, self.code)

    def start(self, deployment_id: str, user: str) -> Future:
        """Starts an update with the settings of this moment. Raises 404, and 409 while another one runs."""

        def make(started: int) -> Update:
            self.deployments.set_deployed(deployment_id, settings)
            return self.make(settings, started, user)

        with self.deployments.places.lock:
            settings = self.deployments.settings(deployment_id)
            return self._history(deployment_id).start(make, user)

    def list(self, deployment_id: str) -> list[dict[str, Any]]:
        """The updates, the newest first. Raises 404."""
        return self._history(deployment_id).list()

    def get(self, deployment_id: str, timestamp: str) -> dict[str, Any]:
        """One update. Raises 404."""
        return self._history(deployment_id).get(timestamp)

    def last(self, deployment_id: str) -> dict[str, Any] | None:
        """The newest update; ``None`` before the first. Raises 404."""
        return self._history(deployment_id).last()


def _without_logs(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "logs"}


@functools.lru_cache(maxsize=20_000)
def _summary(path: Path, _changed: int) -> dict[str, Any]:
    """An update without its log. Kept until its record changes: clients ask for the whole list again and again."""
    return _without_logs(read_json(path))
