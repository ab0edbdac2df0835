"""A workspace whose project has an API service: a model that scores, and a function."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Workspace, create_project
from tests.sandbox import api_service

_numbers = itertools.count(1)


class ApiWorkspace(Workspace):
    """A workspace with the service ``service``, the stages ``dev`` and ``prod``."""

    def __init__(self, folder: Path, sandbox: Sandbox, project: str) -> None:
        self.service = project.lower()
        super().__init__(folder, sandbox, project)

    def configure(self, **sections: Any) -> None:
        api = {
            "service": self.service,
            "stages": {"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod"}},
            "health_timeout": "5s",
            "deploy_timeout": "60s",
            # What `api-test` says, and that a release needs it, has tests of its own.
            "release": {"tests": "off"},
            **sections.pop("api", {}),
        }
        super().configure(api=api, **sections)

    def model(self, version: str, **settings: Any) -> None:
        """Makes a version of the model the active one."""
        api_service.put_model(self.design_project, version, **settings)

    @contextmanager
    def fault(self, kind: str, node: str = "design", **settings: Any) -> Iterator[None]:
        """Within the block the node has the fault."""
        faults = self.sandbox.nodes[node].faults
        faults.add(kind, **settings)
        try:
            yield
        finally:
            faults.clear()

    @property
    def design_project(self) -> Project:
        return Project.load(self.sandbox.nodes["design"], self.project)

    @property
    def packages(self) -> list[str]:
        found = self.client("design").get_project(self.project).get_api_service(self.service).list_packages()
        return [item["id"] for item in found]

    def packaged(self, version: str) -> str:
        """Makes the service as it is a version; returns its id."""
        self.ok("api-package", "--version", version)
        return version

    def deployed(self, version: str) -> str:
        """Makes a version, and lets it answer on the stage dev; returns its id."""
        self.packaged(version)
        self.ok("api-deploy", "--stage", "dev")
        return version

    def serving(self, infra: str = "api-dev") -> dict[str, list[str]]:
        """What the API nodes themselves say: the generations in the mapping of each."""
        found = {}
        for node in self.sandbox.api_infrastructures()[infra][0]:
            service = dataikuapi.APINodeAdminClient(node.url, node.api_key).service(self.service)
            try:
                generations = service.list_generations()
            except DataikuException:
                generations = []
            found[node.id] = [item["generation"] for item in generations if item["mapped"]]
        return found

    @property
    def deployment(self) -> Any:
        """The deployment on the stage dev."""
        return self.client("design").get_apideployer().get_deployment(f"{self.service}-on-api-dev")

    @property
    def updates(self) -> int:
        """How many updates the deployment on the stage dev has had."""
        return len(self.deployment.list_updates())

    @property
    def versions(self) -> list[str]:
        found = self.client("design").get_apideployer().get_service(self.service).get_status().get_versions()
        return [item["id"] for item in found]


@pytest.fixture
def api(steps_sandbox: Sandbox, tmp_path: Path) -> ApiWorkspace:
    """A workspace with a project and a service of its own, of one model."""
    key = f"SCORES{next(_numbers)}"
    create_project(steps_sandbox, key)
    workspace = ApiWorkspace(tmp_path, steps_sandbox, key)
    workspace.model("m1")
    api_service.put_service(workspace.client("design"), workspace.design_project, workspace.service)
    return workspace
