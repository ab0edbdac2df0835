"""Nodes that cost next to no CPU: what a DSS answers to a pipeline, with the work replaced by the clock.

A scenario lasts as long as its name says, an update as long as the options say, and nothing is computed, so that what
is measured is the program that waits. It runs as a process of its own: ``python -m benchmarks.stub OPTIONS`` prints
its URLs as JSON, and answers until its standard input is closed. It serves one Design node with the Project Deployer,
and an Automation node for each infrastructure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PROJECT = "BENCH"
INFRASTRUCTURES = ("auto-test", "auto-prod")
ROOT = Path(__file__).parent.parent


@dataclass
class Options:
    """What the nodes hold. ``scenarios``: seconds by id. ``past_…``: how much history there is."""

    scenarios: dict[str, float] = field(default_factory=dict)
    update: float = 1.0
    archive: str = ""
    past_bundles: int = 0
    past_deployments: int = 0
    past_runs: int = 0
    #: Infrastructures of production, ``n001`` and so on, in the place of its one node.
    infrastructures: int = 0


@dataclass
class Waited:
    """A scenario run or an update: when it ended, when that was first seen, and how often it was looked at."""

    what: str
    began: float
    ends: float
    seen: float = 0.0
    requests: int = 0

    def look(self) -> bool:
        """Whether it has ended; counts the look."""
        now = time.time()
        if now - self.began <= 60:
            self.requests += 1
        ended = now >= self.ends
        if ended and not self.seen:
            self.seen = now
        return ended


class Nodes:
    """The state behind all nodes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lock = threading.Lock()
        #: How many requests a node got in each second.
        self.asked: dict[str, dict[int, int]] = {}
        self.waited: list[Waited] = []
        self.runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.active: dict[str, str] = {}
        self.updates: dict[str, list[dict[str, Any]]] = {}
        self.futures: dict[str, tuple[Waited, str, str]] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        now = int(time.time() * 1000)
        self.exported = [_exported(f"past-{number:05d}", now - number) for number in range(options.past_bundles)]
        self.published: list[dict[str, Any]] = [_package(item["bundleId"], now) for item in self.exported]
        self.settings = {"id": PROJECT, "name": PROJECT, "tags": [], "permissions": [], "creationTime": now}
        for number in range(options.past_deployments):
            name = f"other-{number:05d}"
            self.deployments[name] = _deployment(name, f"OTHER_{number}", f"infra-{number % 7}", "b1")
        for infra in INFRASTRUCTURES if options.past_runs else ():
            for scenario in options.scenarios:
                past = [_past_run(scenario, now - 60_000 * (number + 1)) for number in range(options.past_runs)]
                self.runs[infra, scenario] = past

    def count(self, node: str) -> None:
        """A request has come."""
        with self.lock:
            seconds = self.asked.setdefault(node, {})
            second = int(time.time())
            seconds[second] = seconds.get(second, 0) + 1

    # ---- what is asked of every node

    def projects(self, node: str) -> list[dict[str, Any]]:
        """The projects of a node: the one that is built, or the bundle of it that is active."""
        if node == "design":
            return [{"projectKey": PROJECT, "name": PROJECT}]
        active = self.active.get(node)
        return [{"projectKey": PROJECT, "name": PROJECT, "activeBundleState": {"bundleId": active}}] if active else []

    def start(self, node: str, scenario: str, params: dict[str, Any]) -> dict[str, Any]:
        """Fires a scenario."""
        with self.lock:
            now = time.time()
            waited = Waited(scenario, now, now + self.options.scenarios[scenario])
            self.waited.append(waited)
            runs = self.runs.setdefault((node, scenario), [])
            number = f"{int(now * 1000)}-{len(runs) + 1}"
            trigger = {
                "projectKey": PROJECT,
                "scenarioId": scenario,
                "runId": number,
                "trigger": {"id": "manual", "type": "manual", "name": "Manual trigger", "active": True, "params": {}},
                "timestamp": int(now * 1000),
                "params": params,
                "cancelled": False,
            }
            runs.insert(0, {"waited": waited, "runId": number, "start": int(now * 1000), "trigger": trigger})
            return trigger

    def run(self, node: str, scenario: str, run_id: str) -> dict[str, Any]:
        """One run as it is now."""
        entry = next(run for run in self.runs[node, scenario] if run["runId"] == run_id)
        return {"scenarioRun": _shown(entry, PROJECT, scenario)}

    def last_runs(self, node: str, scenario: str, limit: int) -> list[dict[str, Any]]:
        """The newest runs."""
        return [_shown(entry, PROJECT, scenario) for entry in self.runs.get((node, scenario), [])[:limit]]

    # ---- the Project Deployer

    def start_update(self, deployment_id: str) -> dict[str, Any]:
        """Starts an update, which makes the bundle of the settings active when its time is over."""
        with self.lock:
            deployment, now = self.deployments[deployment_id], time.time()
            waited = Waited("update", now, now + self.options.update)
            self.waited.append(waited)
            job = f"job-{len(self.futures) + 1}"
            self.futures[job] = (waited, deployment_id, deployment["bundleId"])
            record = {
                "deploymentId": deployment_id,
                "type": "UPDATE",
                "status": "RUNNING",
                "startTimestamp": int(now * 1000),
                "bundleId": deployment["bundleId"],
                "requester": "admin",
            }
            self.updates.setdefault(deployment_id, []).insert(0, record)
            return {"jobId": job, "alive": True, "hasResult": False, "aborted": False, "unknown": False}

    def future(self, job: str) -> dict[str, Any]:
        """The state of an update."""
        waited, deployment_id, bundle_id = self.futures[job]
        ended = waited.look()
        base = {"jobId": job, "alive": not ended, "hasResult": ended, "aborted": False, "unknown": False}
        if not ended:
            return base
        self.active[self.deployments[deployment_id]["infraId"]] = bundle_id
        self.updates[deployment_id][0].update(status="SUCCESS", endTimestamp=int(waited.ends * 1000))
        report = {"messages": [], "anyMessage": False, "success": True, "error": False, "fatal": False}
        return {**base, "result": {"deploymentId": deployment_id, "status": "SUCCESS", "infoMessages": report}}

    def light(self, deployment_id: str) -> dict[str, Any]:
        """The light status of a deployment."""
        settings = self.deployments[deployment_id]
        names = ("id", "infraId", "tags", "publishedProjectKey", "bundleId", "deployedProjectKey", "enabled")
        return {
            "deploymentBasicInfo": {name: settings[name] for name in names},
            "infraBasicInfo": {"id": settings["infraId"], "stage": "Test", "type": "AUTOMATION_NODE"},
            "projectBasicInfo": {"id": settings["publishedProjectKey"], "name": settings["publishedProjectKey"]},
            "packages": self.published,
            "neverEverDeployed": False,
        }


