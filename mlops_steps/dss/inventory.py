"""What a node has of what a bundle may need. Changes nothing; names and a few facts of each, no values, no secrets."""

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
CONNECTION_RIGHTS, GROUPS, SCENARIOS = "settings of the connections", "groups of the key's user", "scenarios"
GLOBAL_VARIABLES, LOCAL_VARIABLES, PROJECTS = "global variables", "local variables of the project", "projects"


@dataclass(frozen=True)
class Inventory:
    """Names by kind; code environments are ``LANGUAGE/name``. ``unseen`` says of a kind why it is not known.

    ``facts``: what is known of each name, by kind: of connections their type, who may use them and what they allow, of
    code environments their Python, of plugins their version, of projects the bundle that is active, of scenarios
    whether they are active and when they were changed.
    """

    node: str
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    facts: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


def read(dss: Dss, kinds: Collection[str], project_key: str, deadline: Deadline) -> Inventory:
    """What the node has of these kinds, asked side by side. Raises :class:`NodeError`.

    What this key may not see, and what this node does not tell, is ``unseen``. A project that the node does not have
    yet has no local variables.
    """
    client = dss.client
    questions: dict[str, Callable[[], Collection[str] | Mapping[str, Mapping[str, Any]]]] = {
        CONNECTIONS: lambda: _texts(client.list_connections_names("all")),
        CONNECTION_RIGHTS: lambda: _rights(client.list_connections()),
        GROUPS: lambda: _texts(expect(client.get_auth_info(), dict, "the answer").get("groups") or []),
        CODE_ENVS: lambda: {
            f"{expect(one['envLang'], str, 'a language')}/{expect(one['envName'], str, 'a name')}": {
                key: one[key] for key in ("pythonInterpreter", "desc") if key in one
            }
            for one in _dicts(client.list_code_envs())
        },
        PLUGINS: lambda: {
            expect(one["id"], str, "the id of a plugin"): {"version": one.get("version")}
            for one in _dicts(client.list_plugins())
        },
        SCENARIOS: lambda: _scenarios(client, project_key),
        CHANNELS: lambda: [expect(one.id, str, "the id of a channel") for one in client.list_messaging_channels()],
        GLOBAL_VARIABLES: lambda: list(expect(client.get_global_variables(), dict, "the variables")),
        LOCAL_VARIABLES: lambda: _local_variables(client, project_key),
        PROJECTS: lambda: {
            expect(one["projectKey"], str, "a project key"): {"active": one.get("activeBundleState")}
            for one in _dicts(client.list_projects())
        },
    }
    wanted = [kind for kind in questions if kind in kinds]
    with dss.within(deadline):
        found = gather([*(_asking(dss, kind, questions[kind]) for kind in wanted), lambda: _asking_version(dss)])
    answers, version = found[:-1], found[-1]
    pairs = list(zip(wanted, answers, strict=True))
    names = {kind: frozenset(answer) for kind, answer in pairs if not isinstance(answer, str)}
    facts = {kind: answer for kind, answer in pairs if isinstance(answer, Mapping)}
    unseen = {kind: answer for kind, answer in pairs if isinstance(answer, str)}
    return Inventory(str(dss), names, unseen, str(version), facts)


_Answer = Collection[str] | Mapping[str, Mapping[str, Any]] | str


def _asking(dss: Dss, kind: str, question: Callable[[], _Answer]) -> Callable[[], _Answer]:
    def ask() -> _Answer:
        try:
            with dss.asking(f"list the {kind}"):
                found = question()
                return found if isinstance(found, Mapping) else frozenset(found)
        except Refusal as refusal:
            if refusal.status == 404 and kind in (LOCAL_VARIABLES, SCENARIOS):
                return frozenset() if kind == LOCAL_VARIABLES else {}
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


def _rights(connections: object) -> dict[str, Mapping[str, Any]]:
    """Of each connection only what decides who may do what there: its parameters may hold secrets."""
    kept = ("type", "allowWrite", "allowManagedDatasets", "allowManagedFolders", "usableBy", "allowedGroups")
    return {
        expect(name, str, "a name"): {
            key: value for key, value in expect(one, dict, "a connection").items() if key in kept
        }
        for name, one in expect(connections, dict, "the connections").items()
    }


def _scenarios(client: Any, project_key: str) -> dict[str, Mapping[str, Any]]:
    project = client.get_project(node_id(project_key, "the key"))
    return {
        expect(one["id"], str, "the id of a scenario"): {
            "active": one.get("active"),
            "changed": (one.get("versionTag") or {}).get("lastModifiedOn") or one.get("lastModifiedOn"),
        }
        for one in _dicts(project.list_scenarios())
    }


def _texts(value: object) -> list[str]:
    return [expect(item, str, "a name") for item in expect(value, list, "the list")]


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [expect(item, dict, "an item") for item in expect(value, list, "the list")]
