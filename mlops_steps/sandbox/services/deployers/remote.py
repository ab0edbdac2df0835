"""What a deployer asks of a node: plain requests, each with a time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from typing_extensions import Self

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# Imports and activations read and write whole bundles.
LONG_SECONDS = 900.0


class RemoteError(Exception):
    """The node refused (``status`` is its HTTP status) or could not be reached (``status`` is ``None``)."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class RemoteNode:
    """One node, by its URL. ``name`` stands in messages, ``kind`` before it."""

    kind = "node"

    def __init__(self, name: str, url: str, agent: str) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self.session = requests.Session()
        # Neither a proxy nor a .netrc of the environment is meant for the nodes, and looking for them takes time.
        self.session.trust_env = False
        self.session.headers["User-Agent"] = agent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def answer(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of the answer. Raises :class:`RemoteError` when the node refuses, too."""
        answer = self.send(method, path, **options)
        found = document(answer)
        if answer.status_code >= 400:
            text = found.get("message") if isinstance(found, dict) else None
            raise RemoteError(f"{self.kind} {self.name}: {text or f'HTTP {answer.status_code}'}", answer.status_code)
        return found

    def send(self, method: str, path: str, *, long: bool = False, **options: Any) -> requests.Response:
        """The answer, whatever its status. Raises :class:`RemoteError` when none came."""
        try:
            return self.session.request(
                method, self.url + path, timeout=(CONNECT_SECONDS, LONG_SECONDS if long else READ_SECONDS), **options
            )
        except requests.RequestException as error:
            raise RemoteError(f"{self.kind} {self.name} can't be reached: {type(error).__name__}", None) from error


def document(answer: requests.Response) -> Any:
    """The JSON of an answer; ``None`` when it has none."""
    try:
        return answer.json() if answer.content else None
    except ValueError:
        return None
