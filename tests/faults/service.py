"""The API service of the world: version ``old`` answers in production, ``new`` was tried on the stage before."""

from __future__ import annotations

import hashlib
from typing import Any

import dataikuapi

from mlops_steps.delivery import phases
from mlops_steps.delivery.record import Package, ReleaseRecord
from mlops_steps.delivery.unit import Named, Outcome, Previous
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.steps import api_deploy, api_package, api_recover
from tests.faults.world import KEY, NEW, OLD, Attempt, World
from tests.sandbox import api_service

SERVICE, STAGE, INFRA, DEV = KEY.lower(), "prod", "api-prod", "api-dev"
#: The version that `api-package` makes.
MADE = "made-3"
DEPLOYMENT = f"{SERVICE}-on-{INFRA}"


def made(world: World) -> None:
    """Two versions are published, the old one is live, and the record is of the new one."""
    project = Project.load(world.sandbox.nodes["design"], KEY)
    api_service.publish(world.design, project, OLD, NEW)
    api_service.deploy(world.design, SERVICE, OLD, INFRA)
    assert state(world) == live(OLD)
    packaged(world).save(world.settings.record)


def packaged(world: World) -> ReleaseRecord:
    """The record, as `api-package`, and `api-deploy` and `api-test` on the stage dev, have left it."""
    record = ReleaseRecord.load(world.settings.record) or ReleaseRecord(project=KEY)
    with world.design.get_apideployer().get_service(SERVICE).get_version_stream(NEW) as response:
        archive = response.content
    digest = hashlib.sha256(archive).hexdigest()
    package = Package(service=SERVICE, version=NEW, sha256=digest, size=len(archive), endpoints=["score"])
    record.begin_package(package)
    unit = record.unit("dev", "api-dev", f"{SERVICE}-on-api-dev", "api service")
    noted: dict[str, Any] = dict.fromkeys(("previous", "share", "deploy", "smoke_test", "restore"))
    unit.go(phases.NOTE, deployment=unit.deployment, version=NEW, restores=False, why="", **noted)
    unit.go(phases.ACCEPT, deploy=Outcome(bundle=NEW).end("passed"), smoke_test=None)
    record.stage("dev", "api service").test = Outcome(bundle=NEW).end("passed")
    return record


def cut_off(world: World) -> None:
    """A release was killed after its update: the new version answers, the old one is to be restored."""
    made(world)
    deployment = world.design.get_apideployer().get_deployment(DEPLOYMENT)
    settings = deployment.get_settings()
    settings.set_single_version(NEW)
    settings.save()
    deployment.start_update().wait_for_result()
    record = packaged(world)
    unit = record.unit(STAGE, INFRA, DEPLOYMENT, "api service")
    noted = {"deployment": DEPLOYMENT, "version": NEW, "previous": Previous(version=OLD, seen=Named(version=OLD))}
    unit.go(phases.NOTE, **noted, restores=True, why="", share=None, deploy=None, smoke_test=None, restore=None)
    unit.go(phases.DEPLOY, deploy=Outcome(bundle=NEW))
    record.save(world.settings.record)


def live(version: str) -> tuple[Any, ...]:
    """What :func:`state` is when this version is live."""
    return ((version,), (version,), version, True, "HEALTHY")


def old_on_dev(world: World) -> None:
    """The same; the old version answers on the stage before, too."""
    made(world)
    api_service.deploy(world.design, SERVICE, OLD, DEV)


def new_on_dev(world: World) -> None:
    """The same; the new version answers on the stage before."""
    made(world)
    api_service.deploy(world.design, SERVICE, NEW, DEV)


def published(world: World, version: str) -> tuple[int, int]:
    """How often there is a package of this version on the Design node, and on the API Deployer."""
    packages = world.design.get_project(KEY).get_api_service(SERVICE).list_packages()
    there = world.design.get_apideployer().get_service(SERVICE).get_status().get_versions()
    ids = [item["id"] for item in packages], [item["id"] for item in there]
    return ids[0].count(version), ids[1].count(version)


