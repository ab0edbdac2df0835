"""What a bundle needs against what a node has: one result for each need, with the same name in every build."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from mlops_steps.config import CompareSettings, NeedException, NeedKind
from mlops_steps.dss import inventory as node
from mlops_steps.dss.deployments import Deployment
from mlops_steps.dss.inventory import Inventory
from mlops_steps.needs.further import active_bundle, plugin_version, python, rights, scenarios
from mlops_steps.needs.model import BundleNeeds, Need
from mlops_steps.system.text import one_line

_MOST_USERS = 5
# Characters of a name or a message: names come from the archive.
_LONGEST = 300


class Verdict(str, Enum):
    """What became of a need."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    """A need on a node. ``name`` is that of the test case: ``connection warehouse``."""

    name: str
    verdict: Verdict
    message: str = ""
    details: str = ""


def kinds_of(needs: BundleNeeds) -> list[str]:
    """What a node has to be asked for, no more."""
    variables = bool(needs.variables or needs.tolerated_variables)
    wanted = {
        node.CONNECTIONS: bool(needs.connections),
        node.CONNECTION_RIGHTS: bool(needs.connections),
        node.GROUPS: bool(needs.connections),
        node.SCENARIOS: bool(needs.scenarios),
        node.CODE_ENVS: bool(needs.code_envs.keys() - needs.bundled_code_envs),
        node.PLUGINS: bool(needs.plugins),
        node.CHANNELS: bool(needs.channels),
        node.GLOBAL_VARIABLES: variables,
        node.LOCAL_VARIABLES: variables,
        node.PROJECTS: bool(needs.projects),
    }
    return [kind for kind, is_wanted in wanted.items() if is_wanted]


def compare(
    needs: BundleNeeds, found: Inventory, deployment: Deployment | None, settings: CompareSettings
) -> list[Result]:
    """Each need with its verdict, by the severities and exceptions of the configuration."""
    results = [_judge(need, settings) for need in _needs(needs, found, deployment.settings if deployment else {})]
    reasons: dict[str, list[str]] = {}
    for undecided in needs.undecided:
        reasons.setdefault(undecided.object, []).append(undecided.reason)
    for name, lines in reasons.items():
        results.append(_undecided(name, lines, settings.exceptions))
    return results


def differences(needs: BundleNeeds, here: Inventory, there: Inventory, where: str) -> list[Result]:
    """Where the node differs from another stage's in what the bundle needs. A difference is a warning."""
    results = []
    for kind, names in _wanted(needs).items():
        ours, theirs = here.names.get(kind), there.names.get(kind)
        if ours is None or theirs is None:
            reason = here.unseen.get(kind) or there.unseen.get(kind) or "nothing is known of them"
            results.append(Result(f"same {kind} as {where}", Verdict.SKIPPED, reason))
            continue
        lines = [f"{name}: {'only here' if name in ours else f'only on {where}'}" for name in names & (ours ^ theirs)]
        message = f"{len(lines)} of the {kind} differ between {here.node} and {there.node}"
        verdict = Verdict.WARNING if lines else Verdict.PASSED
        results.append(Result(f"same {kind} as {where}", verdict, message if lines else "", "\n".join(sorted(lines))))
    if here.version and there.version:
        same = here.version == there.version
        message = "" if same else f"{here.node} has DSS {here.version}, {there.node} has DSS {there.version}"
        results.append(Result(f"same DSS version as {where}", Verdict.PASSED if same else Verdict.WARNING, message))
    return results


def _wanted(needs: BundleNeeds) -> dict[str, frozenset[str]]:
    variables = frozenset((*needs.variables, *needs.tolerated_variables))
    names = {
        node.CONNECTIONS: frozenset(needs.connections),
        node.CODE_ENVS: frozenset(f"{language}/{name}" for language, name in needs.code_envs),
        node.PLUGINS: frozenset(needs.plugins),
        node.CHANNELS: frozenset(needs.channels),
        node.GLOBAL_VARIABLES: variables,
        node.LOCAL_VARIABLES: variables,
        node.PROJECTS: frozenset(needs.projects),
    }
    return {kind: found for kind, found in names.items() if found}


def _needs(needs: BundleNeeds, found: Inventory, deployed: Mapping[str, Any]) -> Iterator[Need]:
    """The needs with what the node has; ``deployed`` are the settings of the deployment."""
    yield from _version(needs, found)
    where = found.node
    remapped = _remapping(deployed)
    for name, users in sorted(needs.connections.items()):
        target = remapped["connections"].get(name, name)
        kind = f" (of type {kind})" if (kind := needs.connection_types.get(name)) else ""
        missing = f"{where} has no connection {target}{kind}: create it there, or remap {name} in the deployment"
        yield _need("connection", name, node.CONNECTIONS, target, found, missing, users)
        yield from rights(needs, found, name, target)
    for (language, name), users in sorted(needs.code_envs.items()):
        target = remapped["codeEnvs"].get(name, name)
        title = f"{name} ({language})"
        if (language, name) in needs.bundled_code_envs:
            yield Need("code-environment", title, True, users=tuple(users))
            continue
        missing = f"{where} has no {language} code environment {target}: create it there, or remap {name}"
        yield _need("code-environment", title, node.CODE_ENVS, f"{language}/{target}", found, missing, users)
        yield from python(needs, found, (language, name), f"{language}/{target}", title)
    for name, users in sorted(needs.plugins.items()):
        yield _need("plugin", name, node.PLUGINS, name, found, f"{where} has no plugin {name}: install it there", users)
        yield from plugin_version(needs, found, name)
    for name, users in sorted(needs.channels.items()):
        missing = f"{where} has no messaging channel {name}: create it there with this id"
        yield _need("channel", name, node.CHANNELS, name, found, missing, users)
    for name, users in sorted(needs.projects.items()):
        missing = f"{where} has no project {name}, whose objects the bundle uses: deploy it there first"
        yield _need("project", name, node.PROJECTS, name, found, missing, users)
        yield from active_bundle(found, name, users)
    yield from scenarios(needs, found)
    deployed_variables = deployed.get("localVariables")
    given = frozenset(deployed_variables if isinstance(deployed_variables, dict) else ())
    for name, users in sorted(needs.variables.items()):
        yield _variable(name, users, found, given)
    for name, users in sorted(needs.tolerated_variables.items()):
        yield _variable(name, users, found, given, mild=True)


