"""The kinds of values that ``mlops.yml`` holds, each with the check that its text must pass.

Ids end up in the paths of requests, so nothing but the characters that DSS allows in them gets through here. No
message repeats the value of a URL: it may hold a password.
"""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

NODE_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,49}$"
_PROJECT_KEY = r"^[A-Za-z0-9_]{1,200}$"
_ID = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$"
_GATE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}$"
_SCENARIO_PATTERN = r"^[A-Za-z0-9_.*?\[\]!-]{1,200}$"
_RULE_REFERENCE = r"^(?:[^:\x00-\x1f]+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_]\w*$"
_BUNDLE_FIELDS = ("build", "commit", "project", "date")
_LOOPBACK = re.compile(r"^(localhost|127(\.[0-9]{1,3}){3}|::1)$")


def _text(pattern: str, message: str) -> Any:
    """A field of text that matches the pattern."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.match(value) or value.endswith("\n"):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if "@" in value:
        raise ValueError("must not hold a user name or a password; the key comes from the environment")
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with https:// (or http://)")
    if not host or port == 0 or re.search(r"[\s\x00-\x20\x7f\"'<>\\^`{|}]", value) or not value.isascii():
        raise ValueError("is not a URL such as https://design.example.com:11200")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise ValueError("must be the address of the node alone, without ? or #")
    return value.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine itself: no proxy has a part in it, nor may one see a key."""
    return _LOOPBACK.match(urlsplit(url).hostname or "") is not None


def is_plain_http(url: str) -> bool:
    """Whether keys would travel in clear text to another machine."""
    return urlsplit(url).scheme == "http" and not is_loopback(url)


def _check_path(value: object) -> object:
    text = str(value)
    if not text.strip() or not text.isprintable():
        raise ValueError("must be a path")
    return value


def _parse_verify(value: object) -> bool | Path:
    if isinstance(value, (bool, Path)):
        return value
    text = str(value).strip()
    word = text.lower()
    if word in ("true", "yes", "on"):
        return True
    if word in ("false", "no", "off"):
        return False
    if not isinstance(value, str) or not text or not text.isprintable():
        raise ValueError("must be true, false, or the path of a file with certificates (PEM)")
    return Path(text)


def _check_bundle_template(value: str) -> str:
    fields = ", ".join(f"{{{name}}}" for name in _BUNDLE_FIELDS)
    try:
        parsed = list(string.Formatter().parse(value))
    except ValueError:
        raise ValueError(f"has an unpaired brace; the fields are {fields}") from None
    for literal, name, spec, conversion in parsed:
        if not re.match(r"^[A-Za-z0-9._-]*\Z", literal):
            raise ValueError("may hold letters, digits, '.', '_', '-' and fields only")
        if name is not None and (name not in _BUNDLE_FIELDS or spec or conversion):
            raise ValueError(f"has an unknown field; the fields are {fields}")
    names = {name for _, name, _, _ in parsed}
    if not names & {"build", "commit"}:
        raise ValueError("must hold {build} or {commit}, else two builds make the same bundle")
    return value


def _check_reason(value: str) -> str:
    if not value.strip():
        raise ValueError("must say why the exception is made")
    return value.strip()


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


ProjectKey = Annotated[
    str, _text(_PROJECT_KEY, "must be a project key: letters, digits and '_'"), _schema(_PROJECT_KEY)
]
NodeName = Annotated[
    str,
    _text(NODE_NAME, "must be a node name: a letter, then letters, digits, '-' and '_', at most 50 characters"),
    _schema(NODE_NAME),
]


def _no_secret(name: str) -> str:
    if re.search(r"passw|secret|token|api_?key|credential|private_?key", name, re.IGNORECASE):
        raise ValueError("looks like a secret: mlops.yml is no place for one; set it on the node")
    if name == "mlops_steps":
        raise ValueError("is the note that mlops-steps keeps on the node")
    return name


Id = Annotated[str, _text(_ID, "must be an id: letters, digits, '_', '-' and '.'"), _schema(_ID)]
ScenarioPattern = Annotated[
    str,
    _text(_SCENARIO_PATTERN, "must be a scenario id or a pattern: letters, digits, '_', '-', '.', '*', '?', '[…]'"),
    _schema(_SCENARIO_PATTERN),
]
InfraPattern = Annotated[
    str,
    _text(_SCENARIO_PATTERN, "must be a name or a pattern: letters, digits, '_', '-', '.', '*', '?', '[…]'"),
    _schema(_SCENARIO_PATTERN),
]
GateName = Annotated[
    str, _text(_GATE_NAME, "must be a name: letters, digits, '_', '-', '.' and spaces"), _schema(_GATE_NAME)
]
RuleReference = Annotated[
    str,
    _text(_RULE_REFERENCE, "must be 'path/to/file.py:function' or 'package.module:function'"),
    WithJsonSchema({"type": "string", "examples": ["checks/rules.py:naming", "package.module:naming"]}),
]
Url = Annotated[str, AfterValidator(_check_url), _schema("^https?://[^@?#]+$")]
FilePath = Annotated[Path, BeforeValidator(_check_path), WithJsonSchema({"type": "string"})]
Verify = Annotated[
    bool | Path,
    BeforeValidator(_parse_verify),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string"}]}),
]
BundleTemplate = Annotated[
    str, AfterValidator(_check_bundle_template), _schema(r"^([A-Za-z0-9._-]|\{(build|commit|project|date)\})+$")
]
Reason = Annotated[str, AfterValidator(_check_reason), _schema(r"\S")]
VariableName = Annotated[
    str, _text(r"^[A-Za-z_][A-Za-z0-9_.-]{0,199}$", "is not the name of a variable"), AfterValidator(_no_secret)
]
