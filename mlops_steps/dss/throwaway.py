"""The requests that only `accept` sends: it makes a project of its own, and removes all that came of it."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlops_steps.dss import updates
from mlops_steps.dss.deployers import PROJECTS, SERVICES, Deployer
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import Refusal
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

# Every node of DSS has this one from its installation on.
_CONNECTION = "filesystem_managed"


def create_project(design: Dss, key: str, name: str, description: str) -> None:
    """Creates an empty project, owned by the user of the key. Raises :class:`NodeError`."""
    with design.asking(f"create project {key}"):
        login = expect(design.client.get_auth_info(), dict, "the user of the key").get("authIdentifier")
        design.client.create_project(key, name, expect(login, str, "authIdentifier"), description=description)


def add_dataset(design: Dss, key: str, spec: Mapping[str, Any]) -> None:
    """Adds a dataset of uploaded files with one file. Raises :class:`NodeError`."""
    with design.asking(f"create dataset {spec['name']}"):
        dataset = design.client.get_project(key).create_upload_dataset(spec["name"])
        dataset.uploaded_add_file(io.BytesIO(str(spec["text"]).encode()), spec["file"])
        dataset.set_schema({"columns": [{"name": column, "type": "string"} for column in spec["columns"]]})


def add_recipe(design: Dss, key: str, spec: Mapping[str, Any]) -> None:
    """Adds a Python recipe with its output. Raises :class:`NodeError`."""
    with design.asking(f"create recipe {spec['name']}"):
        recipe = design.client.get_project(key).new_recipe("python", spec["name"])
        recipe.with_input(spec["input"])
        recipe.with_new_output_dataset(spec["output"], _CONNECTION)
        recipe.with_script(spec["code"])
        recipe.create()


def add_model(design: Dss, key: str, name: str) -> None:
    """Adds a saved model without a version. Raises :class:`NodeError`."""
    with design.asking(f"create saved model {name}"):
        design.client.get_project(key).create_mlflow_pyfunc_model(name, "BINARY_CLASSIFICATION")


def add_scenario(design: Dss, key: str, spec: Mapping[str, Any]) -> str:
    """Adds a test scenario with one Python step; returns its id. Raises :class:`NodeError`."""
    step = {
        "id": "step",
        "name": "Python",
        "type": "custom_python",
        "params": {"script": spec["code"], "envSelection": {"envMode": "INHERIT"}},
    }
    definition = {"params": {"steps": [step], "triggers": [], "reporters": []}, "markedAsTest": True}
    with design.asking(f"create scenario {spec['name']}"):
        scenario = design.client.get_project(key).create_scenario(spec["name"], "step_based", definition)
        return expect(scenario.id, str, "the id of the scenario")


def add_service(design: Dss, key: str, service_id: str, spec: Mapping[str, Any]) -> None:
    """Adds an API service with one Python function. Raises :class:`NodeError`."""
    endpoint = {
        "id": spec["endpoint"],
        "type": "PY_FUNCTION",
        "userFunctionName": spec["endpoint"],
        "code": spec["code"],
        "envSelection": {"envMode": "INHERIT"},
        "testQueries": [],
    }
    with design.asking(f"create API service {service_id}"):
        service = design.client.get_project(key).create_api_service(service_id)
        settings = service.get_settings()
        settings.get_raw().setdefault("endpoints", []).append(endpoint)
        settings.save()


def projects_of(node: Dss, prefix: str) -> list[str]:
    """The keys of the projects that begin with the prefix. Raises :class:`NodeError`."""
    with node.asking("list the projects"):
        keys = expect(node.client.list_project_keys(), list, "the list")
        return sorted(str(key) for key in keys if str(key).startswith(prefix))


def published_of(deployer: Dss, prefix: str, of: Deployer = PROJECTS) -> list[str]:
    """What begins with the prefix among the published projects, or services. Raises :class:`NodeError`."""
    with deployer.asking(f"list what is published on the {of.name}"):
        if of is SERVICES:
            items = deployer.client.get_apideployer().list_services(as_objects=False)
            ids = [
                expect(item, dict, "a service")["serviceBasicInfo"]["id"] for item in expect(items, list, "the list")
            ]
        else:
            items = deployer.client.get_projectdeployer().list_projects(as_objects=False)
            ids = [
                expect(item, dict, "a project")["projectBasicInfo"]["id"] for item in expect(items, list, "the list")
            ]
        return sorted(str(one) for one in ids if str(one).startswith(prefix))


def deployments_of(deployer: Dss, prefix: str, of: Deployer = PROJECTS) -> list[tuple[str, str]]:
    """Id and infrastructure of the deployments of what begins with the prefix. Raises :class:`NodeError`."""
    field = "publishedServiceId" if of is SERVICES else "publishedProjectKey"
    with deployer.asking(f"list the deployments of the {of.name}"):
        handle = deployer.client.get_apideployer() if of is SERVICES else deployer.client.get_projectdeployer()
        items = expect(handle.list_deployments(as_objects=False), list, "the list")
        infos = [expect(expect(item, dict, "a deployment")["deploymentBasicInfo"], dict, "info") for item in items]
        return sorted(
            (str(info["id"]), str(info.get("infraId"))) for info in infos if str(info.get(field)).startswith(prefix)
        )


def delete_project(node: Dss, key: str) -> None:
    """Deletes the project with its data and logs. One that is gone is no error. Raises :class:`NodeError`."""
    with _already_gone(), node.asking(f"delete project {key}"):
        node.client.get_project(key).delete(clear_managed_datasets=True, clear_output_managed_folders=True)


def delete_published(deployer: Dss, key: str, bundles: Sequence[str], of: Deployer = PROJECTS) -> None:
    """Deletes a published project with its bundles, or a service with its versions. Raises :class:`NodeError`."""
    handle = of.published(deployer.client, key)
    for bundle in bundles:
        with _already_gone(), deployer.asking(f"delete {bundle} of {key} from the {of.name}"):
            handle.delete_version(bundle) if of is SERVICES else handle.delete_bundle(bundle)
    with _already_gone(), deployer.asking(f"delete {key} from the {of.name}"):
        handle.delete()


def delete_deployment(
    deployer: Dss,
    deployment_id: str,
    deadline: Deadline,
    say: Callable[[str], None],
    of: Deployer = PROJECTS,
) -> None:
    """Disables the deployment, updates it and deletes it, as DSS demands. One that is gone is no error.

    One that was never deployed is deleted at once. Raises :class:`NodeError`.
    """
    handle = of.deployment(deployer.client, deployment_id)
    with deployer.within(deadline), _already_gone():
        updates.wait_until_idle(deployer, deployment_id, deadline, say, of)
        with deployer.asking(f"disable deployment {deployment_id}"):
            settings = handle.get_settings()
            settings.get_raw()["enabled"] = False
            settings.save()
        result = updates.update(deployer, deployment_id, deadline, say, abort_at_limit=True, of=of)
        if not result.succeeded:
            log.warning("deployment %s: %s", deployment_id, "; ".join(result.messages) or "the update failed")
        remove_deployment(deployer, deployment_id, of)


def remove_deployment(deployer: Dss, deployment_id: str, of: Deployer = PROJECTS) -> None:
    """Deletes a deployment that is disabled. Raises :class:`NodeError`."""
    with deployer.asking(f"delete deployment {deployment_id}"):
        of.deployment(deployer.client, deployment_id).delete()


class _already_gone:  # noqa: N801 - used like a function
    """What is not there any more need not be deleted."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, Refusal) and error.status == 404
