"""The approvals that a build has got, as the Groovy steps hand them over, and what the approver is shown.

    {"stage": "prod", "by": "jane", "at": "1764230400000", "asked": "<sha256>", "build": "https://jenkins/job/churn/7/",
     "among": "release-managers"}

One line for each answer; the last one for a stage counts. Jenkins copies them to a build that is restarted from a
stage, so those of another build do not count.

What was approved is a reference that Python has handed out (``asked``); Groovy adds who answered and when, and the
users and groups that the question was put to.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.delivery.approving import in_words, reference
from mlops_steps.delivery.record import Bundle, Package, ReleaseRecord, Stage
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.steps.registry import Step
from mlops_steps.system.text import one_line

VARIABLE = "MLOPS_APPROVAL"

_MOST_CHANGES = 20
_MOST_LINES = 60
_WIDTH = 160


def stages_of(settings: Settings, step: Step, stage: str | None) -> set[str | None]:
    """The stages whose approval counts for this step's stage: one question may be about a bundle and a service.

    Then it names the project's release stage; that of the service may have another name.
    """
    found = {stage}
    if step.of_service and stage and settings.api.is_release_stage(stage):
        with suppress(MlopsError):
            found.add(settings.release_stage().name)
    return found


def given(environ: Mapping[str, str], stages: Collection[str | None], project: str | None = None) -> dict[str, str]:
    """Who approved the release to one of the stages in this build; empty: nobody did.

    An answer that names a project, as those of a fleet do, counts for that one alone.

    The keys are ``by``, ``sha256``, ``at`` and ``among``. Raises :class:`ConfigError` when the variable holds
    anything else than approvals.
    """
    build = environ.get("BUILD_URL") or environ.get("BUILD_NUMBER")
    found: dict[str, str] = {}
    try:
        for answer in map(json.loads, filter(None, (environ.get(VARIABLE) or "").split("\n"))):
            ours = answer.get("project") in (None, project)
            if ours and _text(answer["stage"]) in stages and _text(answer["build"]) == build:
                found = {
                    "by": _text(answer["by"]),
                    "sha256": _sha256(answer["asked"]),
                    "at": _moment(answer["at"]),
                    "among": str(answer.get("among") or ""),
                }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        raise ConfigError(f"{VARIABLE} holds no approval of the Jenkins library") from None
    return found


def question(
    settings: Settings, record: ReleaseRecord | None, config: str | None, project: str | None
) -> dict[str, str]:
    """What the Groovy step needs to ask. ``details`` has line ends as the two characters ``\\n``."""
    options = {"--config": config, "--project": project}
    found = {"options": "".join(f" {name} {shlex.quote(value)}" for name, value in options.items() if value)}
    if record is None or (asked := reference(record)) is None:
        return found
    archives = [archive for archive in (record.bundle, record.package) if archive]
    what = " and ".join(map(in_words, archives))
    found["asked"] = asked
    found["subject"] = " ".join("bundle" if isinstance(archive, Bundle) else "service" for archive in archives)
    found["question"] = f"Release {what} of project {settings.project}"
    lines: list[str] = []
    if record.bundle is not None:
        found["live"] = _live(settings, record.bundle)
        lines += _planned(record.stages, record.bundle) or _details(settings, record, record.bundle)
    if record.package is not None:
        lines += _planned(record.api_stages, record.package) or _of_service(record, record.package)
    found["details"] = "\\n".join(line.replace("\\", "/") for line in lines)
    return found


def _planned(stages: Mapping[str, Stage], archive: Bundle | Package) -> list[str]:
    """The plans of the release of this archive, in words."""
    plans = [plan for stage in stages.values() if (plan := stage.plan_of(archive))]
    return [line[:_WIDTH] for plan in plans for line in plan.lines[:_MOST_LINES]]


def _of_service(record: ReleaseRecord, package: Package) -> list[str]:
    lines = [f"New: {in_words(package)}, packaged {package.created}, SHA-256 {package.sha256[:12]}…"]
    lines += [
        f"Tests of the service on {name}: {part.test.result}"
        for name, part in record.api_stages.items()
        if part.test is not None and part.test.bundle == package.version
    ]
    return lines


def _details(settings: Settings, record: ReleaseRecord, bundle: Bundle) -> list[str]:
    lines = [
        f"New: bundle {bundle.id}, exported {bundle.created}, SHA-256 {bundle.sha256[:12]}…",
        _live(settings, bundle),
    ]
    lines += [
        f"Tests on {name}: {part.test.result}"
        for name, part in record.stages.items()
        if part.test is not None and part.test.bundle == bundle.id
    ]
    changes = bundle.changes or ["Changes: not known"]
    lines += [one_line(line, _WIDTH) for line in changes[:_MOST_CHANGES]]
    if len(changes) > _MOST_CHANGES:
        lines.append(f"and {len(changes) - _MOST_CHANGES} more")
    return lines


def _live(settings: Settings, bundle: Bundle) -> str:
    live = {"": "nothing", None: "not known"}.get(bundle.replaces, f"bundle {bundle.replaces}")
    return f"Live on {settings.release_stage().name} when it was packaged: {live}"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _sha256(value: Any) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", _text(value)):
        raise ValueError
    return str(value)


def _moment(value: Any) -> str:
    """Milliseconds since 1970 as the record writes a time."""
    return datetime.fromtimestamp(int(value) // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
