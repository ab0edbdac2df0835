"""Finds the rules: those of this package, those that other packages bring, and those of the team's repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points

from mlops_steps.config import Settings
from mlops_steps.errors import ConfigError
from mlops_steps.rules import credentials, python_code, references, scenarios
from mlops_steps.rules.model import Finding, Rule, as_rule
from mlops_steps.system.team_code import team_module

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
                else _broken(entry.name, origin, TypeError(f"{entry.value} is not a function"))
            )


def _from_reference(reference: str, settings: Settings, place: str) -> Rule:
    target, _, name = reference.rpartition(":")
    rule_id = name.strip("_").replace("_", "-")
    try:
        module = team_module(target, settings.root, place)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # the code of the team
        return _broken(rule_id, reference, error)
    check = getattr(module, name, None)
    if not callable(check):
        raise ConfigError(f"{place}: there is not a function {name} in {target}")
    return as_rule(check, reference)


def _broken(rule_id: str, origin: str, error: BaseException) -> Rule:
    def check(*_arguments: object) -> Iterator[Finding]:
        raise error

    failing: Callable[..., Iterator[Finding]] = check
    return Rule(rule_id, failing, origin=origin)
