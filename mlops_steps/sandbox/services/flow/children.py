"""Child processes for the code of a project: recipes, scenarios, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request
from mlops_steps.sandbox.node.store import read_json
from mlops_steps.sandbox.runtime.process import DEFAULT_LIMIT_SECONDS, Child, ChildResult
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.projects.model import DEFAULT_LIBRARIES, Project

# A variable of the instance or of a project: seconds that one child process may take.
LIMIT_VARIABLE = "sandboxTimeLimitSeconds"
# The ticket outlives the limit by the time that a process takes to end.
_TICKET_MARGIN_SECONDS = 60.0


def python_path(project: Project) -> list[Path]:
    """The folders of the library that code can import from."""
    document = read_json(project.library_dir / "external-libraries.json", DEFAULT_LIBRARIES)
    return [project.library_dir / name for name in document.get("pythonPath") or ["python"]]


def time_limit(project: Project) -> float:
    """Seconds that a child process of this project may take."""
    value = project.resolved_variables().get(LIMIT_VARIABLE, DEFAULT_LIMIT_SECONDS)
    try:
        return max(0.1, float(value))
    except (TypeError, ValueError):
        return DEFAULT_LIMIT_SECONDS


def check_code_env(project: Project, selection: Mapping[str, Any] | None, label: str) -> None:
    """Raises when code names a code environment that the node does not have.

    :raises DssError: 400, with its name.
    """
    chosen = selection or {}
    mode = chosen.get("envMode", "INHERIT")
    if mode == "INHERIT":
        chosen = ((project.params.get("settings") or {}).get("codeEnvs") or {}).get("python") or {}
        mode = chosen.get("mode", "USE_BUILTIN_MODE")
    name = chosen.get("envName")
    if mode == "EXPLICIT_ENV" and name not in {env.get("envName") for env in project.node.code_envs()}:
        raise bad_request(f"{label}: code environment {name!r} does not exist on node {project.node.id}")


def make_child(
    project: Project,
    label: str,
    *,
    script: str = "",
    variables: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    scenario: Mapping[str, Any] | None = None,
    pytest_arguments: Sequence[str] = (),
) -> Child:
    """A child process for code of the project. It gets a ticket of its own, which :func:`run_child` ends."""
    limit = time_limit(project)
    places = places_of(project, variables)
    context = {**places.to_document(), "recipe": recipe, "scenario": scenario}
    node = project.node
    return Child(
        context=context,
        environment={
            "DKU_CURRENT_PROJECT_KEY": project.key,
            "DKU_NODE_URL": node.url,
            "DKU_API_TICKET": node.ticket(limit + _TICKET_MARGIN_SECONDS),
        },
        label=label,
        script=script,
        library=python_path(project),
        pytest_root=python_path(project)[0] if pytest_arguments else None,
        pytest_arguments=pytest_arguments,
        limit=limit,
    )


def run_child(project: Project, child: Child, log: Path) -> ChildResult:
    """Runs a child and ends its ticket."""
    try:
        return child.run(log)
    finally:
        project.node.tickets.revoke(child.environment["DKU_API_TICKET"])


def thrown(error: Exception | Mapping[str, str]) -> dict[str, Any]:
    """An error as DSS serializes it into results."""
    if isinstance(error, Mapping):
        clazz, message, stack = error["clazz"], error["message"], error.get("stack", "")
    elif isinstance(error, DssError):
        clazz, message, stack = error.error_type, error.message, ""
    else:
        clazz, message, stack = type(error).__name__, str(error), ""
    return {"clazz": clazz, "title": message.split("\n")[0], "message": message, "stack": stack, "code": clazz}
