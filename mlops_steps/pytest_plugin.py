"""pytest fixtures for a team's own tests against a project, or an API service, that is deployed to a stage.

`mlops-steps test` runs the suite with them; `pytest --mlops-stage NAME` does so by hand. For a suite of the API service
these are `mlops-steps api-test` and `pytest --mlops-api-stage NAME`. pytest loads this module in
every environment in which mlops-steps is installed, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mlops_steps.config import Settings
    from mlops_steps.dss.api_node import EndpointClient, ScoringClient
    from mlops_steps.dss.scenarios import ScenarioOutcome
    from mlops_steps.dss.session import Dss

    RunScenario = Callable[..., ScenarioOutcome]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("mlops-steps", "mlops-steps: tests against a deployed DSS project")
    group.addoption(
        "--mlops-stage",
        metavar="NAME",
        default=os.environ.get("MLOPS_STAGE") or None,
        help="stage of mlops.yml that the tests run against (default: MLOPS_STAGE)",
    )
    group.addoption(
        "--mlops-infra",
        metavar="NAME",
        default=None,
        help="infrastructure of a stage that has several (default: the first one)",
    )
    group.addoption(
        "--mlops-project-key",
        metavar="KEY",
        default=None,
        help="key of the project on the stage's node, if it is not that of mlops.yml",
    )
    group.addoption(
        "--mlops-api-stage",
        metavar="NAME",
        default=os.environ.get("MLOPS_API_STAGE") or None,
        help="stage of the API service (api.stages of mlops.yml) that the tests run against (default: MLOPS_API_STAGE)",
    )


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Masks API keys: the traceback of a failed request shows its headers."""
    outcome = yield
    # Without this module no fixture of ours was used, and there is nothing to mask.
    if "mlops_steps.system.secrets" not in sys.modules:
        return
    from mlops_steps.system.secrets import redact

    report = outcome.get_result()
    report.sections = [(name, redact(text)) for name, text in report.sections]
    if report.longrepr is not None and not isinstance(report.longrepr, tuple):
        text = str(report.longrepr)
        if (masked := redact(text)) != text:
            report.longrepr = masked


@pytest.fixture(scope="session")
def mlops_settings() -> Settings:
    """The settings of mlops.yml and the environment, as `mlops-steps` has them."""
    from mlops_steps.config import load
    from mlops_steps.errors import MlopsError

    try:
        return load()
    except MlopsError as error:
        problem = "\n".join(error.lines())
    pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def mlops_stage(request: pytest.FixtureRequest, mlops_settings: Settings) -> str:
    """The name of the stage that the tests run against."""
    from mlops_steps.errors import MlopsError

    name = request.config.getoption("--mlops-stage")
    if not name:
        stages = ", ".join(stage.name for stage in mlops_settings.stages()) or "none"
        pytest.fail(f"no stage: give --mlops-stage NAME, or set MLOPS_STAGE (stages: {stages})", pytrace=False)
    try:
        return mlops_settings.stage(str(name)).name
    except MlopsError as error:
        problem = "\n".join(error.lines())
    pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def _mlops_node(request: pytest.FixtureRequest, mlops_settings: Settings, mlops_stage: str) -> Iterator[Dss]:
    from mlops_steps.dss.session import connect
    from mlops_steps.errors import MlopsError

    try:
        unit = mlops_settings.units(mlops_stage, request.config.getoption("--mlops-infra"))[0]
        node = connect(mlops_settings, unit.witnesses[0])
    except MlopsError as error:
        node, problem = None, "\n".join(error.lines())
    if node is None:
        pytest.fail(problem, pytrace=False)
    with node:
        yield node


@pytest.fixture(scope="session")
def _mlops_project_key(request: pytest.FixtureRequest, mlops_settings: Settings) -> str:
    return str(request.config.getoption("--mlops-project-key") or mlops_settings.project)


@pytest.fixture(scope="session")
def dss_client(_mlops_node: Dss) -> Any:
    """The official client (``dataikuapi.DSSClient``) for the stage's Automation node.

    Unlike a plain one, it gives up on a request after ``http.read_timeout`` and repeats what is safe to repeat.
    """
    return _mlops_node.client


