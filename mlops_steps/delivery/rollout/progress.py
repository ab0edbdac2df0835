"""How far a release has come over the infrastructures of a stage, as the release record keeps it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlops_steps.delivery.unit import Message, Part, now

#: ``under way``: a wave, or the pause after it. ``waiting``: the next wave waits for an approval. ``restoring``: what
#: was changed is being restored. The others are ends: on every infrastructure; restored on all that were changed;
#: stopped where it failed; not restored everywhere.
State = Literal["under way", "waiting", "restoring", "live", "restored", "stopped", "in doubt"]


class Rollout(Part):
    """A release in waves. ``changed``: the ids of the infrastructures that it has changed, the oldest first.

    ``wave`` is the number of the one that is under way, or that waits; ``since`` when the state was reached.
    """

    version: str
    on_failure: str = "rollback_all"
    state: State = "under way"
    wave: int = 1
    waves: int = 1
    changed: list[str] = Field(default_factory=list, max_length=1000)
    why: Message = ""
    since: str = Field(default_factory=now)

    @property
    def unfinished(self) -> bool:
        """Whether a run of it was interrupted, or has left something to restore."""
        return self.state in ("under way", "restoring", "in doubt")

    def reach(self, state: State, why: str = "") -> None:
        """Notes the state, and since when."""
        self.state, self.why, self.since = state, why or self.why, now()
