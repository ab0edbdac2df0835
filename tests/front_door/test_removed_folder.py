"""The current folder is removed: before a command, and while it runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_steps import __version__
from tests.front_door.conftest import Workspace, set_stage_variable


@pytest.mark.parametrize("command", ["status", "deploy --stage test", "config init", "from-environment run"])
def test_a_command_in_a_folder_that_is_gone_is_one_clear_error(tmp_path: Path, command: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    request = {"step": "status", "library": __version__, "parameters": {}}
    ended = subprocess.run(
        ["sh", "-c", f'rmdir ../gone && exec "$0" -m mlops_steps {command}', sys.executable],
        cwd=gone,
        env={**os.environ, "MLOPS_STEP": json.dumps(request), "MLOPS_PROJECT": "P"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("configuration: the current folder does not exist any more\n")
    assert "Traceback" not in ended.stderr


def test_a_release_whose_folder_is_removed_restores_and_writes_its_record_and_report(workspace: Workspace) -> None:
    first = workspace.released(1)
    set_stage_variable(workspace)
    workspace.tested(2, smoke="hang")
    workspace.configure(release={"smoke_timeout": "8s"})
    process = workspace.start("release", "--stage", "prod")
    limit = time.monotonic() + 60
    while workspace.live() == first and time.monotonic() < limit:
        time.sleep(0.2)
    shutil.rmtree(workspace.folder)
    ended = workspace.finish(process)
    assert ended.code == 4, ended.err
    assert "Traceback" not in ended.err
    assert workspace.live() == first
    assert workspace.record["stages"]["prod"]["units"]["auto-prod"]["phase"] == "restored"