@pytest.fixture(scope="session")
def dss_project(dss_client: Any, _mlops_project_key: str) -> Any:
    """The deployed project (``dataikuapi.dss.project.DSSProject``)."""
    return dss_client.get_project(_mlops_project_key)


@pytest.fixture(scope="session")
def active_bundle(_mlops_node: Dss, _mlops_project_key: str) -> str | None:
    """The id of the bundle that was active on the stage when the tests began, ``None`` if there was none."""
    from mlops_steps.dss.automation import active_bundle
    from mlops_steps.errors import MlopsError

    try:
        return active_bundle(_mlops_node, _mlops_project_key)
    except MlopsError as error:
        problem = "\n".join(error.lines())
    pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def run_scenario(_mlops_node: Dss, _mlops_project_key: str, mlops_settings: Settings) -> RunScenario:
    """Runs a scenario on the stage and waits for its end: ``run_scenario(scenario_id, limit=None)``.

    ``limit`` is in seconds (default: ``test.timeout``); at the limit the scenario is aborted on the node. Returns how
    it ended, whatever the end: ``outcome`` (SUCCESS, WARNING, FAILED, ABORTED, NOT_STARTED or TIMED_OUT), ``passed``
    (whether that is SUCCESS), ``message``, ``log``, ``seconds``, ``run_id``.
    """
    from mlops_steps.dss import scenarios
    from mlops_steps.errors import MlopsError

    def run(scenario_id: str, *, limit: float | None = None) -> ScenarioOutcome:
        __tracebackhide__ = True
        try:
            return scenarios.run_scenario(
                _mlops_node, _mlops_project_key, scenario_id, limit=limit or mlops_settings.test.timeout
            )
        except MlopsError as error:
            problem = "\n".join(error.lines())
        pytest.fail(problem, pytrace=False)

    return run


@pytest.fixture(scope="session")
def mlops_api_stage(request: pytest.FixtureRequest, mlops_settings: Settings) -> str:
    """The name of the stage of the API service that the tests run against."""
    from mlops_steps.errors import MlopsError

    name = request.config.getoption("--mlops-api-stage")
    if not name:
        stages = ", ".join(mlops_settings.api.stages) or "none"
        pytest.fail(
            f"no stage: give --mlops-api-stage NAME, or set MLOPS_API_STAGE (api.stages: {stages})", pytrace=False
        )
    try:
        mlops_settings.api.stage(str(name))
    except MlopsError as error:
        pytest.fail("\n".join(error.lines()), pytrace=False)
    return str(name)


@pytest.fixture(scope="session")
def api_nodes(mlops_settings: Settings, mlops_api_stage: str) -> Iterator[list[ScoringClient]]:
    """The API nodes of the stage, each a ``mlops_steps.ScoringClient`` of the service."""
    from contextlib import ExitStack

    from mlops_steps.delivery.targets.api_deployer import open_api_target
    from mlops_steps.dss.api_node import connect_api_node
    from mlops_steps.errors import MlopsError

    found: list[ScoringClient] = []
    problem = f"API service {mlops_settings.api.service} has no deployment on stage {mlops_api_stage}"
    with ExitStack() as stack:
        try:
            if configured := mlops_settings.api.nodes_of(mlops_api_stage):
                service = mlops_settings.api.required_service()
                clients = [connect_api_node(mlops_settings, node, service) for node in configured]
                found = [stack.enter_context(client) for client in clients]
            else:
                target = stack.enter_context(open_api_target(mlops_settings, mlops_api_stage, []))
                deployment = target.find_deployment()
                found = target.nodes.clients(deployment) if deployment else []
        except MlopsError as error:
            problem = "\n".join(error.lines())
        if not found:
            pytest.fail(problem, pytrace=False)
        yield found


@pytest.fixture(scope="session")
def endpoint(api_nodes: list[ScoringClient]) -> Callable[[str], EndpointClient]:
    """An endpoint of the service: ``endpoint("predict_churn").predict(record)``, on the first API node of the stage.

    ``predict(features)`` returns ``prediction``, ``probas``, ``ignored`` (the reason, if the model gave no prediction)
    and ``generation`` (the version that answered); ``predict_many(records)`` a list of these; ``run(parameters)`` calls
    a function, and returns its ``response``. They raise ``mlops_steps.NodeError``.
    """
    return api_nodes[0].endpoint
