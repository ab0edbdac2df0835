"""A controller for each test, and the command as a user types it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_steps.cli import cli
from mlops_steps.jenkins import builds, session
from tests.jenkins.fake_controller import TOKEN, USER, FakeController

Command = Callable[..., Result]


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeController]:
    """A running controller, named by the environment."""
    with FakeController().running() as running:
        monkeypatch.setenv("JENKINS_URL", running.url)
        monkeypatch.setenv("JENKINS_USER", USER)
        monkeypatch.setenv("JENKINS_API_TOKEN", TOKEN)
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses and little patience; no environment from outside."""
    monkeypatch.setattr(builds, "_PAUSES", (0.01, 0.02))
    monkeypatch.setattr(session, "LIMITS", session.Limits(connect=2, read=2, patience=0.5))
    for name in ("URL", "USER", "API_TOKEN", "API_TOKEN_FILE"):
        monkeypatch.delenv(f"JENKINS_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("PYTHONHTTPSVERIFY", raising=False)


@pytest.fixture
def jenkins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``mlops-steps jenkins …`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["jenkins", *arguments], input=input)

    return run
