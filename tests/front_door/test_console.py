"""The exit code is the step's, whatever becomes of the console."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.front_door.conftest import Workspace, set_stage_variable

#: What a shell does with the two streams. ``| true`` is a pipe whose reader has gone already.
ENDINGS = {
    "closed output": "exec {} >&-",
    "closed errors": "exec {} 2>&-",
    "both closed": "exec {} >&- 2>&-",
    "full disk": "exec {} >/dev/full",
    "full disk for errors": "exec {} 2>/dev/full",
    "full disk for both": "exec {} >/dev/full 2>&1",
    "nobody reads": "exec {} >&3",
    "nobody reads errors": "exec {} 2>&3",
    "nobody reads either": "exec {} >&3 2>&3",
}
#: The step fails at the two streams in a way of its own; the others are shades of these.
HARDEST = ("both closed", "full disk for both", "nobody reads either")
COMMAND = '"$@"'


def ended(script: str, folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The exit code, and what reached the two streams."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = subprocess.run(
            ["sh", "-c", f"exec 3>&0 0</dev/null; {script.format(COMMAND)}", "sh", *arguments],
            cwd=folder,
            env=environment,
            stdin=writer,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writer)
    return process.returncode, process.stdout + process.stderr


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlops_steps", *arguments]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_step_ends_with_its_own_code(workspace: Workspace, ending: str) -> None:
    # Buffered, Python finds out only at its end that it cannot write.
    environment = {**workspace.environment, "PYTHONUNBUFFERED": ""}
    good, said = ended(ENDINGS[ending], workspace.folder, environment, *command("status"))
    assert (good, "Traceback" in said) == (0, False), said
    if ending not in HARDEST:
        return
    bad, said = ended(ENDINGS[ending], workspace.folder, environment, *command("deploy", "--stage", "prod"))
    assert (bad, "Traceback" in said) == (1, False), said  # there is no bundle
    assert (workspace.folder / "reports/mlops-deploy-prod.xml").is_file()
    usage, said = ended(ENDINGS[ending], workspace.folder, environment, *command("deploy"))
    assert (usage, "Traceback" in said) == (2, False), said


def test_a_release_ends_with_its_own_code(workspace: Workspace) -> None:
    workspace.tested(1, smoke="pass")
    environment = {**workspace.environment, "PYTHONUNBUFFERED": ""}
    release = command("release", "--stage", "prod")
    wrong = []
    for ending in HARDEST:
        code, said = ended(ENDINGS[ending], workspace.folder, environment, *release)
        wrong += [(ending, code, said)] if code != 0 or "Traceback" in said else []
    assert wrong == []
    good = workspace.live()
    set_stage_variable(workspace)
    workspace.tested(2, smoke="fail")
    forced = [*release, "--force", "from the second one on it is quarantined"]
    for ending in HARDEST:
        code, said = ended(ENDINGS[ending], workspace.folder, environment, *forced)
        wrong += [(ending, code, said)] if code != 4 or "Traceback" in said else []
    assert wrong == []
    assert workspace.live() == good


def test_what_was_asked_for_and_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    code, said = ended(ENDINGS["full disk"], tmp_path, environment, *command("config", "schema"))
    assert code == 2
    assert said == "configuration: the output could not be written: No space left on device\n"


def test_a_table_that_cannot_be_written_is_a_warning(workspace: Workspace) -> None:
    code, said = ended(ENDINGS["full disk"], workspace.folder, workspace.environment, *command("status"))
    assert code == 0
    assert "warning: standard output could not be written: No space left on device" in said