def packaged_once(world: World, attempt: Attempt) -> list[str]:
    """What is wrong after `api-package`, which is then run again."""
    wrong = unchanged(world, attempt)
    again = world.run(lambda context: api_package.run(context, version=MADE), "api-package", world.patient)
    record = ReleaseRecord.load(world.settings.record)
    wrong += [] if again.code == 0 else [f"again: exit code {again.code}: {again.said}"]
    wrong += [] if published(world, MADE) == (1, 1) else [f"packages, published: {published(world, MADE)}"]
    named = record and record.package and record.package.version
    return wrong + ([] if named == MADE else [f"the record is of {named}"])


def deployed(world: World, attempt: Attempt, stranger: bool) -> list[str]:
    """What is wrong after `api-deploy` to the stage dev, which is then run again, unless it meets a ``stranger``."""
    wrong = unchanged(world, attempt)
    if attempt.code == 0 and state(world, DEV) != live(NEW):
        wrong.append(f"exit code 0, and {state(world, DEV)}")
    again = world.run(lambda context: api_deploy.run(context, "dev"), "api-deploy", world.patient)
    if stranger and again.code == 3 and "is at work on" in again.said:
        return wrong
    wrong += [] if again.code == 0 else [f"again: exit code {again.code}: {again.said}"]
    return wrong + ([] if state(world, DEV) == live(NEW) else [f"again: {state(world, DEV)}"])


def tested(world: World, attempt: Attempt) -> list[str]:
    """What is wrong after `api-test` on the stage dev."""
    part = ReleaseRecord.model_validate(attempt.record).api_stages.get("dev")
    said = part.test.result if part and part.test else "nothing"
    wrong = unchanged(world, attempt)
    if attempt.code == 0 and said != "passed":
        wrong.append(f"exit code 0, and the record says {said}")
    if attempt.code != 0 and said == "started":
        wrong.append(f"exit code {attempt.code}, and the record says {said}")
    return wrong


def state(world: World, infra: str = INFRA) -> tuple[Any, ...]:
    """The versions in the mapping of each API node, by its own word; settings and health by the deployer."""
    nodes = world.sandbox.api_infrastructures()[infra][0]
    mapped = []
    for node in nodes:
        generations = dataikuapi.APINodeAdminClient(node.url, node.api_key).service(SERVICE).list_generations()
        mapped.append(tuple(item["generation"] for item in generations if item["mapped"]))
    deployment = world.design.get_apideployer().get_deployment(f"{SERVICE}-on-{infra}")
    raw = deployment.get_settings().get_raw()
    health = str(deployment.get_status().get_health())
    return (*mapped, raw["generationsMapping"].get("generation"), raw["enabled"], health)


def pending(attempt: Attempt) -> bool:
    """Whether the record says that a restore is pending."""
    part = ReleaseRecord.model_validate(attempt.record).api_stages.get(STAGE)
    return bool(part and part.pending)


def recovered(world: World, attempt: Attempt, wanted: str) -> list[str]:
    """What is wrong after `api-recover`, which must make this version live."""
    wrong = [] if pending(attempt) else [f"exit code {attempt.code}, and no restore is pending"]
    again = world.run(lambda context: api_recover.run(context, STAGE), "api-recover", world.patient)
    found = (again.code, state(world))
    return wrong + ([] if found == (0, live(wanted)) else [f"after api-recover: {found}: {again.said}"])


def unchanged(world: World, attempt: Attempt) -> list[str]:
    """What is wrong where the old version must be live, and nothing pending."""
    found = state(world)
    wrong = [] if found == live(OLD) else [f"{found} afterwards"]
    return wrong + (["a restore is pending"] if pending(attempt) else [])


def released(world: World, attempt: Attempt) -> list[str]:
    """What is wrong after `api-release`, or `api-rollback` to the new version."""
    if attempt.code == 0:
        found = state(world)
        return [] if found == live(NEW) else [f"exit code 0, and {found}"]
    return unchanged(world, attempt) if attempt.code != 5 else recovered(world, attempt, OLD)


def rolled_back(world: World, attempt: Attempt) -> list[str]:
    """The same for `api-rollback`, which `api-recover` finishes."""
    return released(world, attempt) if attempt.code != 5 else recovered(world, attempt, NEW)


def restored(world: World, attempt: Attempt) -> list[str]:
    """What is wrong after `api-recover`."""
    return unchanged(world, attempt) if attempt.code == 0 else recovered(world, attempt, OLD)
