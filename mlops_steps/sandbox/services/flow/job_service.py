"""The jobs of a node: started as futures, kept on disk."""

from __future__ import annotations

import shutil
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from mlops_steps.sandbox.node.errors import not_found
from mlops_steps.sandbox.node.futures import Futures
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json, safe_name
from mlops_steps.sandbox.services.flow.jobs import ABORTED, RUNNING, Job
from mlops_steps.sandbox.services.projects.model import Project

# Older jobs of a project are forgotten.
KEPT_JOBS = 200


class JobService:
    """The jobs that were started since the node started; older ones are read from disk."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()

    def start(
        self,
        project: Project,
        definition: Mapping[str, Any],
        user: str,
        variables: Mapping[str, Any] | None = None,
        triggered_from: str = "API",
    ) -> Job:
        """Starts a job and returns at once.

        :param triggered_from: ``API``, or ``SCHEDULER`` for a scenario.
        :raises DssError: 400, an output that does not exist.
        """
        job = Job(project, definition, user, variables, triggered_from)
        self._forget_old(project)
        with self._lock:
            self._jobs[project.key, job.id] = job
        label = f"Job {job.id}"
        project.node.futures.start(job.run, label=label, project_key=project.key, owner=user, on_abort=job.abort)
        return job

    def _forget_old(self, project: Project) -> None:
        folders = sorted(project.jobs_dir.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for folder in folders[KEPT_JOBS:]:
            with self._lock:
                job = self._jobs.get((project.key, folder.name))
                if job is not None and not job.finished.is_set():
                    continue
                self._jobs.pop((project.key, folder.name), None)
            shutil.rmtree(folder, ignore_errors=True)

    def running(self, project_key: str | None = None) -> list[Job]:
        """The jobs that have not ended, of one project or of all."""
        with self._lock:
            jobs = list(self._jobs.values())
        return [job for job in jobs if not job.finished.is_set() and project_key in (None, job.project.key)]

    def list(self, project: Project) -> list[dict[str, Any]]:
        """The last jobs, newest first."""
        folders = project.jobs_dir.glob("*/job.json")
        items = [self.summary(project, path.parent.name) for path in folders]
        return sorted(items, key=lambda item: -int(item["startTime"]))

    def summary(self, project: Project, job_id: str) -> dict[str, Any]:
        """A job as it stands in a list."""
        job = self._jobs.get((project.key, job_id))
        return job.summary() if job else self._stored(project, job_id)

    def status(self, project: Project, job_id: str) -> dict[str, Any]:
        """The status of a job.

        :raises DssError: 404, there is none.
        """
        job = self._jobs.get((project.key, job_id))
        if job:
            return job.status()
        stored = self._stored(project, job_id)
        return {"baseStatus": stored, "globalState": {"total": len(stored.get("activities", {}))}}

    def log(self, project: Project, job_id: str, activity: str | None) -> str:
        """The log of a job, with those of its recipes, or of one recipe."""
        self.summary(project, job_id)
        folder = project.jobs_dir / job_id
        if activity:
            path = folder / f"{safe_name(activity, 'activity')}.log"
            return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        texts = []
        for path in [folder / "log.txt", *sorted(folder.glob("*.log"), key=lambda one: one.stat().st_mtime_ns)]:
            if path.is_file():
                head = "" if path.name == "log.txt" else f"\n--- recipe {path.stem}\n"
                texts.append(head + path.read_text(encoding="utf-8", errors="replace"))
        return "".join(texts)

    def abort(self, project: Project, job_id: str) -> None:
        """Ends a job. Nothing happens when it has ended."""
        job = self._jobs.get((project.key, job_id))
        if job:
            job.abort()
        else:
            self._stored(project, job_id)

    def _stored(self, project: Project, job_id: str) -> dict[str, Any]:
        document: dict[str, Any] | None = read_json(project.jobs_dir / safe_name(job_id, "job id") / "job.json")
        if document is None:
            raise not_found(f"job {job_id} does not exist in project {project.key}")
        if document["state"] in (RUNNING, "NOT_STARTED"):
            # It was under way when the node stopped.
            document.update(state=ABORTED, stableState=True)
        return document


# A node gets new futures each time it starts, and so new jobs.
_services: weakref.WeakKeyDictionary[Futures, JobService] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def jobs_of(node: Node) -> JobService:
    """The jobs of a running node."""
    with _guard:
        return _services.setdefault(node.futures, JobService())
