"""Builds :class:`Settings` from the file, the environment and the flags, and says all that is wrong at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlops_steps.config.api import SERVICE_KEY, ApiNodeSettings
from mlops_steps.config.fields import is_plain_http
from mlops_steps.config.file import Document, Key, Problem, read, shown
from mlops_steps.config.policy import MinimumSource
from mlops_steps.config.problems import COMMAND_LINE, explain, misplaced_key
from mlops_steps.config.sections import NodeSettings, variable_prefix
from mlops_steps.config.settings import DEFAULT_FILE, Settings
from mlops_steps.errors import ConfigError
from mlops_steps.system import secrets
from mlops_steps.system.files import current_folder
from mlops_steps.system.text import nearest

_NO_FILE = "environment"
_NODE_URL = re.compile(r"^MLOPS_([A-Z][A-Z0-9_]*)_URL$")
_NODE_VARIABLES = {"_URL": "url", "_INFRA": "infra"}
_API_NODE_VARIABLES = {"_URL": "url", "_API_INFRA": "infra"}

#: The paths of the keys of statements: of the private one that signs them, and of the public one that checks them.
SIGNING_KEY = "MLOPS_SIGNING_KEY_FILE"
PUBLIC_KEY = "MLOPS_PUBLIC_KEY_FILE"

#: The organisation's minimums: the text of the library's file, the path or URL of one, and a file of the machine.
LIBRARY_POLICY = "MLOPS_LIBRARY_POLICY"
POLICY = "MLOPS_POLICY"
MACHINE_POLICY = Path("/etc/mlops-steps/policy.yml")

# Kinds of gates that compare with what is live, or look at a bundle before it is.
_OF_A_CANDIDATE = ("champion", "project_standards", "governance")

# Keys of the models that are filled in here and have no place in the file.
_INTERNAL = {("root",), ("warnings",)}
_MAPS_OF_NODES: tuple[Key, ...] = (("nodes",), ("api", "nodes"))


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Builds the settings.

    ``path`` is the file; without it ``MLOPS_CONFIG`` names it, else it is ``mlops.yml`` in the current folder if there
    is one: the environment alone may suffice. ``overrides`` are the flags of the command line by the dotted path of
    their key (``{"test.timeout": "10m"}``); ``None`` stands for a flag that was not given. Relative paths belong to
    the folder of the file; a :class:`~pathlib.Path` among the overrides, or one in the environment, belongs to the
    current folder.

    Raises :class:`ConfigError` whose first line is the first problem, and whose details are the others.
    """
    variables = os.environ if environ is None else environ
    document, root = _document(path, variables)
    return _build(document, root, variables, overrides or {})