def _need(
    kind: NeedKind, name: str, listed: str, wanted: str, found: Inventory, missing: str, users: Iterable[str]
) -> Need:
    names = found.names.get(listed)
    present = None if names is None else wanted in names
    return Need(kind, name, present, missing, found.unseen.get(listed, ""), tuple(users))


def _variable(name: str, users: Iterable[str], found: Inventory, given: frozenset[str], mild: bool = False) -> Need:
    kinds = (node.LOCAL_VARIABLES, node.GLOBAL_VARIABLES)
    everywhere = [found.names.get(kind) for kind in kinds]
    present: bool | None = name in given or any(name in names for names in everywhere if names is not None)
    if not present and None in everywhere:
        present = None
    unknown = "; ".join(
        found.unseen[kind] for kind in (node.LOCAL_VARIABLES, node.GLOBAL_VARIABLES) if kind in found.unseen
    )
    how = "is read with .get() without a default, and" if mild else "is read, and"
    missing = (
        f"variable {name} {how} neither the bundle nor {found.node} has it: set it there (local variables of "
        "the project, or global variables), or in the project before packaging"
    )
    return Need("variable", name, present, missing, unknown, tuple(users), mild)


def _version(needs: BundleNeeds, found: Inventory) -> Iterator[Need]:
    wanted, has = _numbers(needs.version), _numbers(found.version)
    if not wanted:
        return
    if not has:
        yield Need("version", "", None, unknown=f"{found.node} does not tell its version")
        return
    missing = (
        f"the bundle was exported by DSS {needs.version}, {found.node} has the older DSS {found.version}: "
        "upgrade that node first"
    )
    # Bundles of a later minor version are usually taken, those of a later major version are not.
    yield Need("version", "", has >= wanted, missing, mild=has[0] == wanted[0])


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


_TITLES: dict[NeedKind, str] = {
    "code-environment": "code environment",
    "scenario": "scenarios that are replaced",
    "version": "DSS version",
}


def _judge(need: Need, settings: CompareSettings) -> Result:
    name = one_line(f"{_TITLES.get(need.kind, need.kind)} {need.name}".strip(), _LONGEST)
    details = one_line(f"needed by {', '.join(need.users[:_MOST_USERS])}", _LONGEST) if need.users else ""
    if len(need.users) > _MOST_USERS:
        details += f" and {len(need.users) - _MOST_USERS} more"
    severity = settings.severity.get(need.kind, "warning" if need.kind == "scenario" else "error")
    if severity == "off":
        return Result(name, Verdict.SKIPPED, f"switched off (compare.severity.{need.kind})")
    if exception := _exception(name, settings.exceptions):
        return Result(name, Verdict.SKIPPED, f"exception: {exception.reason}")
    if need.present is None:
        return Result(name, Verdict.SKIPPED, need.unknown or "it is not known", details)
    if need.present:
        return Result(name, Verdict.PASSED, details=need.remark)
    verdict = Verdict.WARNING if severity == "warning" or need.mild else Verdict.FAILED
    return Result(name, verdict, one_line(need.missing, 2 * _LONGEST), details or need.remark)


def _undecided(name: str, lines: list[str], exceptions: list[NeedException]) -> Result:
    title = one_line(f"undecided {name}", _LONGEST)
    if exception := _exception(title, exceptions):
        return Result(title, Verdict.SKIPPED, f"exception: {exception.reason}")
    first, *more = [one_line(line, _LONGEST) for line in lines]
    return Result(title, Verdict.WARNING, f"what it needs cannot be decided: {first}", "\n".join(more))


def _exception(name: str, exceptions: list[NeedException]) -> NeedException | None:
    return next((one for one in exceptions if fnmatchcase(name, one.need)), None)


def _remapping(deployed: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The remapping of the deployment's settings: name in the bundle → name on the node."""
    container = deployed.get("bundleContainerSettings")
    remapping = container.get("remapping") if isinstance(container, dict) else None
    found: dict[str, dict[str, str]] = {"connections": {}, "codeEnvs": {}}
    for kind, names in found.items():
        items = remapping.get(kind) if isinstance(remapping, dict) else None
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and item.get("source") and item.get("target"):
                names[str(item["source"])] = str(item["target"])
    return found
