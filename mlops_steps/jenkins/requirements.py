"""What a controller must have for the library to run there: a version, and plugins of the suggested set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from jenkins.plugins import PluginVersion

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins.session import Session, errors_in_words

# The core that the oldest usable pipeline-groovy-lib asks for. Seen at work: 2.479.3, 2.516.2.
MINIMUM_VERSION = "2.361.4"

# Plugin ids with the oldest version that has what the library, or this command, uses.
MINIMUM_PLUGINS = {
    "cloudbees-folder": "6.15",
    "credentials-binding": "1.24",
    "git": "4.0.0",
    "junit": "1.50",
    "pipeline-groovy-lib": "656",  # one clone per library, kept between builds or not
    "pipeline-input-step": "2.12",
    "pipeline-model-definition": "1.8.0",
    "pipeline-stage-step": "2.5",
    "plain-credentials": "1.7",
    "workflow-basic-steps": "2.18",  # unstable, catchError with results
    "workflow-cps": "2.90",
    "workflow-durable-task-step": "2.35",
    "workflow-job": "2.40",
}

_SUITES = "they come with the suggested plugins (Pipeline, JUnit, Credentials Binding, Git, Folders)"


@dataclass(frozen=True)
class Controller:
    """What was found. ``warnings`` are things that could not be checked."""

    version: str
    user: str
    warnings: tuple[str, ...] = ()


def check(session: Session) -> Controller:
    """Asks the controller who we are, for its version and its plugins; changes nothing.

    Raises :class:`ControllerError` when the token is not accepted, the controller too old, or a plugin missing,
    inactive or too old: its details name each with its id and the oldest version that will do.
    """
    with errors_in_words(f"asking {session.access.url} who we are"):
        user = str(session.get_whoami().get("id") or session.access.user)
    if session.version is None:
        raise ControllerError(
            f"{session.access.url} is not a Jenkins controller: its answers have no X-Jenkins header",
            next_step="set JENKINS_URL to the controller's own address, with its path if it has one",
        )
    if _numbers(session.version) < _numbers(MINIMUM_VERSION):
        raise ControllerError(
            f"Jenkins {session.version} at {session.access.url} is too old: {MINIMUM_VERSION} or later is needed",
            next_step="update Jenkins",
        )
    try:
        with errors_in_words(f"asking {session.access.url} for its plugins"):
            installed = {str(plugin["shortName"]): plugin for plugin in session.get_plugins(depth=1).values()}
    except ControllerError as error:
        if error.status != 403:
            raise
        warning = f"plugins were not checked: user {user} may not see them (needs Overall/SystemRead)"
        return Controller(session.version, user, (warning,))
    _check_plugins(session.access.url, installed)
    return Controller(session.version, user)


def _check_plugins(url: str, installed: dict[str, Any]) -> None:
    problems = []
    for plugin_id, minimum in MINIMUM_PLUGINS.items():
        plugin = installed.get(plugin_id)
        if plugin is None:
            problems.append(f"{plugin_id} is missing: {minimum} or later is needed")
        elif not plugin.get("active", True):
            problems.append(
                f"{plugin_id} {plugin['version']} is installed but not active: enable it, or restart Jenkins"
            )
        elif plugin["version"] < PluginVersion(minimum):
            problems.append(f"{plugin_id} {plugin['version']} is too old: {minimum} or later is needed")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        error = ControllerError(
            f"{url} lacks a plugin: {problems[0]}{more}",
            next_step=f"install or update under Manage Jenkins, Plugins; {_SUITES}",
        )
        error.details = tuple(problems)
        raise error


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("-")[0])]