def load_without_file(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """The same from the environment and the flags alone."""
    return _build(Document(_NO_FILE), current_folder(), environ, overrides)


def _build(document: Document, root: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    data = _without_empty(document.data)
    places = {key: f"{document.name}:{line}" for key, line in document.lines.items()}
    problems = document.problems
    problems += _internal_keys(document)
    _apply_environment(data, places, environ)
    _apply_overrides(data, places, overrides)

    settings = None
    gates: list[Any] = []
    try:
        gates = _gates(data.pop("gates", None))
        _monitored_gates(data)
    except ValidationError as error:
        problems += explain(error, document.lines, places)
    try:
        settings = Settings.model_validate({**data, "gates": gates, "root": root})
    except ValidationError as error:
        problems += explain(error, document.lines, places)
    if settings is not None:
        problems += _contradictions(settings, document.lines)
    if settings is None or problems:
        raise _config_error(document.name, problems)

    settings = _with_absolute_paths(settings, root)
    problems = _missing_files(settings, document.lines)
    if problems:
        raise _config_error(document.name, problems)
    _read_keys(settings, environ)
    _read_signing_key(settings, environ)
    settings.set_minimum_sources(_minimum_sources(environ))
    settings.warnings.extend(_warnings(settings, places))
    settings.set_places(places)
    return settings


def _minimum_sources(environ: Mapping[str, str]) -> tuple[MinimumSource, ...]:
    """Where an organisation says what it requires. All of them count: none takes away what another one requires."""
    found = []
    if environ.get(LIBRARY_POLICY, "").strip():
        found.append(MinimumSource("policy.yml of the Jenkins library", text=environ[LIBRARY_POLICY]))
    if MACHINE_POLICY.exists():
        found.append(MinimumSource(str(MACHINE_POLICY), place=str(MACHINE_POLICY)))
    if environ.get(POLICY):
        place = environ[POLICY]
        name = place.partition("#")[0]
        found.append(MinimumSource(shown(name, 300), place=place if "://" in name else str(current_folder() / place)))
    return tuple(found)


def _gates(value: object) -> list[Any]:
    """The gates, checked. Raises ``ValidationError``."""
    if value is None:
        return []
    from mlops_steps.config.gates import Gates

    return list(Gates.model_validate({"gates": value}).gates)


def _monitored_gates(data: dict[str, Any]) -> None:
    """Puts the gates of `monitor` in the place of what the file says of them. Raises ``ValidationError``."""
    section = data.get("monitor")
    given = section.pop("gates", None) if isinstance(section, dict) else None
    if isinstance(section, dict) and given is not None:
        from mlops_steps.config.gates import MonitoredGates

        limits = section.pop("act", None)  # of no use, and another error, where the gates cannot be read
        found = MonitoredGates.model_validate({"monitor": {"gates": given}}).monitor.gates
        data["monitor"] = {**section, "gates": list(found), **({} if limits is None else {"act": limits})}


def _document(path: Path | None, environ: Mapping[str, str]) -> tuple[Document, Path]:
    """The file, and the folder that relative paths belong to."""
    if path is None and environ.get("MLOPS_CONFIG"):
        path = Path(environ["MLOPS_CONFIG"])
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.exists():
            other = path.with_suffix(".yaml")
            if other.exists():
                raise ConfigError(f"{other}: the configuration is called {path}; rename it, or name it with --config")
            root = current_folder()
            return Document(f"no {DEFAULT_FILE} in {shown(root, 200)}"), root
    document = read(path)
    return document, current_folder().joinpath(path).parent


def _without_empty(data: Mapping[str, object]) -> dict[str, Any]:
    """The data without the keys that have no value, which stand for the default. A node may be all empty."""
    result: dict[str, Any] = {}
    for key, value in data.items():
        if key in ("nodes", "stages") and isinstance(value, dict):
            result[key] = {
                name: _without_empty(node or {}) if isinstance(node, dict | None) else node
                for name, node in value.items()
            }
        elif isinstance(value, dict):
            result[key] = _without_empty(value)
        elif value is not None:
            result[key] = value
    return result


def _internal_keys(document: Document) -> list[Problem]:
    names = {key for key in document.lines if key[-1] == "name" and key[:-2] in _MAPS_OF_NODES}
    found = [key for key in document.lines if key in _INTERNAL | names]
    return [Problem(document.lines[key], misplaced_key(key)) for key in found]


def _apply_environment(data: dict[str, Any], places: dict[Key, str], environ: Mapping[str, str]) -> None:
    if environ.get("MLOPS_PROJECT"):
        data["project"] = environ["MLOPS_PROJECT"]
        places[("project",)] = "MLOPS_PROJECT"
    if environ.get(PUBLIC_KEY) and isinstance(release := data.setdefault("release", {}), dict):
        release["public_key"] = current_folder() / environ[PUBLIC_KEY]
        places[("release", "public_key")] = PUBLIC_KEY
    nodes = data.setdefault("nodes", {name: {} for name in _nodes_of_environment(environ)})
    _apply_to_nodes(nodes, ("nodes",), _NODE_VARIABLES, places, environ)
    api = data.get("api")
    if isinstance(api, dict):
        nodes = api.setdefault("nodes", {name: {} for name in _nodes_of_environment(environ, api=True)})
        _apply_to_nodes(nodes, ("api", "nodes"), _API_NODE_VARIABLES, places, environ)


def _apply_to_nodes(
    nodes: object, key: Key, fields: Mapping[str, str], places: dict[Key, str], environ: Mapping[str, str]
) -> None:
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        for suffix, field in fields.items():
            variable = f"{variable_prefix(name)}{suffix}"
            if environ.get(variable) and isinstance(node, dict):
                node[field] = environ[variable]
                place: Key = (*key, name, field)
                places[place] = variable


def _nodes_of_environment(environ: Mapping[str, str], *, api: bool = False) -> list[str]:
    """The nodes that MLOPS_<NODE>_URL name: ``design`` first, names that begin with ``prod`` last.

    A node with MLOPS_<NODE>_API_INFRA is an API node: no project is deployed there. With ``api`` only those are meant.
    """
    found = [
        match[1].lower().replace("_", "-")
        for name in environ
        if environ[name]
        and (match := _NODE_URL.match(name))
        and bool(environ.get(f"MLOPS_{match[1]}_API_INFRA")) == api
    ]
    return sorted(
        found,
        key=lambda name: (
            name not in ("design", "deployer"),
            name.startswith("prod"),
            name,
        ),
    )


def _apply_overrides(data: dict[str, Any], places: dict[Key, str], overrides: Mapping[str, Any]) -> None:
    for dotted, value in overrides.items():
        if value is None:
            continue
        key = tuple(dotted.split("."))
        section = data
        for word in key[:-1]:
            inner = section.get(word)
            section[word] = inner = inner if isinstance(inner, dict) else {}
            section = inner
        section[key[-1]] = value.absolute() if isinstance(value, Path) else value
        places[key] = COMMAND_LINE


def _contradictions(settings: Settings, lines: Mapping[Key, int]) -> Iterable[Problem]:
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
                "infra" if node.infra else "deployment",
            )
        if node.client_key and not node.client_certificate:
            yield problem("requires client_certificate", "nodes", name, "client_key")
        if other := prefixes.get(node.variable):
            yield problem(
                f"has the environment variables of node {other} ({node.variable}_…)",
                "nodes",
                name,
            )
        prefixes[node.variable] = name
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
        deployment = settings.deployment_id(stage)
        if other := deployments.get(deployment):
            yield problem(
                f"deployment {deployment} is that of stage {other}; set deployment",
                "nodes",
                stage.name,
            )
        deployments[deployment] = stage.name
    yield from _contradictions_of_monitor(settings, problem)
    for number, gate in enumerate(settings.gates):
        if gate.gate == "governance" and gate.govern and gate.govern not in settings.nodes:
            known = f"{gate.govern}{nearest(gate.govern, settings.nodes)}"
            yield problem(f"no such node of nodes: {known}", "gates", str(number), "govern")
    if settings.release.stage:
        try:
            settings.release_stage()
        except ConfigError as error:
            yield problem(error.message, "release", "stage")


def _contradictions_of_monitor(settings: Settings, problem: Callable[..., Problem]) -> Iterable[Problem]:
    gates = {gate.name: gate for gate in settings.monitor.gates}
    for name, gate in gates.items():
        if gate.gate in _OF_A_CANDIDATE:
            yield problem(
                f"{name}: a gate of kind {gate.gate} judges a candidate, not what is live", "monitor", "gates"
            )
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


def _with_absolute_paths(settings: Settings, root: Path) -> Settings:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else root / path

    def certificates(node: NodeSettings | ApiNodeSettings) -> dict[str, Any]:
        return {
            "verify": root / node.verify if isinstance(node.verify, Path) else node.verify,
            "client_certificate": absolute(node.client_certificate),
            "client_key": absolute(node.client_key),
        }

    nodes = {
        name: node.model_copy(update={**certificates(node), "api_key_file": absolute(node.api_key_file)})
        for name, node in settings.nodes.items()
    }
    test = settings.test.model_copy(update={"pytest": absolute(settings.test.pytest)})
    api = settings.api.model_copy(
        update={
            "nodes": {name: node.model_copy(update=certificates(node)) for name, node in settings.api.nodes.items()},
            "service_key_file": absolute(settings.api.service_key_file),
            "test": settings.api.test.model_copy(
                update={
                    "queries": absolute(settings.api.test.queries),
                    "pytest": absolute(settings.api.test.pytest),
                }
            ),
        }
    )
    return settings.model_copy(
        update={
            "nodes": nodes,
            "test": test,
            "release": settings.release.model_copy(update={"public_key": absolute(settings.release.public_key)}),
            "api": api,
            "reports": root / settings.reports,
            "record": root / settings.record,
        }
    )


def _missing_files(settings: Settings, lines: Mapping[Key, int]) -> list[Problem]:
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


def _all_nodes(settings: Settings) -> Iterable[tuple[Key, NodeSettings | ApiNodeSettings]]:
    """Every node, with the place of its section."""
    yield from ((("nodes", name), node) for name, node in settings.nodes.items())
    yield from ((("api", "nodes", name), node) for name, node in settings.api.nodes.items())


def _read_keys(settings: Settings, environ: Mapping[str, str]) -> None:
    """Finds the keys. What is wrong with one is said when it is asked for: not every step needs every key."""
    for name, node in settings.nodes.items():
        variable = f"{node.variable}_API_KEY"
        found = _find_key(
            f"the API key of node {name}", variable, f"nodes.{name}.api_key_file", node.api_key_file, environ
        )
        node.set_api_key(*found)
    api = settings.api
    for name, api_node in api.nodes.items():
        variable = f"{api_node.variable}_API_KEY"
        # One that cannot be read is one that is not there: only what a canary may see depends on it.
        api_node.set_admin_key(_find_key(f"the key of API node {name}", variable, variable, None, environ)[0])
    what = f"the key of API service {api.service}"
    api.set_service_key(*_find_key(what, SERVICE_KEY, "api.service_key_file", api.service_key_file, environ))


def _find_key(
    what: str, variable: str, setting: str, configured: Path | None, environ: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """A key, or what is wrong with it; neither when there is none."""
    source, text = variable, environ.get(variable, "")
    file = Path(environ[f"{variable}_FILE"]) if environ.get(f"{variable}_FILE") else configured
    if not text.strip() and file:
        source = f"{variable}_FILE" if environ.get(f"{variable}_FILE") else setting
        try:
            text = secrets.read_secret(file)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "not a text file"
            return None, f"{what} cannot be read: {source}: {shown(file, 200)}: {reason}"
        if not text.strip():
            return None, f"{what} is empty: {source}: {shown(file, 200)}"
    key = text.strip()
    if key:
        secrets.register(key)
    if not re.match(r"^[\x21-\x7e]*$", key):
        return None, f"{what} ({source}) holds white space, or characters that no key has"
    return key or None, None


def _read_signing_key(settings: Settings, environ: Mapping[str, str]) -> None:
    """Reads the key that signs statements. What is wrong with it is said by the steps that need it."""
    if not environ.get(SIGNING_KEY):
        return
    file = Path(environ[SIGNING_KEY])
    problem, pem = None, ""
    try:
        pem = secrets.read_secret(file)
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or "not a text file"
    if not problem and not pem:
        problem = "it is empty"
    if problem:
        settings.set_signing_key(None, f"the signing key cannot be read: {SIGNING_KEY}: {shown(file, 200)}: {problem}")
        return
    # As a whole, and each line of its base64, which is how a log may show it.
    for text in (pem, *(line.strip() for line in pem.splitlines() if not line.startswith("-----"))):
        secrets.register(text)
    settings.set_signing_key(pem)


def _warnings(settings: Settings, places: Mapping[Key, str]) -> Iterable[str]:
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


def _config_error(name: str, problems: Iterable[Problem]) -> ConfigError:
    def line(problem: Problem) -> str:
        return f"{problem.source or (f'{name}:{problem.line}' if problem.line else name)}: {problem.text}"

    lines = [line(problem) for problem in sorted(problems, key=lambda problem: problem.line)]
    return ConfigError(lines[0], details=list(dict.fromkeys(lines[1:])))