def _exported(bundle_id: str, when: int) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(when / 1000))
    info = {"exportedBy": "admin", "exportedOn": stamp, "bundleId": bundle_id, "releaseNotes": "notes"}
    return {
        "bundleId": bundle_id,
        "state": "ARCHIVE_AVAILABLE",
        "releaseNotes": "notes",
        "exportManifest": {"exportUserInfo": info, "releaseNotes": "notes"},
    }


def _package(bundle_id: str, when: int) -> dict[str, Any]:
    return {"id": bundle_id, "name": bundle_id, "publishedOn": when, "publishedBy": "admin", "createdOn": when}


def _deployment(name: str, key: str, infra: str, bundle_id: str) -> dict[str, Any]:
    return {
        "id": name,
        "infraId": infra,
        "publishedProjectKey": key,
        "bundleId": bundle_id,
        "deployedProjectKey": key,
        "bundleContainerSettings": {"remapping": {"connections": [], "codeEnvs": []}},
        "localVariables": {},
        "scenariosToActivate": {},
        "disableAutomaticTriggers": False,
        "enabled": True,
        "tags": [],
    }


def _past_run(scenario: str, start: int) -> dict[str, Any]:
    trigger = {"trigger": {"id": "manual", "type": "manual"}, "runId": f"{start}-0", "params": {}, "timestamp": start}
    waited = Waited(scenario, start / 1000, start / 1000 + 1, seen=1.0)
    return {"waited": waited, "runId": f"{start}-0", "start": start, "trigger": trigger}


