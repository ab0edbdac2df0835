"""Which controller, and as whom: from the environment, never from the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from mlops_steps.config.fields import Url, is_plain_http
from mlops_steps.errors import ConfigError
from mlops_steps.system import secrets

URL, USER, TOKEN, TOKEN_FILE = "JENKINS_URL", "JENKINS_USER", "JENKINS_API_TOKEN", "JENKINS_API_TOKEN_FILE"


@dataclass(frozen=True)
class Access:
    """A controller, and the user and API token to ask it with. ``url`` has no slash at its end."""

    url: str
    user: str
    token: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the controller is on this machine: no proxy has a part in it, nor may one see the token."""
        return not is_plain_http(urlsplit(self.url)._replace(scheme="http").geturl())

    @property
    def warnings(self) -> list[str]:
        """What the user should know of it."""
        if is_plain_http(self.url):
            return [f"{URL}: http:// sends the API token in clear text; use https://"]
        return []


def is_configured(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a controller *and* a token: the URL alone is set in every Jenkins build."""
    return bool(environ.get(URL)) and bool(environ.get(TOKEN) or environ.get(TOKEN_FILE))


def from_environment(environ: Mapping[str, str]) -> Access:
    """The access that ``JENKINS_URL``, ``JENKINS_USER`` and ``JENKINS_API_TOKEN`` (or ``…_FILE``) give.

    Raises :class:`ConfigError` that names the variable which is missing or wrong, never its value.
    """
    missing = [name for name in (URL, USER) if not environ.get(name, "").strip()]
    if not (environ.get(TOKEN) or environ.get(TOKEN_FILE)):
        missing.append(f"{TOKEN} (or {TOKEN_FILE})")
    if missing:
        raise ConfigError(
            f"no access to a Jenkins controller: set {', '.join(missing)}",
            next_step=f"the token is made in Jenkins under your name, Security, API Token; it never goes into {URL}",
        )
    try:
        url = TypeAdapter(Url).validate_python(environ[URL].strip())
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{URL}: {reason}") from None
    user = environ[USER].strip()
    if ":" in user or not user.isprintable():
        raise ConfigError(f"{USER}: a user name has no colon and no control characters")
    token = _token(environ)
    secrets.register(f"{user}:{token}")  # what basic authentication encodes; a proxy may repeat the header in an error
    return Access(url, user, token)


def _token(environ: Mapping[str, str]) -> str:
    source, text = TOKEN, environ.get(TOKEN, "")
    if not text.strip() and environ.get(TOKEN_FILE):
        source = TOKEN_FILE
        try:
            text = secrets.read_secret(Path(environ[TOKEN_FILE]))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "not a text file"
            raise ConfigError(f"the Jenkins API token cannot be read: {TOKEN_FILE}: {reason}") from None
    token = text.strip()
    secrets.register(token)
    if not token:
        raise ConfigError(f"the Jenkins API token is empty: {source}")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ConfigError(f"the Jenkins API token ({source}) holds white space, or characters that no token has")
    return token
