"""Works on the churn project as its developers do: files and commits on the Design node, the flow built there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from mlops_steps.errors import ConfigError, NodeError
from mlops_steps.sandbox.content.revisions import (
    ALL_REVISIONS,
    NODE_VARIABLES,
    PROJECT_KEY,
    PROJECT_NAME,
    Revision,
    revision,
    write_revision,
)
from mlops_steps.sandbox.node.store import read_json, write_json

if TYPE_CHECKING:
    from mlops_steps.sandbox.site import Sandbox

REQUEST_SECONDS = 30.0
TRAIN_SECONDS = 300.0
_POLL_SECONDS = 0.1
_FLOW_END = "model_metrics"
_MODEL = "churn_model"

Say = Callable[[str], None]


@dataclass(frozen=True)
class DesignNode:
    """The Design node of a running sandbox: where it answers, and its folder."""

    url: str
    api_key: str
    dir: Path

    @classmethod
    def of(cls, sandbox: Sandbox) -> DesignNode:
        """The Design node of a sandbox in this process."""
        return cls(sandbox.design.url, sandbox.design.api_key, sandbox.design.dir)

    @classmethod
    def in_folder(cls, directory: Path) -> DesignNode:
        """The Design node of a sandbox that another process runs. Raises :class:`ConfigError` when there is none."""
        state = read_json(directory / "sandbox.json")
        if not isinstance(state, dict):
            raise ConfigError(f"{directory} holds no sandbox: name the folder that `mlops-steps sandbox up` printed")
        node_id, entry = next((name, node) for name, node in state["nodes"].items() if node["type"] == "DESIGN")
        return cls(f"http://127.0.0.1:{entry['port']}", entry["apiKey"], directory / node_id)

    @property
    def project_dir(self) -> Path:
        """The folder of the churn project."""
        return self.dir / "projects" / PROJECT_KEY

    def current(self) -> Applied | None:
        """The revision that was applied last, when its tag is on the newest commit."""
        entries = self.ask("GET", f"/projects/{PROJECT_KEY}/git/actions/log?count=1")["entries"]
        commit = entries[0]["commitId"] if entries else None
        for tag, tagged in _tags(self).items():
            if tagged == commit and tag in (known.tag for known in ALL_REVISIONS):
                version, metrics = _active_model(self)
                return Applied(next(known for known in ALL_REVISIONS if known.tag == tag), tagged, version, metrics)
        return None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """A request to the node's public API; returns the JSON of the answer. Raises :class:`NodeError`."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc: the node is on loopback
            session.auth = (self.api_key, "")
            url = f"{self.url}/dip/publicapi{path}"
            try:
                answer = session.request(method, url, json=body, timeout=REQUEST_SECONDS)
            except requests.RequestException as error:
                raise NodeError(
                    f"The Design node of the sandbox does not answer at {self.url}",
                    next_step="start it with `mlops-steps sandbox up --dir DIR`",
                ) from error
        if not answer.ok:
            raise NodeError(f"The Design node of the sandbox refused {method} {path}: {_message(answer)}")
        return answer.json() if answer.content else None


@dataclass(frozen=True)
class Applied:
    """A revision on the Design node: the commit that its tag is on, and the model version that was trained there."""

    revision: Revision
    commit: str
    model_version: str
    metrics: dict[str, float]


def apply_revision(node: DesignNode, number: int, say: Say | None = None) -> Applied:
    """Makes the project on the Design node that of a revision, commits it, builds its flow there and tags the result.

    Nothing is precomputed: the model that a bundle carries is the one that is trained here.

    :param say: is told what happens, in lines for a person.
    :raises MlopsError: there is no such revision, or the node did not do it.
    """
    wanted = revision(number)
    say = say or _silent
    # Asked first: nothing is written when the node does not run.
    if PROJECT_KEY not in (project["projectKey"] for project in node.ask("GET", "/projects/")):
        node.ask("POST", "/projects/", {"projectKey": PROJECT_KEY, "name": PROJECT_NAME, "owner": "admin"})
    changed = write_revision(node.project_dir, number)
    say(f"revision {number} ({wanted.title}): {len(changed)} files changed")
    node.ask("POST", f"/projects/{PROJECT_KEY}/git/actions/commit", {"message": wanted.message})
    _build_flow(node)  # the node itself commits the new active version
    version, metrics = _active_model(node)
    say(f"model {version} trained: AUC {metrics['auc']:.3f}, F1 {metrics['f1']:.3f}")
    return Applied(wanted, _tag(node, wanted), version, metrics)


