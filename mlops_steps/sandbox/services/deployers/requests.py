"""The requests that both deployers answer alike: infrastructures, deployments and their updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import not_found
from mlops_steps.sandbox.services.deployers.deployments import Deployments
from mlops_steps.sandbox.services.deployers.history import Updates
from mlops_steps.sandbox.services.deployers.infras import STAGES


def add_infrastructures(router: Router, base: str, deployments_of: Callable[[Call], Deployments]) -> None:
    """Adds the requests for stages and infrastructures below ``base``, the creation of one excepted."""

    @router.get(base + "/stages")
    def stages(_call: Call) -> Any:
        return STAGES

    @router.get(base + "/infras")
    def list_infras(call: Call) -> Any:
        deployments = deployments_of(call)
        return [deployments.infra_status(infra_id) for infra_id in deployments.infras.ids()]

    @router.get(base + "/infras/{infra}")
    def infra_status(call: Call) -> Any:
        return deployments_of(call).infra_status(call.path["infra"])

    @router.get(base + "/infras/{infra}/settings")
    def infra_settings(call: Call) -> Any:
        return deployments_of(call).infras.settings(call.path["infra"])

    @router.put(base + "/infras/{infra}/settings")
    def save_infra(call: Call) -> Any:
        deployments_of(call).infras.save(call.path["infra"], call.json_object())

    @router.delete(base + "/infras/{infra}")
    def delete_infra(call: Call) -> Any:
        deployments = deployments_of(call)
        with deployments.places.lock:
            deployments.refuse_used_infra(call.path["infra"])
            deployments.infras.delete(call.path["infra"])


def add_deployments(router: Router, base: str, deployments_of: Callable[[Call], Deployments]) -> None:
    """Adds the requests for the settings of deployments below ``base``."""

    @router.get(base + "/deployments")
    def list_deployments(call: Call) -> Any:
        deployments = deployments_of(call)
        return [deployments.light_status(deployment_id) for deployment_id in deployments.ids()]

    @router.post(base + "/deployments")
    def create_deployment(call: Call) -> Any:
        deployments = deployments_of(call)
        settings = deployments.create(call.json_object(), call.user)
        return deployments.light_status(settings["id"])

    @router.get(base + "/deployments/{deployment}")
    def light(call: Call) -> Any:
        return deployments_of(call).light_status(call.path["deployment"])

    @router.get(base + "/deployments/{deployment}/settings")
    def deployment_settings(call: Call) -> Any:
        return deployments_of(call).settings(call.path["deployment"])

    @router.put(base + "/deployments/{deployment}/settings")
    def save_deployment(call: Call) -> Any:
        deployments_of(call).save(call.path["deployment"], call.json_object(), call.user)


def add_updates(router: Router, base: str, updates_of: Callable[[Call], Updates]) -> None:
    """Adds the requests for updates of deployments below ``base``."""

    @router.post(base + "/deployments/{deployment}/actions/update")
    def start_update(call: Call) -> Any:
        return updates_of(call).start(call.path["deployment"], call.user).begun()

    @router.get(base + "/deployments/{deployment}/update")
    def list_updates(call: Call) -> Any:
        return updates_of(call).list(call.path["deployment"])

    @router.get(base + "/deployments/{deployment}/update/{timestamp}")
    def get_update(call: Call) -> Any:
        return updates_of(call).get(call.path["deployment"], call.path["timestamp"])

    @router.get(base + "/deployments/{deployment}/last-update")
    def last_update(call: Call) -> Any:
        update = updates_of(call).last(call.path["deployment"])
        if update is None:
            raise not_found(f"deployment {call.path['deployment']} was never updated")
        return update
