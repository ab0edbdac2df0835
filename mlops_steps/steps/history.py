"""What was live before, by the deployer's history of updates."""

from __future__ import annotations

from typing import Any

from mlops_steps.dss import updates
from mlops_steps.errors import NodeError
from mlops_steps.steps.target import Live, Target

_MOST = 30


def bundle_before(target: Target, live: Live, other_than: str) -> str | None:
    """The bundle of the newest successful update to another bundle than ``other_than``; ``None`` when there is none."""
    if live.deployment is None:
        return None
    for past in updates.history(target.deployer, live.deployment.id)[:_MOST]:
        if past.status.upper() not in ("SUCCESS", "WARNING", "DONE"):
            continue
        bundle = past.bundle or _bundle_in(target, live.deployment.id, past.started)
        if bundle and bundle != other_than:
            return bundle
    return None


def _bundle_in(target: Target, deployment_id: str, started: int) -> str | None:
    try:
        raw = updates.details(target.deployer, deployment_id, started)
    except NodeError:
        return None
    settings: Any = raw.get("settings") or raw.get("deploymentSettings") or {}
    bundle = raw.get("bundleId") or (settings.get("bundleId") if isinstance(settings, dict) else None)
    return str(bundle) if bundle else None
