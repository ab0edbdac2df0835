"""The target of a stage, by its strategy, with its connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.config import Settings
from mlops_steps.delivery.targets.direct import DirectTarget
from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget
from mlops_steps.dss.session import connect

StageTarget = ProjectDeployerTarget | DirectTarget


@contextmanager
def open_target(settings: Settings, stage: str) -> Iterator[StageTarget]:
    """The stage with its connections, closed at the end. Raises :class:`ConfigError` before anything is asked."""
    node_settings = settings.stage(stage)
    with connect(settings, settings.archives()) as archives, connect(settings, node_settings) as node:
        if node_settings.is_direct:
            yield DirectTarget(settings, stage, archives, node)
        else:
            yield ProjectDeployerTarget(settings, stage, archives, node)
