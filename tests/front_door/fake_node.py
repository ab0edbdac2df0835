"""A DSS node that answers what a test tells it to, over real HTTP: for answers that no healthy node gives."""

from __future__ import annotations

import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

KEY = "fake-node-key-0123456789"


class Refusing:
    """An answer with an HTTP error."""

    def __init__(self, status: int, message: str = "no") -> None:
        self.status = status
        self.message = message
        self.kind = "Refused"


class FakeNode:
    """Answers GET requests from a table of paths. ``headers`` go with each answer; ``asked`` are the paths."""

    def __init__(self, **table: Any) -> None:
        self.answers: dict[str, Any] = table or project_p()
        self.headers: dict[str, str] = {"Date": formatdate(usegmt=True), "DSS-Version": "13.1.0"}
        self.asked: list[str] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path).removeprefix("/dip/publicapi")
                node.asked.append(path)
                answer = node.answers.get(path.rstrip("/"), Refusing(404, f"nothing at {path}"))
                status, content = 200, answer
                if isinstance(answer, Refusing):
                    status, content = answer.status, {"errorType": answer.kind, "message": answer.message}
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response_only(status)
                for name, value in node.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def recipe(code: str, **definition: Any) -> dict[str, Any]:
    """A Python recipe as the node answers it."""
    return {"recipe": {"type": "python", "params": {}, "inputs": {}, "outputs": {}, **definition}, "payload": code}


def project_p() -> dict[str, Any]:
    """A Design node with the deployer and a project P that passes all rules."""
    explicit = {"envMode": "EXPLICIT_ENV", "envName": "py_churn"}
    return {
        "/instance-info": {"nodeId": "d", "nodeName": "d", "nodeType": "DESIGN", "dssVersion": "13.1.0"},
        "/projects": [{"projectKey": "P"}, {"projectKey": "OTHER"}],
        "/projects/P": {"projectKey": "P"},
        "/projects/P/recipes": [{"projectKey": "P", "name": "compute", "type": "python"}],
        "/projects/P/recipes/compute": recipe(
            "x = 1\n",
            params={"envSelection": explicit},
            inputs={"main": {"items": [{"ref": "raw"}, {"ref": "OTHER.rates"}]}},
            outputs={"main": {"items": [{"ref": "model"}]}},
        ),
        "/projects/P/scenarios": [{"projectKey": "P", "id": "TEST_SMOKE", "name": "Smoke", "markedAsTest": True}],
        "/projects/P/scenarios/TEST_SMOKE": {"type": "step_based", "params": {"steps": []}},
        "/projects/P/libraries/contents": [{"name": "python", "children": [{"name": "util.py"}, {"name": "a.txt"}]}],
        "/projects/P/libraries/contents//python/util.py": {"name": "util.py", "data": "y = 2\n"},
        "/projects/P/datasets": [{"projectKey": "P", "name": "raw"}],
        "/projects/P/savedmodels": [{"projectKey": "P", "id": "model", "name": "Model"}],
        "/projects/P/managedfolders": [],
        "/projects/P/settings": {"settings": {"codeEnvs": {"python": {"mode": "INHERIT"}}}},
        "/projects/OTHER/datasets": [{"projectKey": "OTHER", "name": "rates"}],
        "/projects/OTHER/savedmodels": [],
        "/projects/OTHER/managedfolders": [],
        "/admin/code-envs": [{"envLang": "PYTHON", "envName": "py_churn"}],
        "/project-deployer/stages": [{"id": "Test"}, {"id": "Production"}],
        "/project-deployer/infras": [
            {
                "infraBasicInfo": {"id": "auto-prod", "stage": "Production"},
                "canDeploy": True,
            },
            {
                "infraBasicInfo": {"id": "auto-test", "stage": "Test", "automationNodeUrl": "http://127.0.0.1:9/"},
                "canDeploy": True,
            },
        ],
    }
