"""What the node has of a need is not always enough: its version, its rights, its state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_steps.dss import inventory as node
from mlops_steps.dss.inventory import Inventory
from mlops_steps.needs import definitions
from mlops_steps.needs.model import BundleNeeds, Need

#: What a connection must allow, in words.
_ALLOWED = {
    definitions.WRITE: "writing",
    definitions.DATASETS: "managed datasets",
    definitions.FOLDERS: "managed folders",
}
_MOST_NAMES = 10


def _facts(found: Inventory, kind: str, name: str) -> Mapping[str, Any] | None:
    """What is known of it; ``None`` where it is not there, or nothing is known of the kind."""
    return (found.facts.get(kind) or {}).get(name)


def rights(needs: BundleNeeds, found: Inventory, name: str, target: str) -> Iterator[Need]:
    """Whether the connection is of the type that the bundle was made with, may be used, and may be written to."""
    if target not in found.names.get(node.CONNECTIONS, ()):
        return
    where = found.node
    settings = _facts(found, node.CONNECTION_RIGHTS, target)
    if settings is None:
        why = found.unseen.get(node.CONNECTION_RIGHTS) or f"{where} does not tell its settings"
        yield Need("connection", f"{name}: rights", None, unknown=why)
        return
    if (wanted := needs.connection_types.get(name)) and (has := str(settings.get("type") or "")):
        text = f"connection {target} of {where} is of type {has}, the bundle was made with {wanted}: remap {name}"
        yield Need("connection", f"{name}: type", has == wanted, text)
    yield _usable(found, name, target, settings)
    for (connection, what), users in sorted(needs.writes.items()):
        if connection == name:
            text = f"connection {target} of {where} does not allow {_ALLOWED[what]}: allow it there, or remap {name}"
            yield Need(
                "connection", f"{name}: {_ALLOWED[what]}", settings.get(what) is not False, text, "", tuple(users)
            )


def _usable(found: Inventory, name: str, target: str, settings: Mapping[str, Any]) -> Need:
    title = f"{name}: use"
    if settings.get("usableBy") != "ALLOWED":
        return Need("connection", title, True)
    allowed = {str(group) for group in settings.get("allowedGroups") or []}
    groups = found.names.get(node.GROUPS)
    if not groups:
        why = found.unseen.get(node.GROUPS) or f"{found.node} does not say which groups the user of this key is in"
        return Need("connection", title, None, "", why)
    text = (
        f"connection {target} of {found.node} may be used by {', '.join(sorted(allowed)) or 'nobody'} only, and the "
        f"user of this key is in {', '.join(sorted(groups))}: add a group there, or remap {name}"
    )
    return Need("connection", title, bool(allowed & groups), text)


def python(needs: BundleNeeds, found: Inventory, key: tuple[str, str], target: str, title: str) -> Iterator[Need]:
    """Whether the code environment has the Python that the bundle was made with."""
    wanted, facts = needs.pythons.get(key), _facts(found, node.CODE_ENVS, target)
    if wanted and facts is not None:
        has = definitions.python_of(facts)
        text = f"{target.partition('/')[2]} of {found.node} has {has}, the bundle was made with {wanted}"
        unknown = f"{found.node} does not say its Python"
        yield Need("code-environment", f"{title}: Python", has == wanted if has else None, text, unknown)


def plugin_version(needs: BundleNeeds, found: Inventory, name: str) -> Iterator[Need]:
    """Whether the plugin is as new as the one that the bundle was made with; an older minor one is a warning."""
    wanted, facts = needs.plugin_versions.get(name), _facts(found, node.PLUGINS, name)
    if wanted and facts is not None:
        has = str(facts.get("version") or "")
        ours, theirs = _numbers(wanted), _numbers(has)
        text = f"plugin {name} of {found.node} is {has}, the bundle was made with the newer {wanted}: update it there"
        unknown = f"{found.node} does not say its version"
        mild = bool(ours and theirs) and ours[0] == theirs[0]
        yield Need("plugin", f"{name}: version", theirs >= ours if theirs else None, text, unknown, mild=mild)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])


def active_bundle(found: Inventory, name: str, users: list[str]) -> Iterator[Need]:
    """Whether a bundle of the project upstream is active on the node, so that its objects are there."""
    facts = _facts(found, node.PROJECTS, name)
    if facts is not None:
        text = f"no bundle of project {name}, whose objects are used, is active on {found.node}: release it there first"
        yield Need("project", f"{name}: active bundle", bool(facts.get("active")), text, users=tuple(users))


def scenarios(needs: BundleNeeds, found: Inventory) -> Iterator[Need]:
    """Which scenarios of the node are replaced, which of them are active, and what is lost by that."""
    there = found.facts.get(node.SCENARIOS)
    if not needs.scenarios:
        return
    if there is None:
        yield Need("scenario", "", None, unknown=found.unseen.get(node.SCENARIOS, "nothing is known of them"))
        return
    replaced = [_named(name, one) for name, one in sorted(there.items()) if name in needs.scenarios]
    gone = [_named(name, one) for name, one in sorted(there.items()) if name not in needs.scenarios]
    edited = [
        _named(name, one)
        for name, one in sorted(there.items())
        if _later(one.get("changed"), needs.scenarios.get(name))
    ]
    lost = [
        f"{what} {_some(names)}"
        for what, names in (("changed there since, and replaced:", edited), ("not in the bundle, and removed:", gone))
        if names
    ]
    text = f"scenarios of {found.node} are lost: {'; '.join(lost)}"
    remark = f"replaced: {_some(replaced)}" if replaced else ""
    yield Need("scenario", "", not lost, text, remark=remark)


def _named(name: str, one: Mapping[str, Any]) -> str:
    return f"{name} (active)" if one.get("active") is True else name


def _later(there: object, ours: int | None) -> bool:
    return isinstance(there, int) and bool(ours) and there > (ours or 0)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
