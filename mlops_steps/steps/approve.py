"""approve: note in the release record who approved the release of its bundle, or check that somebody has."""

from __future__ import annotations

from mlops_steps.delivery.approving import Answer, check_approved
from mlops_steps.steps.context import Context


def run(
    context: Context,
    stage: str,
    *,
    by: str | None = None,
    sha256: str | None = None,
    at: str | None = None,
    among: str | None = None,
) -> None:
    """Returns when the record says who approved the release of its bundle to the stage; ``by`` is noted first.

    ``sha256`` is that of the archive that was approved (the record's, unless it is given), ``at`` the UTC time,
    ``among`` whom Jenkins has put the question to (users and groups, with commas).

    Raises as :func:`~mlops_steps.delivery.approving.check_approved` does.
    """
    answer = Answer.of(by, sha256, at, among)
    check_approved(context.settings, context.report, context.console, context.build, stage, "bundle", answer)
