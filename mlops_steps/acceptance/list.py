"""All assumptions, in the order in which they are tried."""

from __future__ import annotations

from mlops_steps.acceptance.model import Assumption
from mlops_steps.acceptance.on_api import SERVICE
from mlops_steps.acceptance.on_deployer import AFTERWARDS, GOING_LIVE
from mlops_steps.acceptance.on_design import DESIGN
from mlops_steps.acceptance.on_node import SCENARIOS
from mlops_steps.acceptance.world import World


def assumptions(*, service: bool = False) -> list[Assumption[World]]:
    """Those of a project's way to a stage, and with ``service`` those of an API service's."""
    return [*DESIGN.all, *GOING_LIVE.all, *SCENARIOS.all, *AFTERWARDS.all, *(SERVICE.all if service else [])]
