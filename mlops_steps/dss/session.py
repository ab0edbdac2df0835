"""A connection to one DSS node, over the official client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from dataikuapi import DSSClient
from dataikuapi.utils import DataikuException

from mlops_steps.dss.http import LONGEST_MESSAGE, BadAnswer, HttpLimits, NodeSession, Refused, explain
from mlops_steps.errors import DeadlineExceeded, NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.ceiling import ceiling_of
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.config import ConnectionSettings, Settings

T = TypeVar("T")

# A proxy gave up waiting for the node, which may be at work on the request all the same.
_OF_A_GATEWAY = frozenset({502, 504})


class Dss:
    """One node. ``client`` is the official client; ``name`` the node's name in the configuration."""

    def __init__(self, name: str, url: str, client: Any, session: NodeSession, key_variable: str | None = None) -> None:
        self.name = name
        self.key_variable = key_variable
        self.url = url
        self.client = client
        self.session = session

    def __enter__(self) -> Dss:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Dss({self.name!r}, {self.url!r})"

    def __str__(self) -> str:
        return f"node '{self.name}' ({self.url})"

    @property
    def version(self) -> str:
        """The version of DSS as its answers name it; "" before the first one, or when they do not."""
        return self.session.dss_version

    def close(self) -> None:
        """Closes the connections."""
        self.session.close()

    @contextmanager
    def within(self, deadline: Deadline, read: float | None = None) -> Iterator[None]:
        """Requests in the block end at ``deadline``; ``read`` (seconds) replaces the limit of one answer."""
        with self.session.within(deadline, read):
            yield

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turns all that can go wrong with a request into a :class:`NodeError` that says what was asked of whom."""
        try:
            yield
        except Refused as error:
            if error.status in _OF_A_GATEWAY:
                raise Unreachable(f"{self}: cannot {what}: {error}", next_step=self._next_step()) from None
            raise self._refusal(what, error) from None
        except BadAnswer as error:
            raise Unreachable(f"{self}: cannot {what}: {explain(error)}", next_step=self._next_step()) from None
        except requests.RequestException as error:
            raise Unreachable(f"{self}: cannot {what}: {explain(error)}", next_step=self._next_step()) from None
        except DataikuException as error:
            raise Refusal(f"{self}: cannot {what}: {one_line(str(error), LONGEST_MESSAGE)}", 0) from None
        except (KeyError, TypeError, AttributeError, ValueError, IndexError, json.JSONDecodeError) as error:
            raise NonsenseAnswer(
                f"{self}: cannot {what}: the answer does not have the form of DSS ({redact(repr(error))[:200]})",
                next_step="check that the URL is a DSS node's and that its version is supported",
            ) from None

    def _refusal(self, what: str, error: Refused) -> Refusal:
        next_step = None
        if error.status in (401, 403):
            variable = self.key_variable or f"MLOPS_{re.sub('[^A-Z0-9]', '_', self.name.upper())}_API_KEY"
            next_step = f"check the key in {variable} and its rights on this node"
        return Refusal(f"{self}: cannot {what}: {error}", error.status, next_step=next_step)

    def _next_step(self) -> str:
        return "check that the node is up and reachable from this agent (`mlops-steps doctor`)"


def expect(value: Any, kind: type[T], what: str) -> T:
    """Returns the value if it is of the kind, otherwise raises ``TypeError`` (see :meth:`Dss.asking`)."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} is {type(value).__name__}, not {kind.__name__}")
    return value


def connect(settings: Settings, node: ConnectionSettings) -> Dss:
    """A connection to the node. Sends nothing yet. Raises :class:`ConfigError` when the key is missing."""
    http = settings.http
    limits = HttpLimits(http.connect_timeout, http.read_timeout, http.retries, http.max_wait)
    client = DSSClient(node.url.rstrip("/"), api_key=node.api_key().get_secret_value())
    session = NodeSession(limits)
    session.ceiling = ceiling_of(node.url, http.requests_per_second)
    session.auth = client._session.auth
    session.verify = node.verify if isinstance(node.verify, bool) else str(node.verify)
    if node.client_certificate:
        certificate = str(node.client_certificate)
        session.cert = (certificate, str(node.client_key)) if node.client_key else certificate
    client._session = session
    return Dss(node.name, node.url, client, session)


__all__ = [
    "DeadlineExceeded",
    "Dss",
    "NonsenseAnswer",
    "Refusal",
    "Unreachable",
    "connect",
    "expect",
]
