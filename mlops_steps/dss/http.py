"""How requests reach a DSS node: time limits, retries, size limits, no redirects.

The official client sends its requests through one ``requests.Session`` without a timeout and without retries
(dataiku-api-client 15.2.0, ``DSSClient._perform_http``). This session takes its place.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3
from dataikuapi.utils import DataikuException

from mlops_steps.config.fields import is_loopback
from mlops_steps.dss.url_parts import check_url
from mlops_steps.system.cancellation import check_cancelled, ended_by_cancellation, pause
from mlops_steps.system.ceiling import Ceiling
from mlops_steps.system.request_limit import RequestLimit, mount
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import one_line
from mlops_steps.system.transport import explain_transport, never_arrived
from mlops_steps.system.waiting import Deadline, duration

log = logging.getLogger("mlops_steps.http")

# An answer that is not a download; a log of a long scenario run is the largest.
LARGEST_ANSWER = 128 * 1024 * 1024

# Characters of a message of a node.
LONGEST_MESSAGE = 1000

# Seconds of a download, where the step that asks for it has no limit of its own.
LONGEST_DOWNLOAD = 6 * 3600.0

_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})

# Requests that may be sent twice: they read, or they set a state to a given value.
_REPEATABLE_PUT = re.compile(r"/(?:project|api)-deployer/deployments/[^/]+/settings$")


# Calls of an API node that only compute. A 500 is the model's own error, and comes again.
_SCORING = re.compile(r"/predict(?:-multi)?$")
_SCORED_AGAIN = frozenset({429, 502, 503, 504})


class Refused(DataikuException):  # type: ignore[misc]
    """The node answered with an HTTP error. ``status`` is its code, ``retry_after`` the seconds it asks to wait."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(one_line(message, LONGEST_MESSAGE))
        self.status = status
        self.retry_after = retry_after


class BadAnswer(requests.RequestException):
    """The answer is not one of DSS: cut, garbled, too long, or the page of a proxy."""


class HttpLimits:
    """Limits of the requests to one node, in seconds; ``retries`` and ``max_wait`` bound the repetitions."""

    def __init__(self, connect: float, read: float, retries: int, max_wait: float) -> None:
        self.connect = connect
        self.read = read
        self.retries = retries
        self.max_wait = max_wait