def _shown(entry: dict[str, Any], key: str, scenario: str) -> dict[str, Any]:
    ended = entry["waited"].look()
    end = int(entry["waited"].ends * 1000)
    shown: dict[str, Any] = {
        "runId": entry["runId"],
        "start": entry["start"],
        "end": end if ended else 0,
        "scenario": {"id": scenario, "name": scenario, "projectKey": key, "markedAsTest": True},
        "trigger": entry["trigger"],
    }
    if ended:
        shown["result"] = {"type": "SCENARIO_DONE", "outcome": "SUCCESS", "target": {}, "start": entry["start"]}
    return shown


# A larger body is the upload of an archive.
_LARGEST_BODY = 1024 * 1024

Answer = Callable[[Nodes, str, re.Match[str], dict[str, Any], Any], Any]
_ROUTES: list[tuple[str, re.Pattern[str], Answer]] = []


def _route(method: str, pattern: str) -> Callable[[Answer], Answer]:
    """``{}`` in the pattern stands for a part of the path."""

    def add(answer: Answer) -> Answer:
        _ROUTES.append((method, re.compile(pattern.replace("{}", "([^/]+)") + "/?$"), answer))
        return answer

    return add


@_route("GET", "/projects")
def _projects(nodes: Nodes, node: str, _m: Any, _q: Any, _b: Any) -> Any:
    return nodes.projects(node)


@_route("GET", "/instance-info")
def _instance(_nodes: Nodes, node: str, _m: Any, _q: Any, _b: Any) -> Any:
    return {"nodeId": node, "nodeType": "DESIGN" if node == "design" else "AUTOMATION", "dssVersion": "14.2.1"}


