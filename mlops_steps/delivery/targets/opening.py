"""The target of a stage, by its strategy, with its connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mlops_steps.config import Settings
from mlops_steps.delivery.targets.direct import DirectTarget
from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget
from mlops_steps.dss.session import Dss, connect

StageTarget = ProjectDeployerTarget | DirectTarget


@contextmanager
def open_target(
    settings: Settings, stage: str, infra: str | None = None, deployer: Dss | None = None
) -> Iterator[StageTarget]:
    """An infrastructure of the stage with its connections, closed at the end: ``infra``, or the first one.

    ``deployer`` is a connection to be shared. Raises :class:`ConfigError` before anything is asked.
    """
    unit = settings.units(stage, infra)[0]
    kind: type[StageTarget] = DirectTarget if unit.is_direct else ProjectDeployerTarget
    with ExitStack() as stack:
        shared = deployer or stack.enter_context(connect(settings, settings.archives()))
        nodes = [stack.enter_context(connect(settings, node)) for node in unit.witnesses]
        yield kind(settings, stage, shared, nodes, unit)
