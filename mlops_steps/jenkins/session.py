"""How requests reach a controller, and nobody else: time limits, retries, redirects, errors in one line.

python-jenkins sends its requests without a time limit, repeats nothing, follows redirects to wherever they lead, and
tells most refusals apart by their text only (1.8: ``Jenkins.jenkins_request``, which calls ``_request``). All its
requests go through these two methods, which are replaced here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import jenkins
import requests
import tenacity

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins.access import Access
from mlops_steps.system.request_limit import RequestLimit, mount
from mlops_steps.system.secrets import redact, register
from mlops_steps.system.text import one_line
from mlops_steps.system.transport import explain_transport, never_arrived
from mlops_steps.system.waiting import duration

log = logging.getLogger("mlops_steps.jenkins")

# 503 is also what a controller says while it starts.
_TEMPORARY = frozenset({429, 500, 502, 503, 504})
_PORTS = {"http": 80, "https": 443}
# How Jenkins answers a change that it has made and has a page for. The other redirects ask for the change once more.
_DONE = frozenset({302, 303})
_MOST_REDIRECTS = 5


def failed(message: str, *, status: int | None = None, next_step: str | None = None) -> ControllerError:
    """The error, with secrets in a text of the controller's, or of a proxy's, masked."""
    return ControllerError(redact(message), status=status, next_step=next_step)


@dataclass(frozen=True)
class Limits:
    """Seconds for a connection, for an answer to go on, and for all tries of one request together.

    One try ends after ``connect`` and ``read`` together, whatever still arrives.
    """

    connect: float = 10.0
    read: float = 60.0
    patience: float = 30.0


LIMITS = Limits()


class Session(jenkins.Jenkins):  # type: ignore[misc]
    """A connection to one controller. Its methods raise :class:`ControllerError`, or python-jenkins' own errors."""

    def __init__(self, access: Access, limits: Limits | None = None) -> None:
        self.limits = limits or LIMITS
        self.access = access
        self.version: str | None = None
        self._patience = self.limits.patience
        with _extra_headers_kept_secret():
            super().__init__(access.url, access.user, access.token)
        mount(self._session)
        self._session.verify = True  # PYTHONHTTPSVERIFY=0 has switched it off without a word
        # requests reads the address of a redirect that it does not follow too, and stumbles over one that is none.
        self._session.get_redirect_target = lambda _answer: None
        self.timeout = (self.limits.connect, self.limits.read)

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    @contextmanager
    def patient(self, seconds: float) -> Iterator[None]:
        """Within the block, a controller that does not answer is asked again for that long."""
        before, self._patience = self._patience, seconds
        try:
            yield
        finally:
            self._patience = before

    def jenkins_request(
        self, req: requests.Request, add_crumb: bool = True, resolve_auth: bool = True, *rest: Any, **options: Any
    ) -> requests.Response:
        """Sends a request of python-jenkins. A read is repeated, a change only if it cannot have arrived."""
        reads = req.method in ("GET", "HEAD")
        if add_crumb and not reads:
            self.maybe_add_crumb(req)
        retryer = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._patience),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=10),
            retry=tenacity.retry_if_exception(lambda error: _may_repeat(error, reads)),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            response: requests.Response = retryer(self._send_once, req, resolve_auth, rest, options)
        except ControllerError as error:
            if error.status != 403 or "crumb" not in error.message or not add_crumb or reads:
                raise
            # The web session that the crumb belongs to has ended. Nothing was done.
            self.crumb = None
            self.maybe_add_crumb(req)
            response = self._send_once(req, resolve_auth, rest, options)
        return response

    def _send_once(
        self, req: requests.Request, resolve_auth: bool, rest: tuple[Any, ...], options: dict[str, Any]
    ) -> requests.Response:
        try:
            response: requests.Response = super().jenkins_request(req, False, resolve_auth, *rest, **options)
        except jenkins.NotFoundException:
            raise
        except (jenkins.JenkinsException, requests.HTTPError) as error:
            answer = _answer_of(error)
            if answer is None:
                raise self._unreachable(error.__context__ or error) from None
            raise self._refusal(answer) from None
        except requests.RequestException as error:
            raise self._unreachable(error) from None
        self._check(req, response)
        self.version = response.headers.get("X-Jenkins", self.version)
        return response

    def _request(self, req: requests.Request, stream: bool | None = None) -> requests.Response:
        """Sends a request to the controller alone: each redirect is checked before anything follows it."""
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._send(req, stream)
            if not 300 <= answer.status_code < 400:
                return answer
            target = self._target(answer)
            if req.method not in ("GET", "HEAD"):
                if answer.status_code not in _DONE:
                    raise self._redirected(answer, target)
                return answer
            answer.close()
            req = requests.Request(req.method, target, headers=req.headers, auth=req.auth)
        raise failed(f"{self.access.url} answers with one redirect after another", status=answer.status_code)

    def _send(self, req: requests.Request, stream: bool | None) -> requests.Response:
        prepared = self._session.prepare_request(req)
        # REQUESTS_CA_BUNDLE and the proxies; Session.send itself does not look at the environment.
        settings = self._session.merge_environment_settings(prepared.url, {}, stream, self._session.verify, None)
        if self.access.is_local:
            settings["proxies"] = {}
        settings |= {"timeout": self.timeout, "allow_redirects": False}
        limit = RequestLimit(self.limits.connect + self.limits.read)
        try:
            with limit.running():
                response: requests.Response = self._session.send(prepared, **settings)
        except requests.RequestException as error:
            if limit.expired and not never_arrived(error):
                raise requests.ReadTimeout("no answer in time") from None
            raise
        finally:
            limit.close()
        if limit.expired:
            raise requests.ReadTimeout("no answer in time")
        return response

    def _target(self, answer: requests.Response) -> str:
        """Where on the controller a redirect leads to. Raises when it leads elsewhere or nowhere."""
        if not answer.is_redirect:
            raise self._refusal(answer)
        try:
            # Prepared, as it would be sent: two readings of one address could see two hosts in it.
            prepared = requests.Request("GET", urljoin(answer.url, answer.headers["Location"])).prepare()
            target = str(prepared.url)
            origin = _origin(target)
        except ValueError:
            raise self._redirected(answer, "an invalid address") from None
        if origin != _origin(answer.url):
            raise self._redirected(answer, origin)
        return target

    def _redirected(self, answer: requests.Response, target: str) -> ControllerError:
        return failed(
            f"{self.access.url} answers with a redirect to {one_line(target.partition('?')[0], 300)}",
            status=answer.status_code,
            next_step="set JENKINS_URL to the controller's own address",
        )

    def _check(self, req: requests.Request, response: requests.Response) -> None:
        """Refuses what a proxy or another server says in place of the controller."""
        wants_json = "/api/json" in str(req.url)
        if wants_json and "json" not in response.headers.get("Content-Type", "json"):
            raise failed(
                f"{self.access.url} answers with a page instead of data (a proxy or a login page?)",
                status=response.status_code,
                next_step="set JENKINS_URL to the address where Jenkins itself answers",
            )

    def _unreachable(self, error: BaseException) -> ControllerError:
        failure = failed(f"{self.access.url} cannot be reached: {explain_transport(error)}")
        failure.repeatable = never_arrived(error)
        failure.temporary = not isinstance(error, (requests.exceptions.SSLError, requests.exceptions.InvalidURL))
        return failure

    def _refusal(self, answer: requests.Response) -> ControllerError:
        status, user, reason = answer.status_code, self.access.user, _reason(answer)
        next_step = None
        if status == 401:
            message = f"{self.access.url} does not accept the API token of user {user} (401)"
            next_step = "make a new token in Jenkins under your name, Security, API Token; set JENKINS_API_TOKEN to it"
        elif status == 403:
            needs = answer.headers.get("X-Required-Permission", "")
            message = f"user {user} may not do this on {self.access.url} (403{f', needs {needs}' if needs else ''})"
            message += f": {reason}" if "crumb" in reason.lower() else ""
            next_step = "ask an administrator of Jenkins for the permission"
        else:
            message = f"{self.access.url} refused (HTTP {status}): {reason}"
        failure = failed(message, status=status, next_step=next_step)
        failure.temporary = status in _TEMPORARY
        failure.repeatable = status == 429
        return failure


