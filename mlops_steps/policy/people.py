"""Who may approve a release, and who may force one during a freeze."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_steps.config.policy import ANYBODY, GROUP
from mlops_steps.policy.effective import Policy


def may_not_approve(
    policy: Policy, by: str, among: Sequence[str], started_by: Sequence[Sequence[str] | None]
) -> str | None:
    """Why this user may not approve the release; ``None`` if he may.

    ``among`` is whom Jenkins has put the question to. It lets its administrators answer too, so a user who is not
    named may do so only where a group was asked: who is in it, Jenkins alone knows.
    ``started_by`` are the users behind each build that has a part in it; ``None`` for a build of which that is unknown.
    """
    line = policy.line("approvers")
    if policy.approvers:
        users = [name.casefold() for name in policy.approvers if not name.startswith(GROUP)]
        names = {name.removeprefix(GROUP) for name in policy.approvers}
        groups = {name.removeprefix(GROUP) for name in policy.approvers if name.startswith(GROUP)}
        group_was_asked = bool(groups & set(among)) and set(among) <= names
        if by.casefold() not in users and not group_was_asked:
            return f"{by} is not among the approvers: {line.shown} ({line.why})"
    if not policy.separation_of_duties:
        return None
    why = policy.line("separation_of_duties").why
    if any(users is None for users in started_by):
        return f"separation of duties ({why}) is not shown: it is not known who has started the build"
    if any(by.casefold() == user.casefold() for users in started_by for user in users or ()):
        return f"{by} has started the build, so somebody else must approve (separation of duties: {why})"
    return None


def may_not_force(policy: Policy, started_by: Sequence[str] | None) -> str | None:
    """Why the user who has started this build may not release during a freeze; ``None`` if he may."""
    line = policy.line("may_force")
    if not started_by:
        return "who forces it must be known, and it is not known who has started this build"
    if ANYBODY in policy.may_force or started_by[0].casefold() in [name.casefold() for name in policy.may_force]:
        return None
    return f"{started_by[0]} may not force it: {line.shown} may ({line.why})"
