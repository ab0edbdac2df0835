"""The keys: of the nodes, of the API service, and the one that signs statements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mlops_steps.config.api import SERVICE_KEY
from mlops_steps.config.file import shown
from mlops_steps.config.settings import Settings
from mlops_steps.system import secrets

#: The path of the private key that signs statements.
SIGNING_KEY = "MLOPS_SIGNING_KEY_FILE"


def read_keys(settings: Settings, environ: Mapping[str, str]) -> None:
    """Finds the keys. What is wrong with one is said when it is asked for: not every step needs every key."""
    for name, node in settings.nodes.items():
        for below, one in node.connections():
            variable = f"{one.variable}_API_KEY"
            setting = ".".join(("nodes", name, *below, "api_key_file"))
            one.set_api_key(*_find_key(f"the API key of node {one.name}", variable, setting, one.api_key_file, environ))
        node.share_key()
    api = settings.api
    for name, api_node in api.nodes.items():
        variable = f"{api_node.variable}_API_KEY"
        # One that cannot be read is one that is not there: only what a canary may see depends on it.
        api_node.set_admin_key(_find_key(f"the key of API node {name}", variable, variable, None, environ)[0])
    what = f"the key of API service {api.service}"
    api.set_service_key(*_find_key(what, SERVICE_KEY, "api.service_key_file", api.service_key_file, environ))


def _find_key(
    what: str, variable: str, setting: str, configured: Path | None, environ: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """A key, or what is wrong with it; neither when there is none."""
    source, text = variable, environ.get(variable, "")
    file = Path(environ[f"{variable}_FILE"]) if environ.get(f"{variable}_FILE") else configured
    if not text.strip() and file:
        source = f"{variable}_FILE" if environ.get(f"{variable}_FILE") else setting
        try:
            text = secrets.read_secret(file)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "not a text file"
            return None, f"{what} cannot be read: {source}: {shown(file, 200)}: {reason}"
        if not text.strip():
            return None, f"{what} is empty: {source}: {shown(file, 200)}"
    key = text.strip()
    if key:
        secrets.register(key)
    if not re.match(r"^[\x21-\x7e]*$", key):
        return None, f"{what} ({source}) holds white space, or characters that no key has"
    return key or None, None


def read_signing_key(settings: Settings, environ: Mapping[str, str]) -> None:
    """Reads the key that signs statements. What is wrong with it is said by the steps that need it."""
    if not environ.get(SIGNING_KEY):
        return
    file = Path(environ[SIGNING_KEY])
    problem, pem = None, ""
    try:
        pem = secrets.read_secret(file)
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or "not a text file"
    if not problem and not pem:
        problem = "it is empty"
    if problem:
        settings.set_signing_key(None, f"the signing key cannot be read: {SIGNING_KEY}: {shown(file, 200)}: {problem}")
        return
    # As a whole, and each line of its base64, which is how a log may show it.
    for text in (pem, *(line.strip() for line in pem.splitlines() if not line.startswith("-----"))):
        secrets.register(text)
    settings.set_signing_key(pem)
