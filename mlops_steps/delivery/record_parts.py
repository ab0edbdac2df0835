"""The parts of a release record, which steps that run side by side change without each other.

A part is what is said of the bundle, of the package of the API service, or of one stage. Parallel stages of a pipeline
work on different parts: in one workspace, or in several whose records are put together later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The names of the parts that are no stage, and what those of the service's stages begin with. No stage is named so.
BUNDLE, PACKAGE, API = "", "package:", "api:"
_OTHERS = ("package", "stages", "api_stages")


def parts(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parts of a record (as JSON holds it) by their names; none of no record."""
    if record is None:
        return {}
    found: dict[str, Any] = {
        BUNDLE: {key: value for key, value in record.items() if key not in _OTHERS},
        PACKAGE: record.get("package"),
        **(record.get("stages") or {}),
        **{API + name: stage for name, stage in (record.get("api_stages") or {}).items()},
    }
    return {name: part for name, part in found.items() if part is not None}


def joined(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of these parts; ``None`` without what is said of the bundle."""
    if BUNDLE not in found:
        return None
    package = {"package": found[PACKAGE]} if PACKAGE in found else {}
    api = {name.removeprefix(API): part for name, part in found.items() if name.startswith(API)}
    stages = {name: part for name, part in found.items() if name not in (BUNDLE, PACKAGE) and not name.startswith(API)}
    return {**found[BUNDLE], **package, "stages": stages, **({"api_stages": api} if api else {})}


def merged(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of ``theirs``, with those that have changed from ``base`` to ``ours``."""
    found = dict(theirs)
    for name in (*base, *ours):
        if ours.get(name) != base.get(name):
            if name in ours:
                found[name] = ours[name]
            else:
                found.pop(name, None)
    return found
