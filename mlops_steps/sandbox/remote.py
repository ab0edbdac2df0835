"""The control of a sandbox that runs in another process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from mlops_steps.errors import ConfigError, NodeError
from mlops_steps.sandbox.faults.operations import CONTROL_PATH
from mlops_steps.sandbox.node.store import read_json

# Seconds.
_LIMIT = 10.0
_URL = re.compile(r"MLOPS_([A-Z0-9_]+)_URL")


class Remote:
    """A running sandbox. Any of its nodes answers for all, so one that a fault keeps from answering does not matter."""

    def __init__(self, nodes: list[tuple[str, str]]) -> None:
        """``nodes``: pairs of URL and key."""
        self._nodes = nodes

    @classmethod
    def find(cls, directory: Path | None, environ: Mapping[str, str] | None = None) -> Remote:
        """The sandbox in a folder, or the one that the environment points to. Raises :class:`ConfigError`."""
        if directory is not None:
            return cls(_nodes_in(directory))
        variables = os.environ if environ is None else environ
        names = sorted(match[1] for match in map(_URL.fullmatch, variables) if match)
        nodes = [(variables[f"MLOPS_{name}_URL"], variables.get(f"MLOPS_{name}_API_KEY", "")) for name in names]
        nodes = [(url, key) for url, key in nodes if key and _is_loopback(url)]
        if not nodes:
            raise ConfigError(
                "no sandbox is named: give its folder with --dir, or set its environment "
                "(`mlops-steps sandbox up` prints it)"
            )
        return cls(nodes)

    def ask(self, method: str, path: str, *, params: Mapping[str, str | None] | None = None, body: Any = None) -> Any:
        """Sends a request to the first node that answers, once, and returns its answer.

        Raises :class:`ConfigError` when the sandbox refuses it, :class:`NodeError` when no node answers.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        # Proxies are for real nodes; a sandbox is on this machine.
        with requests.Session() as session:
            session.trust_env = False
            url, key = self._one_that_answers(session)
            try:
                return _document(
                    session.request(
                        method, url + CONTROL_PATH + path, params=given, json=body, auth=(key, ""), timeout=_LIMIT
                    )
                )
            except requests.RequestException:
                raise NodeError(f"{url} answers no more") from None

    def _one_that_answers(self, session: requests.Session) -> tuple[str, str]:
        problem = "it has no nodes"
        for url, key in self._nodes:
            try:
                answer = session.get(f"{url}{CONTROL_PATH}/faults", auth=(key, ""), timeout=_LIMIT)
            except requests.RequestException:
                problem = f"{url} does not answer"
                continue
            if answer.ok:
                return url, key
            problem = f"{url} is not a node of a sandbox, or its key is another one"
        raise NodeError(f"the sandbox was not found: {problem}", next_step="is `mlops-steps sandbox up` running?")


def _nodes_in(directory: Path) -> list[tuple[str, str]]:
    from mlops_steps.sandbox.server import HOST
    from mlops_steps.sandbox.site import STATE_FILE

    state = read_json(directory / STATE_FILE)
    if not isinstance(state, dict):
        raise ConfigError(f"{directory} holds no sandbox")
    return [(f"http://{HOST}:{entry['port']}", entry["apiKey"]) for entry in state["nodes"].values()]


def _is_loopback(url: str) -> bool:
    return re.fullmatch(r"http://(127\.0\.0\.1|localhost):\d+/?", url) is not None


def _document(answer: requests.Response) -> Any:
    try:
        document = answer.json() if answer.content else None
    except ValueError:
        raise NodeError(f"{answer.url.split('?')[0]}: HTTP {answer.status_code} without JSON") from None
    if answer.status_code >= 400:
        message = document.get("message") if isinstance(document, dict) else None
        raise ConfigError(str(message or f"HTTP {answer.status_code}"))
    return document
