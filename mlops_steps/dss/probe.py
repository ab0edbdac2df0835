"""How a node is: whether it can be reached, takes the key, what it is. One request tells most of it."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import requests

from mlops_steps.dss.http import BadAnswer, Refused, explain
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import Refusal
from mlops_steps.system.secrets import redact


class Trouble(str, Enum):
    """Where asking a node came to its end."""

    CONNECTION = "connection"
    TLS = "tls"
    KEY = "key"
    ANSWER = "answer"


@dataclass(frozen=True)
class Probe:
    """A node as it answered. ``skew``: seconds by which its clock is ahead of ours, ``None`` when it does not say."""

    trouble: Trouble | None = None
    problem: str = ""
    node_type: str = ""
    version: str = ""
    skew: float | None = None


def probe(dss: Dss) -> Probe:
    """Asks a node what it is. Raises nothing for what may be wrong with it."""
    start = time.time()
    try:
        response = dss.session.request("GET", f"{dss.url}/dip/publicapi/instance-info")
        middle = (start + time.time()) / 2
        info = expect(response.json(), dict, "the answer")
        return Probe(
            node_type=expect(info["nodeType"], str, "nodeType"),
            version=str(info.get("dssVersion") or response.headers.get("DSS-Version") or ""),
            skew=_skew(response.headers, middle),
        )
    except Refused as error:
        trouble = Trouble.KEY if error.status in (401, 403) else Trouble.ANSWER
        return Probe(trouble, redact(str(error)))
    except BadAnswer as error:
        return Probe(Trouble.ANSWER, redact(explain(error)))
    except requests.exceptions.SSLError as error:
        return Probe(Trouble.TLS, redact(explain(error)))
    except (requests.exceptions.JSONDecodeError, KeyError, TypeError):
        return Probe(Trouble.ANSWER, "the answer does not have the form of DSS")
    except requests.RequestException as error:
        return Probe(Trouble.CONNECTION, redact(explain(error)))
    except OSError as error:
        # A file of certificates that cannot be read.
        return Probe(Trouble.TLS, redact(str(error)))


def _skew(headers: Mapping[str, str], now: float) -> float | None:
    try:
        # The header has whole seconds; half a second more is its middle.
        return email.utils.parsedate_to_datetime(headers["Date"]).timestamp() + 0.5 - now
    except (KeyError, TypeError, ValueError):
        return None


def project_exists(dss: Dss, key: str) -> bool:
    """Whether the project exists and the key may see it. Raises :class:`NodeError`."""
    try:
        with dss.asking(f"look for project {key}"):
            expect(dss.client.get_project(key).get_summary(), dict, "the summary")
    except Refusal as refusal:
        if refusal.status == 404:
            return False
        raise
    return True
