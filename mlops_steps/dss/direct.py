"""A project on an Automation node that no deployer deploys to: what is active, and what is asked to change that.

What was made live there before stands in a note (:mod:`mlops_steps.dss.node_note`).
"""

from __future__ import annotations

import json
import logging
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_steps.dss import node_note
from mlops_steps.dss.lost_answers import look_for
from mlops_steps.dss.node_note import Note
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

_MOST_FINDINGS = 100
_LARGEST_VARIABLES = 4 * 1024 * 1024
# How often what may be done twice is tried.
_TRIES = 3
_SHARE_FOR_AN_ANSWER = 0.7
_NAMED = re.compile(r"\b(connection|code[ -]?env(?:ironment)?|plugin)\s+['\"]?([\w.@-]*\w)", re.IGNORECASE)


@dataclass(frozen=True)
class State:
    """What the node says of the project. ``triggers``: whether they are on. ``variables``: the local ones."""

    exists: bool
    bundle: str | None = None
    triggers: bool = True
    note: Note = field(default_factory=Note)
    variables: Mapping[str, Any] = field(default_factory=dict)


def state(node: Dss, key: str) -> State:
    """What is active, and the note. Raises :class:`NodeError`."""
    with node.asking(f"ask which bundle of project {key} is active"):
        listed = [expect(one, dict, "a project") for one in expect(node.client.list_projects(), list, "the list")]
        found = next((one for one in listed if one.get("projectKey") == key), None)
        if found is None:
            return State(exists=False)
        active = expect(found.get("activeBundleState") or {}, dict, "activeBundleState").get("bundleId")
        bundle = None if active is None else node_id(active, "the bundle id")
    note, own = node_note.read(node, key)
    return State(True, bundle, not found.get("disableAutomaticTriggers", False), note, own)


def imported(node: Dss, key: str) -> dict[str, dict[str, Any]] | None:
    """The imported bundles by id; ``None`` when there is no such project. Raises :class:`NodeError`."""
    try:
        with node.asking(f"list the imported bundles of project {key}"):
            answer = expect(node.client.get_project(key).list_imported_bundles(), dict, "the list")
            items = [expect(one, dict, "a bundle") for one in expect(answer["bundles"], list, "bundles")]
            return {node_id(one["bundleId"], "a bundle id"): one for one in items}
    except Refusal as refusal:
        if refusal.status == 404:
            return None
        raise


# ---- changes


def create(node: Dss, key: str, bundle: str, archive: Path, deadline: Deadline) -> None:
    """Makes the project from the archive, which is sent in pieces; no bundle is active then.

    A lost answer is made up for by looking. Raises :class:`NodeError`.
    """
    path = "/projectsFromBundle/?permissionsPropagationPolicy=NONE&failOnMissingUsersOrGroups=true"
    _send(
        node,
        f"create project {key} from bundle {bundle}",
        path,
        _file_name(key, bundle),
        archive,
        deadline,
        lambda: imported(node, key) is not None,
    )


def import_bundle(node: Dss, key: str, bundle: str, archive: Path, deadline: Deadline) -> None:
    """Imports the archive, which is sent in pieces. A lost answer is made up for by looking."""
    _send(
        node,
        f"import bundle {bundle}",
        f"/projects/{key}/bundles/imported/actions/importFromStream",
        _file_name(key, bundle),
        archive,
        deadline,
        lambda: bundle in (imported(node, key) or {}),
    )


def _file_name(key: str, bundle: str) -> str:
    return f"dss-bundle-{key}-{bundle}.zip"


