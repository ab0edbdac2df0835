"""Why a deployment is not healthy, as far as its updates tell."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.messages import Severity, message
from mlops_steps.sandbox.services.deployers.history import RUNNING


class Finding(Exception):
    """Why a deployment is not healthy."""

    def __init__(self, health: str, severity: Severity, title: str, texts: list[str]) -> None:
        super().__init__(health)
        self.health = health
        self.messages = [message(severity, f"DEPLOYMENT_{health}", title, text) for text in texts]


def check_updates(last: dict[str, Any] | None, pending: list[str], enabled: bool, named: str | None) -> None:
    """Raises :class:`Finding` unless the last update succeeded with the settings of now, and the deployment is enabled.

    :param pending: the settings that were changed since the last update.
    :param named: which version the settings name now, for the message.
    """
    if last is None:
        raise Finding("UNKNOWN", "INFO", "Never deployed", ["The deployment was never updated"])
    if last["status"] == RUNNING:
        raise Finding("OUT_OF_SYNC", "WARNING", "Update under way", ["An update of the deployment is under way"])
    if last["status"] in ("ERROR", "ABORTED"):
        texts = [item["message"] for item in last["infoMessages"]["messages"] if item["severity"] == "ERROR"]
        raise Finding("ERROR", "ERROR", "Last update failed", texts or ["The last update failed"])
    if pending:
        text = f"The settings were changed ({', '.join(pending)}) and the deployment was not updated since"
        raise Finding("OUT_OF_SYNC", "WARNING", "Not updated", [f"{text}: they name {named}" if named else text])
    if not enabled:
        raise Finding("UNKNOWN", "INFO", "Disabled", ["The deployment is disabled"])
