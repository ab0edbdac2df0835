"""The infrastructures of a Project Deployer. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops_steps.dss.session import Dss, expect

# Where the description of an infrastructure holds the address of its node. Its settings are not asked for: they hold
# an administrator's key too.
_URL_FIELDS = ("automationNodeExternalUrl", "automationNodeUrl")


@dataclass(frozen=True)
class Infrastructure:
    """An infrastructure of the Project Deployer.

    ``url`` is its Automation node's; ``may_deploy`` whether this key may. Both are ``None`` when it is not told.
    """

    id: str
    stage: str
    url: str | None = None
    may_deploy: bool | None = None


def infrastructures(deployer: Dss) -> list[Infrastructure]:
    """The infrastructures that this key sees. Raises :class:`NodeError`."""
    with deployer.asking("list the infrastructures"):
        items = expect(deployer.client.get_projectdeployer().list_infras(as_objects=False), list, "the list")
        return [_infrastructure(expect(item, dict, "an infrastructure")) for item in items]


def infrastructures_by_stage(deployer: Dss) -> list[Infrastructure]:
    """The same in the order of the deployer's stages. Raises :class:`NodeError`."""
    with deployer.asking("list the infrastructures"):
        handle = deployer.client.get_projectdeployer()
        stages = [
            str(expect(stage, dict, "a stage").get("id")) for stage in expect(handle.list_stages(), list, "stages")
        ]
    order = {stage: number for number, stage in enumerate(stages)}
    return sorted(infrastructures(deployer), key=lambda infra: (order.get(infra.stage, len(order)), infra.id))


def _infrastructure(item: dict[str, Any]) -> Infrastructure:
    info = expect(item["infraBasicInfo"], dict, "its description")
    urls = [info[name] for name in _URL_FIELDS if isinstance(info.get(name), str) and info[name].strip()]
    may = item.get("canDeploy")
    return Infrastructure(
        expect(info["id"], str, "its id"),
        str(info.get("stage") or ""),
        urls[0] if urls else None,
        may if isinstance(may, bool) else None,
    )
