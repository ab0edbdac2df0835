"""What is live is written down, and archived by Jenkins, before production is changed.

The release record on an agent says so too, but dies with the agent. This file does not: with it, and with what the
nodes remember, `recover` on another agent and a person know what was live.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.record import ReleaseRecord, now
from mlops_steps.delivery.targets.project_deployer import open_target
from mlops_steps.system.files import write_atomically
from mlops_steps.system.waiting import Deadline

#: Seconds for the look. When the nodes do not answer, the step itself says so.
_LIMIT = 60.0


def write(settings: Settings, step: str, stage: str, environ: dict[str, str]) -> tuple[str, Path]:
    """Writes the file beside the record; returns what is live in words, and the file.

    Raises :class:`MlopsError` when a node does not answer, :class:`OSError` when the file cannot be written.
    """
    record = ReleaseRecord.load(settings.record)
    deadline = Deadline(_LIMIT)
    with open_target(settings, stage) as target, target.within(deadline):
        live = target.observe()
    bundle = record.bundle if record else None
    content = {
        "at": now(),
        "step": step,
        "stage": stage,
        "infra": live.infra,
        "deployment": live.deployment.id if live.deployment else None,
        "live": live.bundle,
        "in_settings": live.deployment.bundle if live.deployment else None,
        "enabled": live.deployment.enabled if live.deployment else None,
        "to_be_live": bundle.id if bundle and step != "rollback" else None,
        "build": environ.get("BUILD_URL"),
        "agent": environ.get("NODE_NAME"),
        "if_the_agent_is_lost": f"mlops-steps recover --stage {stage}",
    }
    path = settings.record.with_name(f"before-{step}.json")
    write_atomically(path, json.dumps(content, indent=2).encode() + b"\n")
    return f"Live on {stage} before the {step}: {live}", path
