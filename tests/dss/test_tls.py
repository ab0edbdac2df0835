"""Real certificates, real handshakes, a real proxy: what is trusted, what is sent to whom, and what is said."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.dss.probe import probe, project_exists
from mlops_steps.dss.session import connect
from mlops_steps.errors import NodeError
from tests.dss.conftest import FAR, traces

KEY = "marked-key-0123456789abcdef"


class Server:
    """A node's door: notes what arrives. ``location`` makes each answer a redirect."""

    def __init__(self, certificates: Path | None, client_ca: Path | None = None, location: str | None = None) -> None:
        self.keys: list[str] = []
        self.clients: list[Any] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.keys.append(self.headers.get("Authorization", ""))
                if isinstance(self.connection, ssl.SSLSocket):
                    server.clients.append(self.connection.getpeercert())
                body = json.dumps({"nodeType": "DESIGN", "dssVersion": "13"}).encode()
                self.send_response(302 if location else 200)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
        if certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "node.pem")
            if client_ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client_ca)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{self.port}"


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*arguments: Any, **options: Any) -> Server:
            server = Server(*arguments, **options)
            threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            stack.callback(server.http.server_close)
            stack.callback(server.http.shutdown)
            return server

        yield begin


@pytest.fixture(autouse=True)
def _only_what_the_test_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def configured(folder: Path, url: str, **node: Any) -> Settings:
    http = {"retries": 0, "connect_timeout": "5s", "read_timeout": "5s"}
    document = {"project": "P", "nodes": {"design": {"url": url, **node}}, "http": http}
    (folder / "mlops.yml").write_text(json.dumps(document))
    return load(folder / "mlops.yml", {"MLOPS_DESIGN_API_KEY": KEY})


def problem(settings: Settings) -> str:
    """What is said, ``""`` when all is well."""
    with connect(settings, settings.node("design")) as dss:
        return probe(dss).problem


def test_a_certificate_of_an_unknown_authority_is_one_clear_line_and_no_key_is_sent(
    certificates: Path, start: Start, tmp_path: Path
) -> None:
    server = start(certificates)
    settings = configured(tmp_path, server.url)
    with connect(settings, settings.node("design")) as dss, pytest.raises(NodeError) as error:
        project_exists(dss, "P")
    assert "TLS: " in error.value.message
    assert "certificate verify failed" in error.value.message
    assert "\n" not in error.value.message
    assert server.keys == []


def test_the_authority_of_the_configuration_is_trusted(certificates: Path, start: Start, tmp_path: Path) -> None:
    server = start(certificates)
    assert problem(configured(tmp_path, server.url, verify=str(certificates / "ca.pem"))) == ""
    assert len(server.keys) == 1


def test_the_configuration_goes_before_an_authority_of_the_environment(
    certificates: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(certificates)
    # Signed by nobody's authority but its own: nothing would be trusted with it.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "client.crt"))
    assert problem(configured(tmp_path, server.url, verify=str(certificates / "ca.pem"))) == ""
    assert problem(configured(tmp_path, server.url, verify=False)) == ""


@pytest.mark.parametrize("node", [{}, {"verify": True}], ids=["no word in the configuration", "true"])
def test_the_authority_of_the_environment_counts_where_the_configuration_names_none(
    certificates: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: dict[str, Any]
) -> None:
    server = start(certificates)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    assert problem(configured(tmp_path, server.url, **node)) == ""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "client.crt"))
    assert "certificate verify failed" in problem(configured(tmp_path, server.url, **node))
    assert len(server.keys) == 1


def test_a_node_may_ask_for_a_client_certificate(certificates: Path, start: Start, tmp_path: Path) -> None:
    server = start(certificates, client_ca=certificates / "ca.pem")
    trust = {"verify": str(certificates / "ca.pem")}
    assert problem(configured(tmp_path, server.url, **trust)) != ""
    assert server.keys == []
    both = str(certificates / "client.pem")
    assert problem(configured(tmp_path, server.url, client_certificate=both, **trust)) == ""
    apart = {"client_certificate": str(certificates / "client.crt"), "client_key": str(certificates / "client.key")}
    assert problem(configured(tmp_path, server.url, **apart, **trust)) == ""
    assert len(server.clients) == 2
    assert all((("commonName", "client"),) in client["subject"] for client in server.clients)


def test_without_verification_it_works_and_warns_each_time(certificates: Path, start: Start, tmp_path: Path) -> None:
    server = start(certificates)
    for _ in range(2):
        settings = configured(tmp_path, server.url, verify=False)
        assert problem(settings) == ""
        assert any("the certificate is not checked" in warning for warning in settings.warnings)


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://design.example.com:11200", True),
        ("http://localhost.example.com", True),
        ("http://10.0.0.1", True),
        ("http://127.0.0.1:1", False),
        ("http://localhost:1", False),
        ("http://[::1]:1", False),
        ("https://design.example.com", False),
    ],
)
def test_plain_http_to_another_machine_warns(tmp_path: Path, url: str, warns: bool) -> None:
    warnings = configured(tmp_path, url).warnings
    assert any("clear text" in warning for warning in warnings) is warns


def test_a_redirect_is_refused_and_the_other_host_hears_nothing(start: Start, tmp_path: Path) -> None:
    other = start(None)
    first = start(None, location=f"http://localhost:{other.port}/dip/publicapi/instance-info")
    said = problem(configured(tmp_path, first.url))
    assert "answers with a redirect" in said
    assert len(first.keys) == 1
    assert other.keys == []


