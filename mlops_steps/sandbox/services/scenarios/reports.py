"""The reports of test scenarios: JUnit XML of a run and of the last runs, and the latter as HTML."""

from __future__ import annotations

import html
import re
from datetime import datetime, timezone
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios.testing import last_runs_of_tests
from mlops_steps.system.text import NOT_XML

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run_report(project: Project, document: dict[str, Any]) -> str:
    """JUnit XML of one run: a test suite with a test case for each step."""
    run = document["scenarioRun"]
    scenario = run["scenario"]
    classname = f"{project.key}.{scenario['id']}"
    cases = [
        _case(classname, step["step"]["name"], step["end"] - step["start"], step.get("result") or {})
        for step in document["stepRuns"]
    ]
    outcomes = [(step.get("result") or {}).get("outcome") for step in document["stepRuns"]]
    result = run.get("result") or {}
    # What failed outside the steps, for instance the script of a custom scenario, is a case of its own.
    if not cases or (result.get("outcome") in ("FAILED", "ABORTED") and result["outcome"] not in outcomes):
        cases.append(_case(classname, "scenario", run["end"] - run["start"], result))
        outcomes.append(result.get("outcome"))
    return _document([_suite(scenario.get("name", scenario["id"]), run, cases, outcomes)])


def last_runs_report(project: Project, bundle_id: str | None) -> str:
    """JUnit XML of the last runs of all test scenarios: a test suite with a test case for each scenario."""
    documents = last_runs_of_tests(project, bundle_id)
    runs = [document["scenarioRun"] for document in documents]
    cases = [
        _case(project.key, run["scenario"].get("name", run["scenario"]["id"]), run["end"] - run["start"], run["result"])
        for run in runs
    ]
    start = min((run["start"] for run in runs), default=0)
    total = {"start": start, "end": start + sum(run["end"] - run["start"] for run in runs)}
    return _document([_suite(project.key, total, cases, [run["result"]["outcome"] for run in runs])])


def last_runs_html(project: Project, bundle_id: str | None) -> str:
    """The last runs of all test scenarios as a plain HTML page."""
    rows = []
    for document in last_runs_of_tests(project, bundle_id):
        run = document["scenarioRun"]
        reason = (run["result"].get("thrown") or {}).get("message", "")
        cells = (
            run["scenario"].get("name", run["scenario"]["id"]),
            run["result"]["outcome"],
            _time(run["start"]),
            f"{(run['end'] - run['start']) / 1000:.1f} s",
            reason,
        )
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    bundle = f", bundle {html.escape(bundle_id)}" if bundle_id else ""
    title = f"Test scenarios of {html.escape(project.key)}{bundle}"
    heads = "".join(f"<th>{head}</th>" for head in ("Scenario", "Outcome", "Start", "Duration", "Message"))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body><h1>{title}</h1>\n<table border="1"><thead><tr>{heads}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></body></html>\n"
    )


def _case(classname: str, name: str, milliseconds: int, result: dict[str, Any]) -> str:
    head = (
        f'<testcase classname={_attribute(classname)} name={_attribute(name)} time="{max(0, milliseconds) / 1000:.3f}"'
    )
    outcome = result.get("outcome")
    error = result.get("thrown") or {}
    message = _attribute(error.get("message") or f"ended as {outcome}")
    body = escape(_clean(error.get("stack") or error.get("message") or ""))
    kind = _attribute(error.get("clazz") or str(outcome))
    if outcome == "FAILED":
        return f"{head}><failure message={message} type={kind}>{body}</failure></testcase>"
    if outcome == "ABORTED":
        return f"{head}><error message={message} type={kind}>{body}</error></testcase>"
    return f"{head}/>"


def _suite(name: str, run: dict[str, Any], cases: list[str], outcomes: list[str | None]) -> str:
    counts = (
        f'tests="{len(cases)}" failures="{outcomes.count("FAILED")}" errors="{outcomes.count("ABORTED")}" skipped="0"'
    )
    seconds = f'time="{max(0, run["end"] - run["start"]) / 1000:.3f}" timestamp="{_time(run["start"])}"'
    return f"<testsuite name={_attribute(name)} {counts} {seconds}>\n" + "\n".join(cases) + "\n</testsuite>"


def _document(suites: list[str]) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n' + "\n".join(suites) + "\n</testsuites>\n"


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", _COLOURS.sub("", text))


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
