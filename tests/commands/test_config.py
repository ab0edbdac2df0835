"""`mlops-steps config` through the front door."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from mlops_steps.config import Settings, ValidateSettings, load
from mlops_steps.config.first_file import Found, FoundStage, render, stage_names, write
from mlops_steps.config.gates import KINDS
from mlops_steps.config.problems import all_keys
from mlops_steps.dss.facts import ProjectFacts
from mlops_steps.errors import ConfigError
from mlops_steps.gates.model import GateContext, GateVerdict
from mlops_steps.policy.effective import resolve
from mlops_steps.rules.loading import BUILT_IN, load_rules
from mlops_steps.system.team_code import team_function
from tests.front_door.fake_node import KEY, FakeNode, Refusing
from tests.support import commands

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}


@pytest.fixture
def node() -> Iterator[FakeNode]:
    fake = FakeNode()
    yield fake
    fake.close()


def config(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return commands.run(["config", *arguments], folder, {**CLEAN, **environ})


def init(folder: Path, node: FakeNode, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {"MLOPS_DESIGN_URL": node.url, "MLOPS_DESIGN_API_KEY": KEY, "MLOPS_PROJECT": "P"}
    return config(folder, "init", *arguments, **{**known, **environ})


class TestInit:
    def test_the_file_holds_what_the_node_tells_and_loads(self, tmp_path: Path, node: FakeNode) -> None:
        result = init(tmp_path, node)
        assert result.returncode == 0, result.stderr
        settings = load(tmp_path / "mlops.yml", {})
        assert settings.project == "P"
        assert settings.nodes["design"].url == node.url
        assert [(stage.name, stage.infra, stage.url) for stage in settings.stages()] == [
            ("test", "auto-test", "http://127.0.0.1:9")
        ]
        text = (tmp_path / "mlops.yml").read_text()
        assert "other projects on this node: OTHER" in text
        assert "scenarios of the project: TEST_SMOKE" in text
        assert "infrastructure auto-prod has no known URL: write it here, or set MLOPS_PROD_URL" in text
        assert KEY not in text + result.stdout + result.stderr

    def test_what_the_environment_says_of_an_infrastructure_goes_first(self, tmp_path: Path, node: FakeNode) -> None:
        environ = {"MLOPS_LIVE_URL": "https://live.example.com", "MLOPS_LIVE_INFRA": "auto-prod"}
        assert init(tmp_path, node, **environ).returncode == 0
        settings = load(tmp_path / "mlops.yml", {})
        assert [stage.name for stage in settings.stages()] == ["test", "live"]
        assert settings.stage("live").url == "https://live.example.com"

    def test_a_file_that_exists_is_replaced_only_by_force(self, tmp_path: Path, node: FakeNode) -> None:
        path = tmp_path / "mlops.yml"
        path.write_text("precious: [")
        result = init(tmp_path, node)
        assert result.returncode == 2
        assert "exists already" in result.stderr
        assert path.read_text() == "precious: ["
        assert init(tmp_path, node, "--force").returncode == 0
        assert load(path, {}).project == "P"

    def test_a_file_that_somebody_else_wrote_meanwhile_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "mlops.yml"
        path.write_text("precious")
        with pytest.raises(ConfigError, match="exists already"):
            write("new", path, force=False)
        assert path.read_text() == "precious"

    def test_without_a_project_it_asks_which_and_lists_them(self, tmp_path: Path, node: FakeNode) -> None:
        result = init(tmp_path, node, MLOPS_PROJECT="")
        assert result.returncode == 2
        assert "--project" in result.stderr
        assert "OTHER, P" in result.stderr
        node.answers["/projects"] = [{"projectKey": "P"}]
        assert init(tmp_path, node, MLOPS_PROJECT="").returncode == 0

    def test_an_unknown_project_is_answered_with_the_nearest(self, tmp_path: Path, node: FakeNode) -> None:
        result = init(tmp_path, node, "--project", "OTHR")
        assert result.returncode == 2
        assert "there is no project OTHR; did you mean OTHER?" in result.stderr

    @pytest.mark.parametrize(
        ("environ", "code", "text"),
        [
            ({"MLOPS_DESIGN_URL": ""}, 2, "MLOPS_DESIGN_URL"),
            ({"MLOPS_DESIGN_API_KEY": ""}, 2, "set MLOPS_DESIGN_API_KEY"),
            ({"MLOPS_DESIGN_URL": "http://127.0.0.1:1"}, 3, "cannot list the projects"),
        ],
    )
    def test_what_is_missing_is_said(
        self, tmp_path: Path, node: FakeNode, environ: dict[str, str], code: int, text: str
    ) -> None:
        result = init(tmp_path, node, **environ)
        assert result.returncode == code
        assert text in result.stderr
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "mlops.yml").exists()

    def test_what_the_node_tells_may_be_unfit_and_then_no_file_is_left(self, tmp_path: Path, node: FakeNode) -> None:
        node.answers["/project-deployer/infras"][1]["infraBasicInfo"]["automationNodeUrl"] = "http://u:secret-pw@h"
        result = init(tmp_path, node)
        assert result.returncode == 2
        assert "must not hold a user name or a password" in result.stderr
        assert "secret-pw" not in result.stderr
        assert not (tmp_path / "mlops.yml").exists()

    def test_a_deployer_that_refuses_is_an_error_of_the_node(self, tmp_path: Path, node: FakeNode) -> None:
        node.answers["/project-deployer/stages"] = Refusing(403)
        result = init(tmp_path, node)
        assert result.returncode == 3
        assert "cannot list the infrastructures" in result.stderr

    def test_a_folder_that_is_not_there_is_a_usage_error(self, tmp_path: Path, node: FakeNode) -> None:
        result = init(tmp_path, node, "--output", "gone/mlops.yml")
        assert result.returncode == 2
        assert "cannot be written" in result.stderr


class TestRender:
    def test_what_stands_in_comments_is_valid_too(self, tmp_path: Path) -> None:
        found = Found("P", "https://design.example.com", [FoundStage("test", "auto", "https://auto.example.com")])
        text = re.sub(r"^(\s*)# (\s*)(severity|exceptions|- |rules|pytest)", r"\1\2\3", render(found), flags=re.M)
        assert "\n  pytest: tests/dss" in text
        path = tmp_path / "mlops.yml"
        path.write_text(text.replace("NAME", "x"), encoding="utf-8")
        settings = load(path, {})
        assert settings.validation.exceptions[0].rule == "max-complexity"
        assert settings.validation.rules == ["checks/rules.py:my_rule"]

    def test_values_that_stand_there_are_the_defaults(self, tmp_path: Path) -> None:
        path = tmp_path / "mlops.yml"
        path.write_text(render(Found("P", "https://design.example.com")), encoding="utf-8")
        settings = load(path, {})
        for section in ("validation", "package", "test", "release"):
            default = Settings.model_fields[section].default
            assert getattr(settings, section) == default, section
        short = [line for line in path.read_text().splitlines() if not line.startswith("automation:")]
        (tmp_path / "short.yml").write_text("\n".join(short))
        assert settings.automation == resolve(load(tmp_path / "short.yml", {})).automation

    def test_odd_names_do_not_break_the_file(self) -> None:
        odd = 'a: b #\n"c" {d} \u2028\x1b[31m'
        text = render(Found("P", "https://h", [FoundStage("test", odd, None)], [odd, "TEST_SMOKE"], [odd]))
        assert "\x1b" not in text
        assert yaml.safe_load(text)["release"]["smoke_scenario"] == "TEST_SMOKE"
        assert list(yaml.safe_load(text)["nodes"]) == ["design"]

    @pytest.mark.parametrize(
        ("infras", "names"),
        [
            ([("a", "Test"), ("b", "Production")], ["test", "prod"]),
            ([("auto-1", "Production"), ("Auto_2", "Production")], ["auto-1", "auto-2"]),
            ([("a", "Pre Prod"), ("b", "")], ["pre-prod", "stage"]),
            ([("a.b", "X"), ("a_b", "X"), ("1", "X")], ["a-b", "a-b-2", "stage-1"]),
            ([("design", "X"), ("deployer", "X")], ["design-2", "deployer-2"]),
        ],
    )
    def test_stages_get_short_names_of_their_own(self, infras: list[tuple[str, str]], names: list[str]) -> None:
        assert stage_names(infras) == names


class TestSchema:
    def test_it_is_json_and_describes_every_key(self, tmp_path: Path) -> None:
        result = config(tmp_path, "schema")
        assert result.returncode == 0
        schema = json.loads(result.stdout)
        assert set(schema["properties"]) == {
            "project", "criticality", "automation", "policy", "nodes",
            "validate", "package", "deploy", "test", "compare", "release", "gates",
            "api", "monitor", "http", "reports", "record",
        }  # fmt: skip
        assert set(schema["$defs"]["NodeSettings"]["properties"]) == {
            "url", "strategy", "infra", "deployment", "verify", "client_certificate", "client_key", "api_key_file",
            "nodes", "infras", "rollout", "mapping", "variables", "scenarios", "triggers",
            "rollback_rehearsal",
        }  # fmt: skip
        for name, definition in schema["$defs"].items():
            assert definition["additionalProperties"] is False, name
            for key, value in definition["properties"].items():
                assert "description" in value, f"{name}.{key}"

    def test_what_the_environment_may_give_is_not_required(self, tmp_path: Path) -> None:
        schema = json.loads(config(tmp_path, "schema").stdout)
        assert "required" not in schema
        for name in ("NodeSettings", "InfraSettings", "ConnectionSettings"):
            assert "required" not in schema["$defs"][name]
        assert schema["$defs"]["RuleException"]["required"] == ["rule", "object", "reason"]


class TestDocumentation:
    """docs/configuration.md and docs/validation.md tell of every key and rule, and their examples are valid."""

    DOCS = Path(__file__).parents[2] / "docs"

    def test_every_key_is_documented(self) -> None:
        text = (self.DOCS / "configuration.md").read_text(encoding="utf-8")
        keys = all_keys()
        leaves = [key for key in keys if not any(other.startswith((f"{key}.", f"{key}[]")) for other in keys)]
        assert len(leaves) > 40
        for path in leaves:
            key = path.rpartition(".")[2]
            assert any(f"`{name}" in text for name in (path, f".{key}", key)), path

    def test_every_rule_is_documented(self) -> None:
        text = (self.DOCS / "validation.md").read_text(encoding="utf-8")
        assert [built_in.id for built_in in BUILT_IN if f"| `{built_in.id}` |" not in text] == []

    def test_examples_are_valid(self, tmp_path: Path) -> None:
        blocks = [
            block
            for name in ("configuration.md", "validation.md")
            for block in re.findall(r"```yaml\n(.*?)```", (self.DOCS / name).read_text(encoding="utf-8"), re.S)
        ]
        assert len(blocks) == 2
        for block in blocks:
            path = tmp_path / "mlops.yml"
            path.write_text(block, encoding="utf-8")
            settings = load(path, {"MLOPS_PROJECT": "P", "MLOPS_DESIGN_URL": "https://design.example.com"})
            assert settings.nodes["design"].url.startswith("https://design.example.com")

    def test_the_example_of_monitoring_is_valid(self, tmp_path: Path) -> None:
        (block,) = re.findall(r"```yaml\n(.*?)```", (self.DOCS / "monitoring.md").read_text(encoding="utf-8"), re.S)
        path = tmp_path / "mlops.yml"
        path.write_text(f"project: P\nnodes: {{design: {{url: 'https://h'}}}}\n{block}", encoding="utf-8")
        monitor = load(path, {}).monitor
        assert [gate.name for gate in monitor.gates] == ["inputs", "predictions", "quality", "metric"]
        assert (monitor.react, monitor.age and monitor.age.act) == ("retrain", 90 * 86_400)

    @pytest.mark.parametrize(
        ("section", "said"),
        [
            ("gates: [{gate: metrc}]", "monitor.gates.0.gate: must be one of metric"),
            (
                "gates: [{gate: drift, psj: 1, reference: a, current: b}]",
                "gates.0.psj: unknown key; did you mean psi",
            ),
            ("gates: [{gate: governance}]", "a gate of kind governance judges a candidate"),
            ("{gates: [{gate: drift, reference: a, current: b}], act: {drfit: {psi: 1}}}", "drfit; did you mean drift"),
            ("{gates: [{gate: drift, reference: a, current: b}], act: {drift: {psj: 1}}}", "psj: no such limit"),
            ("react: release", "requires job"),
            ("react: retrain", "requires retrain_scenario"),
            ("age: {model: m, warn: 30m}", "days or weeks"),
        ],
    )
    def test_what_is_wrong_with_monitor(self, tmp_path: Path, section: str, said: str) -> None:
        path = tmp_path / "mlops.yml"
        section = section if section.startswith("{") else f"{{{section}}}"
        path.write_text(f"project: P\nnodes: {{design: {{url: 'https://h'}}}}\nmonitor: {section}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=re.escape(said)):
            load(path, {})

    def test_the_gates_of_the_examples_are_valid(self, tmp_path: Path) -> None:
        text = (self.DOCS / "gates.md").read_text(encoding="utf-8")
        block, service = re.findall(r"```yaml\n(.*?)```", text, re.S)
        (own,) = re.findall(r"^    (- \{gate: custom.*)$", text, re.M)
        path = tmp_path / "mlops.yml"
        path.write_text(f"project: P\nnodes: {{design: {{url: 'https://h'}}}}\n{block}  {own}\n", encoding="utf-8")
        assert [gate.name for gate in load(path, {}).gates] == ["metric", "champion", "slices", "calls"]
        path.write_text(f"project: P\nnodes: {{design: {{url: 'https://h'}}}}\n{service}", encoding="utf-8")
        assert [gate.steps for gate in load(path, {}).gates] == [["api-test", "api-release"]]
        for kind, model in KINDS.items():
            assert f"**{kind}**" in text
            missing = [name for name in model.model_fields if name != "gate" and not re.search(rf"\b{name}\b", text)]
            assert not missing, f"{kind}: {missing}"

    def test_the_gate_of_the_example_works(self, tmp_path: Path) -> None:
        (code,) = re.findall(r"```python\n(.*?)```", (self.DOCS / "gates.md").read_text(encoding="utf-8"), re.S)
        (tmp_path / "gates.py").write_text(code, encoding="utf-8")
        churn_rate = team_function("gates.py:churn_rate", tmp_path, "here")
        rows = {"prediction": ["1", "0", "0", "0"]}
        samples: Any = SimpleNamespace(candidate="c", read=lambda *_: rows)
        few, many = (churn_rate(GateContext("P", "test", "b", samples, {"most": most})) for most in (0.1, 0.3))
        assert (few.verdict, many.verdict) == (GateVerdict.FAILED, GateVerdict.PASSED)
        assert many.value == 0.25

    def test_the_rule_of_the_example_works(self, tmp_path: Path) -> None:
        (code,) = re.findall(r"```python\n(.*?)```", (self.DOCS / "validation.md").read_text(encoding="utf-8"), re.S)
        (tmp_path / "rules.py").write_text(code, encoding="utf-8")
        path = tmp_path / "mlops.yml"
        path.write_text(
            "project: P\nnodes: {design: {url: 'https://h'}}\nvalidate: {rules: ['rules.py:dataset_names']}",
            encoding="utf-8",
        )
        loaded = load_rules(load(path, {}))[-1]
        facts = ProjectFacts("P", datasets=({"name": "good"}, {"name": "Bad"}))
        found = [(finding.object, finding.ok) for finding in loaded.check(facts, ValidateSettings())]
        assert loaded.severity == "warning"
        assert found == [("dataset good", True), ("dataset Bad", False)]
