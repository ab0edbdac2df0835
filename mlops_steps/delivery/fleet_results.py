"""What became of a fleet: one record, one JUnit report, one page, one line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from mlops_steps.delivery.record import Build
from mlops_steps.delivery.unit import now
from mlops_steps.errors import ConfigError, ProductionInDoubt
from mlops_steps.report.html.fleet import FleetPage, FleetRow
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.files import write_atomically
from mlops_steps.system.text import one_line

SCHEMA = 1
LARGEST = 32 * 1024 * 1024  # bytes of the results
_LINE = 400

#: How a project ended, the worst first, with the outcome of its test case and whether it stands first in the summary.
_ENDS = {
    "in doubt": Outcome.ERROR,
    "interrupted": Outcome.ERROR,
    "rolled back": Outcome.FAILURE,
    "taken back": Outcome.FAILURE,
    "failed": Outcome.FAILURE,
    "not begun": Outcome.SKIPPED,
    "by hand": Outcome.SKIPPED,
    "released": Outcome.PASSED,
}
_CODES = {"in doubt": 5, "interrupted": 3, "rolled back": 4, "taken back": 4, "failed": 1, "not begun": 1}


@dataclass(frozen=True)
class Ended:
    """How a project ended: a word of it, and one line about it.

    ``version`` is what the release was to make live, ``before`` what was live before, ``live`` what is now (as far as
    the record says it).
    """

    name: str
    key: str
    how: str
    text: str
    stage: str = ""
    version: str = ""
    before: str = ""
    live: str = ""
    page: str = ""
    steps: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code that it stands for."""
        return _CODES.get(self.how, 0)


def ended_of(plan: Mapping[str, Any], results: Mapping[str, Any]) -> list[Ended]:
    """How each project of the plan ended, in the order in which they were begun.

    ``results`` are what Jenkins has noted: by project its ``steps`` (``step``, ``exit``, ``verdict``, ``state``), and
    ``skipped``, why it was not begun or not gone on with.
    """
    names = [name for level in plan["levels"] for unit in level for name in unit["projects"]]
    found = results.get("projects")
    return [_ended(name, plan["projects"][name], (found or {}).get(name) or {}) for name in names]


def _ended(name: str, project: Mapping[str, Any], result: Mapping[str, Any]) -> Ended:
    steps = [step for step in result.get("steps") or [] if isinstance(step, dict)]
    how, text = _how(project, result, steps)
    state = _state(steps)
    return Ended(
        name,
        project["key"],
        how,
        one_line(text, _LINE),
        stage=project["stage"],
        version=state.get("version") or "",
        before=state.get("before") or "",
        live=state.get("live") or "",
        page=f"{project['reports']}/html/index.html" if steps else "",
        steps=steps,
    )