class NodeSession(requests.Session):
    """A session that gives each request a time limit and repeats those that are safe to repeat.

    ``scores``: its node is an API node, whose predictions may be asked for again. ``connections`` are kept open.
    """

    def __init__(self, limits: HttpLimits, *, scores: bool = False, connections: int = 10) -> None:
        super().__init__()
        self.limits = limits
        self.scores = scores
        mount(self, connections)
        #: The version of DSS that the last answer named, "" when none did.
        self.dss_version = ""
        #: How many requests a second the node may get from this process; ``None``: as many as there are.
        self.ceiling: Ceiling | None = None
        #: Is told of every answer of JSON: method, URL, body, version of DSS.
        self.observer: Callable[[str, str, bytes, str], None] | None = None
        self._environment: dict[tuple[str, ...], Any] = {}
        self._scope: ContextVar[tuple[Deadline | None, float | None]] = ContextVar("scope", default=(None, None))

    @contextmanager
    def within(self, deadline: Deadline, read: float | None = None) -> Iterator[None]:
        """Within the block, requests of this context end at ``deadline``; ``read`` replaces the read limit."""
        token = self._scope.set((deadline, read))
        try:
            yield
        finally:
            self._scope.reset(token)

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        check_url(url)
        deadline, read = self._scope.get()
        patience = read or self.limits.read
        limit = deadline.at_most(1e9) if deadline else Deadline(1e9)
        # What is read while it is sent cannot be sent again.
        is_stream = hasattr(kwargs.get("data"), "read")
        retryer = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.limits.retries + 1) | _StopAfterWaiting(self.limits.max_wait, limit),
            wait=_wait,
            retry=tenacity.retry_if_exception(
                lambda error: not is_stream and _may_repeat(method, url, error, self.scores)
            ),
            before_sleep=_log_retry(method, url),
            sleep=pause,
            reraise=True,
        )
        return retryer(self._send_once, method, url, patience, limit, kwargs)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """The settings of one request, with those of the environment; for a node on this machine without its proxies.

        requests knows no such exception: an http:// node's key would go to the proxy's machine in clear text. The
        environment is read once for each host: requests reads all of it for each request.
        """
        origin = urlsplit(url)[:2]
        if origin not in self._environment:
            read = super().merge_environment_settings(url, {}, None, True, None)
            self._environment[origin] = {**read, "proxies": {}} if is_loopback(url) else read
        found = self._environment[origin]
        return {
            "proxies": {**found["proxies"], **(proxies or {})},
            "stream": found["stream"] if stream is None else stream,
            "verify": found["verify"] if verify is True or verify is None else verify,
            "cert": cert or found["cert"],
        }

    def _send_once(
        self, method: str, url: str, patience: float, limit: Deadline, kwargs: dict[str, Any]
    ) -> requests.Response:
        stream = bool(kwargs.get("stream"))
        allowed = Deadline(max(0.1, min(patience, limit.remaining)))
        options = {
            **kwargs,
            "stream": True,
            "allow_redirects": False,
            # Said per request: REQUESTS_CA_BUNDLE would replace the session's own setting, false and a path too. With
            # true it counts.
            "verify": self.verify,
            "timeout": (min(self.limits.connect, allowed.remaining), allowed.remaining),
        }
        check_cancelled()
        if self.ceiling:
            self.ceiling.wait(allowed)
        request_limit = RequestLimit(allowed.remaining)
        response: requests.Response | None = None
        stack = ExitStack()
        try:
            stack.enter_context(ended_by_cancellation(request_limit.expire))
            check_cancelled()  # between the two it may have been told
            with request_limit.running():
                response = super().request(method, url, **options)
            response.request_limit = request_limit  # type: ignore[attr-defined]
            self.dss_version = one_line(response.headers.get("DSS-Version", ""), 50) or self.dss_version
            if response.is_redirect or response.is_permanent_redirect:
                raise Refused(
                    response.status_code,
                    f"answers with a redirect to {one_line(response.headers.get('Location', '?'), 300)}: "
                    "the URL in the configuration must be the node's own",
                )
            if response.status_code >= 400:
                _read_body(response, allowed)
                raise _refusal(response)
            if not stream:
                _read_body(response, allowed)
                _check_answer(response)
                if self.observer is not None and "json" in response.headers.get("Content-Type", ""):
                    self.observer(method, url, response.content, self.dss_version)
        except BaseException as error:
            request_limit.close()
            if response is not None:
                response.close()
            check_cancelled()
            if request_limit.expired and isinstance(error, OSError) and not never_arrived(error):
                raise requests.ReadTimeout("no answer in time") from None
            raise
        finally:
            stack.close()
        if stream:
            _limit_download(response, request_limit, limit)
        else:
            request_limit.close()
        return response


def _limit_download(response: requests.Response, request_limit: RequestLimit, limit: Deadline) -> None:
    """The body of a download may take as long as the step that asks for it; whoever closes it ends the limit."""
    request_limit.restart(min(limit.remaining, LONGEST_DOWNLOAD))
    close = response.close

    def closed() -> None:
        request_limit.close()
        close()

    response.close = closed  # type: ignore[method-assign]


def chunks(response: requests.Response, allowed: Deadline) -> Iterator[bytes]:
    """The pieces of the body as they arrive, up to the time limit, however slowly they drip.

    ``Response.iter_content`` waits until a piece has its full size, which a dripping node never gives it.
    """
    raw = response.raw
    try:
        while piece := raw.read1(256 * 1024, decode_content=True):
            yield piece
            if allowed.passed or _expired(response):
                raise requests.ReadTimeout(f"the answer was not complete after {duration(allowed.seconds)}")
        if _expired(response):  # an end that is ours
            raise requests.ReadTimeout("no answer in time")
    except urllib3.exceptions.ReadTimeoutError:
        raise requests.ReadTimeout("no answer in time") from None
    except (urllib3.exceptions.ProtocolError, urllib3.exceptions.DecodeError, http.client.HTTPException) as error:
        if _expired(response):
            raise requests.ReadTimeout("no answer in time") from None
        raise BadAnswer(f"the answer was cut or garbled ({type(error).__name__})", response=response) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            raise
        raise requests.ConnectionError(error) from None


