"""What the steps assume of API services: packages, the API Deployer, and what API nodes answer."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from mlops_steps.acceptance.model import Assumptions, Differs
from mlops_steps.acceptance.world import FIRST, SECOND, World
from mlops_steps.dss import api_deployer, api_services, deployments, throwaway, updates
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.api_node import ScoringClient
from mlops_steps.dss.deployers import SERVICES
from mlops_steps.dss.deployments import HEALTHY
from mlops_steps.errors import DeadlineExceeded, MlopsError
from mlops_steps.system.waiting import Deadline, poll

SERVICE: Assumptions[World] = Assumptions()


@SERVICE.that(
    "service-endpoints", "The settings of an API service name its endpoints with their types.", api_services.endpoints
)
def _endpoints(world: World) -> str:
    found = api_services.endpoints(world.site.design, world.key, world.service)
    if [(one.id, one.is_function) for one in found] != [(world.endpoint, True)]:
        raise Differs(f"endpoints: {', '.join(f'{one.id} ({one.type})' for one in found) or 'none'}")
    return f"{len(found)} endpoint"


@SERVICE.that(
    "service-package",
    "A package that was made is in the list of the service's packages.",
    api_services.create_package,
    api_services.packages,
    needs=("service-endpoints",),
)
def _package(world: World) -> str:
    _make_package(world, FIRST)
    if FIRST not in api_services.packages(world.site.design, world.key, world.service):
        raise Differs("the package is not in the list")
    return "the package is in the list"


def _make_package(world: World, version: str) -> None:
    limit = Deadline(world.site.settings.api.package_timeout)
    api_services.create_package(world.site.design, world.key, world.service, version, f"notes of {version}", limit)


@SERVICE.that(
    "service-publish",
    "A package that was published is a version on the API Deployer, which makes the service there.",
    api_services.publish,
    api_services.published_versions,
    needs=("service-package",),
)
def _publish(world: World) -> str:
    _publish_version(world, FIRST)
    if FIRST not in api_services.published_versions(world.site.deployer, world.service):
        raise Differs("the version is not in the list")
    _make_package(world, SECOND)
    _publish_version(world, SECOND)
    return "the version is in the list"


def _publish_version(world: World, version: str) -> None:
    site, limit = world.site, Deadline(world.site.settings.api.package_timeout)
    api_services.publish(site.design, site.deployer, world.key, world.service, version, limit)


@SERVICE.that(
    "service-download",
    "The API Deployer gives out the archive of a version, the same each time.",
    api_services.download,
    api_services.check_archive,
    needs=("service-publish",),
)
def _download(world: World) -> str:
    deployer, limit = world.site.deployer, Deadline(world.site.settings.api.package_timeout)
    with tempfile.TemporaryDirectory(prefix="mlops-accept-") as folder:
        path = Path(folder, "version.zip")
        first = api_services.download(deployer, world.service, FIRST, limit, path)
        named = api_services.check_archive(path, world.key, world.service, FIRST)
    if api_services.download(deployer, world.service, FIRST, limit) != first:
        raise Differs("two downloads of one version differ")
    return f"{first.size} bytes, twice the same; it {'names' if named else 'does not name'} its service"


@SERVICE.that(
    "service-deployment",
    "A deployment of the service that was created is in the list, with its version alone.",
    api_deployer.create,
    api_deployer.find,
    needs=("service-publish",),
)
def _deployment(world: World) -> str:
    deployer, infra = world.site.deployer, world.api_infra
    api_deployer.create(deployer, world.service_deployment, world.service, infra, FIRST)
    found = api_deployer.find(deployer, world.service, infra, None, world.service_deployment)
    if found is None:
        raise Differs("the deployment is not in the list")
    if found.version != FIRST:
        raise Differs(f"its version is {found.version}, by its generationsMapping")
    return "in the list"


@SERVICE.that(
    "service-update",
    "An update of the service ends with a result that says whether it succeeded.",
    updates.update,
    needs=("service-deployment",),
)
def _update(world: World) -> str:
    _run_update(world)
    return "it succeeded"


def _run_update(world: World) -> None:
    limit = Deadline(world.site.settings.api.release.timeout)
    result = updates.update(
        world.site.deployer, world.service_deployment, limit, world.site.say, abort_at_limit=True, of=SERVICES
    )
    if not result.succeeded:
        raise Differs(f"the update failed: {'; '.join(result.messages) or 'without a message'}")


@SERVICE.that(
    "service-answers",
    "After an update each API node answers, and names the version that did.",
    ScoringClient.run,
    api_deployer.node_urls,
    needs=("service-update",),
)
def _answers(world: World) -> str:
    return f"{_expect_answers(world, FIRST)} API nodes answer"


def _expect_answers(world: World, version: str) -> int:
    """Waits until all API nodes answer with the version; returns how many there are."""
    configured = {node.url.rstrip("/"): node.verify for node in world.site.settings.api.nodes_of(world.api_stage)}
    with_them = dict.fromkeys(api_deployer.node_urls(world.site.deployer, world.service_deployment), True)
    nodes = configured or with_them
    if not nodes:
        raise Differs("the deployer names no API node (apiNodes), and api.nodes has none of this infrastructure")
    seen: dict[str, str] = {}
    service = _read(world).deployed

    def look() -> bool | None:
        for url, verify in nodes.items():
            with ScoringClient.open(url, service, verify=verify, retries=1) as client:
                if recorder := world.site.recorder:
                    client.dss.session.observer = partial(recorder.note, "api")
                try:
                    answer = client.run(world.endpoint, {"number": 21})
                    seen[url] = answer.generation if answer.response == 42 else f"something else than 42: {answer}"
                except MlopsError as error:
                    seen[url] = error.message
        return True if set(seen.values()) == {version} else None

    try:
        poll(look, deadline=Deadline(world.site.settings.api.health_timeout), what="the answers")
    except DeadlineExceeded:
        said = "; ".join(f"{url}: {text}" for url, text in seen.items() if text != version)
        raise Differs(f"not every node answers with version {version}: {said}") from None
    return len(nodes)


@SERVICE.that(
    "service-healthy", "After an update the API Deployer says HEALTHY.", deployments.health, needs=("service-answers",)
)
def _healthy(world: World) -> str:
    _expect_healthy(world)
    return HEALTHY


def _expect_healthy(world: World) -> None:
    seen: list[str] = []

    def look() -> bool | None:
        seen.append(deployments.health(world.site.deployer, world.service_deployment, SERVICES).status)
        return True if seen[-1] == HEALTHY else None

    try:
        poll(look, deadline=Deadline(world.site.settings.api.health_timeout), what="the health")
    except DeadlineExceeded:
        raise Differs(f"the deployer goes on saying {seen[-1]}") from None


@SERVICE.that(
    "service-history",
    "The history of updates names the version that each has let answer.",
    updates.known_history,
    api_deployer.version_of_update,
    needs=("service-update",),
)
def _history(world: World) -> str:
    past = updates.known_history(world.site.deployer, world.service_deployment, SERVICES)
    if not past:
        raise Differs("this deployer keeps no history" if past is None else "the history is empty after an update")
    if not past[0].succeeded:
        raise Differs(f"the status of an update that succeeded is {past[0].status}")
    if api_deployer.version_of_update(past[0].raw) != FIRST:
        raise Differs("the update does not name its version (generationsMapping)")
    return f"{len(past)} updates; status {past[0].status}"


@SERVICE.that(
    "service-second",
    "Another version answers on every API node after it was set and updated.",
    api_deployer.change,
    needs=("service-healthy",),
)
def _second(world: World) -> str:
    _go_to(world, SECOND)
    return "the second version answers"


def _go_to(world: World, version: str) -> None:
    api_deployer.change(world.site.deployer, _read(world), version=version)
    _run_update(world)
    _expect_answers(world, version)
    _expect_healthy(world)


def _read(world: World) -> ServiceDeployment:
    return api_deployer.read(world.site.deployer, world.service_deployment, world.service, world.api_infra)


@SERVICE.that(
    "service-back",
    "An earlier version answers again in the same way.",
    api_deployer.change,
    needs=("service-second",),
)
def _back(world: World) -> str:
    _go_to(world, FIRST)
    return "the first version answers again"


@SERVICE.that(
    "service-disable",
    "A deployment of a service can be disabled, and updated after that.",
    api_deployer.change,
    needs=("service-update",),
)
def _disable(world: World) -> str:
    api_deployer.change(world.site.deployer, _read(world), enabled=False)
    _run_update(world)
    if _read(world).enabled:
        raise Differs("the settings of the deployment say that it is enabled")
    return "disabled"


@SERVICE.that(
    "service-deletion",
    "A deployment of a service that was deleted is not in the list any more.",
    throwaway.remove_deployment,
    needs=("service-disable",),
)
def _deletion(world: World) -> str:
    deployer = world.site.deployer
    throwaway.remove_deployment(deployer, world.service_deployment, SERVICES)
    if api_deployer.find(deployer, world.service, world.api_infra, None, world.service_deployment) is not None:
        raise Differs("the deployment is still in the list")
    return "deleted"
