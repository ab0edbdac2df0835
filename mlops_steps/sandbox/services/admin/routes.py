"""What an administrator configures on a node: connections, code environments, plugins, channels, global variables."""

from __future__ import annotations

import json
import zipfile
from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import DssError, bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json, safe_name, write_json

CONFIG_LOCK = "config"

router = Router()


def save_connections(node: Node, connections: dict[str, Any]) -> None:
    """Replaces the connections of a node."""
    write_json(node.config_dir / "connections.json", connections)


def save_code_envs(node: Node, code_envs: list[dict[str, Any]]) -> None:
    """Replaces the code environments of a node."""
    write_json(node.config_dir / "code-envs.json", code_envs)


def save_plugins(node: Node, plugins: list[dict[str, Any]]) -> None:
    """Replaces the plugins that a node lists, each with ``id`` and ``version``. They do nothing."""
    write_json(node.config_dir / "plugins.json", plugins)


def save_channels(node: Node, channels: list[dict[str, Any]]) -> None:
    """Replaces the messaging channels that a node lists, each with ``id``, ``type``, ``family``. They send nothing."""
    write_json(node.config_dir / "channels.json", channels)


def _connection(call: Call) -> dict[str, Any]:
    name = call.path["name"]
    connection: dict[str, Any] | None = call.node.connections().get(name)
    if connection is None:
        raise _no_connection(name)
    return connection


def _no_connection(name: str) -> DssError:
    return not_found(f"connection {name} does not exist")


@router.get("/plugins")
def list_plugins(call: Call) -> Any:
    return call.node.plugins()


@router.post("/plugins/actions/installFromZip")
def install_plugin(call: Call) -> Any:
    """Lists the plugin, at the version of its ``plugin.json``, in the place of another version; it does nothing."""
    try:
        with zipfile.ZipFile(call.file().file) as archive:
            described = json.loads(archive.read("plugin.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError) as error:
        raise bad_request(f"The archive has no plugin.json that can be read: {error}") from error
    if not isinstance(described, dict) or not described.get("version"):
        raise bad_request("plugin.json needs an id and a version")
    identity = safe_name(str(described.get("id") or ""), "plugin id")
    with call.node.lock(CONFIG_LOCK):
        others = [plugin for plugin in call.node.plugins() if plugin.get("id") != identity]
        save_plugins(call.node, [*others, {"id": identity, "version": str(described["version"])}])
    return {}


@router.get("/messaging-channels")
def list_channels(call: Call) -> Any:
    wanted = {"type": call.params.get("channelType"), "family": call.params.get("channelFamily")}
    return [
        channel
        for channel in read_json(call.node.config_dir / "channels.json", [])
        if all(value is None or channel.get(name) == value for name, value in wanted.items())
    ]


@router.get("/admin/general-settings")
def general_settings(_call: Call) -> Any:
    """A node of the sandbox has none that could be set."""
    return {}


@router.get("/admin/licensing/status")
def licensing_status(_call: Call) -> Any:
    return {"base": {"hasLicense": False}}


@router.get("/admin/connections")
def list_connections(call: Call) -> Any:
    return call.node.connections()


@router.post("/admin/connections")
def create_connection(call: Call) -> Any:
    definition = call.json_object()
    name = safe_name(definition.get("name", ""), "connection name")
    if not definition.get("type"):
        raise bad_request("A connection needs a type")
    with call.node.lock(CONFIG_LOCK):
        connections = call.node.connections()
        if name in connections:
            raise conflict(f"connection {name} already exists")
        save_connections(call.node, {**connections, name: definition})
    return {"name": name}


@router.get("/admin/connections/{name}")
def get_connection(call: Call) -> Any:
    return _connection(call)


@router.put("/admin/connections/{name}")
def set_connection(call: Call) -> Any:
    name = call.path["name"]
    with call.node.lock(CONFIG_LOCK):
        _connection(call)
        connections = call.node.connections()
        connections[name] = {**call.json_object(), "name": name}
        save_connections(call.node, connections)
    return connections[name]


@router.delete("/admin/connections/{name}")
def delete_connection(call: Call) -> Any:
    with call.node.lock(CONFIG_LOCK):
        _connection(call)
        connections = call.node.connections()
        del connections[call.path["name"]]
        save_connections(call.node, connections)


@router.get("/connections/get-names")
def connection_names(call: Call) -> Any:
    wanted = call.params.get("type", "all")
    return [
        name
        for name, connection in call.node.connections().items()
        if wanted.lower() == "all" or connection.get("type") == wanted
    ]


@router.get("/connections/{name}/info")
def connection_info(call: Call) -> Any:
    connection = _connection(call)
    return {"name": call.path["name"], "type": connection.get("type"), "params": connection.get("params", {})}


@router.get("/admin/code-envs")
def list_code_envs(call: Call) -> Any:
    return call.node.code_envs()


@router.get("/admin/code-envs/{lang}/{name}")
def get_code_env(call: Call) -> Any:
    for code_env in call.node.code_envs():
        if (code_env.get("envLang"), code_env.get("envName")) == (call.path["lang"], call.path["name"]):
            return code_env
    raise not_found(f"code environment {call.path['name']} ({call.path['lang']}) does not exist")


@router.post("/admin/code-envs/{lang}/{name}")
def create_code_env(call: Call) -> Any:
    """Lists the code environment with what it is given; code runs in the sandbox's own environment all the same."""
    lang, name = call.path["lang"], safe_name(call.path["name"], "name of a code environment")
    if lang not in ("PYTHON", "R"):
        raise bad_request(f"{lang} is not a language of code environments")
    with call.node.lock(CONFIG_LOCK):
        others = call.node.code_envs()
        if any((one.get("envLang"), one.get("envName")) == (lang, name) for one in others):
            raise conflict(f"code environment {name} ({lang}) already exists")
        save_code_envs(call.node, [*others, {**call.json_object(), "envLang": lang, "envName": name}])
    return {"envLang": lang, "envName": name, "messages": {"messages": [], "error": False}}


@router.delete("/admin/code-envs/{lang}/{name}")
def delete_code_env(call: Call) -> Any:
    with call.node.lock(CONFIG_LOCK):
        gone = get_code_env(call)
        save_code_envs(call.node, [one for one in call.node.code_envs() if one != gone])
    return {"messages": {"messages": [], "error": False}}


@router.get("/admin/variables")
def get_variables(call: Call) -> Any:
    return call.node.variables()


@router.put("/admin/variables")
def set_variables(call: Call) -> Any:
    with call.node.lock(CONFIG_LOCK):
        write_json(call.node.config_dir / "variables.json", call.json_object())
