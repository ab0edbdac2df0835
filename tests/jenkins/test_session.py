"""How requests reach a controller: access, retries, crumbs, errors in one line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins.access import Access
from mlops_steps.jenkins.session import Limits, Session, failed
from tests.jenkins.conftest import Command
from tests.jenkins.fake_controller import PASSWORD, TOKEN, USER, Answer, FakeController

SETUP = ("setup", "--folder", "x", "--no-credentials")


def test_a_token_from_a_file_is_accepted(
    controller: FakeController, jenkins: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JENKINS_API_TOKEN")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("JENKINS_API_TOKEN_FILE", str(tmp_path / "token"))

    assert jenkins(*SETUP).exit_code == 0


def test_a_password_works_too_with_the_crumb_of_its_session(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JENKINS_API_TOKEN", PASSWORD)

    result = jenkins(*SETUP)

    assert result.exit_code == 0, result.stderr
    assert list(controller.items) == ["x"]


def test_a_crumb_whose_session_ended_is_asked_for_again(controller: FakeController) -> None:
    session = Session(Access(controller.url, USER, PASSWORD))
    session.create_job("a", "<flow-definition/>")
    controller.crumbs = {"other": "x"}

    session.create_job("b", "<flow-definition/>")

    assert list(controller.items) == ["a", "b"]
    session.close()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("JENKINS_URL", "", "set JENKINS_URL"),
        ("JENKINS_USER", " ", "set JENKINS_USER"),
        ("JENKINS_API_TOKEN", "", "set JENKINS_API_TOKEN (or JENKINS_API_TOKEN_FILE)"),
        ("JENKINS_API_TOKEN", "  ", "is empty"),
        ("JENKINS_API_TOKEN", "two words-of-it", "holds white space"),
        ("JENKINS_URL", "https://me:hush-hush@jenkins", "must not hold a user name or a password"),
        ("JENKINS_URL", "ftp://jenkins", "must begin with https://"),
        ("JENKINS_USER", "a:b", "has no colon"),
    ],
)
def test_access_that_is_missing_or_wrong_is_said_by_variable(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)

    result = jenkins(*SETUP)

    assert result.exit_code == 2
    assert told in result.stderr.splitlines()[0]
    assert "hush-hush" not in result.stderr
    assert "words-of-it" not in result.stderr


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_token_file_that_cannot_be_read_is_said(
    controller: FakeController, jenkins: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.delenv("JENKINS_API_TOKEN")
    monkeypatch.setenv("JENKINS_API_TOKEN_FILE", str(tmp_path / "token"))
    if content:
        (tmp_path / "token").write_bytes(content)

    result = jenkins(*SETUP)

    assert result.exit_code == 2
    assert "cannot be read: JENKINS_API_TOKEN_FILE: " in result.stderr


def test_a_token_that_is_not_accepted_is_one_clear_line(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JENKINS_API_TOKEN", "a-token-nobody-knows")

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    first = result.stderr.splitlines()[0]
    assert first == f"Jenkins: {controller.url} does not accept the API token of user {USER} (401)"
    assert "<html>" not in result.stderr
    assert "a-token-nobody-knows" not in result.stderr


def test_a_controller_that_is_not_there_is_one_clear_line(jenkins: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("JENKINS_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("JENKINS_USER", USER)
    monkeypatch.setenv("JENKINS_API_TOKEN", TOKEN)

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        f"Jenkins: http://127.0.0.1:{port} cannot be reached: no connection: Connection refused"
    ]


def test_a_controller_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = Access(f"http://127.0.0.1:{silent.getsockname()[1]}", USER, TOKEN)
        session = Session(access, Limits(connect=0.2, read=0.2, patience=0.1))

        with pytest.raises(ControllerError, match="cannot be reached: no answer in time"):
            session.get_whoami()
        session.close()


def test_a_read_is_repeated_while_the_controller_starts(controller: FakeController, jenkins: Command) -> None:
    answers = [Answer(503, b"<html>Please wait while Jenkins is getting ready</html>", "text/html")] * 2
    controller.before.append(lambda method, path: answers.pop() if answers else None)

    result = jenkins(*SETUP)

    assert result.exit_code == 0, result.stderr
    assert answers == []


def test_a_change_is_not_sent_twice(controller: FakeController, jenkins: Command) -> None:
    seen = []

    def fault(method: str, path: str) -> Answer | None:
        if method == "POST":
            seen.append(path)
            return Answer(502, b"", "text/html")
        return None

    controller.before.append(fault)

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert "refused (HTTP 502)" in result.stderr
    assert seen == ["/createItem"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(body=b"<html>Please log in</html>", kind="text/html"), "answers with a page instead of data"),
        (Answer(body=b'{"id": '), "the answer is not one of Jenkins"),
        (Answer(body=b"[]"), "the answer is not one of Jenkins"),
        (Answer(404, b"", "text/html"), "not found"),
    ],
)
def test_an_answer_of_something_else_is_one_clear_line(
    controller: FakeController, jenkins: Command, answer: Answer, told: str
) -> None:
    controller.before.append(lambda method, path: answer)

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert told in result.stderr.splitlines()[0]


def test_an_error_masks_what_it_is_told() -> None:
    error = failed("the proxy https://me:hush@proxy refused")

    assert str(error) == "the proxy https://********@proxy refused"


def test_extra_headers_are_sent_and_not_logged(
    controller: FakeController,
    jenkins: Command,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("JENKINS_API_EXTRA_HEADERS", "X-Proxy-Login: the-proxys-own-secret")

    result = jenkins(*SETUP)

    assert result.exit_code == 0
    assert "the-proxys-own-secret" not in result.output + caplog.text


def test_plain_http_to_another_machine_is_warned_of(jenkins: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JENKINS_URL", "http://jenkins.invalid")
    monkeypatch.setenv("JENKINS_USER", USER)
    monkeypatch.setenv("JENKINS_API_TOKEN", TOKEN)

    result = jenkins("run", "x")

    assert result.exit_code == 3
    assert "warning: JENKINS_URL: http:// sends the API token in clear text" in result.stderr
