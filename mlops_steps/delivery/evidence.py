"""What was live before, and what is owed, by what the nodes themselves remember.

The deployer's history tells which bundles were made live, and the smoke tests on the node which of them were verified.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mlops_steps.delivery.smoke import verdicts
from mlops_steps.delivery.targets.project_deployer import Live, Target
from mlops_steps.dss import updates
from mlops_steps.dss.updates import Past
from mlops_steps.errors import CheckFailed, NodeError

log = logging.getLogger(__name__)

_MOST = 30


@dataclass(frozen=True)
class Owed:
    """What is left to do on a stage: nothing, verify what is live with its smoke test, or restore ``bundle``."""

    what: Literal["nothing", "verify", "restore"]
    bundle: str | None = None


def bundle_before(target: Target, live: Live, other_than: str) -> str | None:
    """The bundle that was live before ``other_than``, by the newest successful update to another one.

    A bundle that failed its smoke test there is passed over. ``None`` when there is none.
    """
    verdict: dict[int, bool] | None = None
    for past, bundle in _successes(target, live):
        if bundle == other_than:
            continue
        if verdict is None:
            verdict = _verdicts(target)
        if verdict.get(past.started, True):
            return bundle
    return None


def verified(target: Target, live: Live) -> bool:
    """Whether what the last update has made live has passed a smoke test; ``False`` when nobody remembers."""
    newest = next((past for past, _ in _successes(target, live)), None)
    return newest is not None and _verdicts(target).get(newest.started, False)


def _verdicts(target: Target) -> dict[int, bool]:
    """How the smoke tests on the node ended; nothing when the node does not tell."""
    try:
        return verdicts(target)
    except NodeError as error:
        log.warning("%s; going on without the smoke tests of the past", error)
        return {}


def owed(target: Target, live: Live) -> Owed:
    """What a release that was cut off, and whose record is lost, has left to do. No update may be under way.

    Raises :class:`CheckFailed` when the stage needs a person, :class:`NodeError` when a node cannot be asked.
    """
    deployment = live.deployment
    if deployment is None or not deployment.enabled:
        return Owed("nothing")
    successes = list(_successes(target, live))
    if not successes:
        if live.bundle is None:
            return Owed("restore", None)  # a first release that was cut off before anything ran on the node
        if live.is_healthy(live.bundle):
            return Owed("verify")
        raise _unknown(live, "the deployer's history names no bundle that was made live")
    newest, bundle = successes[0]
    verdict = _verdicts(target)
    passed = verdict.get(newest.started)
    if live.is_healthy(bundle):
        return Owed("nothing" if passed else "verify")
    if deployment.bundle == bundle:
        if passed and live.bundle == bundle:
            raise _unknown(live, "it has passed its smoke test when it was released, so no release was cut off")
        stays = bool(passed)
    else:
        # The settings name another bundle than the last update: a release was cut off before its update, or a restore.
        named = next((past for past, name in successes if name == deployment.bundle), None)
        if named is not None and not passed and verdict.get(named.started, True):
            return Owed("restore", deployment.bundle)
        stays = passed is not False
    if stays:
        return Owed("restore", bundle)
    before = bundle_before(target, live, bundle)
    if before is None:
        raise _unknown(live, "the deployer's history names no earlier bundle")
    return Owed("restore", before)


def failed_before(target: Target, live: Live, bundle: str) -> bool:
    """Whether a release of this bundle failed its smoke test and was cut off before its restore was verified.

    For a record that is lost: with one, the record says so. A process that was cut off has left its claim behind.
    """
    if not target.found_dead or live.deployment is None or live.is_healthy(bundle):
        return False
    newest = next((past for past, name in _successes(target, live) if name == bundle), None)
    if newest is None or _verdicts(target).get(newest.started, True):
        return False
    return owed(target, live).what != "nothing"


def _unknown(live: Live, why: str) -> CheckFailed:
    return CheckFailed(
        f"{live}; no record says what was live before, and {why}",
        live=str(live),
        next_step="look at the deployment; `mlops-steps rollback --stage STAGE --to BUNDLE` makes another bundle live",
    )


def _successes(target: Target, live: Live) -> Iterator[tuple[Past, str]]:
    """The successful updates whose bundle is known, the newest first."""
    if live.deployment is None:
        return
    for past in updates.history(target.deployer, live.deployment.id)[:_MOST]:
        if past.succeeded:
            bundle = past.bundle or _bundle_in(target, live.deployment.id, past.started)
            if bundle:
                yield past, bundle


def _bundle_in(target: Target, deployment_id: str, started: int) -> str | None:
    try:
        raw = updates.details(target.deployer, deployment_id, started)
    except NodeError:
        return None
    settings: Any = raw.get("settings") or raw.get("deploymentSettings") or {}
    bundle = raw.get("bundleId") or (settings.get("bundleId") if isinstance(settings, dict) else None)
    return str(bundle) if bundle else None
