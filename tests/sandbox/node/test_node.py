"""Authentication, routing, errors and the node's own operations, with the official client where it has them."""

from __future__ import annotations

import base64
import email.utils
import socket
import time
from typing import Any

import dataikuapi
import pytest
import requests
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.auth import Tickets
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.site import Sandbox

INFO = "/dip/publicapi/instance-info"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask(node: Node, path: str = INFO, method: str = "GET", **arguments: Any) -> requests.Response:
    return requests.request(method, node.url + path, timeout=20, **arguments)


# ---- authentication


@pytest.mark.parametrize("base", ["/dip/publicapi", "/public/api"])
@pytest.mark.parametrize("form", ["user name", "password", "bearer", "ticket"])
def test_every_form_of_authentication_is_accepted_under_both_base_paths(
    design_node: Node, base: str, form: str
) -> None:
    key = design_node.api_key
    headers = {
        "user name": {"Authorization": basic(key, "")},
        "password": {"Authorization": basic("", key)},
        "bearer": {"Authorization": f"Bearer {key}"},
        "ticket": {"X-DKU-APITicket": design_node.ticket()},
    }[form]
    assert ask(design_node, f"{base}/instance-info", headers=headers).json()["nodeId"] == "design"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": basic("wrong", "")},
        {"Authorization": basic("", "wrong")},
        {"Authorization": basic("", "")},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic not-base64!"},
        {"Authorization": "Digest x"},
        {"X-DKU-APITicket": "wrong"},
        {"X-DKU-APITicket": ""},
    ],
)
def test_anything_else_is_refused_with_401(design_node: Node, headers: dict[str, str]) -> None:
    answer = ask(design_node, headers=headers)
    assert answer.status_code == 401
    assert "UnauthorizedException" in answer.json()["errorType"]


def test_a_key_beside_another_credential_is_refused(design_node: Node) -> None:
    answer = ask(design_node, headers={"Authorization": basic(design_node.api_key, "something")})
    assert answer.status_code == 401


def test_a_node_does_not_take_the_key_of_another_one(design_node: Node, test_node: Node) -> None:
    with pytest.raises(DataikuException, match="not a key of node design"):
        dataikuapi.DSSClient(design_node.url, test_node.api_key).get_instance_info()


def test_the_client_works_with_a_bearer_token_and_with_a_ticket(design_node: Node) -> None:
    bearer = dataikuapi.DSSClient(design_node.url, jwt_bearer_token=design_node.api_key)
    assert bearer.get_instance_info().node_id == "design"
    ticket = dataikuapi.DSSClient(design_node.url, internal_ticket=bearer.get_ticket())
    assert ticket.get_auth_info()["authIdentifier"] == "admin"


def test_a_ticket_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets()
    ticket = tickets.issue(10)
    revoked = tickets.issue(10)
    tickets.revoke(revoked)
    assert tickets.accepts(ticket)
    assert not tickets.accepts(revoked)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert not tickets.accepts(ticket)


