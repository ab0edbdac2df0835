"""Rules on what a project refers to: code environments, and the objects of its flow."""

from __future__ import annotations

from collections.abc import Iterator

from mlops_steps.config import ValidateSettings
from mlops_steps.dss.facts import ProjectFacts
from mlops_steps.rules.model import Finding, rule


@rule("code-env-exists")
def code_env_exists(project: ProjectFacts, _settings: ValidateSettings) -> Iterator[Finding]:
    """Each code environment that the project, a recipe or a scenario names exists on the Design node."""
    users: dict[tuple[str, str], list[str]] = {}
    for use in project.code_env_uses:
        users.setdefault((use.language, use.name), []).append(use.user)
    for (language, name), named_by in sorted(users.items()):
        yield Finding(
            f"code environment {name} ({language})",
            ok=project.code_envs is not None and (language, name) in project.code_envs,
            message=f"there is no {language} code environment {name} on the Design node",
            details=f"named by {', '.join(named_by)}",
            skipped="this key may not list the code environments" if project.code_envs is None else "",
        )


@rule("flow-complete")
def flow_complete(project: ProjectFacts, _settings: ValidateSettings) -> Iterator[Finding]:
    """Each dataset, folder and model that a recipe reads or writes exists."""
    for reference, recipes in sorted(project.needed().items()):
        yield Finding(
            reference,
            ok=reference in project.flow_objects,
            message=f"{reference} does not exist; needed by {', '.join(f'recipe {name}' for name in recipes)}",
            skipped=project.unseen.get(reference, ""),
        )
