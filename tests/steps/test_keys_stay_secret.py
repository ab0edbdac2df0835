"""No trace of a key in what the steps say, write, or start; at the highest verbosity, on success and on failure."""

from __future__ import annotations

import base64
import threading
import zipfile
from pathlib import Path

from tests.steps.conftest import Workspace


class CommandLines(threading.Thread):
    """Looks at the command lines of all processes until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue

    def stop(self) -> bytes:
        self._stopped.set()
        self.join()
        return b"\n".join(self.seen)


def forms(key: str) -> list[bytes]:
    """The key as it is, and as it travels in headers."""
    return [key.encode(), base64.b64encode(f"{key}:".encode()), base64.b64encode(f":{key}".encode())]


def test_keys_are_nowhere_to_be_found(workspace: Workspace) -> None:
    keys = [node.api_key for node in workspace.sandbox.nodes.values()]
    watch = CommandLines()
    watch.start()
    said = []
    for arguments in (
        ["doctor"],
        ["validate"],
        ["package"],
        ["deploy", "--stage", "test"],
        ["test", "--stage", "test"],
        ["release", "--stage", "prod"],
        ["status"],
        ["package", "--project", "NOWHERE"],
    ):
        result = workspace.run(*arguments, "-vv", BUILD_NUMBER="1")
        said.append(result.out + result.err)
    # A node that repeats the key in its error message, and a key that is refused.
    for node in workspace.sandbox.nodes.values():
        message = f"bad credentials {node.api_key} for {node.api_key}:x"
        node.faults.add("error", status=403, message=message, operation="list deployments")
    failed = workspace.run("release", "--stage", "prod", "-vv")
    for node in workspace.sandbox.nodes.values():
        node.faults.clear()
    said.append(failed.out + failed.err)
    assert failed.code == 3
    assert "bad credentials ********" in failed.err
    wrong = workspace.run("smoke-test", "--stage", "prod", "-vv", MLOPS_DESIGN_API_KEY="wrong-key-that-nobody-has")
    assert wrong.code == 3
    assert "MLOPS_DESIGN_API_KEY" in wrong.err
    said.append(wrong.out + wrong.err)
    lines = watch.stop()
    files = [path for path in workspace.folder.rglob("*") if path.is_file()]
    assert {"release.json", "mlops-release-prod.xml"} <= {path.name for path in files}
    everything = "\n".join(said).encode() + b"".join(path.read_bytes() for path in files) + lines
    assert b"mlops_steps" in lines, "the watch saw the commands"
    for key in [*keys, "wrong-key-that-nobody-has"]:
        for form in forms(key):
            assert form not in everything


def test_records_and_reports_are_not_for_everybody(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    for path in (workspace.folder / ".mlops" / "release.json", workspace.folder / "reports" / "mlops-package.xml"):
        assert path.stat().st_mode & 0o007 == 0, path


ENVIRONMENTS = """
import os
import pathlib

def test_looks_around():
    pathlib.Path(os.environ["SEEN"]).write_bytes(pathlib.Path("/proc/self/environ").read_bytes())
    raise RuntimeError("a failure with a traceback of its own")
"""


def test_keys_in_files_leave_no_trace_and_children_get_only_what_they_need(workspace: Workspace) -> None:
    places = tuple(workspace.folder / name for name in ("keys", "temporary", "seen", "deployed"))
    keys, temporary, seen, suite = places
    for place in (keys, temporary, suite):
        place.mkdir(mode=0o700)
    (suite / "test_it.py").write_text(ENVIRONMENTS)
    workspace.configure(test={"pytest": "deployed"})
    secrets = {}
    for name, node in (("DESIGN", "design"), ("TEST", "auto-test"), ("PROD", "auto-prod")):
        secrets[name] = workspace.sandbox.nodes[node].api_key
        (keys / name).write_text(secrets[name] + "\n")
        del workspace.environment[f"MLOPS_{name}_API_KEY"]
        workspace.environment[f"MLOPS_{name}_API_KEY_FILE"] = str(keys / name)
    environment = {"TMPDIR": str(temporary), "SEEN": str(seen), "JENKINS_API_TOKEN": "marked-jenkins-token"}
    watch = CommandLines()
    watch.start()
    said = []
    for arguments, code in (
        (["package"], 0),
        (["deploy", "--stage", "test"], 0),
        (["test", "--stage", "test"], 1),
        (["release", "--stage", "prod"], 1),
    ):
        result = workspace.run(*arguments, "-vv", BUILD_NUMBER="1", **environment)
        assert result.code == code, result.err
        said.append(result.out + result.err)
    lines = watch.stop()
    child = seen.read_bytes()
    assert secrets["TEST"].encode() in child, "the suite has the key of its stage"
    for other in (secrets["DESIGN"], secrets["PROD"], "marked-jenkins-token"):
        assert other.encode() not in child
    assert b"_API_KEY_FILE=" not in child
    seen.unlink()
    files = [path for path in workspace.folder.rglob("*") if path.is_file() and keys not in path.parents]
    nodes = [path for path in workspace.sandbox.dir.rglob("*") if path.is_file() and workspace.project in str(path)]
    assert any(path.suffix == ".zip" for path in nodes), "the bundles are looked into too"
    texts = [path.read_bytes() for path in [*files, *nodes] if path.suffix != ".zip"]
    for path in nodes:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                texts += [archive.read(name) for name in archive.namelist()]
    everything = "\n".join(said).encode() + b"".join(texts) + lines
    assert b"a failure with a traceback of its own" in everything
    for secret in [*secrets.values(), "marked-jenkins-token"]:
        for form in forms(secret):
            assert form not in everything
