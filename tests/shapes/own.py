"""The shapes of the sandbox's own answers, as `accept` meets them.

`python -m tests.shapes.own` writes the file anew.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Container
from pathlib import Path
from unittest.mock import patch

from mlops_steps.shapes import document
from mlops_steps.shapes.document import Shapes
from mlops_steps.shapes.recorder import Recorder
from mlops_steps.steps import accept
from mlops_steps.system.pace import use
from tests.faults.world import World
from tests.support.pace import QUICK

FILE = Path(document.__file__).with_name("sandbox.yml")


def recorded(world: World) -> Shapes:
    """The shapes of a clean run, with all names."""
    made: list[Recorder] = []

    def everything(_known: Container[str] | None) -> Recorder:
        made.append(Recorder(None))
        return made[0]

    world.reset()
    with patch.object(accept, "Recorder", everything):
        path = str(world.folder / "shapes.yml")
        attempt = world.run(
            lambda context: accept.run(context, "test", record=path, api="dev"), "accept", world.patient
        )
    assert attempt.code == 0, attempt.said
    return document.read(Path(path))


def main() -> None:
    logging.disable(logging.CRITICAL)
    if not FILE.exists():
        document.write(FILE, Shapes())
    with tempfile.TemporaryDirectory() as folder, use(QUICK):
        world = World(Path(folder) / "world")
        try:
            document.write(FILE, recorded(world))
        finally:
            world.close()


if __name__ == "__main__":
    main()
