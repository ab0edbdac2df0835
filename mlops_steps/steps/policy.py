"""policy: how far the project goes by itself, what applies and which file says so."""

from __future__ import annotations

from datetime import datetime, timezone
from json import dumps

from mlops_steps.config.policy import Freeze
from mlops_steps.delivery import policing
from mlops_steps.policy.effective import resolve
from mlops_steps.policy.freezes import frozen, in_words
from mlops_steps.steps.context import Context


def run(context: Context, *, json: bool = False) -> None:
    """Prints a line for each key of the policy, or JSON.

    Raises :class:`ConfigError` when the project loosens what its organisation requires, or lacks a gate that it must
    have.
    """
    settings, console, report = context.settings, context.console, context.report
    with report.case("policy") as case:
        policy = resolve(settings)
        report.set(**{line.key: line.shown for line in policy.lines})
        on = frozen(policy.freezes, datetime.now(timezone.utc))
        said = str(on) if on else "no freeze is on"
        if json:
            found = [{"key": line.key, "value": _plain(line.value), "why": line.why} for line in policy.lines]
            console.result(dumps({"policy": found, "now": said}, indent=2))
        else:
            lines = [(line.key, line.shown, line.why) for line in policy.lines]
            lines += [(f"freeze {one.name}", in_words(one), "") for one in policy.freezes]
            lines.append(("now", said, ""))
            width, values = max(len(line[0]) for line in lines), max(len(line[1]) for line in lines)
            text = [f"{key:{width}}  {shown:{min(values, 40)}}  {why}".rstrip() for key, shown, why in lines]
            case.stdout = "\n".join(text)
            console.result(case.stdout)
    with report.case("required gates"):
        policing.check_gates(settings, policy)


def _plain(value: object) -> object:
    """The value as JSON holds it."""
    if isinstance(value, Freeze):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return [_plain(one) for one in value] if isinstance(value, list) else value
