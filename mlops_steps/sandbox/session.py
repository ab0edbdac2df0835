"""A sandbox for as long as a command of `mlops-steps sandbox` runs: started, filled, stopped."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_steps.errors import ConfigError
from mlops_steps.shapes import document
from mlops_steps.system.console import Console
from mlops_steps.system.secrets import register

if TYPE_CHECKING:
    from mlops_steps.sandbox.site import Sandbox
    from mlops_steps.sandbox.specs import InfraSpec

# Importable names of what the extra installs.
_EXTRA = ("pandas", "python_multipart", "sklearn", "starlette", "uvicorn")
# What points mlops-steps to nodes: none of it may reach past the sandbox to a real node.
_POINTS_TO_A_NODE = re.compile(r"MLOPS_[A-Z0-9_]+_(URL|API_KEY|API_KEY_FILE|INFRA|STAGE)")
_LOOPBACK = ("127.0.0.1", "localhost")


def check_installed() -> None:
    """Raises :class:`ConfigError` when the extra `sandbox`, or git, is not installed."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"The sandbox needs {', '.join(missing)}, not installed here: "
            "pip install '.[sandbox]' in a checkout of mlops-steps, or 'mlops-steps[sandbox]' from your index"
        )
    if shutil.which("git") is None:
        raise ConfigError("The sandbox needs git, not installed here: every DSS project is a Git repository")


@contextmanager
def running(
    directory: Path | None,
    port: int | None,
    console: Console,
    faults: Path | None = None,
    first: int = 1,
    infras: Sequence[InfraSpec] = (),
    shapes: Path | None = None,
) -> Iterator[Sandbox]:
    """A started sandbox that holds the churn project; stopped at the end of the block.

    :param directory: where its state lives; None for a temporary folder that goes with it.
    :param port: the port of the first node, the others follow; None for the ports it had, or free ones.
    :param infras: infrastructures that take the place of the Automation nodes of their stages.
    :param first: the revision that a new sandbox begins with.
    :param faults: a fault plan; its faults are in force from when the project is there.
    :param shapes: a file of shapes (`accept --record`), in which the nodes answer from then on.
    :raises MlopsError: something is not installed, the folder or a port is taken, a node did not start.
    """
    check_installed()
    from mlops_steps.sandbox.content import install
    from mlops_steps.sandbox.faults import plan
    from mlops_steps.sandbox.http.shaped import SiteShapes
    from mlops_steps.sandbox.site import Sandbox

    of_the_site = SiteShapes(document.sandbox_shapes(), document.read(shapes)) if shapes else None
    temporary = Path(tempfile.mkdtemp(prefix="mlops-sandbox-")) if directory is None else None
    try:
        sandbox = Sandbox.open(temporary or directory or Path(), infras)
        try:
            planned = plan.load(faults, sandbox.node_names()) if faults else []
            if port is not None:
                sandbox.use_ports(port)
            for node in sandbox.nodes.values():
                register(node.api_key)
            sandbox.start()
            for node in sandbox.nodes.values():
                console.line(f"{node.id:10} {node.url}")
            install(sandbox, console.line, first)
            for node in sandbox.nodes.values():
                node.faults.clear_requests()
                node.shapes = of_the_site
            sandbox.add_faults(planned)
            yield sandbox
        finally:
            sandbox.close()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def environment(sandbox: Sandbox) -> dict[str, str]:
    """What a process needs to use the sandbox: the nodes with their keys, the project, the folder."""
    variables = {**sandbox.environment(), "MLOPS_SANDBOX_DIR": str(sandbox.dir)}
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        # Both spellings: which one a program reads differs.
        excepted = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        value = ",".join([*filter(None, excepted.split(",")), *_LOOPBACK])
        variables.update(NO_PROXY=value, no_proxy=value)
    return variables


def command_environment(sandbox: Sandbox, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that runs against the sandbox: what it inherits, without any other node."""
    kept = {name: value for name, value in inherited.items() if not _POINTS_TO_A_NODE.fullmatch(name)}
    return {**kept, **environment(sandbox)}


def export_lines(variables: Mapping[str, str]) -> str:
    """The variables as lines for a POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
