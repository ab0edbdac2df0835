"""Reads what an organisation requires at least, from wherever its administrators have put it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlops_steps.config.file import Document, Key, read, read_text, shown
from mlops_steps.config.policy import Minimums, MinimumSource
from mlops_steps.config.problems import explain
from mlops_steps.errors import ConfigError

_TIMEOUT = (10.0, 30.0)  # seconds, to connect and to read
_LARGEST = 256 * 1024
_NEXT = "ask the administrators of the Jenkins library, or of this machine, who hand out this file"


@dataclass(frozen=True)
class Organisation:
    """What one file requires. ``name`` is the file's, ``lines`` are those of its keys."""

    name: str
    minimums: Minimums
    lines: dict[Key, int]

    def place(self, *key: str) -> str:
        """Where a key stands: ``policy.yml:4``."""
        line = next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), None)
        return f"{self.name}:{line}" if line else self.name


def read_all(sources: tuple[MinimumSource, ...]) -> list[Organisation]:
    """All of them that say something. Raises :class:`ConfigError` when one cannot be read: it may require anything."""
    found = []
    for source in sources:
        organisation = _read(source)
        url, sha256 = organisation.minimums.url, organisation.minimums.sha256
        if url and sha256:
            organisation = _parsed(_fetched(url, sha256))
            if organisation.minimums.url:
                raise ConfigError(f"{url}: names another URL in its turn", next_step=_NEXT)
        if organisation.minimums != Minimums():
            found.append(organisation)
    return found


def _read(source: MinimumSource) -> Organisation:
    if source.text is not None:
        return _parsed(read_text(source.text, source.name))
    if "://" not in source.place:
        return _parsed(read(Path(source.place)))
    url, _, sum_ = source.place.partition("#")
    found = re.fullmatch(r"sha256=([0-9a-f]{64})", sum_)
    if not found or not url.startswith(("https://", "http://")):
        raise ConfigError(
            f"MLOPS_POLICY: {source.name}: a URL needs its checksum: https://…/policy.yml#sha256=<64 digits>"
        )
    return _parsed(_fetched(url, found[1]))


def _fetched(url: str, sha256: str) -> Document:
    """The document behind the URL, if it is the one that was meant."""
    name = shown(url, 300)
    # Imported late: few organisations have a URL.
    import requests

    from mlops_steps.system.transport import explain_transport

    try:
        with requests.get(url, timeout=_TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            content = answer.raw.read(_LARGEST + 1, decode_content=True)
    except requests.HTTPError as error:
        raise ConfigError(
            f"the policy {name} cannot be read: HTTP {error.response.status_code}", next_step=_NEXT
        ) from None
    except Exception as error:  # of requests, or of urllib3 while it reads
        raise ConfigError(f"the policy {name} cannot be read: {explain_transport(error)}", next_step=_NEXT) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ConfigError(
            f"the policy {name} is not the one that was meant: its SHA-256 is another one",
            details=[f"required: {sha256}", f"found:    {digest}"],
            next_step=_NEXT,
        )
    try:
        return read_text(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        raise ConfigError(f"the policy {name} is not UTF-8 text", next_step=_NEXT) from None


def _parsed(document: Document) -> Organisation:
    """Checks the document. Raises :class:`ConfigError` with all that is wrong."""
    problems = list(document.problems)
    minimums = Minimums()
    try:
        minimums = Minimums.model_validate(_without_empty(document.data))
    except ValidationError as error:
        problems += explain(error, document.lines, {})
    if problems:
        texts = [f"{document.name}:{one.line}: {one.text}" if one.line else one.text for one in problems]
        raise ConfigError(texts[0], details=texts[1:], next_step=_NEXT)
    return Organisation(document.name, minimums, document.lines)


def _without_empty(data: dict[str, object]) -> dict[str, object]:
    """The data without keys that have no value."""
    return {
        key: _without_empty(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }
