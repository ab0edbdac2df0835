"""Hooks of an infrastructure: Python code that runs before each deployment and may refuse it.

The form of a hook (``execute`` and its arguments, a ``HookResult``) is that of DSS; where its settings hold hooks, and
what its messages look like, is inferred. Three hooks run at once on a deployer, and each has a time limit.
"""

from __future__ import annotations

import json
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.messages import Severity, message
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.runtime.process import Child, End
from mlops_steps.sandbox.services.deployer.remote import AutomationNode

#: The settings of an infrastructure that hold its hooks (``name``, ``code``, ``enabled``), and their limit in seconds.
HOOKS, LIMIT = "preDeploymentHooks", "hooksTimeoutSeconds"
AT_ONCE = 3
DEFAULT_LIMIT = 120.0
# Seconds that a hook waits for its place among the three.
WAIT_SECONDS = 60.0

_CODE = "PROJECT_DEPLOYMENT_HOOK"
_WORDS: dict[str, Severity] = {"success": "SUCCESS", "warning": "WARNING", "error": "ERROR"}
_PREFIXES = {"SUCCESS": "INFO", "WARNING": "WARN", "ERROR": "ERR"}
_PLACES: weakref.WeakKeyDictionary[Node, threading.Semaphore] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()

_BEFORE = """\
class HookResult:
    def __init__(self, status, message):
        self.status, self.message = status, message

    @classmethod
    def success(cls, message=""):
        return cls("success", message)

    @classmethod
    def warning(cls, message=""):
        return cls("warning", message)

    @classmethod
    def error(cls, message=""):
        return cls("error", message)


"""
_AFTER = """

def _run_hook():
    import json, os, pathlib
    import dataikuapi

    given = json.loads(os.environ["DKU_HOOK"])
    deployer = dataikuapi.DSSClient(given["deployer"], internal_ticket=os.environ["DKU_HOOK_DEPLOYER_TICKET"])
    automation = dataikuapi.DSSClient(given["automation"], os.environ["DKU_HOOK_AUTOMATION_KEY"])
    result = execute(
        given["user"], given["deployment"], {"messages": []}, deployer, automation, given["user"], given["project"]
    )
    if not isinstance(result, HookResult):
        raise TypeError("execute returned %s, not a HookResult" % type(result).__name__)
    said = {"status": result.status, "message": str(result.message)}
    pathlib.Path(given["result"]).write_text(json.dumps(said), encoding="utf-8")


_run_hook()
"""


@dataclass(frozen=True)
class Call:
    """What hooks are told of a deployment."""

    node: Node
    automation: AutomationNode
    automation_key: str
    deployment: str
    project: str
    user: str


def run_hooks(settings: Mapping[str, Any], call: Call) -> Iterator[dict[str, Any]]:
    """Runs the hooks of an infrastructure one after the other; the message of each, of the severity that it gave.

    The one who asks ends at the first error.
    """
    limit = float(settings.get(LIMIT) or DEFAULT_LIMIT)
    for number, hook in enumerate(settings.get(HOOKS) or [], 1):
        if isinstance(hook, dict) and hook.get("enabled", True):
            name = str(hook.get("name") or f"hook {number}")
            word, text = _in_its_place(str(hook.get("code") or ""), name, call, limit)
            severity = _WORDS.get(word, "ERROR")
            code = f"{_PREFIXES[severity]}_{_CODE}"
            yield message(severity, code, f"Pre-deployment hook {name}", text, fatal=severity == "ERROR")


def _in_its_place(code: str, name: str, call: Call, limit: float) -> tuple[str, str]:
    """Runs a hook when one of the places is free; the status that it gave, and its text."""
    with _GUARD:
        places = _PLACES.setdefault(call.node, threading.Semaphore(AT_ONCE))
    if not places.acquire(timeout=WAIT_SECONDS):
        return "error", f"{AT_ONCE} hooks run already, and none has ended in {WAIT_SECONDS:g} s"
    try:
        return _run(code, name, call, limit)
    finally:
        places.release()


def _run(code: str, name: str, call: Call, limit: float) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="dss-hook-") as folder:
        result, log = Path(folder, "result.json"), Path(folder, "log.txt")
        given = {
            "deployer": call.node.url,
            "automation": call.automation.url,
            "deployment": call.deployment,
            "project": call.project,
            "user": call.user,
            "result": str(result),
        }
        ticket = call.node.ticket(limit + 60.0)
        environment = {
            "DKU_HOOK": json.dumps(given),
            "DKU_HOOK_DEPLOYER_TICKET": ticket,
            "DKU_HOOK_AUTOMATION_KEY": call.automation_key,
        }
        child = Child({}, environment, f"hook {name}", script=_BEFORE + code + _AFTER, limit=limit)
        try:
            ended = child.run(log)
        finally:
            call.node.tickets.revoke(ticket)
        if ended.end is End.TIMEOUT:
            return "error", f"the hook was ended at its time limit of {limit:g} s"
        if ended.end is not End.DONE or not result.exists():
            why = (ended.error or {}).get("message", "it gave no result")
            return "error", f"the hook failed: {why}"
        said = json.loads(result.read_text(encoding="utf-8"))
        return str(said["status"]), str(said["message"])
