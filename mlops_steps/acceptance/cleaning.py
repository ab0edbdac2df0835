"""Removes what `accept` has made, of this run or of one that was killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mlops_steps.acceptance.world import PREFIX, SERVICE_PREFIX, Site
from mlops_steps.dss import api_services, bundles, throwaway
from mlops_steps.dss.deployers import PROJECTS, SERVICES, Deployer
from mlops_steps.dss.session import Dss
from mlops_steps.errors import NodeError
from mlops_steps.system.waiting import Deadline

# Published things are deleted one by one; a request that was lost is made up for by a second round.
_ROUNDS = 2


@dataclass
class Cleaned:
    """What was removed, and what was not: with where it is, and why."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def clean(site: Site, key: str = PREFIX, *, service: bool = False) -> Cleaned:
    """Removes everything whose name begins with ``key``, on the nodes of the stage. Raises nothing of a node.

    ``service``: on the API Deployer too. What is deployed to another infrastructure stays, and so does what that needs.
    """
    deadline = Deadline(site.settings.deploy.timeout)
    cleaned = Cleaned()
    for _ in range(_ROUNDS):
        cleaned.left = []
        with site.within(deadline):
            if service:
                _clean_deployer(_Cleaning(site, cleaned, deadline), _service_prefix(key), SERVICES)
            _clean_deployer(_Cleaning(site, cleaned, deadline), key, PROJECTS)
        if not cleaned.left or deadline.passed:
            break
    return cleaned


def _service_prefix(key: str) -> str:
    return key.lower() if key != PREFIX else SERVICE_PREFIX


@dataclass
class _Cleaning:
    site: Site
    cleaned: Cleaned
    deadline: Deadline

    def remove(self, what: str, act: Callable[[], None]) -> bool:
        """Removes one thing, notes how that ended, and returns whether it is gone."""
        try:
            act()
        except NodeError as error:
            self.cleaned.left.append(f"{what}: {error.message}")
            return False
        self.cleaned.removed.append(what)
        return True

    def found(self, what: str, look: Callable[[], list[str]]) -> list[str] | None:
        """What there is; ``None``, noted, when the node does not say."""
        try:
            return look()
        except NodeError as error:
            self.cleaned.left.append(f"perhaps {what}: {error.message}")
            return None


def _clean_deployer(work: _Cleaning, prefix: str, of: Deployer) -> None:
    """The deployments first, then what they were made of."""
    site, deployer = work.site, work.site.deployer
    kind = "API service" if of is SERVICES else "project"
    known = work.found(
        f"deployments on the {of.name}",
        lambda: [f"{infra}\n{one}" for one, infra in throwaway.deployments_of(deployer, prefix, of)],
    )
    kept = known is None
    for entry in known or []:
        infra, _, one = entry.partition("\n")
        if of is PROJECTS and infra != site.infra:
            work.cleaned.left.append(f"deployment {one}: it is on {infra}; run `accept --clean` for that one")
            kept = True
        elif not work.remove(
            f"deployment {one}",
            lambda one=one: throwaway.delete_deployment(deployer, one, work.deadline, site.say, of),  # type: ignore[misc]
        ):
            kept = True
    if of is PROJECTS:
        for node in site.nodes:
            _delete_projects(work, node, prefix)
    if kept:
        return
    for name in (
        work.found(f"what is published on the {of.name}", lambda: throwaway.published_of(deployer, prefix, of)) or []
    ):
        packages = work.found(f"the packages of {kind} {name}", lambda name=name: _packages(work, name, of))  # type: ignore[misc]
        work.remove(
            f"published {kind} {name}",
            lambda name=name, packages=packages: throwaway.delete_published(deployer, name, packages or [], of),  # type: ignore[misc]
        )
    if of is PROJECTS:
        _delete_projects(work, site.design, prefix)


def _packages(work: _Cleaning, name: str, of: Deployer) -> list[str]:
    deployer = work.site.deployer
    return (
        api_services.published_versions(deployer, name) if of is SERVICES else bundles.published_bundles(deployer, name)
    )


def _delete_projects(work: _Cleaning, node: Dss, prefix: str) -> None:
    for key in work.found(f"projects on {node}", lambda: throwaway.projects_of(node, prefix)) or []:
        work.remove(f"project {key} on {node.name}", lambda key=key: throwaway.delete_project(node, key))  # type: ignore[misc]