def install(sandbox: Sandbox, say: Say | None = None, first: int = 1) -> None:
    """Gives a running sandbox that has no churn project the ``first`` revision, and every node its variables.

    A sandbox that has the project, at whatever revision, stays as it is.
    """
    node = DesignNode.of(sandbox)
    if (node.project_dir / "project_config").is_dir() and _tags(node):
        return
    production = [
        node.id for nodes, stage in sandbox.infrastructures().values() if stage == "Production" for node in nodes
    ]
    of_nodes = {**NODE_VARIABLES, **dict.fromkeys(production, NODE_VARIABLES["auto-prod"])}
    for node_id, variables in of_nodes.items():
        if node_id not in sandbox.nodes:
            continue  # other nodes have its place
        path = sandbox.nodes[node_id].config_dir / "variables.json"
        write_json(path, {**variables, **read_json(path, {})})
    apply_revision(node, first, say)


def _build_flow(node: DesignNode) -> None:
    job = node.ask(
        "POST",
        f"/projects/{PROJECT_KEY}/jobs/",
        {
            "type": "RECURSIVE_FORCED_BUILD",
            "outputs": [{"projectKey": PROJECT_KEY, "id": _FLOW_END, "type": "DATASET"}],
        },
    )
    path = f"/projects/{PROJECT_KEY}/jobs/{job['id']}"
    limit = time.monotonic() + TRAIN_SECONDS
    while (state := node.ask("GET", f"{path}/")["baseStatus"]["state"]) not in ("DONE", "FAILED", "ABORTED"):
        if time.monotonic() > limit:
            node.ask("POST", f"{path}/abort")
            raise NodeError(f"The flow of {PROJECT_KEY} was not built within {TRAIN_SECONDS:.0f} s; it was aborted")
        time.sleep(_POLL_SECONDS)
    if state != "DONE":
        raise NodeError(
            f"The flow of {PROJECT_KEY} could not be built on the Design node: the job ended as {state}",
            details=_log(node, f"{path}/log").splitlines()[-20:],
        )


def _log(node: DesignNode, path: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{node.url}/dip/publicapi{path}", auth=(node.api_key, ""), timeout=REQUEST_SECONDS)
    return answer.text


def _active_model(node: DesignNode) -> tuple[str, dict[str, float]]:
    for version in node.ask("GET", f"/projects/{PROJECT_KEY}/savedmodels/{_MODEL}/versions"):
        if version.get("active"):
            snippet = version.get("snippet") or {}
            return str(version["id"]), {name: float(snippet[name]) for name in ("auc", "f1")}
    raise NodeError(f"{PROJECT_KEY} has no active version of {_MODEL} after its flow was built")


def _tags(node: DesignNode) -> dict[str, str]:
    tags = node.ask("GET", f"/projects/{PROJECT_KEY}/git/tags")
    return {tag["shortName"]: tag["commit"] for tag in tags}


def _tag(node: DesignNode, wanted: Revision) -> str:
    """Tags the newest commit and returns its id. A tag of an earlier time moves."""
    if wanted.tag in _tags(node):
        node.ask("POST", f"/projects/{PROJECT_KEY}/git/actions/deleteTag", {"name": wanted.tag})
    node.ask("POST", f"/projects/{PROJECT_KEY}/git/tags/", {"name": wanted.tag, "message": wanted.title})
    return _tags(node)[wanted.tag]


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def _silent(_text: str) -> None:
    return None