def test_an_upload_that_is_refused_is_read_to_its_end_so_that_the_answer_arrives(design_node: Node) -> None:
    host, port = design_node.url.removeprefix("http://").split(":")
    size, piece = 32 * 1024 * 1024, bytes(64 * 1024)
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST {INFO} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(size // len(piece)):
            connection.sendall(piece)
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


# ---- host, paths, errors


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_a_request_for_another_host_is_refused(design_node: Node, host: str) -> None:
    answer = ask(design_node, headers={"Host": host, "Authorization": f"Bearer {design_node.api_key}"})
    assert answer.status_code == 421


def test_the_name_localhost_is_accepted(design_node: Node) -> None:
    client = dataikuapi.DSSClient(design_node.url.replace("127.0.0.1", "localhost"), design_node.api_key)
    assert client.get_instance_info().node_type == "DESIGN"


def test_an_operation_that_is_not_supported_is_named(design: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="not supported by the sandbox: GET /admin/clusters"):
        design.list_clusters()
    with pytest.raises(DataikuException, match="not supported by the sandbox: DELETE /instance-info"):
        design._perform_json("DELETE", "/instance-info")


def test_an_error_has_the_form_of_dss(design_node: Node) -> None:
    answer = ask(design_node, "/public/api/users/nobody", auth=(design_node.api_key, ""))
    assert answer.status_code == 404
    assert {"errorType", "message", "detailedMessage"} <= set(answer.json())


def test_what_is_outside_the_api_is_not_found(design_node: Node) -> None:
    assert ask(design_node, "/", auth=(design_node.api_key, "")).status_code == 404


def test_a_body_that_is_not_json_is_refused(design_node: Node) -> None:
    answer = ask(design_node, "/public/api/admin/variables/", "PUT", auth=(design_node.api_key, ""), data="{")
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["message"]
    answer = ask(design_node, "/public/api/admin/variables/", "PUT", auth=(design_node.api_key, ""), data="[1]")
    assert "must be a JSON object" in answer.json()["message"]


def test_answers_carry_the_time_and_the_version(design_node: Node) -> None:
    answer = ask(design_node, auth=(design_node.api_key, ""))
    told = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert abs(told - time.time()) < 5
    assert answer.headers["DSS-Version"] == answer.json()["dssVersion"]


def test_a_mistake_of_the_sandbox_is_an_error_document_and_not_a_broken_connection(
    design_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(design_node, "variables", broken)
    answer = ask(design_node, "/public/api/admin/variables/", auth=(design_node.api_key, ""))
    assert answer.status_code == 500
    assert answer.json()["errorType"] == "java.lang.RuntimeException/RuntimeError"


# ---- the node's own operations


def test_a_node_tells_what_it_is(design: dataikuapi.DSSClient, auto_test: dataikuapi.DSSClient) -> None:
    assert (design.get_instance_info().node_name, design.get_instance_info().node_type) == ("design", "DESIGN")
    assert (auto_test.get_instance_info().node_id, auto_test.get_instance_info().node_type) == (
        "auto-test",
        "AUTOMATION",
    )


def test_the_user_of_the_key_is_the_administrator(design: dataikuapi.DSSClient) -> None:
    assert design.get_auth_info()["groups"] == ["administrators"]
    assert design.get_own_user().get_settings().get_raw()["login"] == "admin"
    assert [user["login"] for user in design.list_users()] == ["admin"]
    assert [user.login for user in design.list_users_info()] == ["admin"]
    assert [group.name for group in design.list_groups_info()] == ["administrators"]
    assert design.get_user("admin").get_settings().get_raw()["enabled"] is True
    assert design.get_user("admin").get_info().display_name
    with pytest.raises(DataikuException, match="user bob does not exist"):
        design.get_user("bob").get_settings()


def test_connections_are_created_read_changed_and_deleted(own_sandbox: Sandbox) -> None:
    node = own_sandbox.nodes["design"]
    client = dataikuapi.DSSClient(node.url, node.api_key)
    assert "filesystem_managed" in client.list_connections_names("all")
    client.create_connection("warehouse", "PostgreSQL", {"host": "db"})
    connection = client.get_connection("warehouse")
    assert client.list_connections()["warehouse"].type == "PostgreSQL"
    assert client.list_connections_names("PostgreSQL") == ["warehouse"]
    definition = connection.get_definition()
    definition["params"]["host"] = "db2"
    connection.set_definition(definition)
    assert connection.get_info()["params"] == {"host": "db2"}
    with pytest.raises(DataikuException, match="connection warehouse already exists"):
        client.create_connection("warehouse", "PostgreSQL")
    connection.delete()
    with pytest.raises(DataikuException, match="connection warehouse does not exist"):
        connection.get_definition()


def test_code_environments_and_global_variables_are_told(own_sandbox: Sandbox) -> None:
    from mlops_steps.sandbox.services.admin.routes import save_code_envs

    node = own_sandbox.nodes["design"]
    client = dataikuapi.DSSClient(node.url, node.api_key)
    assert client.list_code_envs() == []
    save_code_envs(node, [{"envLang": "PYTHON", "envName": "py311"}])
    assert [env.env_name for env in client.list_code_envs(as_objects=True)] == ["py311"]
    assert client.get_code_env("PYTHON", "py311").get_definition()["envName"] == "py311"
    with pytest.raises(DataikuException, match="code environment py39"):
        client.get_code_env("PYTHON", "py39").get_definition()
    variables = client.get_global_variables()
    variables["region"] = "eu"
    variables.save()
    assert client.get_global_variables()["region"] == "eu"
