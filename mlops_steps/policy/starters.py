"""Who has started a build."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping

#: Why the build was started, as the Jenkins library hands it over:
#: ``{"causes": [{"kind": "hudson.model.Cause$UserIdCause", "user": "jane"}]}``.
STARTED_BY = "MLOPS_STARTED_BY"

#: Causes behind which another build stands, started by who knows whom.
_UNKNOWN = ("UpstreamCause", "BuildUpstreamCause", "RemoteCause")
#: Causes that come with the user who asked for them.
_ACCOMPANIED = ("ReplayCause", "RestartDeclarativePipelineCause")
_LONGEST = 200


def starters(environ: Mapping[str, str]) -> list[str] | None:
    """The users who have started the build, none when it was started by a timer or a change; ``None``: not known.

    Outside of a build it is the user of this machine.
    """
    text = environ.get(STARTED_BY)
    if text is None:
        return None if environ.get("BUILD_NUMBER") else [_user()]
    try:
        causes: list[tuple[str, str]] = [
            (str(cause["kind"]), str(cause["user"] or "")) for cause in json.loads(text)["causes"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    kinds = [kind.rpartition(".")[2].rpartition("$")[2] for kind, _ in causes]
    users = [user[:_LONGEST] for _, user in causes if user not in ("", "null")]
    if any(kind in _UNKNOWN for kind in kinds) or not any(kind not in _ACCOMPANIED for kind in kinds):
        return users or None
    if "UserIdCause" in kinds and not users:
        return None  # somebody who was not signed in
    return list(dict.fromkeys(users))


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
