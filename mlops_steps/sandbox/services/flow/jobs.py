"""Jobs: builds of objects of the flow, recipe by recipe, two of them side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request
from mlops_steps.sandbox.node.store import now_ms, write_json
from mlops_steps.sandbox.runtime.lib.dataiku._layout import LayoutError
from mlops_steps.sandbox.runtime.process import Child, ChildResult, End
from mlops_steps.sandbox.services.flow import last_builds
from mlops_steps.sandbox.services.flow.children import run_child, thrown
from mlops_steps.sandbox.services.flow.freshness import Freshness
from mlops_steps.sandbox.services.flow.kinds import MODEL, kind_of
from mlops_steps.sandbox.services.flow.plan import PlanError, RecipeNode
from mlops_steps.sandbox.services.flow.recipe_run import flow_of, recipe_child
from mlops_steps.sandbox.services.projects.model import Project

# Recipes that run at the same time, over all nodes of the sandbox: more would fight for the machine.
PARALLEL_RECIPES = 2
_slots = threading.BoundedSemaphore(PARALLEL_RECIPES)
_SLOT_POLL_SECONDS = 0.1

RUNNING, DONE, FAILED, ABORTED = "RUNNING", "DONE", "FAILED", "ABORTED"


class Job:
    """One build. :meth:`run` does the work in the calling thread; everything else may be called from any thread."""

    def __init__(
        self,
        project: Project,
        definition: Mapping[str, Any],
        user: str,
        variables: Mapping[str, Any] | None = None,
        triggered_from: str = "API",
    ) -> None:
        self.project = project
        self.user = user
        self.triggered_from = triggered_from
        self.variables = dict(variables or {})
        self.mode = str(definition.get("type") or "NON_RECURSIVE_FORCED_BUILD")
        self.flow = flow_of(project)
        self.freshness = Freshness(project, self.flow)
        self.outputs = [self._output(output) for output in definition.get("outputs") or []]
        if not self.outputs:
            raise bad_request("A job needs at least one output")
        self.state = "NOT_STARTED"
        self.start = self.initiated = now_ms()
        self.end = 0
        self.error: dict[str, Any] | None = None
        self.activities: dict[str, dict[str, Any]] = {}
        self.built: list[dict[str, Any]] = []
        self.finished = threading.Event()
        self._aborted = threading.Event()
        self._children: set[Child] = set()
        self._lock = threading.Lock()
        self.id, self.dir = self._new_dir()

    def _output(self, output: Mapping[str, Any]) -> str:
        name = str(output.get("id", ""))
        owner = output.get("projectKey") or self.project.key
        if "." in name and owner == self.project.key:
            owner, _, name = name.partition(".")
        if owner != self.project.key:
            raise bad_request(f"{owner}.{name}: building objects of another project is not supported by the sandbox")
        if output.get("partition"):
            raise bad_request(f"{name}: partitions are not supported by the sandbox")
        kind = kind_of(self.project, name)
        wanted = output.get("type") or (kind.type if kind else "DATASET")
        if kind is None or wanted != kind.type:
            raise bad_request(f"{wanted} {name} does not exist in project {self.project.key}")
        return name

    def _new_dir(self) -> tuple[str, Path]:
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(self.start / 1000))
        label = f"Build_{self.outputs[0]}{'_and_others' if len(self.outputs) > 1 else ''}"
        root = self.project.jobs_dir
        for number in range(1000):
            identity = f"{label}_{stamp}.{(self.start + number) % 1000:03d}"
            try:
                (root / identity).mkdir(parents=True)
            except FileExistsError:
                continue
            return identity, root / identity
        raise DssError(500, "java.io.IOException", f"no free id for a job of {self.outputs[0]}")

    # ---- what happened

    @property
    def log_path(self) -> Path:
        """The log of the whole job."""
        return self.dir / "log.txt"

    def activity_log(self, activity: str) -> Path:
        """The log of one recipe of the job."""
        return self.dir / f"{activity}.log"

    def log(self, line: str) -> None:
        """Adds a line to the log of the job."""
        with self._lock, self.log_path.open("a", encoding="utf-8") as stream:
            stream.write(f"[{time.strftime('%Y/%m/%d-%H:%M:%S')}] {line}\n")

    def summary(self) -> dict[str, Any]:
        """The job as it stands in a list."""
        definition = {
            "id": self.id,
            "name": f"Build {', '.join(self.outputs)}",
            "projectKey": self.project.key,
            "initiator": self.user,
            "initiationTimestamp": self.initiated,
            "triggeredFrom": self.triggered_from,
            "type": self.mode,
            "outputs": [self._output_document(name) for name in self.outputs],
        }
        return {
            "def": definition,
            "jobId": self.id,
            "projectKey": self.project.key,
            "state": self.state,
            "stableState": self.finished.is_set(),
            "startTime": self.start,
            "endTime": self.end,
            "error": self.error,
            # Recipes of the sandbox give no warnings.
            "warningsCount": 0,
        }

    def _output_document(self, name: str) -> dict[str, Any]:
        kind = kind_of(self.project, name)
        return {"type": kind.type if kind else None, "projectKey": self.project.key, "id": name, "partition": "NP"}

    def status(self) -> dict[str, Any]:
        """The status as the client reads it."""
        states = [activity["state"] for activity in self._activities().values()]
        counts = {name.lower(): states.count(name) for name in (DONE, FAILED, RUNNING, ABORTED)}
        base = {**self.summary(), "activities": self._activities(), "jobStartTime": self.start, "jobEndTime": self.end}
        return {"baseStatus": base, "globalState": {**counts, "total": len(states)}}

    def _activities(self) -> dict[str, dict[str, Any]]:
        # Copies: the recipes' threads change them while an answer is written.
        return {name: dict(activity) for name, activity in self.activities.items()}

    # ---- the work

    def abort(self) -> None:
        """Ends the job and its processes. Nothing happens when it has ended."""
        self._aborted.set()
        with self._lock:
            children = list(self._children)
        for child in children:
            child.abort()

    def run(self) -> None:
        """Builds; never raises. The outcome is in ``state`` and ``error``."""
        self.state = RUNNING
        self._save()
        state = FAILED
        try:
            state = self._run()
        except (PlanError, LayoutError, DssError) as error:
            self.error = thrown(error)
        except Exception as error:
            self.error = thrown(error)
            raise
        finally:
            reason = f": {self.error['message']}" if self.error else ""
            self.log(f"Job {self.id} {state}{reason}")
            self.end = now_ms()
            # Last: who sees the end of the job finds everything done.
            self.state = state
            self._save()
            self.finished.set()

    def _run(self) -> str:
        fresh = self.freshness
        steps = self.flow.plan(self.outputs, self.mode, has_data=fresh.has_data, is_current=fresh.is_current)
        self.log(f"Job {self.id}: {self.mode} of {', '.join(self.outputs)}")
        self.log(f"Recipes to run: {', '.join(step.name for step in steps) or 'none, all is up to date'}")
        for step in steps:
            self.activities[step.name] = {"activityId": step.name, "recipeName": step.name, "state": "NOT_STARTED"}
        self._run_all(steps)
        self._commit()
        if self._aborted.is_set():
            self.error = thrown({"clazz": "Aborted", "message": f"job {self.id} was aborted"})
            return ABORTED
        return FAILED if FAILED in {activity["state"] for activity in self.activities.values()} else DONE

    def _commit(self) -> None:
        # A build changes schemas and active versions; what else was changed and not committed is not its business.
        files = [f"{item['folder']}/{item['target']['name']}.json" for item in self.built]
        if files:
            names = ", ".join(item["target"]["name"] for item in self.built)
            self.project.commit(f"Built {names}", self.user, files)

    def _run_all(self, steps: list[RecipeNode]) -> None:
        waiting = {step.name: self.flow.direct_upstream(step.name) & {other.name for other in steps} for step in steps}
        running: dict[Future[bool], str] = {}
        with ThreadPoolExecutor(PARALLEL_RECIPES, thread_name_prefix="recipe") as pool:
            failed = False
            while running or (waiting and not failed and not self._aborted.is_set()):
                if not failed and not self._aborted.is_set():
                    for name in [name for name, needs in waiting.items() if not needs]:
                        del waiting[name]
                        running[pool.submit(self._run_recipe, self.flow.recipes[name])] = name
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    failed |= not future.result()
                    for needs in waiting.values():
                        needs.discard(name)

    def _run_recipe(self, node: RecipeNode) -> bool:
        activity = self.activities[node.name]
        if not self._take_slot():
            activity["state"] = ABORTED
            return False
        started = time.monotonic()
        try:
            activity.update(state=RUNNING, startTime=now_ms())
            self.log(f"Recipe {node.name} starts")
            fingerprint = self.freshness.fingerprint(node)
            result = self._run_code(node)
        except (DssError, LayoutError) as error:
            failure = {"clazz": type(error).__name__, "message": str(error), "stack": ""}
            result = ChildResult(End.FAILED, -1, time.monotonic() - started, failure)
            fingerprint = ""
        finally:
            _slots.release()
        state = {End.DONE: DONE, End.ABORTED: ABORTED}.get(result.end, FAILED)
        activity.update(state=state, endTime=now_ms(), totalTime=int(result.seconds * 1000))
        last_builds.record(
            self.project, node.outputs, activity["startTime"], activity["endTime"], state == DONE, self.id
        )
        if state == DONE:
            self.freshness.record(node, fingerprint, self.id)
            self.built.extend(self._built(name) for name in node.outputs)
        elif result.error:
            message = f"recipe {node.name}: {result.error['message']}"
            activity["error"] = {**thrown(result.error), "message": message, "title": message.split("\n")[0]}
            if state == FAILED and self.error is None:
                self.error = activity["error"]
        self.log(f"Recipe {node.name} {state} after {result.seconds:.1f} s")
        self._save()
        return state == DONE

    def _take_slot(self) -> bool:
        while not self._aborted.is_set():
            if _slots.acquire(timeout=_SLOT_POLL_SECONDS):
                return True
        return False

    def _run_code(self, node: RecipeNode) -> ChildResult:
        child = recipe_child(self.project, node, self.variables)
        with self._lock:
            self._children.add(child)
        try:
            if self._aborted.is_set():
                child.abort()
            return run_child(self.project, child, self.activity_log(node.name))
        finally:
            with self._lock:
                self._children.discard(child)

    def _built(self, name: str) -> dict[str, Any]:
        kind = kind_of(self.project, name)
        assert kind is not None
        target: dict[str, Any] = {"projectKey": self.project.key, "name": name, "type": kind.type}
        item: dict[str, Any] = {"type": kind.report, "target": target, "folder": kind.folder, "outcome": "SUCCESS"}
        if kind is MODEL:
            target["modelId"] = name
            item["versionId"] = MODEL.of(self.project).get(name).get("activeVersion")
        return item

    def _save(self) -> None:
        with self._lock:
            write_json(self.dir / "job.json", {**self.summary(), "activities": self._activities()})


def outputs_of(builds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items of a scenario's build step as outputs of a job."""
    return [
        {
            "type": item.get("type"),
            "id": item.get("itemId"),
            "projectKey": item.get("projectKey"),
            "partition": item.get("partitionsSpec"),
        }
        for item in builds
    ]
