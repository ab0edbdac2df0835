"""The parts of the demo of canaries; a canary itself has tests of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlops_steps.config import load
from mlops_steps.errors import CheckFailed
from mlops_steps.report import junit
from mlops_steps.sandbox.play import demo_api
from mlops_steps.sandbox.play.users import Users


class _Node(BaseHTTPRequestHandler):
    """An API node that fails every third call."""

    calls = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).calls += 1
        fails = type(self).calls % 3 == 0
        body = json.dumps({"apiContext": {"serviceGeneration": f"v{type(self).calls % 2}"}}).encode()
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    _Node.calls = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Node) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_users_count_what_each_version_answered_and_what_failed(url: str) -> None:
    users, enough = Users([url], "churn", "predict", [{"a": 1}]), threading.Event()
    with users.calling(200):
        while sum(users.answered.values()) + len(users.failed) < 12:
            enough.wait(0.01)
    answered, failed = users.answered, users.failed
    assert set(answered) == {"v0", "v1"}
    assert len(failed) == _Node.calls // 3
    assert sum(answered.values()) + len(failed) == _Node.calls
    assert "500" in failed[0]


def test_the_configuration_of_the_demo_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "mlops.yml"
    (tmp_path / "records.jsonl").write_text("")
    path.write_text(demo_api.CONFIG.format(project="P", design="http://127.0.0.1:1"))
    settings = load(path, {})
    assert settings.api.release.canary.steps == [10, 50]
    assert list(settings.api.stages) == ["dev", "prod"]


@pytest.mark.parametrize("failed", [[], ["Timeout: no answer"]])
def test_a_call_of_a_user_that_fails_fails_the_demo_and_stands_in_the_report(
    failed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = Users(["http://127.0.0.1:1"], "churn", "predict", [{}])
    users._answered.update({"v1": 7})
    users._failed += failed
    demo = object.__new__(demo_api._Demo)
    monkeypatch.setattr(demo, "users", users, raising=False)
    monkeypatch.setattr(demo, "out", tmp_path, raising=False)
    if failed:
        with pytest.raises(CheckFailed, match="1 calls of users had no answer"):
            demo.check()
    else:
        demo.check()
    report = junit.read(tmp_path / "users.xml")
    assert report.properties["failed"] == str(len(failed))
    assert report.properties["calls"] == str(7 + len(failed))
