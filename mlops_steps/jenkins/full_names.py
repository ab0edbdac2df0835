"""Full names of folders and jobs: ``team/churn/release``."""

from __future__ import annotations

import re

from mlops_steps.errors import ConfigError

# What Jenkins refuses in the name of a new item; % only stands in names that Jenkins itself makes of branch names.
_REFUSED = re.compile(r"[\x00-\x1f\x7f?*/\\%!@#$^&|<>\[\]:;]")


def new_item(name: str, option: str) -> str:
    """The full name of an item that may be created, without slashes around it.

    Raises :class:`ConfigError` that begins with ``option`` when Jenkins would not take it.
    """
    for part in parts(name, option):
        if found := _REFUSED.search(part):
            raise ConfigError(f"{option}: Jenkins takes no {found[0]!r} in a name: {part!r}")
    return "/".join(parts(name, option))


def existing_item(name: str, option: str) -> str:
    """The full name of an item that is there, without slashes around it. Raises :class:`ConfigError`."""
    if "://" in name:
        raise ConfigError(f"{option}: give the full name (folder/job), not the URL")
    return "/".join(parts(name, option))


def parts(name: str, option: str) -> list[str]:
    """The names of the folders and of the item. Raises :class:`ConfigError` for what would leave the path."""
    found = name.strip("/").split("/")
    for part in found:
        if part.strip() != part or part in ("", ".", "..") or not part.isprintable():
            raise ConfigError(f"{option}: {name!r} is not a full name such as folder/job")
    return found