def _send(
    node: Dss, what: str, path: str, name: str, archive: Path, deadline: Deadline, is_there: Callable[[], bool]
) -> None:
    # The client's own import_bundle_from_stream and create_project_from_bundle_archive hold the archive in memory.
    for attempt in range(1, _TRIES + 1):
        try:
            with (
                node.within(deadline, read=max(deadline.remaining, 0.1)),
                node.asking(what),
                archive.open("rb") as file,
            ):
                node.client._perform_json_upload("POST", path, name, file)
            return
        except (Unreachable, NonsenseAnswer) as error:
            log.warning("%s; looking whether it was done", error)
            with node.within(deadline):
                if is_there():
                    return
            if attempt == _TRIES or deadline.passed:
                raise
            time.sleep(min(pace().again, deadline.remaining))


def delete(node: Dss, key: str, bundle: str) -> None:
    """Deletes an imported bundle that is not active. Raises :class:`NodeError`."""
    with node.asking(f"delete the imported bundle {bundle}"):
        node.client.get_project(key).delete_imported_bundle(bundle)


@dataclass(frozen=True)
class Finding:
    """A message of a preload, an activation or a hook. ``name`` is that of its test case: ``connection warehouse``.

    ``word`` is what it is called when it is no error.
    """

    name: str
    text: str
    is_error: bool = True
    word: str = "warning"


def preload(node: Dss, key: str, bundle: str, deadline: Deadline) -> list[Finding]:
    """Prepares the code environments of the bundle; returns what the node finds lacking. Raises :class:`NodeError`."""
    with node.within(deadline, read=max(deadline.remaining, 0.1)), node.asking(f"preload bundle {bundle}"):
        return findings(node.client.get_project(key).preload_bundle(bundle))


def activate(node: Dss, key: str, bundle: str, scenarios: Mapping[str, bool], deadline: Deadline) -> list[Finding]:
    """Activates the bundle; returns the node's warnings and errors, and why it refuses.

    A lost answer is made up for by looking. Raises :class:`NodeError`.
    """
    try:
        # Some of the time is left to look, when no answer comes.
        limit = max(deadline.remaining * _SHARE_FOR_AN_ANSWER, 0.1)
        with node.within(deadline, read=limit), node.asking(f"activate bundle {bundle}"):
            return findings(node.client.get_project(key).activate_bundle(bundle, dict(scenarios)))
    except Refusal as refusal:
        if refusal.status in (401, 403, 404, 429) or refusal.status >= 500:
            raise
        return [Finding(name, refusal.message) for name in named(refusal.message) or ["activation"]]
    except (Unreachable, NonsenseAnswer) as error:
        log.warning("%s; looking whether it was done", error)
        with node.within(deadline):
            look_for(lambda: state(node, key).bundle == bundle, deadline.at_most(pace().lost), error)
        return []


def findings(report: object) -> list[Finding]:
    """The warnings and errors of a report. Raises as in :meth:`Dss.asking`."""
    messages = expect(report or {}, dict, "the report").get("messages") or []
    found = []
    for one in expect(messages, list, "messages")[:_MOST_FINDINGS]:
        message = expect(one, dict, "a message")
        severity = message.get("severity")
        if severity in ("WARNING", "ERROR") or message.get("isFatal"):
            text = one_line(str(message.get("message") or message.get("details") or message.get("title") or ""), 500)
            title = one_line(str(message.get("title") or message.get("code") or "activation"), 200)
            is_error = severity == "ERROR" or bool(message.get("isFatal"))
            found += [Finding(name, text, is_error) for name in named(text) or [title]]
    return found


def named(text: str) -> list[str]:
    """The connections, code environments and plugins that a message of the node names."""
    found = []
    for kind, name in _NAMED.findall(text):
        title = "code environment" if kind.lower().startswith("code") else kind.lower()
        found.append(f"{title} {name}")
    return list(dict.fromkeys(found))


def local_variables_of(archive: Path) -> dict[str, Any]:
    """The local variables that the archive of a bundle brings for a project that has none; none of a damaged one."""
    with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        with zipfile.ZipFile(archive) as file:
            entry = file.getinfo("project_config/localvariables.json")
            if entry.file_size <= _LARGEST_VARIABLES:
                found = json.loads(file.read(entry))
                return found if isinstance(found, dict) else {}
    return {}
