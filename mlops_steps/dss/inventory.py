"""What a node has of what a bundle may need. Changes nothing; names only, no values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import Refusal
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline

#: The node says so where there is no such request, and where the key lacks a right.
_NOT_FOR_THIS_KEY = (401, 403)
_NOT_THERE = (400, 404, 405, 501)

CONNECTIONS, CODE_ENVS, PLUGINS, CHANNELS = "connections", "code environments", "plugins", "messaging channels"
GLOBAL_VARIABLES, LOCAL_VARIABLES, PROJECTS = "global variables", "local variables of the project", "projects"


@dataclass(frozen=True)
class Inventory:
    """Names by kind; code environments are ``LANGUAGE/name``. ``unseen`` says of a kind why it is not known."""

    node: str
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


def read(dss: Dss, kinds: Collection[str], project_key: str, deadline: Deadline) -> Inventory:
    """What the node has of these kinds, asked side by side. Raises :class:`NodeError`.

    What this key may not see, and what this node does not tell, is ``unseen``. A project that the node does not have
    yet has no local variables.
    """
    client = dss.client
    questions: dict[str, Callable[[], Collection[str]]] = {
        CONNECTIONS: lambda: _texts(client.list_connections_names("all")),
        CODE_ENVS: lambda: [
            f"{expect(one['envLang'], str, 'a language')}/{expect(one['envName'], str, 'a name')}"
            for one in _dicts(client.list_code_envs())
        ],
        PLUGINS: lambda: [expect(one["id"], str, "the id of a plugin") for one in _dicts(client.list_plugins())],
        CHANNELS: lambda: [expect(one.id, str, "the id of a channel") for one in client.list_messaging_channels()],
        GLOBAL_VARIABLES: lambda: list(expect(client.get_global_variables(), dict, "the variables")),
        LOCAL_VARIABLES: lambda: _local_variables(client, project_key),
        PROJECTS: lambda: _texts(client.list_project_keys()),
    }
    wanted = [kind for kind in questions if kind in kinds]
    with dss.within(deadline):
        found = gather([*(_asking(dss, kind, questions[kind]) for kind in wanted), lambda: _asking_version(dss)])
    answers, version = found[:-1], found[-1]
    names = {kind: answer for kind, answer in zip(wanted, answers, strict=True) if isinstance(answer, frozenset)}
    unseen = {kind: answer for kind, answer in zip(wanted, answers, strict=True) if isinstance(answer, str)}
    return Inventory(str(dss), names, unseen, str(version))


def _asking(dss: Dss, kind: str, question: Callable[[], Collection[str]]) -> Callable[[], frozenset[str] | str]:
    def ask() -> frozenset[str] | str:
        try:
            with dss.asking(f"list the {kind}"):
                return frozenset(question())
        except Refusal as refusal:
            if refusal.status == 404 and kind == LOCAL_VARIABLES:
                return frozenset()
            if refusal.status in _NOT_FOR_THIS_KEY:
                return f"this key may not list the {kind} of {dss}"
            if refusal.status in _NOT_THERE:
                return f"{dss} does not list its {kind}"
            raise

    return ask


def _asking_version(dss: Dss) -> str:
    """The DSS version; "" where the node does not tell."""
    try:
        with dss.asking("read what the node is"):
            return str(expect(dss.client.get_instance_info().raw, dict, "the answer").get("dssVersion") or "")
    except Refusal as refusal:
        if refusal.status in (*_NOT_FOR_THIS_KEY, *_NOT_THERE):
            return ""
        raise


def _local_variables(client: Any, project_key: str) -> list[str]:
    """The standard ones are those of the bundle that is active: the next one brings its own."""
    variables = expect(client.get_project(node_id(project_key, "the key")).get_variables(), dict, "the variables")
    return list(expect(variables.get("local") or {}, dict, "the local variables"))


def _texts(value: object) -> list[str]:
    return [expect(item, str, "a name") for item in expect(value, list, "the list")]


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [expect(item, dict, "an item") for item in expect(value, list, "the list")]
