"""A sandbox in which one release can be made again and again: bundle ``old`` is live, ``new`` has passed its tests.

Everything runs in this process with small limits, so that a release takes a fraction of a second and a fault that
never ends a few.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dataikuapi

from mlops_steps.commands import runner
from mlops_steps.config import Settings, load
from mlops_steps.delivery import phases
from mlops_steps.delivery.record import Bundle, ReleaseRecord
from mlops_steps.delivery.unit import Named, Outcome, Previous
from mlops_steps.errors import MlopsError
from mlops_steps.report import junit
from mlops_steps.report.model import Report
from mlops_steps.sandbox.faults.board import LoggedRequest
from mlops_steps.sandbox.services.api_node.model import state_of
from mlops_steps.sandbox.services.projects.model import create
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from tests.records import pending
from tests.support.snapshot import Snapshot

KEY, SMOKE, STAGE, INFRA = "TINY", "TEST_SMOKE", "prod", "auto-prod"
OLD, NEW = "old-1", "new-2"
DEPLOYMENT = f"{KEY}-on-{INFRA}"

#: Small limits in seconds; a restore needs room for a few attempts.
LIMITS: dict[str, dict[str, Any]] = {
    "http": {"connect_timeout": "1s", "read_timeout": "1s", "retries": 2, "max_wait": "1s"},
    "package": {"timeout": "2s"},
    "validate": {"timeout": "4s"},
    "test": {"timeout": "2s", "total_timeout": "4s"},
    "deploy": {"timeout": "4s", "health_timeout": "1.5s"},
    "release": {"timeout": "4s", "smoke_timeout": "2s", "rollback_timeout": "6s"},
    "api": {
        "service": "tiny",
        "stages": {"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod"}},
        "package_timeout": "2s",
        "health_timeout": "1.5s",
        "call_timeout": "1s",
        "release": {"timeout": "4s", "verify_timeout": "2s", "rollback_timeout": "6s"},
    },
}
#: For what has to succeed, however busy the machine is.
PATIENT: dict[str, dict[str, Any]] = {
    "http": {"read_timeout": "10s"},
    "deploy": {"health_timeout": "10s"},
    "api": {"service": "tiny", "stages": LIMITS["api"]["stages"], "health_timeout": "10s"},
}
#: The same, where a request that a test holds must not last long: what has no answer in time is tried again.
STEADY: dict[str, dict[str, Any]] = {**PATIENT, "http": {"read_timeout": "1s"}}
#: A canary of one step, whose four comparisons of both versions are one after the other.
CANARY: dict[str, Any] = {
    "strategy": "canary",
    "canary": {
        "shares": [50, 100],
        "calls": 4,
        "step_timeout": "3s",
        "parallel": 1,
        "mode": "MULTI_GENERATION",
        # Four calls show nothing of latency.
        "inconclusive": "continue",
    },
}
#: What a release may take at most: its archive check, its deployment, its smoke test, its restore, and 10 seconds.
LONGEST = 2 + 4 + 2 + 6 + 10

#: Worlds to begin with: a bundle is live and another one tested; or nothing was ever deployed to production.
AGAIN, FIRST = "release again", "first release"


@dataclass
class Attempt:
    """How one release ended, and when (milliseconds since 1970). ``live`` is what its error says of production."""

    code: int
    seconds: float
    ended: int
    error: MlopsError | None
    said: str
    report: ElementTree.Element
    record: dict[str, Any]
    requests: list[LoggedRequest] = field(default_factory=list)

    @property
    def live(self) -> str:
        return (self.error and self.error.live) or ""

    @property
    def pending(self) -> bool:
        """Whether the record says that a restore is pending."""
        return pending(self.record, STAGE)


class World:
    """The sandbox, its project, and the release. One for all tests of a process: :meth:`reset` puts it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = Sandbox.open(folder / "nodes")
        self.sandbox.start()
        self.design = self.client("design")
        self.prod = self.client("auto-prod")
        self.deployer = self.design.get_projectdeployer()
        self.workspace = folder / "work"
        self.workspace.mkdir()
        self.settings = self._settings("mlops.yml", LIMITS)
        self.patient = self._settings("patient.yml", PATIENT)
        self._settings("steady.yml", STEADY)
        self.canary = self._settings("canary.yml", with_canary(LIMITS))
        self.patient_canary = self._settings("patient-canary.yml", with_canary(PATIENT))
        self._settings("steady-canary.yml", with_canary(STEADY))
        self.monitoring = self._settings("monitor.yml", with_probation(LIMITS))
        self.patient_monitoring = self._settings("patient-monitor.yml", with_probation(PATIENT))
        self._settings("steady-monitor.yml", with_probation(STEADY))
        self._snapshots: dict[str, Snapshot] = {}
        self._create_project()
        self._deploy_old()

    def close(self) -> None:
        self.sandbox.close()

    def client(self, node: str) -> dataikuapi.DSSClient:
        """The official client of a node."""
        found = self.sandbox.nodes[node]
        return dataikuapi.DSSClient(found.url, found.api_key)

    def configured(self, limits: dict[str, Any]) -> Settings:
        """Settings with these sections of mlops.yml."""
        return self._settings("own.yml", limits)

    def _settings(self, name: str, limits: dict[str, Any]) -> Settings:
        path = self.workspace / name
        path.write_text(json.dumps({"project": KEY, **limits}))
        return load(path, self.sandbox.environment(KEY))

    def _create_project(self) -> None:
        project = create(self.sandbox.design, KEY, "Tiny project")
        handle = self.design.get_project(KEY)
        for name in (SMOKE, "TEST_ONE"):
            handle.create_scenario(name, "step_based", {"params": {"steps": []}, "markedAsTest": True})
        for bundle in (OLD, NEW):
            (project.config_dir / "note.txt").write_text(bundle)
            handle.export_bundle(bundle)
            handle.publish_bundle(bundle)
        with self.deployer.get_project(KEY).get_bundle_stream(NEW) as response:
            self._archive = response.content
        self._write_record()
        self._keep(FIRST)

    def _deploy_old(self) -> None:
        self.deployer.create_deployment(DEPLOYMENT, KEY, INFRA, OLD).start_update().wait_for_result()
        assert (self.active, self.health) == (OLD, "HEALTHY")
        self._keep(AGAIN)

    @property
    def environment(self) -> dict[str, str]:
        """The environment with which the command finds the nodes."""
        return self.sandbox.environment(KEY)

    # ---- what the nodes themselves say

    @property
    def active(self) -> str | None:
        """The bundle that the Automation node reports as active."""
        for project in self.prod.list_projects():
            if project["projectKey"] == KEY:
                bundle: str | None = (project.get("activeBundleState") or {}).get("bundleId")
                return bundle
        return None

    @property
    def health(self) -> str:
        return str(self.deployer.get_deployment(DEPLOYMENT).get_status().get_health())

    @property
    def deployed(self) -> dict[str, Any]:
        """The settings of the deployment."""
        settings: dict[str, Any] = self.deployer.get_deployment(DEPLOYMENT).get_settings().get_raw()
        return settings

    def updates(self, since: int) -> list[dict[str, Any]]:
        """The updates of the deployment that began after ``since`` (milliseconds), oldest first."""
        found = [update.get_raw() for update in self.deployer.get_deployment(DEPLOYMENT).list_updates()]
        later = [update for update in found if update["startTimestamp"] > since]
        return sorted(later, key=lambda update: update["startTimestamp"])

    def smoke_runs(self, since: int) -> list[dict[str, Any]]:
        """The runs of the smoke scenario that began after ``since``."""
        runs = self.prod.get_project(KEY).get_scenario(SMOKE).get_last_runs(limit=50)
        return [run.run for run in runs if run.run["start"] > since]

    @property
    def exists(self) -> bool:
        """Whether there is a deployment to production."""
        return DEPLOYMENT in [item.deployment_id for item in self.deployer.list_deployments(as_objects=True)]

    @property
    def state(self) -> str:
        """What a first release has left: ``new``, ``disabled``, ``nothing``, or how it is otherwise."""
        if not self.exists:
            return "nothing" if self.active is None else f"{self.active} without a deployment"
        found = (self.active, self.deployed["bundleId"], self.deployed["enabled"])
        if found == (NEW, NEW, True) and self.health == "HEALTHY":
            return "new"
        return f"{found}" if self.deployed["enabled"] else "disabled"

    # ---- back to the beginning

    def reset(self, begin: str = AGAIN, make: Callable[[World], object] | None = None) -> None:
        """Puts the world back to the beginning of this name: the folders of the nodes and the workspace.

        An unknown one is made by ``make`` from :data:`AGAIN`, once.
        """
        if begin not in self._snapshots:
            assert make, begin
            self.reset()
            make(self)
            self._keep(begin)
        self._quiet()
        self._snapshots[begin].put_back()
        for node in self.sandbox.nodes.values():
            node.faults.clear_requests()
            if node.type == "API":
                state_of(node).services.clear()  # an API node keeps what it serves in memory, too

    def _keep(self, begin: str) -> None:
        self._quiet()
        folders = [node.dir for node in self.sandbox.nodes.values()]
        self._snapshots[begin] = Snapshot(*folders, self.workspace)

    def _quiet(self) -> None:
        """Ends all faults, and all that the nodes are at work on."""
        self.clear()
        until(lambda: self._idle(abort=True))

    def _idle(self, *, abort: bool = False) -> bool:
        nodes = self.sandbox.nodes.values()
        if abort:
            for node in nodes:
                for future in node.futures.list():
                    node.futures.abort(future.job_id)
        answered = all(request.seconds for node in nodes for request in node.faults.requests())
        return answered and not any(node.futures.list() for node in nodes)

    def clear(self) -> None:
        """Ends all faults and waits until every node is there again."""
        for node in self.sandbox.nodes.values():
            node.faults.clear()
        until(lambda: not any(node.faults.refusing for node in self.sandbox.nodes.values()))
        until(self._answers)

    def _answers(self) -> bool:
        try:
            self.design.get_instance_info()
            self.prod.get_instance_info()
        except Exception:
            return False
        return True

    def settle(self) -> None:
        """Waits for the end of what a step has left under way."""
        until(self._idle)

    @property
    def packaged(self) -> ReleaseRecord:
        """The record of the new bundle, as `package` has left it."""
        record = ReleaseRecord(project=KEY)
        digest = hashlib.sha256(self._archive).hexdigest()
        record.begin(Bundle(id=NEW, sha256=digest, size=len(self._archive)))
        return record

    def _write_record(self) -> None:
        record = self.packaged
        test = Outcome(bundle=NEW)
        test.end("passed")
        record.stage("test").test = test
        record.save(self.settings.record)

    def cut_off(self) -> None:
        """A release was killed after its update: the new bundle is live, the old one is to be restored."""
        deployment = self.deployer.get_deployment(DEPLOYMENT)
        settings = deployment.get_settings()
        settings.bundle_id = NEW
        settings.save()
        deployment.start_update().wait_for_result()
        record = self.packaged
        deploying(record, NEW, OLD)
        record.save(self.settings.record)

    def on_probation(self) -> None:
        """The new bundle was released, and a scenario has failed since."""
        assert self.release(self.patient).code == 0
        node = self.sandbox.nodes[INFRA]
        node.faults.add("scenario-ends", outcome="FAILED", target="TEST_ONE")
        self.prod.get_project(KEY).get_scenario("TEST_ONE").run_and_wait(no_fail=True)
        node.faults.clear()

    # ---- the release

    def run(self, step: Callable[[Context], object], name: str, settings: Settings | None = None) -> Attempt:
        """Runs a step as the command does: exit code, words, report."""
        report = Report(KEY, name, STAGE)
        said = io.StringIO()
        console = Console(said, live=False)
        start, error = time.monotonic(), None
        try:
            step(Context(settings or self.settings, report, console))
        except MlopsError as failure:
            error = failure
            runner._say(failure, report, console)
        seconds, ended = time.monotonic() - start, int(time.time() * 1000)
        path = self.workspace / report.file_name
        junit.write(report, path)
        return Attempt(
            code=error.exit_code if error else 0,
            seconds=seconds,
            ended=ended,
            error=error,
            said=said.getvalue(),
            report=ElementTree.parse(path).getroot(),
            record=json.loads(self.settings.record.read_text()) if self.settings.record.exists() else {"project": KEY},
            requests=sorted(
                (entry for node in self.sandbox.nodes.values() for entry in node.faults.requests()),
                key=lambda entry: entry.time,
            ),
        )

    def release(self, settings: Settings | None = None) -> Attempt:
        from mlops_steps.steps import release

        return self.run(lambda context: release.run(context, STAGE), "release", settings)

    def recover(self) -> Attempt:
        from mlops_steps.steps import recover

        return self.run(lambda context: recover.run(context, STAGE), "recover", self.patient)


def with_canary(limits: dict[str, Any]) -> dict[str, Any]:
    """The same, with a canary in place of a release that is all at once."""
    api = limits["api"]
    return {**limits, "api": {**api, "release": {**api.get("release", {}), **CANARY}}}


def with_probation(limits: dict[str, Any]) -> dict[str, Any]:
    """The same without the API service, where a release is on probation."""
    monitor = {"timeout": "4s", "scenarios": {"names": ["TEST_ONE"], "warn": None, "act": 1}}
    rest = {name: section for name, section in limits.items() if name != "api"}
    return {**rest, "release": {**limits.get("release", {}), "probation": "2h"}, "monitor": monitor}


def deploying(record: ReleaseRecord, new: str, old: str | None) -> None:
    """The record says that the new version is being deployed in the place of the old one."""
    unit = record.unit(STAGE, INFRA, DEPLOYMENT)
    noted = {"deployment": DEPLOYMENT, "version": new, "previous": Previous(version=old, seen=Named(version=old))}
    unit.go(phases.NOTE, **noted, restores=True, why="", share=None, deploy=None, smoke_test=None, restore=None)
    unit.go(phases.DEPLOY, deploy=Outcome(bundle=new))


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until it is so."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.01)
