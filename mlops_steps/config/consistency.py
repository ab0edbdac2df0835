"""What is wrong with settings whose values are all valid: contradictions, missing files, what deserves a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.config.fields import is_plain_http
from mlops_steps.config.file import Key, Problem, shown
from mlops_steps.config.nodes import ConnectionSettings, wave_problems
from mlops_steps.config.settings import Settings
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

# Kinds of gates that compare with what is live, or look at a bundle before it is.
_OF_A_CANDIDATE = ("champion", "project_standards", "governance")


def contradictions(settings: Settings, lines: Mapping[Key, int]) -> Iterable[Problem]:
    """What each value alone does not show."""

    def problem(text: str, *key: str) -> Problem:
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), 0)
        return Problem(line, f"{'.'.join(key)}: {text}")

    if "design" not in settings.nodes:
        yield problem("must hold the node design (or set MLOPS_DESIGN_URL)", "nodes")
    prefixes: dict[str, str] = {}
    deployments: dict[str, str] = {}
    for name, node in settings.nodes.items():
        if name in ("design", "deployer") and (node.infra or node.deployment):
            yield problem(
                "nothing is deployed to this node",
                "nodes",
                name,
                "infras" if node.infras else "infra" if node.infra else "deployment",
            )
        for unit in node.units():
            if unit.is_direct and (unit.deployment or unit.nodes or name in ("design", "deployer")):
                key = "deployment" if unit.deployment else "nodes" if unit.nodes else "strategy"
                below_stage = ("infras", unit.place) if node.infras else ()
                text = "strategy direct is for stages, and has neither a deployment nor several nodes"
                yield problem(text, "nodes", name, *below_stage, key)
        for below, one in node.connections():
            if one.client_key and not one.client_certificate:
                yield problem("requires client_certificate", "nodes", name, *below, "client_key")
            if other := prefixes.get(one.variable):
                yield problem(
                    f"has the environment variables of node {other} ({one.variable}_…)",
                    "nodes",
                    name,
                    *below,
                )
            prefixes[one.variable] = one.name
        yield from (problem(text, "nodes", name, "rollout") for text in wave_problems(node))
    for name, api_node in settings.api.nodes.items():
        if other := prefixes.get(api_node.variable):
            yield problem(
                f"has the environment variables of node {other} ({api_node.variable}_…)", "api", "nodes", name
            )
        prefixes[api_node.variable] = name
        if api_node.client_key and not api_node.client_certificate:
            yield problem("requires client_certificate", "api", "nodes", name, "client_key")
    if settings.api.stages and settings.api.service is None:
        yield problem("is missing: the id of the API service", "api", "service")
    if settings.api.release_stage and settings.api.release_stage not in settings.api.stages:
        yield problem(f"no such stage of api.stages: {settings.api.release_stage}", "api", "release_stage")
    for stage in settings.stages():
        for unit in stage.units():
            deployment = settings.deployment_id(unit)
            if other := deployments.get(deployment):
                yield problem(
                    f"deployment {deployment} is that of stage {other}; set deployment",
                    "nodes",
                    stage.name,
                    *(("infras", unit.place) if unit.place else ()),
                )
            deployments[deployment] = unit.name
    yield from _of_monitor(settings, problem)
    for number, gate in enumerate(settings.gates):
        if gate.gate == "governance" and gate.govern and gate.govern not in settings.nodes:
            known = f"{gate.govern}{nearest(gate.govern, settings.nodes)}"
            yield problem(f"no such node of nodes: {known}", "gates", str(number), "govern")
    if settings.release.stage:
        try:
            settings.release_stage()
        except ConfigError as error:
            yield problem(error.message, "release", "stage")


def _of_monitor(settings: Settings, problem: Callable[..., Problem]) -> Iterable[Problem]:
    gates = {gate.name: gate for gate in settings.monitor.gates}
    for name, gate in gates.items():
        if gate.gate in _OF_A_CANDIDATE:
            text = f"{name}: a gate of kind {gate.gate} judges a candidate, not what is live"
            yield problem(text, "monitor", "gates")
    for name, limits in settings.monitor.act.items():
        if name not in gates:
            yield problem(f"no such gate of monitor.gates: {name}{nearest(name, gates)}", "monitor", "act", name)
            continue
        from mlops_steps.config.gates import at_act

        try:
            at_act(gates[name], limits)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(word) for word in first["loc"])
            text = "no such limit" if first["type"] == "extra_forbidden" else first["msg"]
            yield problem(f"{where}: {text}" if where else text, "monitor", "act", name)


def missing_files(settings: Settings, lines: Mapping[Key, int]) -> list[Problem]:
    """Certificates that are not there; the client would fail with a traceback's worth of words."""
    problems = []
    for place, node in _all_nodes(settings):
        for field in ("verify", "client_certificate", "client_key"):
            path = getattr(node, field)
            if isinstance(path, Path) and not path.exists():
                key = (*place, field)
                problems.append(
                    Problem(
                        lines.get(key, 0),
                        f"{'.'.join(key)}: no such file: {shown(path, 200)}",
                    )
                )
    return problems


def warnings(settings: Settings, places: Mapping[Key, str]) -> Iterable[str]:
    """What makes a connection unsafe, with the line or variable that says so."""
    for place, node in _all_nodes(settings):
        for field, bad, text in (
            (
                "url",
                is_plain_http(node.url),
                "http:// sends the API key in clear text; use https://",
            ),
            (
                "verify",
                node.verify is False,
                "the certificate is not checked; anybody may pose as this node",
            ),
        ):
            key = (*place, field)
            if bad:
                yield f"{places.get(key, 'default')}: {'.'.join(key)}: {text}"


def _all_nodes(settings: Settings) -> Iterable[tuple[Key, ConnectionSettings | ApiNodeSettings]]:
    """Every node, with the place of its section."""
    yield from (
        (("nodes", name, *below), one) for name, node in settings.nodes.items() for below, one in node.connections()
    )
    yield from ((("api", "nodes", name), node) for name, node in settings.api.nodes.items())