def here(host: str) -> str:
    """What a proxy, and nobody else, finds under the name."""
    assert host == FAR
    return "127.0.0.1"


@contextmanager
def connect_proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that knows CONNECT and FAR; yields its URL and the first lines of the requests."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            asked.append(head.split(b"\r\n")[0].decode())
            assert KEY.encode() not in head
            host, _, port = head.split()[1].decode().rpartition(":")
            with closing(client), socket.create_connection((here(host), int(port)), 5) as node:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    ready, _, _ = select.select([client, node], [], [], 5)
                    for one in ready:
                        data = one.recv(65536)
                        if not data:
                            ready = []
                            break
                        (node if one is client else client).sendall(data)
                    if not ready:
                        break

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked


def test_the_proxy_of_the_environment_is_used_unless_it_is_excepted(
    certificates: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(certificates)
    settings = configured(tmp_path, f"https://{FAR}:{server.port}", verify=str(certificates / "ca.pem"))
    with connect_proxy() as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert problem(settings) == ""
        assert [line.rpartition(" ")[0] for line in asked] == [f"CONNECT {FAR}:{server.port}"]
        assert len(server.keys) == 1
        monkeypatch.setenv("NO_PROXY", FAR)
        assert "no connection" in problem(settings)
        assert len(asked) == 1


class ForwardingProxy(BaseHTTPRequestHandler):
    """A proxy for http:// that fetches what it is asked for, whole."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        parts = urlsplit(self.path)
        node = http.client.HTTPConnection(here(str(parts.hostname)), int(parts.port or 80), timeout=5)
        with closing(node):
            node.request("GET", parts.path, headers=dict(self.headers))
            answer = node.getresponse()
            body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def forwarding_proxy() -> Iterator[tuple[str, list[str]]]:
    """Yields the URL of a ForwardingProxy and the addresses that it was asked for."""
    ForwardingProxy.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), ForwardingProxy) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}", ForwardingProxy.asked
        proxy.shutdown()


def test_the_proxy_for_plain_http_is_used_unless_it_is_excepted(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(None)
    url = f"http://{FAR}:{server.port}"
    settings = configured(tmp_path, url)
    with forwarding_proxy() as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        assert problem(settings) == ""
        assert asked == [f"{url}/dip/publicapi/instance-info"]
        assert len(server.keys) == 1
        monkeypatch.setenv("NO_PROXY", FAR)
        assert "no connection" in problem(settings)
        assert len(asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "[::1]"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_no_proxy_hears_of_a_node_on_this_machine(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, variable: str
) -> None:
    server = start(None)
    settings = configured(tmp_path, f"http://{host}:{server.port}")
    assert settings.warnings == []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        said = problem(settings)
        proxy.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxy.accept()
    # The server listens on 127.0.0.1 alone: the others are refused, or answered, here.
    assert said == "" or said.startswith("no connection")
    if host == "127.0.0.1":
        assert len(server.keys) == 1


def test_no_proxy_hears_of_a_node_with_tls_on_this_machine(
    certificates: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(certificates)
    with connect_proxy() as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert problem(configured(tmp_path, server.url, verify=str(certificates / "ca.pem"))) == ""
        assert asked == []


def test_a_proxy_that_is_not_there_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:proxy-password@127.0.0.1:9")
    said = problem(configured(tmp_path, f"https://{FAR}:11200"))
    assert "the proxy could not be used" in said
    assert "proxy-password" not in said


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "proxy",
    [
        "http://svc:LongSecretPart/x@proxy:3128",
        "http://svc:LongSecretPart?x@proxy:3128",
        "http://svc:LongSecretPart#x@proxy:3128",
        "svc:LongSecretPart/x@proxy:3128",
        "http://svc:LongSecretPart@[proxy:3128",
        "http://svc:LongSecretPart@:3128",
        "LongSecretPart://svc@proxy:3128",
    ],
)
def test_no_part_of_a_proxy_password_is_told_when_the_variable_is_no_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    said = problem(configured(tmp_path, f"https://{FAR}:11200"))
    assert said == (
        "a proxy variable (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) is not a URL; "
        "special characters in its password must be percent-encoded"
    )


@pytest.mark.parametrize("step", ["doctor", "validate", "status"])
def test_no_log_and_no_report_holds_a_part_of_a_proxy_password(tmp_path: Path, step: str) -> None:
    nodes = {"design": {"url": f"https://{FAR}:1"}, "prod": {"url": f"https://{FAR}:2", "infra": "i"}}
    (tmp_path / "mlops.yml").write_text(json.dumps({"project": "P", "nodes": nodes, "http": {"retries": 0}}))
    keys = {"MLOPS_DESIGN_API_KEY": KEY, "MLOPS_PROD_API_KEY": KEY}
    ended = subprocess.run(
        [sys.executable, "-m", "mlops_steps", step, "-vv"],
        cwd=tmp_path,
        env={**os.environ, **keys, "HTTPS_PROXY": "http://svc:LongSecretPart/x@proxy:3128"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 3, ended.stderr
    assert "special characters in its password must be percent-encoded" in ended.stderr
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("<testcase" in text and "percent-encoded" in text for text in written)
    for text in (ended.stdout, ended.stderr, *written):
        assert not traces("LongSecretPart", text)
