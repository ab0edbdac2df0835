"""Finds the rules: those of this package, those that other packages bring, and those of the team's repository."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.errors import ConfigError
from mlops_steps.rules import credentials, python_code, references, scenarios
from mlops_steps.rules.model import Finding, Rule, as_rule

ENTRY_POINTS = "mlops_steps.rules"

BUILT_IN: tuple[Rule, ...] = tuple(
    as_rule(check)
    for check in (
        scenarios.has_test_scenario,
        scenarios.has_smoke_scenario,
        python_code.python_parses,
        python_code.max_lines,
        python_code.max_logical_lines,
        python_code.max_complexity,
        credentials.no_credentials,
        references.code_env_exists,
        references.flow_complete,
    )
)


def load_rules(settings: Settings) -> list[Rule]:
    """All rules, the built-in ones first.

    A rule of a team that cannot be imported is there all the same, and raises its error when it is run: the other
    rules tell their part. Raises :class:`ConfigError` when `validate.rules` names a file or a function that is not
    there, and when two rules have one id.
    """
    rules = [*BUILT_IN, *_installed()]
    for index, reference in enumerate(settings.validation.rules):
        rules.append(_from_reference(reference, settings, settings.place("validate", "rules", str(index))))
    known: dict[str, Rule] = {}
    for rule in rules:
        if other := known.get(rule.id):
            raise ConfigError(f"two rules have the id {rule.id}: that of {other.origin} and that of {rule.origin}")
        known[rule.id] = rule
    return rules


def _installed() -> Iterator[Rule]:
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        origin = f"entry point {entry.name} ({entry.value})"
        try:
            check = entry.load()
        except (Exception, SystemExit) as error:  # the code of others
            yield _broken(entry.name, origin, error)
        else:
            yield (
                as_rule(check, origin, entry.name)
                if callable(check)
                else _broken(entry.name, origin, TypeError(f"{entry.value} is no function"))
            )


def _from_reference(reference: str, settings: Settings, place: str) -> Rule:
    target, _, name = reference.rpartition(":")
    rule_id = name.strip("_").replace("_", "-")
    try:
        module = _module_of(target, settings.root, place)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # the code of the team
        return _broken(rule_id, reference, error)
    check = getattr(module, name, None)
    if not callable(check):
        raise ConfigError(f"{place}: there is no function {name} in {target}")
    return as_rule(check, reference)


def _module_of(target: str, root: Path, place: str) -> Any:
    if not target.endswith(".py"):
        _make_importable(root)
        if importlib.util.find_spec(target.partition(".")[0]) is None:
            raise ConfigError(f"{place}: there is no module {target}")
        return importlib.import_module(target)
    path = root / target
    if not path.is_file():
        raise ConfigError(f"{place}: no such file: {path}")
    _make_importable(path.parent)
    # A name of its own: the file may be called like a module that is needed here.
    spec = importlib.util.spec_from_file_location(f"mlops_steps_team_rules.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{place}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _make_importable(folder: Path) -> None:
    """At the end of the search path, so that nothing there hides an installed module."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _broken(rule_id: str, origin: str, error: BaseException) -> Rule:
    def check(*_arguments: object) -> Iterator[Finding]:
        raise error

    failing: Callable[..., Iterator[Finding]] = check
    return Rule(rule_id, failing, origin=origin)