def _expired(response: requests.Response) -> bool:
    request_limit = getattr(response, "request_limit", None)
    return request_limit is not None and request_limit.expired


def _read_body(response: requests.Response, allowed: Deadline) -> None:
    """Reads the body within the time limit and not beyond the largest size."""
    parts, size = [], 0
    for part in chunks(response, allowed):
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise BadAnswer(f"the answer is longer than {LARGEST_ANSWER} bytes", response=response)
    response._content = b"".join(parts)
    response._content_consumed = True  # type: ignore[attr-defined]
    response.raw.release_conn()
    announced = response.headers.get("Content-Length")
    plain = announced and announced.isdigit() and "Content-Encoding" not in response.headers
    if announced and plain and size != int(announced) and response.request.method != "HEAD":
        raise BadAnswer(f"the answer was cut after {size} of {announced} bytes", response=response)


def _check_answer(response: requests.Response) -> None:
    kind = response.headers.get("Content-Type", "")
    if "html" in kind:
        raise BadAnswer("an HTML page instead of an answer of DSS (a proxy or a login page?)", response=response)
    if "json" in kind and not response.content and response.request.method == "GET":
        raise BadAnswer("an empty answer where one was expected", response=response)
    if "json" in kind and response.content:
        try:
            json.loads(response.content)
        except (ValueError, RecursionError):
            raise BadAnswer("an answer that is not whole JSON", response=response) from None


def _refusal(response: requests.Response) -> Refused:
    """The exception the official client would raise, with the status, and with a proxy's page left out."""
    try:
        document = response.json()
        kind = document.get("errorType", "Unknown error")
        message = document.get("detailedMessage") or document.get("message") or "No message"
        text = f"{kind}: {message}"
    except (ValueError, AttributeError, RecursionError):
        text = f"HTTP {response.status_code} {response.reason or ''}".rstrip()
        if "html" not in response.headers.get("Content-Type", "") and response.text.strip():
            text += f": {one_line(response.text, 300)}"
    return Refused(response.status_code, text, _retry_after(response))


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _is_repeatable(method: str, url: str) -> bool:
    return method in ("GET", "HEAD") or (method == "PUT" and _REPEATABLE_PUT.search(url.split("?")[0]) is not None)


def _may_repeat(method: str, url: str, error: BaseException, scores: bool = False) -> bool:
    if isinstance(error, requests.exceptions.SSLError):
        return False
    scores = scores and _SCORING.search(url.split("?")[0]) is not None
    if isinstance(error, Refused) and scores:
        return error.status in _SCORED_AGAIN
    if isinstance(error, Refused):
        # 429 says that the request was not worked on.
        return error.status == 429 or (error.status in _RETRIED_STATUS and _is_repeatable(method, url))
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)):
        return False
    if isinstance(error, requests.RequestException):
        return scores or _is_repeatable(method, url) or never_arrived(error)
    return False


def _wait(state: tenacity.RetryCallState) -> float:
    """Exponential with full jitter; a Retry-After of the node is honoured."""
    asked = getattr(state.outcome.exception() if state.outcome else None, "retry_after", None)
    if asked is not None:
        return float(asked)
    return tenacity.wait_random_exponential(multiplier=0.25, max=10)(state)


class _StopAfterWaiting(tenacity.stop.stop_base):
    """Stops when the sum of the pauses, the next one included, would pass the limits."""

    def __init__(self, longest: float, limit: Deadline) -> None:
        self._longest = longest
        self._limit = limit

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        return state.idle_for + state.upcoming_sleep > self._longest or state.upcoming_sleep >= self._limit.remaining


def _log_retry(method: str, url: str) -> Any:
    path = redact(url.split("?")[0])

    def say(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "%s %s: %s; attempt %d follows in %s",
            method,
            path,
            redact(explain(error)) if error else "no answer",
            state.attempt_number + 1,
            duration(state.upcoming_sleep),
        )

    return say


def explain(error: BaseException) -> str:
    """One line on why a request failed, without Python's inner names."""
    if isinstance(error, (Refused, BadAnswer)):
        return str(error)
    return explain_transport(error)
