"""XML that comes from a node is parsed without entities and without DTDs, through the front door too."""

from __future__ import annotations

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mlops_steps.errors import ReportError
from mlops_steps.report import junit_parse


def _reference(number: int) -> str:
    return "&lol;" if number == 1 else f"&lol{number - 1};"


LAUGHS = (
    "<!DOCTYPE lolz [<!ENTITY lol 'lol'>"
    + "".join(f"<!ENTITY lol{n} '{_reference(n) * 10}'>" for n in range(1, 10))
    + "]><testsuite name='&lol9;'><testcase name='&lol9;'/></testsuite>"
)


@pytest.mark.parametrize("function", [junit_parse.parse, junit_parse.suite])
def test_a_billion_laughs_are_refused_at_once(function: object) -> None:
    begun = time.monotonic()
    with pytest.raises(ReportError, match="DTD or entities"):
        function(LAUGHS.encode())  # type: ignore[operator]
    assert time.monotonic() - begun < 1


def test_an_external_entity_is_neither_read_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top-secret")
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_address[1]}/x"
        for document in (
            f'<!DOCTYPE t [<!ENTITY a SYSTEM "{secret.as_uri()}">]><testsuite name="s">&a;</testsuite>',
            f'<!DOCTYPE t [<!ENTITY a SYSTEM "{here}">]><testsuite name="s">&a;</testsuite>',
            f'<!DOCTYPE t SYSTEM "{here}"><testsuite name="s"/>',
            f'<!DOCTYPE t [<!ENTITY % a SYSTEM "{here}"> %a;]><testsuite name="s"/>',
            # A control character makes the parser repair the document and try again.
            f'\x01<!DOCTYPE t [<!ENTITY a SYSTEM "{here}">]><testsuite name="s">&a;</testsuite>',
        ):
            with pytest.raises(ReportError) as refusal:
                junit_parse.parse(document.encode())
            assert "top-secret" not in "\n".join(refusal.value.lines())
        server.shutdown()
    assert asked == []


def test_no_other_parser_of_xml_is_used() -> None:
    """Building XML with the standard library is fine; reading it is not."""
    package = Path(junit_parse.__file__).parents[1]
    reading = re.compile(
        r"(?<!defusedxml\.)\bElementTree\.(parse|fromstring|XML|iterparse|XMLParser)\b"
        r"|minidom|xml\.sax\.(parse|make_parser)|lxml|expat"
    )
    found = [
        f"{path.name}: {match[0]}"
        for path in package.rglob("*.py")
        for match in reading.finditer(path.read_text(encoding="utf-8"))
        if "from defusedxml import ElementTree" not in path.read_text(encoding="utf-8")
    ]
    assert found == []
