"""Whether a recipe has to run again: its definition, its code and its inputs against those of its last run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.runtime.lib.dataiku._layout import LayoutError
from mlops_steps.sandbox.services.flow.kinds import DATASET, FOLDER, MODEL, STORE, kind_of, recipes_of
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.flow.plan import Flow, RecipeNode
from mlops_steps.sandbox.services.projects.model import Project


class Freshness:
    """What was built when, on this node. Kept beside the data."""

    def __init__(self, project: Project, flow: Flow) -> None:
        self.project = project
        self.flow = flow
        self._path = project.data_dir / "builds.json"

    def has_data(self, name: str) -> bool:
        """Whether an object of the flow has data on this node."""
        kind = kind_of(self.project, name)
        try:
            if kind is DATASET:
                return bool(places_of(self.project).dataset(name).files())
            if kind is FOLDER:
                return _any_file(places_of(self.project).folder(name))
            if kind is MODEL:
                active = MODEL.of(self.project).get(name).get("activeVersion")
                return bool(active) and (places_of(self.project).model(name) / str(active)).is_dir()
            if kind is STORE:
                return _any_file(places_of(self.project).evaluation_store(name))
        except LayoutError:
            return False
        return False

    def is_current(self, node: RecipeNode) -> bool:
        """Whether a recipe and its inputs are as they were when it last ran."""
        last = self._state().get(node.name)
        return last is not None and last["fingerprint"] == self.fingerprint(node)

    def fingerprint(self, node: RecipeNode) -> str:
        """A digest of a recipe's definition, code and inputs."""
        definition = recipes_of(self.project).get(node.name)
        code = recipes_of(self.project).payload(node.name, node.type) or ""
        kept = {name: definition.get(name) for name in ("type", "inputs", "outputs", "params")}
        parts = [json.dumps(kept, sort_keys=True), code, *(f"{name}={self._version(name)}" for name in node.inputs)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _version(self, name: str) -> str:
        producer = self.flow.producer(name)
        if producer is not None:
            return str(self._state().get(producer, {}).get("builtOn", "never"))
        try:
            if kind_of(self.project, name) is DATASET:
                return _digest(places_of(self.project).dataset(name).files())
            if kind_of(self.project, name) is FOLDER:
                folder = places_of(self.project).folder(name)
                return _digest(sorted(path for path in folder.rglob("*") if path.is_file()))
        except LayoutError:
            return "unreachable"
        if kind_of(self.project, name) is MODEL:
            return str(MODEL.of(self.project).get(name).get("activeVersion"))
        return "missing"

    def record(self, node: RecipeNode, fingerprint: str, job_id: str) -> None:
        """Notes that a recipe has run.

        :param fingerprint: that of the moment when it started: what changed since makes it run again.
        """
        with self.project.node.lock(self.project.key):
            entry = {"fingerprint": fingerprint, "builtOn": now_ms(), "jobId": job_id}
            write_json(self._path, {**self._state(), node.name: entry})

    def _state(self) -> dict[str, dict[str, Any]]:
        state: dict[str, dict[str, Any]] = read_json(self._path, {})
        return state


def _any_file(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
