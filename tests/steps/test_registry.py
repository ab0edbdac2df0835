"""Each row of the registry says what its step is."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_steps.config import load
from mlops_steps.errors import ConfigError
from mlops_steps.steps.registry import COMMON, STEPS, WAIT, Kind, Step


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_step_takes_what_its_row_says(step: Step) -> None:
    module = importlib.import_module(f"mlops_steps.steps.{step.name.replace('-', '_')}")
    parameters = inspect.signature(module.run).parameters
    positional = [one.name for one in parameters.values() if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == ["context", *(["stage"] if step.has_stage else [])]
    named = {one.name: one.default for one in parameters.values() if one.kind is inspect.Parameter.KEYWORD_ONLY}
    passed = [option for option in step.options if option is not WAIT]  # the registry itself waits
    assert named == {option.name: False if option.kind is Kind.FLAG else None for option in passed}
    assert inspect.signature(module.run).return_annotation == "None"


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_row_is_whole(step: Step) -> None:
    names = [option.name for option in step.all_options]
    assert len(names) == len(set(names)), "an option of every step has the name of one of its own"
    assert {option.name for option in step.options}.isdisjoint({"stage", *(option.name for option in COMMON)})
    assert all(option.help.endswith(".") for option in step.all_options)
    assert all(bool(option.pattern) == bool(option.form) for option in step.all_options)
    assert not step.harmless_with or step.harmless_with in names


def test_a_help_imports_no_step_and_no_client() -> None:
    code = (
        "import sys\n"
        "from mlops_steps.cli import main\n"
        "sys.argv[1:] = ['release', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m in ('dataikuapi', 'requests', 'mlops_steps.steps.release')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr


def test_a_step_of_the_service_takes_a_stage_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text(
        "project: P\n"
        "nodes: {design: {url: 'https://d.example.com'}, test: {url: 'https://t.example.com', infra: auto-test}}\n"
        "api: {service: s, stages: {dev: {infra: api-dev}}}\n"
    )
    settings = load(path, {})
    STEPS["api-deploy"].check_stage(settings, "dev")
    STEPS["deploy"].check_stage(settings, "test")
    assert [node.name for node in STEPS["api-deploy"].nodes(settings, "dev")] == ["design"]
    for step, stage in (("api-deploy", "test"), ("deploy", "dev")):
        with pytest.raises(ConfigError, match=f"unknown stage '{stage}'"):
            STEPS[step].check_stage(settings, stage)
