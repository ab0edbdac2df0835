"""What to do when the answer to a request was lost: look whether it was worked on, for it must not be sent twice."""

from __future__ import annotations

from collections.abc import Callable

from mlops_steps.errors import NodeError, Refusal
from mlops_steps.system.waiting import Deadline, poll


def look_for(is_there: Callable[[], bool], deadline: Deadline, error: NodeError) -> None:
    """Waits for the effect of a request whose answer was lost; raises the error when it does not come.

    Where a node refused, one look is enough, except after a conflict: another attempt may be at work on it.
    """
    patience = 0.0 if isinstance(error, Refusal) and error.status != 409 else 60.0
    try:
        poll(lambda: True if is_there() else None, deadline=deadline.at_most(patience), what="the lost request")
    except NodeError:
        raise error from None
