"""Tries the assumptions one after the other, and says what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from mlops_steps.acceptance.model import Assumption, Differs, Finding, NotTried, Verdict
from mlops_steps.errors import MlopsError, NodeError, Refusal, Unreachable

W = TypeVar("W")


def examine(
    world: W,
    assumptions: Sequence[Assumption[W]],
    within_limit: Callable[[], AbstractContextManager[object]],
    say: Callable[[Assumption[W], Finding], None],
) -> list[Finding]:
    """Tries all of them. Raises nothing for what may be wrong with a node.

    ``within_limit`` makes the context in which one is tried. One that needs another which does not hold is not tried.
    """
    found: dict[str, Finding] = {}
    for assumption in assumptions:
        lacking = [name for name in assumption.needs if found[name].verdict is not Verdict.HOLDS]
        if lacking:
            finding = Finding(assumption.name, Verdict.UNTRIED, f"it needs what does not hold: {', '.join(lacking)}")
        else:
            finding = _try(world, assumption, within_limit)
        found[assumption.name] = finding
        say(assumption, finding)
    return list(found.values())


def _try(world: W, assumption: Assumption[W], within_limit: Callable[[], AbstractContextManager[object]]) -> Finding:
    began, name = time.monotonic(), assumption.name

    def finding(verdict: Verdict, text: str, error: NodeError | None = None) -> Finding:
        return Finding(name, verdict, text, time.monotonic() - began, error)

    try:
        with within_limit():
            return finding(Verdict.HOLDS, assumption.check(world))
    except Differs as different:
        return finding(Verdict.DIFFERS, str(different))
    except NotTried as why:
        return finding(Verdict.UNTRIED, str(why))
    except Unreachable as error:
        return finding(Verdict.UNTRIED, error.message, error)
    except Refusal as refusal:
        if refusal.status in (401, 403):
            return finding(Verdict.UNTRIED, f"the key lacks a right: {refusal.message}")
        return finding(Verdict.DIFFERS, refusal.message)
    except MlopsError as error:
        # An answer of another form, a limit that was reached, an archive that is not whole.
        return finding(Verdict.DIFFERS, error.message)
