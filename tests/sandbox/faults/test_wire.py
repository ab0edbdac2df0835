"""What a client sees of each fault, byte by byte, on real connections."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator

import pytest

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.site import Sandbox

PATH = "/dip/publicapi/instance-info"


class Client:
    """One connection with the node's key."""

    def __init__(self, node: Node, timeout: float = 5.0) -> None:
        host, port = node.url.removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        self.headers = {"Authorization": "Basic " + b64encode(f"{node.api_key}:".encode()).decode()}

    def get(self, path: str = PATH, method: str = "GET", body: str | None = None) -> tuple[int, dict[str, str], bytes]:
        self.connection.request(method, path, body, self.headers)
        response = self.connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


@pytest.fixture
def node(sandbox: Sandbox) -> Iterator[Node]:
    """The test node without faults, before and after."""
    node = sandbox.nodes["auto-test"]
    node.faults.clear_requests()
    yield node
    node.faults.clear()
    for _ in range(500):
        if not node.faults.refusing:
            break
        time.sleep(0.01)


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    client = Client(node)
    yield client
    client.connection.close()


def variables(node: Node) -> dict[str, object]:
    return node.variables()


def test_without_faults_the_answer_is_whole(client: Client) -> None:
    status, _, body = client.get()
    assert status == 200
    assert json.loads(body)["nodeId"] == "auto-test"


def test_a_dropped_connection_is_reset_without_a_byte(node: Node, client: Client) -> None:
    node.faults.add("drop", act="before")
    with pytest.raises(ConnectionResetError):
        client.get()


def test_a_reset_comes_in_the_middle_of_the_answer(node: Node, client: Client) -> None:
    node.faults.add("reset")
    client.connection.request("GET", PATH, headers=client.headers)
    with pytest.raises(ConnectionResetError):
        raw_answer(client)


def raw_answer(client: Client) -> bytes:
    """Everything the node sends until it closes the connection."""
    connection = client.connection.sock
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def test_a_reset_is_preceded_by_half_of_the_body(node: Node, client: Client) -> None:
    node.faults.add("reset")
    client.connection.request("GET", PATH, headers=client.headers)
    time.sleep(0.2)
    assert b'{"nodeId"' in client.connection.sock.recv(65536)


def test_a_truncated_answer_ends_before_its_announced_length(node: Node, client: Client) -> None:
    node.faults.add("truncated")
    client.connection.request("GET", PATH, headers=client.headers)
    head, _, body = raw_answer(client).partition(b"\r\n\r\n")
    announced = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if b"content-length" in line)
    assert 0 < len(body) == announced // 2


def test_after_a_lost_answer_the_work_is_done_and_before_it_is_not(node: Node) -> None:
    for act in ("before", "after"):
        node.faults.add("drop", operation="PUT /admin/variables", act=act)
        with pytest.raises(ConnectionResetError):
            Client(node).get("/public/api/admin/variables", "PUT", json.dumps({"act": act}))
        assert (variables(node) == {"act": "after"}) is (act == "after")


def test_a_late_answer_is_late_and_whole(node: Node, client: Client) -> None:
    for act in ("before", "after"):
        node.faults.add("late", seconds=0.3, act=act)
        start = time.monotonic()
        status, _, body = client.get()
        assert time.monotonic() - start >= 0.3
        assert status == 200
        assert json.loads(body)["nodeId"] == "auto-test"


def test_no_answer_means_no_answer_and_an_open_connection(node: Node) -> None:
    node.faults.add("never", count="for ever")
    with pytest.raises(socket.timeout):
        Client(node, timeout=0.3).get()


def test_what_is_held_back_is_let_go_when_the_fault_is_cleared(node: Node, client: Client) -> None:
    node.faults.add("never")
    timer = threading.Timer(0.2, node.faults.clear)
    timer.start()
    with pytest.raises(ConnectionResetError):
        client.get()


def test_a_node_with_held_answers_stops_quickly(sandbox: Sandbox, node: Node) -> None:
    node.faults.add("never", count="for ever")

    def ask() -> None:
        with pytest.raises(OSError, match="reset"):
            Client(node, timeout=20).get()

    held = threading.Thread(target=ask, daemon=True)
    held.start()
    while not node.faults.requests():
        time.sleep(0.01)
    start = time.monotonic()
    sandbox.restart_node(node.id)
    assert time.monotonic() - start < 3
    held.join(3)
    assert not held.is_alive()


def test_errors_have_the_form_of_dss(node: Node, client: Client) -> None:
    for status in (429, 500, 502, 503, 504):
        node.faults.add("error", status=status, message="out of order")
        got, headers, body = client.get()
        assert (got, json.loads(body)["message"]) == (status, "out of order")
        assert headers["content-type"] == "application/json"
        assert "retry-after" not in headers


def test_an_error_may_say_when_to_come_again(node: Node, client: Client) -> None:
    node.faults.add("error", status=429, retry_after=3)
    assert client.get()[1]["Retry-After".lower()] == "3"


