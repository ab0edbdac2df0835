"""The release as a state machine: the phases of a unit, and the transitions between them.

A unit is what is changed as one: a project bundle on an infrastructure. The release record holds its phase. Each
transition is written to the record, and flushed to disk, before what it announces is done. docs/release-states.md shows
the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Phase(str, Enum):
    """Where a unit is. In a phase of :data:`PENDING` a restore is pending."""

    NOTED = "noted"
    DEPLOYING = "deploying"
    SHIFTING = "shifting"
    VERIFYING = "verifying"
    LIVE = "live"
    RESTORING = "restoring"
    RESTORED = "restored"
    IN_DOUBT = "in doubt"
    FAILED = "failed"

    def __str__(self) -> str:
        return self.value


MEANING = {
    Phase.NOTED: "What was live, and what is to be made live, is known. Nothing has been changed.",
    Phase.DEPLOYING: "The new version is being made live.",
    Phase.SHIFTING: "A part of the traffic goes to the new version (canary).",
    Phase.VERIFYING: "The new version is live and healthy. Its smoke test runs.",
    Phase.LIVE: "The new version is live and verified; on a stage without a smoke test, healthy.",
    Phase.RESTORING: "The change has failed. What was live before is being made live again.",
    Phase.RESTORED: "What was live before is live again and verified.",
    Phase.IN_DOUBT: "The change has failed, and what was live before could not be restored or verified.",
    Phase.FAILED: "A deployment has failed on a stage where nothing is restored. It stays as it is.",
}

#: What was live before is not live again, or not verified: `recover` has work to do.
PENDING = frozenset({Phase.DEPLOYING, Phase.SHIFTING, Phase.VERIFYING, Phase.RESTORING, Phase.IN_DOUBT})
#: The change has failed already: it is not tried again before the restore is done.
GIVEN_UP = frozenset({Phase.RESTORING, Phase.IN_DOUBT})
#: Nothing is under way: a new change may begin.
SETTLED = frozenset({Phase.NOTED, Phase.LIVE, Phase.RESTORED, Phase.FAILED})


@dataclass(frozen=True)
class Transition:
    """A way from one of the phases ``before`` to ``after``; ``writes``: the fields of the unit that it sets.

    ``when`` says when it is asked for. It sets exactly the fields of ``writes``.
    """

    name: str
    before: frozenset[Phase]
    after: Phase
    writes: tuple[str, ...]
    when: str


_OUTCOMES = ("deploy", "smoke_test", "restore")

NOTE = Transition(
    "note",
    SETTLED,
    Phase.NOTED,
    ("deployment", "version", "previous", "restores", "why", "share", *_OUTCOMES),
    "A change begins: what is live has been looked up.",
)
DEPLOY = Transition(
    "deploy",
    frozenset({Phase.NOTED}),
    Phase.DEPLOYING,
    ("deploy",),
    "The settings of the deployment are about to be changed, and the deployment updated.",
)
RESUME = Transition(
    "resume",
    PENDING,
    Phase.DEPLOYING,
    ("deployment", "version", "previous", "restores", "why", "share", *_OUTCOMES),
    "A change begins where an earlier one was interrupted. What was live before that one stays what is restored.",
)
SHIFT = Transition(
    "shift",
    frozenset({Phase.DEPLOYING, Phase.SHIFTING, Phase.VERIFYING}),
    Phase.SHIFTING,
    ("share",),
    "More of the traffic is about to go to the new version.",
)
VERIFY = Transition(
    "verify",
    frozenset({Phase.DEPLOYING, Phase.SHIFTING}),
    Phase.VERIFYING,
    ("deploy", "smoke_test"),
    "The new version is live and healthy; its smoke test is about to start.",
)
ACCEPT = Transition(
    "accept",
    frozenset({Phase.NOTED, Phase.DEPLOYING, Phase.VERIFYING}),
    Phase.LIVE,
    ("deploy", "smoke_test"),
    "The new version is live, healthy and, where there is one, has passed its smoke test.",
)
FAIL = Transition(
    "fail",
    frozenset({Phase.DEPLOYING}),
    Phase.FAILED,
    ("why", "deploy"),
    "A deployment has failed on a stage where nothing is restored.",
)
GIVE_UP = Transition(
    "give up",
    PENDING,
    Phase.RESTORING,
    ("why", *_OUTCOMES),
    "The change has failed or was interrupted; what was live before is about to be made live again.",
)
GO_BACK = Transition(
    "go back",
    frozenset(Phase),
    Phase.RESTORING,
    ("deployment", "version", "previous", "restores", "why", "share", *_OUTCOMES),
    "`rollback` asks for an earlier version, or `recover` has found without a record what is to be restored.",
)
UNTOUCHED = Transition(
    "untouched",
    frozenset({Phase.DEPLOYING, Phase.RESTORING}),
    Phase.NOTED,
    ("restore", "deploy"),
    "The change has failed before anything was changed: what was live before is live and healthy.",
)
CLOSE = Transition(
    "close",
    frozenset({Phase.RESTORING}),
    Phase.RESTORED,
    ("restore",),
    "What was live before is live again and verified.",
)
DOUBT = Transition(
    "doubt",
    PENDING,
    Phase.IN_DOUBT,
    ("why", *_OUTCOMES),
    "What was live before could not be restored or verified, or it must not be.",
)
FORGET = Transition(
    "forget",
    PENDING,
    Phase.NOTED,
    ("version", "previous", "why", "share", *_OUTCOMES),
    "Somebody else has made another version live since: nothing is pending any more.",
)

TRANSITIONS = (
    NOTE,
    DEPLOY,
    RESUME,
    SHIFT,
    VERIFY,
    ACCEPT,
    FAIL,
    GIVE_UP,
    UNTOUCHED,
    CLOSE,
    DOUBT,
    GO_BACK,
    FORGET,
)


class IllegalTransition(Exception):
    """A step has asked for a transition that the table does not have: a mistake of ours."""
