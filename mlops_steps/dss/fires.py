"""Firing a scenario's manual trigger, once; and finding the run again by the token that it carries.

The token travels in the trigger's parameters, which DSS keeps with the run.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import NonsenseAnswer, Unreachable
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, poll

log = logging.getLogger(__name__)

_PARAMETER = "mlopsStepsRun"
_TOKEN = re.compile(rf'"{_PARAMETER}": "([^"]*)"')

# How many of the last runs are searched for a token.
_SEARCHED = 50

# Seconds between two triggers that the node cancels, at most.
_LONGEST_REFIRE = 5.0


def find(
    dss: Dss, project_key: str, scenario_id: str, token: str, *, prefix: str | None = None, unless_failed: bool = False
) -> Any:
    """The newest run that carries the token, under way or ended; ``None`` when there is none.

    With ``unless_failed`` one that ended otherwise than SUCCESS or WARNING counts as none. With a ``prefix`` one whose
    token begins with it will do, unless it failed.
    """
    for run in _last_runs(dss, project_key, scenario_id):
        found = _token_of(run)
        if found is None or not (found == token or (prefix is not None and found.startswith(prefix))):
            continue
        with dss.asking(f"read the outcome of a run of scenario {scenario_id}"):
            failed = not run.running and run.outcome not in ("SUCCESS", "WARNING")
        if failed and (unless_failed or found != token):
            return None
        return run
    return None


def outcomes(dss: Dss, project_key: str, scenario_id: str) -> list[tuple[str, str]]:
    """Token and outcome of the last runs that carry a token and have ended, the newest first."""
    found = []
    for run in _last_runs(dss, project_key, scenario_id):
        with dss.asking(f"read the outcome of a run of scenario {scenario_id}"):
            token = _token_of(run)
            if token is not None and not run.running:
                found.append((token, str(run.outcome)))
    return found


@dataclass(frozen=True)
class Fired:
    """A run of a scenario. ``token``: None for a run that carries none. ``started``: seconds since 1970.

    ``outcome`` is "" while it is under way.
    """

    token: str | None
    started: float
    outcome: str


def past(dss: Dss, project_key: str, scenario_id: str) -> list[Fired]:
    """The last runs of the scenario, whoever has started them, the newest first. Raises :class:`NodeError`."""
    found = []
    for run in _last_runs(dss, project_key, scenario_id):
        with dss.asking(f"read a run of scenario {scenario_id}"):
            outcome = "" if run.running else str(run.outcome)
            found.append(Fired(_token_of(run), float(run.get_start_time().timestamp()), outcome))
    return found


def _token_of(run: Any) -> str | None:
    found = _TOKEN.search(json.dumps(run.get_info().get("trigger") or {}))
    return found[1] if found else None


def _last_runs(dss: Dss, project_key: str, scenario_id: str) -> list[Any]:
    with dss.asking(f"look for a run of scenario {scenario_id}"):
        runs = dss.client.get_project(project_key).get_scenario(scenario_id).get_last_runs(limit=_SEARCHED)
        for run in runs:
            expect(run.get_info(), dict, "a run")
            check_of(run, project_key, scenario_id)
        return expect(runs, list, "the last runs")


def check_of(run: Any, project_key: str, scenario_id: str) -> None:
    """Raises ``ValueError`` when the run is of another scenario or project (see :meth:`Dss.asking`)."""
    about = expect(run.get_info().get("scenario") or {}, dict, "the scenario of a run")
    of = (about.get("projectKey", project_key), about.get("id", scenario_id))
    if of != (project_key, scenario_id):
        raise ValueError(f"it is a run of scenario {of[1]} of project {of[0]}")


def start(
    dss: Dss,
    project_key: str,
    scenario_id: str,
    deadline: Deadline,
    say: Callable[[str], None],
    *,
    refire: bool,
    token: str | None,
) -> Any:
    """Fires the manual trigger and waits for the run; ``None`` when the node cancelled the trigger.

    The run carries the ``token``, or one of its own. With ``refire`` a cancelled trigger is fired again.
    Raises :class:`DeadlineExceeded` when the node goes on cancelling it.
    """
    pause = pace().first
    while True:
        name = token or uuid.uuid4().hex
        fire, run = _fire(dss, project_key, scenario_id, name)
        if run is None:
            say("waiting for the run to start")
            run = poll(
                lambda fire=fire, name=name: _run_of(dss, project_key, scenario_id, fire, name),  # type: ignore[misc]
                deadline=deadline,
                what=f"scenario {scenario_id} on {dss.name}: the run did not start",
                longest=3.0,
            )
        if run is not False:
            return run
        if not refire:
            return None
        say("waiting for another run of the scenario to end")
        poll(
            lambda: None if _is_running(dss, project_key, scenario_id) else True,
            deadline=deadline,
            what=f"scenario {scenario_id} on {dss.name}: another run did not end",
        )
        # A node that cancels triggers although nothing runs must not be asked without end, nor without a pause.
        deadline.check(f"scenario {scenario_id} on {dss.name}: the node cancels its trigger")
        time.sleep(min(pause, deadline.remaining))
        pause = min(2 * pause, _LONGEST_REFIRE, pace().longest)


def _fire(dss: Dss, project_key: str, scenario_id: str, token: str) -> tuple[Any, Any]:
    """Requests a run; returns the trigger fire, or the run itself when the answer was lost but the run is there.

    A run must not be started twice: after a lost answer the last runs are searched for the token before the error is
    passed on.
    """
    scenario = dss.client.get_project(project_key).get_scenario(scenario_id)
    try:
        with dss.asking(f"run scenario {scenario_id}"):
            return scenario.run({_PARAMETER: token}), None
    except (Unreachable, NonsenseAnswer) as error:
        log.warning("%s; looking whether the run was started", error)
        found = find(dss, project_key, scenario_id, token)
        if found is not None:
            return None, found
        raise


def _run_of(dss: Dss, project_key: str, scenario_id: str, fire: Any, token: str) -> Any:
    """The run of the fire, ``False`` when the fire was cancelled, ``None`` when neither is known yet."""
    with dss.asking(f"look for the run of scenario {scenario_id}"):
        run = fire.get_scenario_run()
        if run is not None:
            check_of(run, project_key, scenario_id)
            # Of another fire: an old answer. A node may leave the parameters out of this one.
            return run if _token_of(run) in (None, token) else None
        return False if fire.is_cancelled(refresh=True) else None


def _is_running(dss: Dss, project_key: str, scenario_id: str) -> bool:
    with dss.asking(f"look at scenario {scenario_id}"):
        return bool(dss.client.get_project(project_key).get_scenario(scenario_id).get_status().running)