@pytest.mark.parametrize("status", [200, 502])
def test_the_page_of_a_proxy_is_html(node: Node, client: Client, status: int) -> None:
    node.faults.add("html", status=status)
    got, headers, body = client.get()
    assert got == status
    assert headers["content-type"].startswith("text/html")
    assert b"<html>" in body


def test_a_cut_body_is_no_json_in_a_whole_answer(node: Node, client: Client) -> None:
    node.faults.add("cut")
    status, headers, body = client.get()
    assert (status, headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(body)


def test_a_garbled_body_is_no_text(node: Node, client: Client) -> None:
    whole = client.get()[2]
    node.faults.add("garbled")
    body = client.get()[2]
    assert len(body) == len(whole)
    with pytest.raises(UnicodeDecodeError):
        body.decode()


def test_a_corrupted_body_differs_in_one_bit(node: Node, client: Client) -> None:
    whole = client.get()[2]
    node.faults.add("corrupted")
    body = client.get()[2]
    differing = [one ^ other for one, other in zip(whole, body, strict=True) if one != other]
    assert differing == [1]


def test_an_empty_answer_has_no_body(node: Node, client: Client) -> None:
    node.faults.add("empty")
    assert client.get()[::2] == (200, b"")


def test_an_expired_key_is_refused_from_then_on(node: Node, client: Client) -> None:
    node.faults.add("expired-key", after=2)
    assert [client.get()[0] for _ in range(4)] == [200, 200, 401, 401]


def test_a_full_disk_says_so(node: Node, client: Client) -> None:
    node.faults.add("disk-full", status=507)
    status, _, body = client.get()
    assert status == 507
    assert "No space left on device" in json.loads(body)["message"]


def test_a_dripping_answer_is_whole_in_the_end(node: Node, client: Client) -> None:
    node.faults.add("drip", seconds=0.001)
    assert json.loads(client.get()[2])["nodeId"] == "auto-test"


def test_a_request_with_a_body_gets_its_error_and_no_reset(node: Node, client: Client) -> None:
    node.faults.add("error", status=503)
    assert client.get("/public/api/admin/variables", "PUT", json.dumps({"x": "y" * 2_000_000}))[0] == 503
    assert client.get()[0] == 200


def test_a_refusing_node_has_no_open_port(node: Node, client: Client) -> None:
    assert client.get()[0] == 200
    node.faults.add("refuse", count="for ever")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        client.get()
    await_refusal(node)
    with pytest.raises(ConnectionRefusedError):
        Client(node).get()
    node.faults.clear()
    await_port(node)
    assert Client(node).get()[0] == 200


def await_refusal(node: Node) -> None:
    for _ in range(300):
        try:
            Client(node).connection.connect()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    raise AssertionError("the port is still open")


def await_port(node: Node) -> None:
    for _ in range(300):
        try:
            Client(node).connection.connect()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("the port is still closed")


def test_an_outage_begins_right_after_so_many_answers_and_passes(node: Node, client: Client) -> None:
    node.faults.add("refuse", after=2, seconds=0.3)
    assert [client.get()[0] for _ in range(2)] == [200, 200]
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        client.get()
    await_refusal(node)
    await_port(node)
    assert Client(node).get()[0] == 200


def test_an_outage_may_begin_with_a_certain_request(node: Node, client: Client) -> None:
    node.faults.add("refuse", operation="PUT /admin/variables", seconds=0.2)
    assert client.get()[0] == 200
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        client.get("/public/api/admin/variables", "PUT", json.dumps({"refused": True}))
    assert "refused" not in variables(node)
    await_refusal(node)
    await_port(node)


def test_a_restarted_node_has_forgotten_its_futures(sandbox: Sandbox, node: Node, client: Client) -> None:
    before = node.futures
    node.faults.add("restart")
    assert client.get()[0] == 200
    for _ in range(500):
        if node.futures is not before:
            break
        time.sleep(0.01)
    assert node.futures is not before
    await_port(node)
    assert Client(node).get()[0] == 200


def test_requests_without_the_key_are_no_occasion(node: Node, client: Client) -> None:
    node.faults.add("error", status=503)
    client.headers["Authorization"] = "Bearer wrong"
    assert client.get()[0] == 401
    assert node.faults.requests() == []


def test_a_nodes_own_children_are_spared(node: Node, client: Client) -> None:
    node.faults.add("error", status=503)
    ticket = {"X-DKU-APITicket": node.ticket()}
    client.headers = ticket
    assert client.get()[0] == 200
    assert node.faults.requests() == []


def test_the_log_tells_each_request_with_its_operation_status_and_fault(node: Node, client: Client) -> None:
    node.faults.add("error", operation="GET /futures/*", status=504)
    client.get()
    client.get("/public/api/futures/abc/")
    seen = [(entry.method, entry.operation, entry.status, entry.fault) for entry in node.faults.requests()]
    assert seen == [
        ("GET", "GET /instance-info", 200, None),
        ("GET", "GET /futures/*", 504, "error"),
    ]
    assert [entry.number for entry in node.faults.requests()] == sorted(e.number for e in node.faults.requests())
