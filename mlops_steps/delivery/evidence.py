"""Which phase a unit is in: by its record, or without one by what the nodes themselves remember.

The deployer's history names the versions that were made live, and the smoke tests on the node those that were verified.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mlops_steps.delivery.change import Change, previous_of, superseded
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.targets.base import Live, Target
from mlops_steps.delivery.unit import Named, Previous
from mlops_steps.errors import CheckFailed, NodeError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Situation:
    """The phase that a unit is in, by the record (``recorded``) or by the nodes.

    RESTORING: ``previous`` is to be made live. VERIFYING: what is live is to be smoke-tested; ``previous`` replaces it
    when that fails, where it is known. LIVE: it is verified.
    NOTED: nothing is pending. ``previous`` is what a failed change returns to. ``failed`` is a version whose smoke test
    on the node has failed.
    """

    phase: Phase
    previous: Previous | None = None
    recorded: bool = False
    failed: str | None = None


def before_release(change: Change, live: Live, version: str) -> Situation:
    """Where a release of the version begins. Forgets a pending restore that somebody else has made pointless."""
    unit, target = change.unit, change.target
    if unit.pending and not superseded(change, live):
        seen = live.deployment
        previous = unit.still_previous(seen.version if seen else None, seen.enabled if seen else True)
        given_up = unit.given_up and unit.version == version
        if previous is not None or given_up:
            return Situation(Phase.RESTORING if given_up else unit.phase, previous, recorded=True)
    previous = previous_of(live, _version_before_release(change, live, version))
    if not unit.pending and _failed_before(target, live, version):
        return Situation(Phase.RESTORING, previous)
    verified_before = not unit.pending and unit.verified == version and live.is_healthy(version)
    if verified_before and not target.lacking(live):
        return Situation(Phase.LIVE, previous, recorded=True)
    return Situation(Phase.NOTED, previous)


def is_canary(change: Change, live: Live) -> bool:
    """Whether versions share the calls because of a canary of ours that was interrupted.

    The record says so; or it was archived before the change, and notes these versions. Without a record, a process
    that is gone has left its note on the deployer, and the version that answered alone before still has its share.
    """
    unit, found = change.unit, live.deployment
    if found is None or not found.sharing:
        return False
    noted = unit.phase is Phase.NOTED and unit.restores and unit.previous is not None
    if (unit.pending or noted) and unit.version in found.sharing and found.sharing <= unit.ours:
        return True
    return change.target.found_dead and _alone_before(change.target, live) is not None


def _alone_before(target: Target, live: Live) -> str | None:
    """The version that had all calls before several shared them, if it has a share of them still."""
    before = next((past.version for past in target.made_live(live)), None)
    return before if before and live.deployment and before in live.deployment.sharing else None


def before_deploy(change: Change, live: Live) -> Previous:
    """What a deployment on the release stage that fails is returned to by `recover`."""
    seen = live.deployment
    still = change.unit.still_previous(seen.version if seen else None, seen.enabled if seen else True)
    return (still if change.pending else None) or previous_of(live, live.version)


def to_recover(change: Change, live: Live) -> Situation:
    """Where `recover` begins. No update may be under way.

    A record that only notes the change was archived before it: the agent that made the change is lost, and with it the
    record of what came of it. Then the nodes say that, and the record what was live before.

    Raises :class:`CheckFailed` when the stage needs a person, :class:`NodeError` when a node cannot be asked.
    """
    unit = change.unit
    if unit.pending and not superseded(change, live):
        return Situation(Phase.RESTORING, unit.previous, recorded=True)
    if unit.verified and live.is_healthy(unit.verified):
        return Situation(Phase.LIVE, recorded=True)
    return _by_the_nodes(change.target, live, _noted_before(change, live))


def _noted_before(change: Change, live: Live) -> Previous | None:
    """What was live before, by a record that notes a change whose version the settings name now."""
    unit, found = change.unit, live.deployment
    if unit.phase is not Phase.NOTED or found is None or not unit.restores:
        return None
    if unit.version not in (found.version, *found.sharing):
        return None
    return None if unit.previous and unit.previous.version == unit.version else unit.previous


def version_before(target: Target, live: Live, other_than: str) -> str | None:
    """The version that was live before ``other_than``, by the newest successful update to another one.

    A version that failed its smoke test there is passed over. ``None`` when there is none.
    """
    verdict: dict[int, bool] | None = None
    for past in target.made_live(live):
        if past.version == other_than:
            continue
        if verdict is None:
            verdict = _verdicts(target)
        if verdict.get(past.started, True):
            return past.version
    return None


def verified(target: Target, live: Live) -> bool:
    """Whether what the last update has made live has passed a smoke test; ``False`` when that is not known."""
    newest = next(target.made_live(live), None)
    return newest is not None and _verdicts(target).get(newest.started, False)


def _version_before_release(change: Change, live: Live, version: str) -> str | None:
    if live.deployment and live.deployment.sharing:
        return _alone_before(change.target, live)
    before = live.version
    if before != version:
        return before
    # Released already, by this very build: what was there before it stays what was there before.
    unit = change.unit
    if unit.previous is not None and unit.version == version:
        return unit.previous.version
    # The record is lost: the deployer's history names it.
    return version_before(change.target, live, version) or version


def _by_the_nodes(target: Target, live: Live, noted: Previous | None = None) -> Situation:
    """What a release that was interrupted, and whose record is lost, has left to do.

    ``noted``: what was live before it, where the record says so.
    """
    nothing = Situation(Phase.NOTED)
    deployment = live.deployment
    if deployment is None or not deployment.enabled:
        return nothing
    successes = list(target.made_live(live))
    if not successes:
        if noted is not None and not live.is_healthy(live.version):
            return Situation(Phase.RESTORING, noted)
        if live.version is None:
            if not target.never_updated(live):
                raise _unknown(target, live, "the deployer has no history that says whether anything ever was")
            # A first release that was interrupted before anything ran on the node.
            seen = Named(version=deployment.version, enabled=deployment.enabled)
            return Situation(Phase.RESTORING, Previous(version=None, seen=seen))
        if live.is_healthy(live.version):
            return Situation(Phase.VERIFYING, noted)
        raise _unknown(target, live, f"{target.words.history} names no version that was made live")
    newest, version = successes[0], successes[0].version
    verdict = _verdicts(target)
    passed = verdict.get(newest.started)
    failed = version if passed is False else None
    if live.is_healthy(version):
        return Situation(Phase.LIVE) if passed else Situation(Phase.VERIFYING, noted)
    if deployment.version == version:
        if passed and live.version == version:
            raise _unknown(
                target, live, "it has passed its smoke test when it was released, so no release was interrupted"
            )
        stays = bool(passed)
    else:
        # The settings name another version than the last update: a release was interrupted before its update, or a
        # restore.
        named = next((past for past in successes if past.version == deployment.version), None)
        if named is not None and not passed and verdict.get(named.started, True):
            return _restoring(live, named.version, failed)
        stays = passed is not False
    if stays:
        return _restoring(live, version)
    if noted is not None:
        return Situation(Phase.RESTORING, noted, failed=failed)
    before = version_before(target, live, version)
    if before is None:
        raise _unknown(target, live, f"{target.words.history} names no earlier version")
    return _restoring(live, before, failed)


def _restoring(live: Live, version: str, failed: str | None = None) -> Situation:
    return Situation(Phase.RESTORING, previous_of(live, version, enabled=True), failed=failed)


def _failed_before(target: Target, live: Live, version: str) -> bool:
    """Whether a release of this version failed its smoke test and was interrupted before its restore was verified.

    Needed only when the record is lost, because a record says so. A process that was killed has left its claim behind.
    """
    if not target.found_dead or live.deployment is None or live.is_healthy(version):
        return False
    newest = next((past for past in target.made_live(live) if past.version == version), None)
    if newest is None or _verdicts(target).get(newest.started, True):
        return False
    return _by_the_nodes(target, live).phase in (Phase.VERIFYING, Phase.RESTORING)


def _verdicts(target: Target) -> dict[int, bool]:
    """How the smoke tests on the node ended; nothing when the node does not say."""
    try:
        return target.verdicts()
    except NodeError as error:
        log.warning("%s; going on without the smoke tests of the past", error)
        return {}


def _unknown(target: Target, live: Live, why: str) -> CheckFailed:
    words = target.words
    return CheckFailed(
        f"{live}; no record says what was live before, and {why}",
        live=str(live),
        next_step=f"look at the deployment; `mlops-steps {words.steps}rollback --stage {target.stage} --to "
        f"{words.version.upper()}` makes another {words.version} live",
    )
