"""The rule against credentials in code.

detect-secrets finds them; what is added here makes ordinary code of data science pass: hashes, column names, and the
names under which a credential is kept are none. Nothing is sent anywhere to try a key out. A comment in the code
cannot switch the rule off (`pragma: allowlist secret`): exceptions stand in ``mlops.yml``, with a reason.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops_steps.config import ValidateSettings
from mlops_steps.dss.facts import Code, ProjectFacts
from mlops_steps.rules.model import Finding, rule

# Detectors for what is not a credential: hexadecimal strings (hashes) and addresses of machines.
_LEFT_OUT = ("HexHighEntropyString", "IPPublicDetector")
_OPTIONS = {"Base64HighEntropyString": {"limit": 4.5}}
_FILTERS = [
    {"path": f"detect_secrets.filters.heuristic.{name}"}
    for name in (
        "is_not_alphanumeric_string",
        "is_potential_uuid",
        "is_prefixed_with_dollar_sign",
        "is_sequential_string",
        "is_templated_secret",
    )
]

_VALUE = r"""[rbf]?(?P<quote>['"])(?P<value>[^'"\n]+)(?P=quote)"""
_NAME = r"\w*(?:passw(?:or)?d|pwd|secret|api_?key|credential)\w*"

# What detect-secrets has no detector for.
_OWN = {
    "API key of DSS": re.compile(r"(?P<value>dkuaps-[A-Za-z0-9_-]{8,})"),
    "Bearer token": re.compile(r"""(?i)\bbearer\s+(?P<value>[A-Za-z0-9_.~+/=-]{16,})"""),
    "Token": re.compile(rf"""(?i)\b\w*token(?:['"]\]?)?\s*[=:]\s*{_VALUE}"""),
    "Secret Keyword": re.compile(rf"""(?i)\b{_NAME}\s*:\s*[\w\[\]|. ]+=\s*{_VALUE}"""),
    "Default of a secret": re.compile(rf"""(?i)\bget(?:env)?\(\s*['"]{_NAME}['"]\s*,\s*{_VALUE}"""),
    "Password of HTTP basic authentication": re.compile(
        rf"""(?i)\bauth\s*=\s*(?:\w+\.)*(?:HTTP\w+Auth)?\(\s*[rbf]?['"][^'"\n]*['"]\s*,\s*{_VALUE}"""
    ),
}

_KEYWORD = r"(?:pass|pwd|secret|key|token|credential)"

# password_column = "…", API_KEY_VARIABLE = "…": the name of the thing that holds the credential.
_NAMES_A_PLACE = re.compile(
    rf"(?i){_KEYWORD}\w*_(?:name|field|col|column|columns|var|variable|env|param|parameter|id|path|file|url|label|prefix"
    rf"|suffix|header|feature|count|type|scope|vault|alias|flag|regex|pattern|message|prompt|hint|question\w*)s?"
    rf"(?:['\"]\]?)?\s*[=:]"
)
# "DB_PASSWORD" and "{password}": a variable's name and a part that is filled in, not what they stand for.
_VARIABLE = re.compile(r"^(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[{<].*[}>]|%\(?\w+\)?s?)$")
_PLACEHOLDER = re.compile(
    r"(?i)^(?:x+|\*+|\.+|-+|_+|#+|\?+|(?:your|my|the|some|example|sample|dummy|fake|test|insert|enter|put|todo)\b.*"
    r"|.*\b(?:here|placeholder|redacted|example)|your[_-].*|placeholder|none|null|nil|true|false|n/?a|undefined|hidden)$"
)
# Types and aggregations: what a schema or a group-by says of a column that is called "password".
_ABOUT_COLUMNS = re.compile(
    r"(?i)^(?:str(?:ing)?|text|(?:var)?char|object|category|(?:big|small|tiny)?int(?:8|16|32|64)?|integer|long"
    r"|float(?:32|64)?|double|bool(?:ean)?|bytes|binary|date(?:time)?|timestamp|array|map|numeric|categorical|email"
    r"|sum|mean|avg|min|max|count|nunique|first|last|median|std|var|mode|any|all|size"
    r"|drop|keep|ignore|mask(?:ed)?|hash(?:ed)?|encrypt(?:ed)?|required|optional)$"
)
_COMPARISON = re.compile(r"[!=]=\s*['\"]|['\"]\s*[!=]=")
_HASH = re.compile(r"(?i)hash|sha-?\d|md5|digest|checksum|integrity|fingerprint|etag|nonce|base64")


@rule("no-credentials")
def no_credentials(project: ProjectFacts, _settings: ValidateSettings) -> Iterator[Finding]:
    """No code of a recipe or of the library holds a password, a key or a token."""
    for code, found in _scan(project.code):
        yield Finding(
            code.object,
            ok=not found,
            message="; ".join(f"line {line}: {kind}" for line, kind in found[:3])
            + (f"; and {len(found) - 3} more" if len(found) > 3 else ""),
            details="\n".join(f"line {line}: {kind}" for line, kind in found)
            + "\nKeep credentials in a connection, in project variables of the node, or in a user secret of DSS.",
        )


def _scan(codes: list[Code]) -> list[tuple[Code, list[tuple[int, str]]]]:
    """Each code with the lines and kinds of what it holds; the values stay in here."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.settings import transient_settings

    names = sorted({plugin.__name__ for plugin in get_mapping_from_secret_type_to_class().values()} - set(_LEFT_OUT))
    plugins = [{"name": name, **_OPTIONS.get(name, {})} for name in names]
    with (
        tempfile.TemporaryDirectory(prefix="mlops-steps-") as folder,
        transient_settings({"plugins_used": plugins, "filters_used": _FILTERS}),
    ):
        return [(code, _scan_one(code, Path(folder) / f"{number}{code.suffix}")) for number, code in enumerate(codes)]


def _scan_one(code: Code, path: Path) -> list[tuple[int, str]]:
    from detect_secrets import SecretsCollection

    lines = _in_pieces(enumerate(code.text.splitlines(), 1))
    found = {(number, kind) for number, line in lines for kind in _own_kinds(line)}
    statements = _in_pieces(part for number, line in lines for part in _at_commas(number, line))
    path.write_text("\n".join(text for _, text in statements), encoding="utf-8", errors="replace")
    secrets = SecretsCollection()
    secrets.scan_file(str(path))
    path.unlink()
    for _, secret in secrets:
        number, text = statements[secret.line_number - 1]
        if not _is_ordinary(secret.type, secret.secret_value or "", text):
            found.add((number, secret.type))
    return _one_kind_per_line(found)


_STRING_OR_COMMA = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|(?P<comma>,)""")
_LONGEST_LINE = 4000


def _in_pieces(lines: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Numbered lines, the very long ones in pieces: the time of a search grows faster than the line."""
    return [
        (number, line[start : start + _LONGEST_LINE])
        for number, line in lines
        for start in range(0, max(len(line), 1), _LONGEST_LINE)
    ]


def _at_commas(number: int, line: str) -> Iterator[tuple[int, str]]:
    """The line in parts, cut at commas outside of quotes: the detectors look at the first match of a line only."""
    start = 0
    for match in _STRING_OR_COMMA.finditer(line):
        if match["comma"]:
            yield number, line[start : match.start()]
            start = match.end()
    yield number, line[start:]


def _own_kinds(text: str) -> Iterator[str]:
    for kind, pattern in _OWN.items():
        for match in pattern.finditer(text):
            if not _is_ordinary(kind, match["value"], match[0]):
                yield kind


def _is_ordinary(kind: str, value: str, line: str) -> bool:
    """Whether a detector found something that is not a credential."""
    if kind in ("Secret Keyword", "Token", "Default of a secret"):
        return _is_ordinary_word(value, line) or (kind == "Token" and not _looks_random(value))
    if kind == "Basic Auth Credentials" or kind.startswith("Password of"):
        return bool(_VARIABLE.match(value) or _PLACEHOLDER.match(value))
    if kind == "Bearer token":
        return not _looks_random(value)
    if kind == "Base64 High Entropy String":
        return bool(_HASH.search(line)) or not _looks_random(value) or _is_made_of_words(value)
    if kind == "Artifactory Credentials":
        return sum(char.isdigit() for char in value) < 2
    return False


def _is_ordinary_word(value: str, line: str) -> bool:
    return bool(
        _ABOUT_COLUMNS.match(value)
        or _VARIABLE.match(value)
        or _PLACEHOLDER.match(value)
        or _NAMES_A_PLACE.search(line)
        or (_COMPARISON.search(line) and not _looks_random(value))
    )


def _looks_random(value: str) -> bool:
    """At least 16 characters, letters and digits, in no obvious order."""
    return len(value) >= 16 and bool(re.search(r"[0-9]", value)) and bool(re.search(r"[A-Za-z]", value))


def _is_made_of_words(value: str) -> bool:
    """``Total_Day_Minutes_2024_Q1`` and paths: each part is a word or a number."""
    parts = [part for part in re.split(r"[/_=+-]", value) if part]
    word = re.compile(r"^(?:[A-Za-z]?[a-z]*|[A-Z]+|[0-9]+|[A-Za-z]{1,3}[0-9]{1,4})$")
    return len(parts) > 1 and all(word.match(part) for part in parts)


def _one_kind_per_line(found: set[tuple[int, str]]) -> list[tuple[int, str]]:
    """The most telling kind of each line: one key is often found by several detectors."""
    vague = ("Secret Keyword", "Base64 High Entropy String", "Token")
    best: dict[int, str] = {}
    for line, kind in sorted(found, key=lambda item: (item[0], item[1] in vague, item[1])):
        best.setdefault(line, kind)
    return sorted(best.items())
