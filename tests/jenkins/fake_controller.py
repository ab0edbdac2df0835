"""A Jenkins controller on loopback: as much of its HTTP API as python-jenkins and mlops-steps ask for, with state.

What it answers is modelled on what a controller sends: configuration comes back as XML 1.1 with the plugins noted and
with elements that Jenkins adds, secrets come back redacted, POSTs with a password need the crumb of their session,
the console comes in pieces, and a job that has parameters refuses to be started at /build.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

USER, TOKEN, PASSWORD = "ci-bot", "11d2f0token0of0the0fake0controller", "pass-word-of-the-fake"
VERSION = "2.479.3"

FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
PLUGINS = {
    "cloudbees-folder": "6.980.v5a_cc0cb_25881",
    "credentials-binding": "687.v619cb_15e923f",
    "git": "5.7.0",
    "junit": "1312.v1a_235a_b_94a_31",
    "pipeline-groovy-lib": "752.vdddedf804e72",
    "pipeline-input-step": "508.v584c0e9a_2177",
    "pipeline-model-definition": "2.2218.v56d0cda_37c72",
    "pipeline-stage-step": "312.v8cd10304c27a_",
    "plain-credentials": "183.va_de8f1dd5a_2b_",
    "workflow-basic-steps": "1058.vcb_fc1e3a_21a_9",
    "workflow-cps": "4014.vcd7dc51d8b_30",
    "workflow-durable-task-step": "1405.v1fcd4a_d00096",
    "workflow-job": "1498.v33a_0c6f3a_4b_4",
}


@dataclass
class FakeBuild:
    """A build that plays: each question for the console brings one more piece."""

    console: list[bytes] = field(default_factory=lambda: [b"Started\n", b"Finished: SUCCESS\n"])
    result: str = "SUCCESS"
    nodes: list[dict[str, Any]] = field(default_factory=list)
    tests: dict[str, str] | None = None  # "class: name" -> status
    description: str | None = None
    endless: bool = False
    number: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    given: int = 0
    stopped: bool = False
    question: str | None = None  # the id of a question that the last piece of the console waits for
    approvers: tuple[str, ...] = (USER,)
    approved: bool = False
    asked: int = 0
    began: int = 0  # milliseconds since 1970
    artifacts: dict[str, bytes] = field(default_factory=dict)

    @property
    def building(self) -> bool:
        return not self.stopped and (self.endless or self.given < len(self.console))


NOTE = b"\x1b[8mha:////4AbWGb7IqkUW5RZg" + b"A" * 160 + b"ZsYAAAA=\x1b[0m"


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    kind: str = "application/json;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def as_json(document: object) -> Answer:
    return Answer(body=json.dumps(document).encode())


class FakeController:
    """The state of a controller. ``posts`` are the paths of all requests that may have changed something."""

    def __init__(self) -> None:
        self.version: str | None = VERSION
        self.plugins = dict(PLUGINS)
        self.inactive: set[str] = set()
        self.items: dict[str, ElementTree.Element] = {}
        self.credentials: dict[tuple[str, str], ElementTree.Element] = {}
        self.parameters: dict[str, list[dict[str, Any]]] = {}
        self.disabled: set[str] = set()
        self.next_builds: dict[str, list[FakeBuild]] = {}
        self.builds: dict[str, list[FakeBuild]] = {}
        self.queue: dict[int, dict[str, Any]] = {}
        self.quiet_period = False
        self.queue_patience = 1  # questions that an item stays in the queue for
        self.findings: list[dict[str, Any]] = []
        self.posts: list[str] = []
        self.bodies: list[bytes] = []
        self.crumbs: dict[str, str] = {}
        self.before: list[Callable[[str, str], Answer | None]] = []
        self.place_after_changes = ""  # with one, a change that was made is answered by a redirect to it
        self.url = ""

    # --- preparing -----------------------------------------------------------------------------------------------
    def add_job(self, name: str, *builds: FakeBuild, parameters: list[dict[str, Any]] | None = None) -> None:
        """A pipeline job whose next builds are these."""
        self.items[name] = ElementTree.fromstring("<flow-definition><description/><properties/></flow-definition>")
        self.next_builds[name] = list(builds)
        if parameters:
            self.parameters[name] = parameters

    def add_past_build(self, name: str, build: FakeBuild) -> None:
        build.number, build.given = len(self.builds.setdefault(name, [])) + 1, len(build.console)
        self.builds[name].append(build)

    def config(self, name: str) -> str:
        """An item's configuration as text."""
        return ElementTree.tostring(self.items[name], encoding="unicode")

    # --- answering -----------------------------------------------------------------------------------------------
    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        parts = urlsplit(target)
        path, query = parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}
        for fault in list(self.before):
            found = fault(method, path)
            if found is not None:
                return found
        refused = self._refuse(method, path, headers)
        if refused:
            return refused
        if method == "POST":
            self.posts.append(target)
            self.bodies.append(body)
        for pattern, handler in self._ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                job = "/".join(unquote(part) for part in (match.groupdict().get("job") or "").split("/job/")[1:])
                rest = {name: unquote(value) for name, value in match.groupdict().items() if name != "job" and value}
                return handler(self, method, job, {**query, **rest}, body, headers)
        return Answer(404, b"<html>Not Found</html>", "text/html")

    def _refuse(self, method: str, path: str, headers: Any) -> Answer | None:
        kind, _, encoded = headers.get("Authorization", "").partition(" ")
        user, _, secret = base64.b64decode(encoded).decode().partition(":") if kind == "Basic" else ("", "", "")
        if user != USER or secret not in (TOKEN, PASSWORD):
            return Answer(401, b"<html>Invalid password/token</html>", "text/html")
        if method == "POST" and secret == PASSWORD:
            session = re.search(r"JSESSIONID=(\w+)", headers.get("Cookie", ""))
            crumb = headers.get("Jenkins-Crumb")
            if not session or not crumb or self.crumbs.get(session[1]) != crumb:
                return Answer(403, b"<html>No valid crumb was included in the request</html>", "text/html")
        return None

    def _crumb(self, _method: str, _job: str, _query: dict[str, str], _body: bytes, _headers: Any) -> Answer:
        session = f"session{len(self.crumbs)}"
        self.crumbs[session] = f"crumb-of-{session}"
        answer = as_json({"crumb": self.crumbs[session], "crumbRequestField": "Jenkins-Crumb"})
        answer.headers["Set-Cookie"] = f"JSESSIONID={session}; Path=/; HttpOnly"
        return answer

    def _me(self, *_: Any) -> Answer:
        return as_json({"_class": "hudson.model.User", "id": USER, "fullName": "CI Bot"})

    def _plugins(self, *_: Any) -> Answer:
        found = [
            {"shortName": name, "longName": f"The {name}", "version": version, "active": name not in self.inactive}
            for name, version in self.plugins.items()
        ]
        return as_json({"_class": "hudson.LocalPluginManager", "plugins": found})

    def _create_item(self, _method: str, job: str, query: dict[str, str], body: bytes, _headers: Any) -> Answer:
        name = f"{job}/{query['name']}".lstrip("/")
        if job and job not in self.items:
            return Answer(404, b"<html/>", "text/html")
        if name in self.items:
            reason = f"A job already exists with the name '{query['name']}'"
            return Answer(400, b"<html>Error</html>", "text/html", {"X-Error": reason})
        self.items[name] = ElementTree.fromstring(body)
        return Answer()

    def _config(self, method: str, job: str, _query: dict[str, str], body: bytes, _headers: Any) -> Answer:
        if job not in self.items:
            return Answer(404, b"<html/>", "text/html")
        if method == "POST":
            self.items[job] = ElementTree.fromstring(body)
            return Answer()
        return Answer(body=_as_saved(self.items[job]), kind="application/xml")

    def _item(self, _method: str, job: str, _query: dict[str, str], _body: bytes, _headers: Any) -> Answer:
        if job not in self.items:
            return Answer(404, b"<html/>", "text/html")
        name = job.rpartition("/")[2]
        if self.items[job].tag == FOLDER:
            return as_json({"_class": FOLDER, "name": name, "fullName": job, "jobs": []})
        prop: list[dict[str, Any]] = [
            {"_class": "org.jenkinsci.plugins.workflow.job.properties.DurabilityHintJobProperty"}
        ]
        if job in self.parameters:
            definitions = {
                "_class": "hudson.model.ParametersDefinitionProperty",
                "parameterDefinitions": self.parameters[job],
            }
            prop.append(definitions)
        builds = [
            {
                "number": build.number,
                "url": self._build_url(job, build),
                "timestamp": build.began,
                "result": None if build.building else build.result,
                "actions": [{"parameters": [{"name": k, "value": v} for k, v in build.parameters.items()]}, {}],
                "artifacts": [{"relativePath": path} for path in build.artifacts],
            }
            for build in reversed(self.builds.get(job, []))
        ]
        return as_json(
            {
                "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
                "name": name,
                "fullName": job,
                "buildable": job not in self.disabled,
                "builds": builds,
                "lastBuild": builds[0] if builds else None,
                "property": prop,
            }
        )

    def _create_credential(self, _method: str, job: str, _query: dict[str, str], body: bytes, headers: Any) -> Answer:
        root = ElementTree.fromstring(body)
        key = (job, root.findtext("id") or "")
        if key in self.credentials:
            return Answer(409)
        self.credentials[key] = root
        return Answer()

    def _credential(self, method: str, job: str, query: dict[str, str], body: bytes, _headers: Any) -> Answer:
        key = (job, query["id"])
        if key not in self.credentials:
            return Answer(404, b"<html/>", "text/html")
        if query["what"] == "api/json":
            return as_json({"id": query["id"], "typeName": "Secret text", "displayName": query["id"]})
        if method == "POST":
            self.credentials[key] = ElementTree.fromstring(body)
            return Answer()
        shown = ElementTree.fromstring(ElementTree.tostring(self.credentials[key]))
        for secret in shown.iter("secret"):
            secret.text = "\n    "
            ElementTree.SubElement(secret, "secret-redacted")
        return Answer(body=_as_saved(shown), kind="application/xml")

    def _start(self, _method: str, job: str, query: dict[str, str], body: bytes, _headers: Any) -> Answer:
        if job not in self.items:
            return Answer(404, b"<html/>", "text/html")
        with_parameters = query["how"] == "buildWithParameters"
        if job in self.parameters and not with_parameters:
            return Answer(400, b"<html>Nothing is submitted</html>", "text/html")
        if with_parameters and job not in self.parameters:
            return Answer(500, b"<html>IllegalStateException: not parameterized</html>", "text/html")
        values = {name: given[-1] for name, given in parse_qs(body.decode(), keep_blank_values=True).items()}
        number = len(self.queue) + 40
        self.queue[number] = {"job": job, "values": values, "asked": 0, "cancelled": False, "build": None}
        return Answer(201, headers={"Location": f"http://the-name-jenkins-knows-itself-by:8080/queue/item/{number}/"})

    def _queue_item(self, _method: str, _job: str, query: dict[str, str], _body: bytes, _headers: Any) -> Answer:
        item = self.queue[int(query["number"])]
        item["asked"] += 1
        if item["cancelled"]:
            return as_json({"_class": "hudson.model.Queue$LeftItem", "cancelled": True})
        if item["asked"] <= self.queue_patience:
            why = "Waiting for next available executor on 'linux'"
            if self.quiet_period:
                why = f"In the quiet period. Expires in {9 - item['asked'] / 10:.1f} sec"
            return as_json({"_class": "hudson.model.Queue$BuildableItem", "why": why, "stuck": False})
        if item["asked"] == self.queue_patience + 1 and self.queue_patience:
            return as_json({"_class": "hudson.model.Queue$LeftItem", "cancelled": False, "why": "Finished waiting"})
        if item["build"] is None:
            item["build"] = build = self.next_builds[item["job"]].pop(0)
            build.number = len(self.builds.setdefault(item["job"], [])) + 1
            build.parameters = item["values"]
            self.builds[item["job"]].append(build)
        executable = {"number": item["build"].number, "url": self._build_url(item["job"], item["build"])}
        return as_json({"_class": "hudson.model.Queue$LeftItem", "cancelled": False, "executable": executable})

    def _cancel(self, _method: str, _job: str, query: dict[str, str], _body: bytes, _headers: Any) -> Answer:
        self.queue[int(query["id"])]["cancelled"] = True
        return Answer(204)

    def _build_url(self, job: str, build: FakeBuild) -> str:
        return f"http://the-name-jenkins-knows-itself-by:8080/job/{quote(job.replace('/', '/job/'))}/{build.number}/"

    def _build(self, method: str, job: str, query: dict[str, str], body: bytes, headers: Any) -> Answer:
        builds = self.builds.get(job, [])
        if not 0 < int(query["number"]) <= len(builds):
            return Answer(404, b"<html/>", "text/html")
        build = builds[int(query["number"]) - 1]
        what = query["what"]
        if what == "stop" and method == "POST":
            build.stopped, build.result = True, "ABORTED"
            return Answer()
        if build.question and what == f"input/{build.question}/proceedEmpty" and method == "POST":
            build.asked += 1
            if build.asked == 1:  # not there yet
                return Answer(404, b"<html/>", "text/html")
            if USER not in build.approvers:
                reason = f"You need to be {','.join(build.approvers)} to submit this."
                return Answer(400, f"<html><body><p>{reason}</p></body></html>".encode(), "text/html")
            build.approved = True
            return Answer()
        if what.removeprefix("artifact/") in build.artifacts:
            return Answer(body=build.artifacts[what.removeprefix("artifact/")], kind="application/octet-stream")
        if what == "logText/progressiveText":
            return self._console(build, int(query.get("start", "0")))
        if what == "testReport/api/json" and build.tests is not None:
            cases = [_case(name, status) for name, status in build.tests.items()]
            return as_json({"_class": "hudson.tasks.junit.TestResult", "suites": [{"cases": cases}]})
        if what == "api/json":
            previous = builds[build.number - 2] if build.number > 1 else None
            graph = {"_class": "org.jenkinsci.plugins.workflow.job.views.FlowGraphAction", "nodes": build.nodes}
            return as_json(
                {
                    "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun",
                    "actions": [{"_class": "hudson.model.CauseAction"}, {}, graph, {}],
                    "building": build.building,
                    "result": None if build.building else build.result,
                    "duration": 0 if build.building else 184000,
                    "number": build.number,
                    "description": build.description,
                    "artifacts": [{"relativePath": path} for path in build.artifacts],
                    "url": self._build_url(job, build),
                    "previousBuild": previous and {"number": previous.number, "url": self._build_url(job, previous)},
                }
            )
        return Answer(404, b"<html/>", "text/html")

    def _console(self, build: FakeBuild, start: int) -> Answer:
        if build.question is None or build.approved or build.given < len(build.console) - 1:
            build.given += 1
        # Notes, for links and colours, stand raw at the beginning of lines, as current controllers send them.
        text = re.sub(rb"(?m)^(?=.)", NOTE, b"".join(build.console[: build.given]))
        headers = {"X-Text-Size": str(len(text))}
        if build.building:
            headers["X-More-Data"] = "true"
        return Answer(body=text[start:], kind="text/plain;charset=utf-8", headers=headers)

    def _validate(self, _method: str, _job: str, _query: dict[str, str], body: bytes, _headers: Any) -> Answer:
        if "jenkinsfile" not in parse_qs(body.decode()):
            return as_json({"status": "ok", "data": {"result": "failure", "errors": [{"error": "No content found"}]}})
        data = {"result": "failure", "errors": self.findings} if self.findings else {"result": "success"}
        return as_json({"status": "ok", "data": data})

    _JOB = r"(?P<job>(?:/job/[^/]+)*)"
    _STORE = _JOB + r"/credentials/store/folder/domain/_"
    _ROUTES = (
        (r"/crumbIssuer/api/json", _crumb),
        (r"/me/api/json", _me),
        (r"/pluginManager/api/json", _plugins),
        (r"/queue/item/(?P<number>\d+)/api/json", _queue_item),
        (r"/queue/cancelItem", _cancel),
        (r"/pipeline-model-converter/validateJenkinsfile", _validate),
        (_STORE + r"/createCredentials", _create_credential),
        (_STORE + r"/credential/(?P<id>[^/]+)/(?P<what>config.xml|api/json)", _credential),
        (_JOB + r"/createItem", _create_item),
        (_JOB + r"/config.xml", _config),
        (_JOB + r"/(?P<how>build|buildWithParameters)", _start),
        (_JOB + r"/(?P<number>\d+)/(?P<what>.+)", _build),
        (_JOB + r"/api/json", _item),
    )

    @contextmanager
    def running(self, certificate: Path | None = None) -> Iterator[FakeController]:
        """Serves on a free port of loopback while the block runs, over https with a certificate (and its key)."""
        controller = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits for an acknowledgement

            def _respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = controller.answer(self.command, self.path, self.headers, body)
                if controller.place_after_changes and self.command == "POST" and answer.status == 200:
                    answer = Answer(302, headers={"Location": controller.place_after_changes})
                self.send_response(answer.status)
                if controller.version:
                    self.send_header("X-Jenkins", controller.version)
                for name, value in {"Content-Type": answer.kind, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = _respond

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _case(name: str, status: str) -> dict[str, Any]:
    """A test case of ``class: name``; its status may be followed by | and the error."""
    class_name, _, test = name.partition(": ")
    status, _, error = status.partition("|")
    return {"className": class_name, "name": test, "status": status, "errorDetails": error or None}


_PLUGIN_OF = {
    FOLDER: "cloudbees-folder@6.980",
    "org.jenkinsci.plugins.workflow.libs.FolderLibraries": "pipeline-groovy-lib@752",
    "flow-definition": "workflow-job@1498",
    "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl": "plain-credentials@183",
}


def _as_saved(root: ElementTree.Element) -> bytes:
    """The document as Jenkins hands it out: with plugins noted, an id for each source, and as XML 1.1."""
    copy = ElementTree.fromstring(ElementTree.tostring(root))
    for element in copy.iter():
        if element.tag in _PLUGIN_OF:
            element.set("plugin", _PLUGIN_OF[element.tag])
    for source in copy.iter("scm"):
        if source.get("class") == "jenkins.plugins.git.GitSCMSource" and source.find("id") is None:
            ElementTree.SubElement(source, "id").text = "0b0a8c8e-5d0b-4a52-8d3f-2c9a4e2f7f11"
    if copy.tag == FOLDER and copy.find("icon") is None:
        ElementTree.SubElement(copy, "icon", {"class": "com.cloudbees.hudson.plugins.folder.icons.StockFolderIcon"})
    ElementTree.indent(copy)
    text = ElementTree.tostring(copy, encoding="unicode").replace("\r", "&#xd;")
    return b"<?xml version='1.1' encoding='UTF-8'?>\n" + text.encode()
