"""Scenario runs on disk: one folder each, with run.json, log.txt and the steps."""

from __future__ import annotations

import shutil
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, safe_name, write_json
from mlops_steps.sandbox.services.projects.model import Project

RUN_FILE, LOG_FILE, STEPS = "run.json", "log.txt", "steps"
# Lies beside run.json while the run is under way: after a crash it tells which runs were.
RUNNING_MARK = "running"
STEP_LOG, STEP_REPORT = "log.txt", "report.xml"
KEPT_RUNS = 100


def scenario_dir(project: Project, scenario_id: str) -> Path:
    """Where the runs of a scenario are kept."""
    return project.node.runs_dir(project.key) / safe_name(scenario_id, "scenario id")


def run_dir(project: Project, scenario_id: str, run_id: str) -> Path:
    """Where one run is kept."""
    return scenario_dir(project, scenario_id) / safe_name(run_id, "run id")


def load(project: Project, scenario_id: str, run_id: str) -> dict[str, Any]:
    """A run: ``scenarioRun`` and ``stepRuns``.

    :raises DssError: 404, there is none.
    """
    document: dict[str, Any] | None = read_json(run_dir(project, scenario_id, run_id) / RUN_FILE)
    if document is None:
        raise not_found(f"scenario {scenario_id} of project {project.key} has no run {run_id}")
    return document


def save(folder: Path, document: dict[str, Any]) -> None:
    """Writes a run; the mark of a running one goes when it has a result."""
    if "result" in document["scenarioRun"]:
        write_json(folder / RUN_FILE, document)
        (folder / RUNNING_MARK).unlink(missing_ok=True)
    else:
        (folder / RUNNING_MARK).touch()
        write_json(folder / RUN_FILE, document)


def run_ids(project: Project, scenario_id: str) -> list[str]:
    """The ids of the runs, newest first: an id begins with its date. Only names are read, no run."""
    try:
        return sorted((path.name for path in scenario_dir(project, scenario_id).iterdir()), reverse=True)
    except FileNotFoundError:
        return []


def _loaded(project: Project, scenario_id: str, run_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The runs of these ids, read one after the other. A run that is being made has no file yet: it is left out."""
    for run_id in run_ids:
        document: dict[str, Any] | None = read_json(run_dir(project, scenario_id, run_id) / RUN_FILE)
        if document is not None:
            yield document


def run_of_fire(project: Project, scenario_id: str, fire_id: str) -> dict[str, Any] | None:
    """The run that a trigger fire became: looked for among those since the time that the fire's id begins with."""
    fired = fire_id.partition("-")[0]
    first = run_stamp(int(fired)) if fired.isdecimal() and len(fired) < 15 else ""
    ids = run_ids(project, scenario_id)[::-1]
    for document in _loaded(project, scenario_id, ids[bisect_left(ids, first) :]):
        if document["scenarioRun"]["trigger"].get("runId") == fire_id:
            return document
    return None


def run_stamp(milliseconds: int) -> str:
    """How the id of a run begins that starts at this time."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime(whole))}-{rest:03d}"


def last_runs(project: Project, scenario_id: str, limit: int, finished_only: bool) -> list[dict[str, Any]]:
    """The newest runs, newest first (``scenarioRun`` only)."""
    found: list[dict[str, Any]] = []
    if limit < 1:
        return found
    for document in _loaded(project, scenario_id, run_ids(project, scenario_id)):
        run = document["scenarioRun"]
        if "result" in run or not finished_only:
            found.append(run)
            if len(found) == limit:
                break
    return found


def last_run_of_bundle(project: Project, scenario_id: str, bundle_id: str | None) -> dict[str, Any] | None:
    """The newest finished run, of those that ran with a bundle when one is given; among the runs that are kept."""
    for document in _loaded(project, scenario_id, run_ids(project, scenario_id)[:KEPT_RUNS]):
        run = document["scenarioRun"]
        if "result" in run and bundle_id in (None, run.get("bundleId")):
            return document
    return None


def forget_old(project: Project, scenario_id: str) -> None:
    """Deletes the oldest runs when there are many."""
    for run_id in run_ids(project, scenario_id)[KEPT_RUNS:]:
        shutil.rmtree(run_dir(project, scenario_id, run_id), ignore_errors=True)


def mark_interrupted(node: Node) -> None:
    """Ends the runs that were under way when the node died: ABORTED, with the reason."""
    for mark in (node.dir / "scenarios").glob(f"*/*/*/{RUNNING_MARK}"):
        folder = mark.parent
        document = read_json(folder / RUN_FILE)
        if document is not None and "result" not in document["scenarioRun"]:
            message = f"node {node.id} stopped while the scenario was running"
            result = {
                "type": "SCENARIO_DONE",
                "outcome": "ABORTED",
                "thrown": {"clazz": "NodeStopped", "title": message, "message": message, "stack": ""},
            }
            end = now_ms()
            document["scenarioRun"].update(end=end, result=result)
            for step_run in document["stepRuns"]:
                if "result" not in step_run:
                    step_run.update(end=end, result={"type": "STEP_DONE", "outcome": "ABORTED"})
            with (folder / LOG_FILE).open("a", encoding="utf-8") as log:
                log.write(f"{message}\n")
            save(folder, document)
        mark.unlink(missing_ok=True)


def log_of(project: Project, scenario_id: str, run_id: str, step_id: str | None) -> str:
    """The log of a run, or of one of its steps.

    :raises DssError: 404, no such run or step.
    """
    folder = run_dir(project, scenario_id, run_id)
    document = load(project, scenario_id, run_id)
    if step_id is None:
        text = _text(folder / LOG_FILE)
        unfinished = [step for step in document["stepRuns"] if "result" not in step]
        return text + "".join(_text(step_dir(folder, step["runId"]) / STEP_LOG) for step in unfinished)
    step_run = find_step(document, step_id)
    return _text(step_dir(folder, step_run["runId"]) / STEP_LOG)


def report_of(project: Project, scenario_id: str, run_id: str, step_id: str) -> str:
    """The JUnit report of a step.

    :raises DssError: 404, no such step, or it has none.
    """
    step_run = find_step(load(project, scenario_id, run_id), step_id)
    path = step_dir(run_dir(project, scenario_id, run_id), step_run["runId"]) / STEP_REPORT
    if not path.is_file():
        raise not_found(f"step {step_id} of run {run_id} has no report: only steps that run pytest have one")
    return _text(path)


def find_step(document: dict[str, Any], step_id: str) -> dict[str, Any]:
    """A step's run, by the id of the step or of its run; the last one when the step ran several times.

    :raises DssError: 404, it did not run.
    """
    for step_run in reversed(document["stepRuns"]):
        if step_id in (step_run["step"].get("id"), step_run["runId"]):
            found: dict[str, Any] = step_run
            return found
    raise not_found(f"step {step_id} did not run in run {document['scenarioRun']['runId']}")


def step_dir(folder: Path, step_run_id: str) -> Path:
    """Where the log and the report of a step's run are kept."""
    return folder / STEPS / step_run_id


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
