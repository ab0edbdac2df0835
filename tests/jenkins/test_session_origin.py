"""Who hears what is meant for the controller: redirects, proxies, certificates, and what masks the login."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from jenkins import NotFoundException

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins import credentials
from mlops_steps.jenkins.access import Access, from_environment
from mlops_steps.jenkins.items import read_credential, write_credential
from mlops_steps.jenkins.session import Session
from mlops_steps.system.secrets import redact
from tests.jenkins.conftest import Command
from tests.jenkins.fake_controller import TOKEN, USER, Answer, FakeController

SETUP = ("setup", "--folder", "x", "--no-credentials")
REDIRECTS = (301, 302, 303, 307, 308)
CREDENTIAL = credentials.document(credentials.SecretText("mlops-prod", "", "KEY", "the-key-of-production"))

Hook = Callable[[str, str], Answer | None]


def noting(seen: list[str]) -> Hook:
    """Notes each request and lets it pass; not those of clients of DSS, which a test beside may have left behind."""

    def note(method: str, path: str) -> None:
        if not path.startswith("/dip/"):
            seen.append(f"{method} {path}")

    return note


def redirecting(method: str, status: int, location: str, under: str = "/") -> Hook:
    """Answers the requests of the method with a redirect."""

    def redirect(asked: str, path: str) -> Answer | None:
        return Answer(status, headers={"Location": location}) if asked == method and path.startswith(under) else None

    return redirect


# --- redirects to another origin ---------------------------------------------------------------------------------
@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_hears_nothing_of_a_request_that_is_redirected_to_it(
    controller: FakeController, jenkins: Command, method: str, status: int
) -> None:
    heard: list[str] = []
    with FakeController().running() as other:
        other.before.append(noting(heard))
        controller.before.append(redirecting(method, status, f"{other.url}/me/api/json?secret=of-the-address"))

        result = jenkins(*SETUP)

        assert result.exit_code == 3
        assert f"Jenkins: {controller.url} answers with a redirect to {other.url}\n" in result.stderr
        assert "set JENKINS_URL to the controller's own address" in result.stderr
        assert "of-the-address" not in result.stderr
    assert heard == []


@pytest.mark.parametrize("status", REDIRECTS)
def test_the_key_in_a_credential_goes_to_the_controller_alone(controller: FakeController, status: int) -> None:
    heard: list[str] = []
    with FakeController().running() as other:
        other.before.append(noting(heard))
        controller.before.append(redirecting("POST", status, other.url.replace("127.0.0.1", "localhost")))
        session = Session(Access(controller.url, USER, TOKEN))

        with pytest.raises(ControllerError, match="answers with a redirect to http://localhost:"):
            write_credential(session, "x", CREDENTIAL, create=True)
        session.close()
    assert heard == []


def test_a_redirect_by_way_of_the_controller_itself_leads_nowhere_else_either(
    controller: FakeController, jenkins: Command
) -> None:
    heard: list[str] = []
    with FakeController().running() as other:
        other.before.append(noting(heard))
        controller.before.append(redirecting("GET", 302, "/further/api/json", under="/me"))
        controller.before.append(redirecting("GET", 302, f"{other.url}/me/api/json", under="/further"))

        result = jenkins(*SETUP)

        assert result.exit_code == 3
        assert f"answers with a redirect to {other.url}" in result.stderr
    assert heard == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://127.0.0.1:{port}/", "answers with a redirect to https://127.0.0.1:"),
        ("//127.0.0.1/", "answers with a redirect to http://127.0.0.1:80"),
        ("http://127.0.0.1:{port}@localhost/", "answers with a redirect to http://localhost:80"),
        ("ftp://127.0.0.1:{port}/", "answers with a redirect to ftp://127.0.0.1:"),
        ("http://[", "answers with a redirect to an invalid address"),
        ("http://127.0.0.1:99999999/", "answers with a redirect to an invalid address"),
        ("http://*/", "answers with a redirect to an invalid address"),
    ],
)
def test_a_redirect_to_a_twisted_address_is_one_clear_line(
    controller: FakeController, jenkins: Command, method: str, location: str, told: str
) -> None:
    seen: list[str] = []
    controller.before.append(noting(seen))
    place = location.format(port=urlsplit(controller.url).port)
    controller.before.append(redirecting(method, 307, place))

    result = jenkins(*SETUP)

    assert result.exit_code == 3, result.output
    assert f"Jenkins: {controller.url} {told}" in result.stderr
    assert len([request for request in seen if request.startswith(method)]) == 1


def test_an_address_that_can_be_read_in_two_ways_is_read_as_it_is_sent(controller: FakeController) -> None:
    heard: list[str] = []
    with FakeController().running() as other:
        other.before.append(noting(heard))
        place = f"{controller.url}\\@{other.url.removeprefix('http://')}/me/api/json"
        controller.before.append(redirecting("GET", 302, place, under="/me"))
        session = Session(Access(controller.url, USER, TOKEN))

        with pytest.raises(NotFoundException):
            session.jenkins_open(requests.Request("GET", f"{controller.url}/me/api/json"))
        session.close()
    assert heard == []


# --- redirects to the controller itself --------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["..", "/the/new/place", "{url}/the/new/place"])
def test_a_change_that_jenkins_answers_with_a_redirect_to_itself_is_made(
    controller: FakeController, jenkins: Command, place: str
) -> None:
    controller.place_after_changes = place.format(url=controller.url)
    seen: list[str] = []
    controller.before.append(noting(seen))

    result = jenkins(*SETUP)

    assert result.exit_code == 0, result.stderr
    assert list(controller.items) == ["x"]
    session = Session(Access(controller.url, USER, TOKEN))
    write_credential(session, "x", CREDENTIAL, create=True)
    write_credential(session, "x", CREDENTIAL, create=False)
    assert read_credential(session, "x", "mlops-prod") is not None
    session.close()
    assert [path for path in seen if "place" in path or path.endswith(" /")] == []


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_change_that_is_to_be_sent_to_another_address_is_not_made_and_that_is_said(
    controller: FakeController, jenkins: Command, status: int
) -> None:
    seen: list[str] = []
    controller.before.append(noting(seen))
    controller.before.append(redirecting("POST", status, "/ci/createItem?name=x"))

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert f"{controller.url} answers with a redirect to {controller.url}/ci/createItem" in result.stderr
    assert "set JENKINS_URL to the controller's own address" in result.stderr
    assert [request for request in seen if request.startswith("POST")] == ["POST /createItem"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_without_an_address_is_no_success(controller: FakeController, jenkins: Command, method: str) -> None:
    controller.before.append(lambda asked, path: Answer(304) if asked == method else None)

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert "refused (HTTP 304): " in result.stderr


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_question_is_followed_on_the_controller_itself_with_the_login_and_with_patience(
    controller: FakeController, jenkins: Command, status: int
) -> None:
    asleep = [Answer(503, b"", "text/html")]

    def moved(method: str, path: str) -> Answer | None:
        return asleep.pop() if asleep and path.startswith("/moved") else None

    controller.before += [moved, redirecting("GET", status, "/queue/../me/api/json?tree=id", under="/moved")]
    controller.before.append(redirecting("GET", status, f"{controller.url}/job/x/config.xml", under="/job/y/config"))
    moving = iter([Answer(status, headers={"Location": "/moved"})] * 2)
    controller.before.append(lambda method, path: next(moving, None) if path == "/me/api/json" else None)

    result = jenkins(*SETUP)

    assert result.exit_code == 0, result.stderr
    assert asleep == []


def test_redirects_without_an_end_are_given_up(controller: FakeController, jenkins: Command) -> None:
    seen: list[str] = []
    controller.before.append(noting(seen))
    controller.before.append(redirecting("GET", 302, "/me/api/json"))

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert result.stderr.splitlines()[0] == f"Jenkins: {controller.url} answers with one redirect after another"
    assert len(seen) == 6


# --- proxies -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("scheme", "variable"), [("http", "http_proxy"), ("http", "ALL_PROXY"), ("https", "HTTPS_PROXY")]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "LOCALHOST", "[::1]"])
def test_a_controller_on_this_machine_is_asked_past_the_proxy(
    jenkins: Command, monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str, host: str
) -> None:
    heard: list[str] = []
    with FakeController().running() as proxy:
        proxy.before.append(noting(heard))
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("JENKINS_URL", f"{scheme}://{host}:9")
        monkeypatch.setenv("JENKINS_USER", USER)
        monkeypatch.setenv("JENKINS_API_TOKEN", TOKEN)

        result = jenkins(*SETUP)

        assert result.exit_code == 3
        assert "cannot be reached: no connection" in result.stderr
        assert "warning" not in result.stderr
    assert heard == []


def test_a_controller_on_this_machine_answers_although_there_is_a_proxy(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert jenkins(*SETUP).exit_code == 0


def test_a_controller_elsewhere_is_asked_through_the_proxy(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", controller.url)
    monkeypatch.setenv("JENKINS_URL", "http://jenkins.invalid")

    result = jenkins(*SETUP)

    assert result.exit_code == 0, result.stderr
    assert "http:// sends the API token in clear text" in result.stderr


# --- certificates ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that has signed itself, and its key, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", "key.pem")
    names = ("-subj", "/CN=jenkins", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    command = ["openssl", "req", "-x509", *new_key, *names, "-out", "jenkins.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    with (folder / "jenkins.pem").open("a") as both:
        both.write((folder / "key.pem").read_text())
    return folder / "jenkins.pem"


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("switch", [None, "0"])
def test_a_certificate_is_verified_whatever_pythonhttpsverify_says(
    jenkins: Command, monkeypatch: pytest.MonkeyPatch, certificate: Path, switch: str | None, trusted: bool
) -> None:
    heard: list[str] = []
    if switch:
        monkeypatch.setenv("PYTHONHTTPSVERIFY", switch)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with FakeController().running(certificate) as controller:
        controller.before.append(noting(heard))
        monkeypatch.setenv("JENKINS_URL", controller.url)
        monkeypatch.setenv("JENKINS_USER", USER)
        monkeypatch.setenv("JENKINS_API_TOKEN", TOKEN)

        result = jenkins(*SETUP)

    assert result.exit_code == (0 if trusted else 3), result.stderr
    assert ("certificate verify failed" in result.stderr) is not trusted
    assert bool(heard) is trusted


# --- masking -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("user", ["u", "us", "use", "user", "usér", "useri", "userid"])
def test_the_login_that_a_proxy_repeats_is_masked(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    token = f"11-the-token-of-{len(user.encode())}-{user.encode().hex()}"
    monkeypatch.setenv("JENKINS_USER", user)
    monkeypatch.setenv("JENKINS_API_TOKEN", token)
    login = base64.b64encode(f"{user}:{token}".encode()).decode()
    told = f"this is not for Basic {login}"
    controller.before.append(lambda method, path: Answer(502, told.encode(), "text/plain"))

    result = jenkins(*SETUP)

    assert result.exit_code == 3
    assert "this is not for Basic ********" in result.stderr
    assert login not in result.output


def test_the_login_is_masked_with_a_token_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-that-lies-in-a-file\n")
    environ = {"JENKINS_URL": "https://j", "JENKINS_USER": "me", "JENKINS_API_TOKEN_FILE": str(tmp_path / "token")}

    from_environment(environ)

    assert redact(base64.b64encode(b"me:a-token-that-lies-in-a-file").decode()) == "********"
