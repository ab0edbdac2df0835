"""What is there on a Design node, for a first configuration. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_steps.dss.session import Dss, expect

# Where the description of an infrastructure holds the address of its node. Its settings are not asked for: they hold
# an administrator's key too.
_URL_FIELDS = ("automationNodeExternalUrl", "automationNodeUrl")


@dataclass(frozen=True)
class Infrastructure:
    """An infrastructure of the Project Deployer. ``url``: its Automation node's, ``None`` when it is not told."""

    id: str
    stage: str
    url: str | None = None


def list_infrastructures(deployer: Dss) -> list[Infrastructure]:
    """The infrastructures in the order of the deployer's stages. Raises :class:`NodeError`."""
    with deployer.asking("list the infrastructures"):
        handle = deployer.client.get_projectdeployer()
        stages = [
            str(expect(stage, dict, "a stage").get("id")) for stage in expect(handle.list_stages(), list, "stages")
        ]
        items = expect(handle.list_infras(as_objects=False), list, "the list")
        found = [_infrastructure(expect(item, dict, "an infrastructure")["infraBasicInfo"]) for item in items]
    order = {stage: number for number, stage in enumerate(stages)}
    return sorted(found, key=lambda infra: (order.get(infra.stage, len(order)), infra.id))


def _infrastructure(item: object) -> Infrastructure:
    info = expect(item, dict, "its description")
    urls = [info[name] for name in _URL_FIELDS if isinstance(info.get(name), str) and info[name].strip()]
    return Infrastructure(expect(info["id"], str, "its id"), str(info.get("stage") or ""), urls[0] if urls else None)
