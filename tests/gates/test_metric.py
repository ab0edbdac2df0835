"""The gate ``metric`` against a saved model of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from mlops_steps.config import load
from mlops_steps.config.gates import MetricGate
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed
from mlops_steps.gates import metric
from mlops_steps.gates.model import GateVerdict
from mlops_steps.gates.samples import Samples, Version
from mlops_steps.sandbox.node.store import write_json
from mlops_steps.sandbox.services.flow.models import versions_dir
from mlops_steps.sandbox.services.projects.model import create
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.waiting import Deadline

KEY = "METRICS"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    folder = tmp_path_factory.mktemp("metric")
    with Sandbox.open(folder / "nodes") as sandbox:
        project = create(sandbox.design, KEY, "Metrics")
        for name, active in (("Churn model", "v2"), ("Nothing active", None)):
            identity = name.replace(" ", "_")
            definition = {"id": identity, "name": name, "type": "PREDICTION", "activeVersion": active}
            write_json(project.config_dir / "saved_models" / f"{identity}.json", definition)
            version = {"id": "v2", "metrics": {"auc": 0.83, "f1": "NaN", "rmse": 3}, "trainDate": 1}
            folder = versions_dir(project, identity) / "v2"
            folder.mkdir(parents=True)
            write_json(folder / "version.json", version)
        settings = load(None, sandbox.environment(KEY), {})
        with connect(settings, settings.nodes["design"]) as node:
            yield Samples(Version("b1", "test", node, KEY), node)


def gate(**more: Any) -> MetricGate:
    document = {"gate": "metric", "model": "Churn model", "metric": "AUC", "at_least": 0.8, **more}
    return TypeAdapter(MetricGate).validate_python(document)


@pytest.mark.parametrize(
    ("limits", "verdict", "words"),
    [
        ({"at_least": 0.8}, GateVerdict.PASSED, "at least 0.8"),
        ({"at_least": 0.83, "at_most": 0.83}, GateVerdict.PASSED, "at least 0.83 and at most 0.83"),
        ({"at_least": 0.9}, GateVerdict.FAILED, "at least 0.9"),
        ({"at_least": None, "at_most": 0.8}, GateVerdict.FAILED, "at most 0.8"),
    ],
)
def test_a_metric_against_its_limits(
    samples: Samples, limits: dict[str, Any], verdict: GateVerdict, words: str
) -> None:
    found = metric.measure(gate(**limits), samples, Deadline(30))
    assert (found.verdict, found.value, found.limit) == (verdict, 0.83, words)
    assert "version v2 of saved model Churn model" in found.source


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model": "Churn"}, "no saved model Churn; did you mean Churn model?"),
        ({"model": "Nothing active"}, "no version of saved model Nothing active is active"),
        ({"metric": "aucc"}, "has no metric aucc; did you mean auc?"),
        ({"metric": "f1"}, "is not a number"),
    ],
)
def test_what_cannot_be_measured_is_an_error(samples: Samples, more: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        metric.measure(gate(**more), samples, Deadline(30))
    assert said in str(caught.value)
