"""Long work of a node: waiting for its result."""

from __future__ import annotations

from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import NodeError
from mlops_steps.system.waiting import Deadline, poll


def result_of(dss: Dss, future: Any, what: str, deadline: Deadline) -> Any:
    """Waits for a future of the official client, and returns its result, ``None`` when it has none.

    ``what`` is what the node does, such as ``compute the rules of dataset a``. Raises :class:`DeadlineExceeded`, and
    :class:`NodeError` when the work failed or was aborted, or the node cannot be asked.
    """

    def look() -> dict[str, Any] | None:
        with dss.within(deadline), dss.asking(what):
            # A node that has done the work at once gives no id and has the result in its first answer.
            state = expect(future.get_state() if future.job_id else future.state, dict, "the future's state")
        return state if state.get("hasResult") or not state.get("alive", True) else None

    state = poll(look, deadline=deadline, what=f"{dss}: {what}", longest=3.0)
    if state.get("aborted"):
        raise NodeError(f"{dss}: cannot {what}: it was aborted on the node")
    return state.get("result")
