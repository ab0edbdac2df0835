"""The release notes of a bundle: for people, and with the lines by which later steps know where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_steps.delivery.record import Build

_COMMIT = "Project commit: "
_BUILD = "Build: "


@dataclass(frozen=True)
class Origin:
    """The project's commit on the Design node, and the build, that a bundle was made from."""

    commit: str | None = None
    build: str | None = None


def changes(commits: Sequence[dict[str, str]], last_released: str | None) -> list[str]:
    """A heading, and a line for each commit since ``last_released`` (newest first, as given)."""
    new = []
    for commit in commits:
        if commit["id"] == last_released:
            break
        new.append(commit)
    heading = f"Changes since {last_released[:8]}:" if last_released else f"The last {len(new)} commits:"
    lines = [f"- {(commit['message'] or '(no message)').splitlines()[0]} ({commit['id'][:8]})" for commit in new]
    return [heading, *(lines or ["- none"])]


def write(commits: Sequence[dict[str, str]], last_released: str | None, build: Build) -> str:
    """The changes, then where the bundle comes from."""
    notes = [*changes(commits, last_released), ""]
    if commits:
        notes.append(f"{_COMMIT}{commits[0]['id']}")
    if build.number:
        notes.append(f"{_BUILD}{build.number}")
    return "\n".join(notes)


def origin(notes: str) -> Origin:
    """Reads back where the bundle with these release notes comes from."""
    found: dict[str, str] = {}
    for line in notes.splitlines():
        for prefix in (_COMMIT, _BUILD):
            if line.startswith(prefix):
                found[prefix] = line.removeprefix(prefix).strip()
    return Origin(found.get(_COMMIT), found.get(_BUILD))