@_route("GET", "/projects/{}/bundles/exported")
def _bundles(nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return {"bundles": nodes.exported}


@_route("PUT", "/projects/{}/bundles/exported/{}")
def _export(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    nodes.exported.insert(0, _exported(match[2], int(time.time() * 1000)))
    return nodes.exported[0]


@_route("POST", "/projects/{}/bundles/{}/publish")
def _publish(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    now = int(time.time() * 1000)
    nodes.published.insert(0, _package(match[2], now))
    return {"publishedOn": now, "publishedBy": "admin", "publishedProjectKey": match[1]}


@_route("GET", "/projects/{}/git/actions/log")
def _git_log(_nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    commit = {"commit": "0123456789abcdef" * 2, "author": "a", "timestamp": "2026-01-01T00:00:00.000+0000"}
    return {"entries": [{**commit, "message": "Predict", "parents": [], "tags": []}]}


@_route("GET", "/projects/{}/scenarios")
def _scenarios(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return [
        {
            "id": name,
            "projectKey": match[1],
            "name": name,
            "type": "step_based",
            "active": False,
            "markedAsTest": name.startswith("TEST_"),
            "running": False,
        }
        for name in nodes.options.scenarios
    ]


@_route("GET", "/projects/{}/scenarios/{}/get-last-runs")
def _last_runs(nodes: Nodes, node: str, match: re.Match[str], query: Any, _b: Any) -> Any:
    return nodes.last_runs(node, match[2], int(query.get("limit", ["10"])[0]))


@_route("POST", "/projects/{}/scenarios/{}/run")
def _run(nodes: Nodes, node: str, match: re.Match[str], _q: Any, body: Any) -> Any:
    return nodes.start(node, match[2], body or {})


@_route("GET", "/projects/{}/scenarios/{}/get-run-for-trigger")
def _run_for_trigger(nodes: Nodes, node: str, match: re.Match[str], query: Any, _b: Any) -> Any:
    return nodes.run(node, match[2], query["triggerRunId"][0])


@_route("GET", "/projects/{}/scenarios/trigger/{}/{}")
def _fire(nodes: Nodes, node: str, match: re.Match[str], query: Any, _b: Any) -> Any:
    entry = next(run for run in nodes.runs[node, match[2]] if run["runId"] == query["triggerRunId"][0])
    return {**entry["trigger"], "scenarioRun": _shown(entry, PROJECT, match[2])}


@_route("GET", "/projects/{}/scenarios/{}/{}/log")
def _log(_nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return b"a line of the log\n"


@_route("GET", "/projects/{}/scenarios/{}/{}/scenario-run-report")
def _report(_nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    case = f'<testcase classname="{match[2]}" name="step" time="1"/>'
    return f'<testsuites><testsuite name="{match[2]}" tests="1">{case}</testsuite></testsuites>'.encode()


@_route("GET", "/projects/{}/scenarios/{}/{}")
def _one_run(nodes: Nodes, node: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return nodes.run(node, match[2], match[3])


@_route("GET", "/project-deployer/projects/{}")
def _published(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    info = {"id": match[1], "name": match[1], "tags": []}
    return {"projectBasicInfo": info, "packages": nodes.published, "deployments": [], "infras": []}


@_route("GET", "/project-deployer/projects/{}/settings")
def _settings(nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return nodes.settings


@_route("PUT", "/project-deployer/projects/{}/settings")
def _save_settings(nodes: Nodes, _n: str, _m: Any, _q: Any, body: Any) -> Any:
    nodes.settings = body


@_route("GET", "/project-deployer/projects/{}/bundles/{}")
def _download(nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return Path(nodes.options.archive)


@_route("GET", "/project-deployer/deployments")
def _list(nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    names = ("id", "infraId", "tags", "publishedProjectKey", "bundleId", "deployedProjectKey", "enabled")
    return [{"deploymentBasicInfo": {name: one[name] for name in names}} for one in list(nodes.deployments.values())]


@_route("POST", "/project-deployer/deployments")
def _create(nodes: Nodes, _n: str, _m: Any, _q: Any, body: Any) -> Any:
    name = body["deploymentId"]
    nodes.deployments[name] = _deployment(name, body["publishedProjectKey"], body["infraId"], body["bundleId"])
    return nodes.light(name)


@_route("GET", "/project-deployer/deployments/{}")
def _light(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return nodes.light(match[1])


@_route("GET", "/project-deployer/deployments/{}/settings")
def _deployment_settings(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return nodes.deployments[match[1]]


@_route("PUT", "/project-deployer/deployments/{}/settings")
def _save_deployment(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, body: Any) -> Any:
    nodes.deployments[match[1]] = body


@_route("GET", "/project-deployer/deployments/{}/status")
def _heavy(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    settings = nodes.deployments[match[1]]
    synced = nodes.active.get(settings["infraId"]) == settings["bundleId"]
    report = {"messages": [], "anyMessage": False, "success": False, "error": False, "fatal": False}
    health = "HEALTHY" if synced else "OUT_OF_SYNC"
    return {"deploymentId": match[1], "health": health, "healthMessages": report, "monitoring": {}}


@_route("GET", "/project-deployer/deployments/{}/update")
def _updates(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return nodes.updates.get(match[1], [])


@_route("POST", "/project-deployer/deployments/{}/actions/update")
def _update(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return nodes.start_update(match[1])


@_route("GET", "/project-deployer/deployments/{}/testing-status")
def _testing(_nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return {}


@_route("GET", "/futures/{}")
def _future(nodes: Nodes, _n: str, match: re.Match[str], _q: Any, _b: Any) -> Any:
    return nodes.future(match[1])


@_route("POST", "/projects/{}/bundles/imported/actions/importFromStream")
def _import(_nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return {}


@_route("GET", "/_waited")
def _waited(nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return [asdict(waited) for waited in nodes.waited]


@_route("GET", "/_asked")
def _asked(nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return {node: list(seconds.values()) for node, seconds in nodes.asked.items()}


@_route("GET", "/connections/get-names")
def _connections(_nodes: Nodes, _n: str, _m: Any, _q: Any, _b: Any) -> Any:
    return ["filesystem_managed"]


def _handler(nodes: Nodes, node: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            nodes.count(node)
            url = urlsplit(self.path)
            path = unquote(url.path).removeprefix("/dip/publicapi")
            size = int(self.headers.get("Content-Length") or 0)
            body = b""
            if size > _LARGEST_BODY:
                self.take_away(size)
            elif size:
                body = self.rfile.read(size)
            for method, pattern, answer in _ROUTES:
                match = pattern.match(path) if method == self.command else None
                if match:
                    content = answer(
                        nodes, node, match, parse_qs(url.query), json.loads(body) if body[:1] in (b"{", b"[") else None
                    )
                    self.reply(200, content)
                    return
            self.reply(404, {"errorType": "NotFound", "message": f"not in the stub: {self.command} {path}"})

        def take_away(self, size: int) -> None:
            """Reads an upload, and keeps nothing of it."""
            buffer = memoryview(bytearray(1024 * 1024))
            while size > 0:
                size -= self.rfile.readinto(buffer[: min(size, len(buffer))])

        def reply(self, status: int, content: Any) -> None:
            if isinstance(content, Path):
                self.head(status, content.stat().st_size, kind="application/zip")
                with content.open("rb") as file:
                    self.connection.sendfile(file)
                return
            text = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
            kind = "text/plain" if isinstance(content, bytes) else "application/json"
            self.head(status, len(text), text, kind)

        def head(self, status: int, size: int, text: bytes = b"", kind: str = "application/json") -> None:
            lines = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
            self.connection.sendall((lines + "DSS-Version: 14.2.1\r\n\r\n").encode() + text)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle is none of the measure."""


def main() -> None:
    """Serves until standard input is closed."""
    nodes = Nodes(Options(**json.loads(sys.argv[1])))
    urls = {}
    for node in ("design", *INFRASTRUCTURES, *more(nodes.options)):
        server = Server(("127.0.0.1", 0), _handler(nodes, node))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 3600}, daemon=True).start()
        urls[node] = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps(urls), flush=True)
    sys.stdin.read()


def more(options: Options) -> list[str]:
    """The ids of the infrastructures of production, where it has several."""
    return [f"n{number:03d}" for number in range(1, options.infrastructures + 1)]


@contextmanager
def running(options: Options, folder: Path) -> Iterator[dict[str, str]]:
    """The stub as a process; yields the environment that its nodes need. ``folder`` gets a small archive."""
    if not options.archive:
        options.archive = str(folder / "bundle.zip")
        with zipfile.ZipFile(options.archive, "w") as archive:
            archive.writestr("export-manifest.json", json.dumps({"projectKey": PROJECT}))
            archive.writestr("project_config/params.json", "{}")
    command = [sys.executable, "-m", "benchmarks.stub", json.dumps(asdict(options))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        urls = json.loads(process.stdout.readline())
        names = {"design": "DESIGN", "auto-test": "TEST"}
        names |= {node: f"PROD_{node.upper()}" for node in more(options)} or {"auto-prod": "PROD"}
        environment = {**os.environ, "MLOPS_PROJECT": PROJECT, "PYTHONPATH": str(ROOT)}
        for node, name in names.items():
            environment |= {f"MLOPS_{name}_URL": urls[node], f"MLOPS_{name}_API_KEY": "some-key-for-this"}
            if node != "design":
                environment[f"MLOPS_{name}_INFRA"] = node
            if name.startswith("PROD_"):
                environment[f"MLOPS_{name}_STAGE"] = "prod"
        try:
            yield environment
        finally:
            process.stdin.close()
            process.wait(timeout=10)


if __name__ == "__main__":
    main()