def _how(project: Mapping[str, Any], result: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    failed = next((step for step in steps if str(step.get("exit")) != "0"), None)
    taken_back = [step for step in steps if str(step.get("step")).endswith("rollback")]
    skipped = str(result.get("skipped") or "")
    if failed is None and taken_back:
        return "taken back", skipped or "another project of its train failed"
    if failed is None:
        released = [step for step in steps if str(step.get("step")).endswith("release")]
        if released and len(released) == len(project["release"]):
            return "released", "live and verified"
        if not project["problem"] and not project["release"] and not skipped:
            return "by hand", "automation is manual: a person releases it"
        return ("failed" if project["problem"] else "not begun"), project["problem"] or skipped or "it was not begun"
    text = f"{failed.get('step')}: {failed.get('verdict') or 'no answer'}"
    code = str(failed.get("exit"))
    if code == "5":
        return "in doubt", text
    if failed in taken_back:
        return "in doubt", f"it was released, and could not be taken back: {text}"
    if code == "4":
        return "rolled back", text
    return ("failed" if code.isdigit() and int(code) < 128 else "interrupted"), text


def _state(steps: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the last step that knew it has said of the stage."""
    for step in reversed(steps):
        try:
            found = json.loads(str(step.get("state") or ""))
        except ValueError:
            continue
        if isinstance(found, dict):
            return {str(key): str(value or "") for key, value in found.items()}
    return {}


def read_results(path: Path) -> dict[str, Any]:
    """What Jenkins has noted. Raises :class:`ConfigError`."""
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST} bytes")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the results {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: not the results of a fleet")
    return found


def write_record(path: Path, plan: Mapping[str, Any], ended: Sequence[Ended], build: Build) -> None:
    """The one record of all projects, and of each train: what was live before, and what came of it."""
    by_name = {one.name: one for one in ended}

    def of(name: str) -> dict[str, Any]:
        one = by_name[name]
        texts = {"result": one.how, "message": one.text, "stage": one.stage, "version": one.version}
        return {"project": one.key, **texts, "before": one.before, "live": one.live, "steps": list(one.steps)}

    trains = {unit["name"]: unit["projects"] for level in plan["levels"] for unit in level if unit["train"]}
    document = {
        "schema": SCHEMA,
        "ended": now(),
        "build": build.model_dump(mode="json"),
        "trains": {train: {"projects": names, "result": worst(by_name[name].how for name in names)}
                   for train, names in trains.items()},
        "projects": {name: of(name) for name in by_name},
    }  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise ConfigError(f"cannot write the record of the fleet {path}: {error.strerror or error}") from None


def worst(hows: Any) -> str:
    """The worst of several ends."""
    found = set(hows)
    return next(how for how in _ENDS if how in found)


def fill(report: Report, ended: Sequence[Ended]) -> None:
    """A test case for each project, with the same name in every build."""
    for one in ended:
        outcome = _ENDS[one.how]
        said = "\n".join(f"{step.get('step')}: {step.get('verdict')}" for step in one.steps)
        passed = outcome is Outcome.PASSED
        report.add(Case(one.name, outcome, message="" if passed else f"{one.how}: {one.text}", stdout=said))
    report.set(projects=str(len(ended)), released=str(sum(one.how == "released" for one in ended)))


def summary(ended: Sequence[Ended]) -> str:
    """One line: how many are released, and what became of the others, the worst first."""
    released = sum(one.how == "released" for one in ended)
    parts = [f"fleet: {released} of {len(ended)} released"]
    for how in _ENDS:
        names = [one.name for one in ended if one.how == how]
        if names and how != "released":
            parts.append(f"{how.upper() if how in ('in doubt', 'rolled back') else how}: {', '.join(names)}")
    return one_line(" | ".join(parts), _LINE)


def code_of(ended: Sequence[Ended]) -> int:
    """The exit code of the whole: 5 when one is in doubt, else 4 when one was rolled back, else the largest."""
    return max((one.code for one in ended), default=0)


def page_of(ended: Sequence[Ended], plan: Mapping[str, Any], build: Build, folder: Path) -> FleetPage:
    """The data of the page, which is written to the folder."""
    train_of = {
        name: unit["name"] for level in plan["levels"] for unit in level if unit["train"] for name in unit["projects"]
    }
    rows = [
        FleetRow(
            name=one.name,
            key=one.key,
            train=train_of.get(one.name, ""),
            level=_level(_ENDS[one.how]),
            how=one.how,
            text=one.text,
            stage=one.stage,
            version=one.version,
            before=one.before,
            live=one.live,
            link=quote(os.path.relpath(one.page, folder)) if one.page else "",
        )
        for one in ended
    ]
    code = code_of(ended)
    level: Literal["good", "bad", "doubt"] = "good" if code == 0 else "bad"
    if code == ProductionInDoubt.exit_code:
        level = "doubt"
    return FleetPage(level=level, sentence=summary(ended), build=build.url or build.number or "", rows=tuple(rows))


def _level(outcome: Outcome) -> Literal["good", "bad", "open"]:
    if outcome is Outcome.PASSED:
        return "good"
    return "open" if outcome is Outcome.SKIPPED else "bad"
