"""Past looks of `monitor`: kept beside its report, in the workspace and in the artifacts of the build."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.errors import MlopsError
from mlops_steps.insight.findings import Level
from mlops_steps.jenkins import access
from mlops_steps.report import attachments
from mlops_steps.report.attachments import Figure, LateVerdict, Look, Series
from mlops_steps.system.console import Console

#: Looks that are kept: more than a year of nightly ones.
MOST = 400
_MOST_FIGURES = 30
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def past_looks(
    settings: Settings, report: Path, job: str | None, environ: Mapping[str, str], console: Console
) -> list[Look]:
    """The looks before this one, the newest last: of the workspace, or of the newest build of the job that has some.

    What cannot be read is warned of: the look itself does not depend on it.
    """
    found = _of_workspace(report, console)
    if job and access.is_configured(environ):
        try:
            found = _later(found, _of_builds(settings, report, job, environ))
        except MlopsError as error:
            console.warn(f"{error.message}; going on without the looks that builds have archived")
    return found[-(MOST - 1) :]


def _of_workspace(report: Path, console: Console) -> list[Look]:
    try:
        return attachments.read(report).looks
    except MlopsError as error:
        console.warn(f"{error.message}; going on without it")
        return []


def _of_builds(settings: Settings, report: Path, job: str, environ: Mapping[str, str]) -> list[Look]:
    # Imported late, as python-jenkins is: most runs need it not.
    from mlops_steps.jenkins import archived
    from mlops_steps.jenkins.session import Session

    place = os.path.relpath(attachments.place(report), settings.root)
    session = Session(access.from_environment(environ))
    try:
        found = archived.newest(session, job, place, attachments.LARGEST)
    finally:
        session.close()
    return attachments.parse(found.data, f"{place} of {found.build}").looks if found else []


def _later(first: list[Look], second: list[Look]) -> list[Look]:
    """The list whose newest look is newer."""
    return max(first, second, key=lambda looks: looks[-1].at if looks else "")


def seconds(moment: str) -> float:
    """A moment of a look in seconds since 1970; 0.0 for what is none."""
    try:
        return datetime.strptime(moment, _FORM).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def moment(at: float) -> str:
    """The same the other way round. To the microsecond: a run that ended in the second of a look counts once."""
    return datetime.fromtimestamp(at, timezone.utc).strftime(_FORM)


def verdicts(looks: Sequence[Look]) -> dict[str, LateVerdict]:
    """The late verdict of each version, the newest one of it: labels go on arriving."""
    return {verdict.version: verdict for look in looks for verdict in look.verdicts}


def late_words(verdicts_of: Mapping[str, LateVerdict]) -> dict[str, str]:
    """What is said of a release, by its version: ``failed late: auc 0.87 on 2000 labelled predictions``."""
    return {
        one.release: f"{'passed' if one.passed else 'failed'} late: {one.metric} {one.value:.4g} on {one.rows} "
        "labelled predictions"
        for one in verdicts_of.values()
    }


def releases_of_models(looks: Sequence[Look]) -> dict[str, str]:
    """The bundle that each version of a model was live with, by the looks."""
    found: dict[str, str] = {}
    for look in looks:
        for version in look.models.values():
            if "bundle" in look.live:
                found.setdefault(version, look.live["bundle"])
    return found


def lines(looks: Sequence[Look]) -> list[Figure]:
    """A line over the looks for each value that has changed."""
    begin = seconds(looks[0].at) if looks else 0.0
    points: dict[str, list[tuple[float, float]]] = {}
    limits: dict[str, str] = {}
    for look in looks:
        for measure in look.measures:
            if measure.value is not None and measure.level != Level.UNKNOWN.value:
                points.setdefault(measure.name, []).append((seconds(look.at), measure.value))
                limits[measure.name] = measure.limit
    found = []
    for name, values in points.items():
        if len({value for _, value in values}) < 2:
            continue
        limit = f" Limits: {limits[name]}." if limits[name] else ""
        found.append(
            Figure(
                name=f"monitor-{name}",
                topic="monitored",
                title=name,
                about=f"{len(values)} looks; {values[0][1]:.4g} at first, {values[-1][1]:.4g} now.{limit}",
                x="days since the first look",
                y=name,
                series=(
                    Series(
                        name=name,
                        x=tuple(round((at - begin) / 86_400, 5) for at, _ in values),
                        y=tuple(float(f"{value:.6g}") for _, value in values),
                    ),
                ),
            )
        )
    return found[:_MOST_FIGURES]
