"""Which code environments a project names, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlops_steps.dss.facts import CodeEnvUse, Recipe, Scenario


def code_env_uses(
    key: str, defaults: Mapping[str, str], recipes: list[Recipe], scenarios: list[Scenario]
) -> Iterator[CodeEnvUse]:
    """Each use of a named code environment: by the project's ``defaults`` (by language), its recipes, its scenarios."""
    for language, name in defaults.items():
        yield CodeEnvUse(language, name, f"project {key}")
    for recipe in recipes:
        language = "R" if recipe.suffix == ".r" else "PYTHON"
        for name in _explicit_envs(recipe.definition):
            yield CodeEnvUse(language, name, f"recipe {recipe.name}")
    for scenario in scenarios:
        for name in _explicit_envs(scenario.definition):
            yield CodeEnvUse("PYTHON", name, f"scenario {scenario.id}")


def _explicit_envs(value: object) -> list[str]:
    """The names in all ``envSelection`` of a definition, however deep they lie."""
    found: list[str] = []
    rest = [value]
    while rest:
        current = rest.pop()
        if isinstance(current, list):
            rest.extend(current)
        elif isinstance(current, dict):
            rest.extend(current.values())
            if current.get("envMode") == "EXPLICIT_ENV" and current.get("envName"):
                found.append(str(current["envName"]))
    return sorted(set(found))