@contextmanager
def errors_in_words(what: str) -> Iterator[None]:
    """Turns what python-jenkins raises in the block into a :class:`ControllerError` that begins with ``what``."""
    try:
        yield
    except jenkins.NotFoundException:
        raise failed(f"{what}: not found", status=404) from None
    except jenkins.JenkinsException as error:
        raise failed(f"{what}: {one_line(str(error), 300)}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        # The answer is JSON cut short, or JSON of something else.
        raise failed(f"{what}: the answer is not one of Jenkins") from None


def _answer_of(error: BaseException) -> requests.Response | None:
    """The HTTP answer that led to the error. python-jenkins keeps it as the context of its own exception only."""
    for candidate in (error, error.__context__):
        if isinstance(candidate, requests.HTTPError) and candidate.response is not None:
            return candidate.response
    return None


def _reason(answer: requests.Response) -> str:
    """Why, in a few words: Jenkins' own header, or a short plain text, or the status in words."""
    reason = answer.headers.get("X-Error", "")
    if not reason and "html" not in answer.headers.get("Content-Type", "html"):
        reason = answer.text
    if not reason and "No valid crumb" in answer.text:
        reason = "No valid crumb was included in the request"
    return one_line(reason or answer.reason or "no reason given", 300)


def _may_repeat(error: BaseException, reads: bool) -> bool:
    return isinstance(error, ControllerError) and (error.repeatable or (reads and error.temporary))


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.info("%s; asking again in %s", error, duration(state.upcoming_sleep))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}"


@contextmanager
def _extra_headers_kept_secret() -> Iterator[None]:
    """python-jenkins logs the values of JENKINS_API_EXTRA_HEADERS, which may well be those of a proxy's login."""
    for line in os.environ.get("JENKINS_API_EXTRA_HEADERS", "").split("\n"):
        register(line.partition(":")[2].strip())
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
