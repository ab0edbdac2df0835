from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.errors import ConfigError
from mlops_steps.system import secrets

Load = Callable[..., Settings]

FULL = """\
project: DKU_CHURN
automation: full
nodes:
  design: {url: "https://design.example.com:11200/"}
  test:   {url: "https://auto-test.example.com:11200", infra: auto-test}
  uat:    {url: "https://auto-uat.example.com:11200"}
  prod-eu: {url: "https://auto-prod.example.com:11200", infra: auto-prod, deployment: churn}
validate:
  limits: {lines: 120}
  severity: {max-lines: off}
  exceptions:
    - {rule: max-complexity, object: "recipe train_*", reason: "generated"}
test:
  scenarios: ["TEST_*", CHECK_DATA]
  timeout: 1h30m
  pytest: tests/dss
release:
  rollback: off
"""

SANDBOX = {
    "MLOPS_PROJECT": "DKU_CHURN",
    "MLOPS_PROD_URL": "http://127.0.0.1:3",
    "MLOPS_PROD_INFRA": "auto-prod",
    "MLOPS_TEST_URL": "http://127.0.0.1:2",
    "MLOPS_TEST_INFRA": "auto-test",
    "MLOPS_DESIGN_URL": "http://127.0.0.1:1",
    "MLOPS_DESIGN_API_KEY": "design-key-0123456789",
}


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a file with the text, under the name mlops.yml."""

    def build(
        text: str, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
    ) -> Settings:
        path = tmp_path / "mlops.yml"
        path.write_text(dedent(text), encoding="utf-8")
        return load(path, environ or {}, overrides)

    return build


def problems(load_text: Load, text: str, environ: Mapping[str, str] | None = None, **overrides: Any) -> list[str]:
    """The lines of the error, without the folder and the indentation."""
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ, overrides)
    return [line.strip().rpartition("/mlops.yml")[2] or line for line in caught.value.lines()]


def test_a_whole_file_becomes_typed_settings(load_text: Load, tmp_path: Path) -> None:
    settings = load_text(FULL)
    assert settings.automation == "full"
    assert settings.nodes["design"].url == "https://design.example.com:11200"
    assert settings.validation.limits.lines == 120
    assert settings.validation.limits.complexity == 21
    assert settings.validation.severity == {"max-lines": "off"}
    assert settings.validation.exceptions[0].reason == "generated"
    assert settings.test.timeout == 5400
    assert settings.test.pytest == tmp_path / "tests/dss"
    assert settings.release.rollback == "off"
    assert settings.reports == tmp_path / "reports"
    assert settings.record == tmp_path / ".mlops/release.json"
    assert settings.root == tmp_path
    assert settings.warnings == []


def test_stages_are_the_nodes_with_an_infrastructure_in_the_order_of_the_file(load_text: Load) -> None:
    settings = load_text(FULL)
    assert [stage.name for stage in settings.stages()] == ["test", "prod-eu"]
    assert settings.stage_before("test") is None
    assert settings.stage_before("prod-eu") == settings.stage("test")
    assert settings.release_stage().name == "prod-eu"
    assert settings.deployer().name == "design"
    assert settings.deployment_id("test") == "DKU_CHURN-on-auto-test"
    assert settings.deployment_id("prod-eu") == "churn"


def test_a_deployer_of_its_own_is_no_stage(load_text: Load) -> None:
    settings = load_text(
        "project: P\nnodes: {design: {url: 'http://localhost'}, deployer: {url: 'http://localhost:2'}}"
    )
    assert settings.deployer().url == "http://localhost:2"
    assert settings.stages() == []
    with pytest.raises(ConfigError, match="no stage is configured"):
        settings.release_stage()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tst", "unknown stage 'tst'; did you mean test? (stages: test, prod-eu)"),
        ("uat", "node uat has no infrastructure: set nodes.uat.infra or MLOPS_UAT_INFRA (stages: test, prod-eu)"),
        ("design", "design is not a stage: nothing is deployed to it (stages: test, prod-eu)"),
    ],
)
def test_an_unknown_stage_is_answered_with_the_nearest_one(load_text: Load, name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(FULL).stage(name)
    assert str(caught.value) == text


def test_the_environment_alone_may_suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, SANDBOX)
    assert settings.project == "DKU_CHURN"
    assert list(settings.nodes) == ["design", "test", "prod"]
    assert [stage.infra for stage in settings.stages()] == ["auto-test", "auto-prod"]
    assert settings.root == tmp_path


def test_a_flag_goes_before_the_environment_and_that_before_the_file(load_text: Load) -> None:
    environ = {
        "MLOPS_PROJECT": "FROM_ENV",
        "MLOPS_TEST_URL": "https://other.example.com",
        "MLOPS_UAT_INFRA": "auto-uat",
    }
    settings = load_text(FULL, environ)
    assert settings.project == "FROM_ENV"
    assert settings.stage("test").url == "https://other.example.com"
    assert [stage.name for stage in settings.stages()] == ["test", "uat", "prod-eu"]
    settings = load_text(FULL, environ, {"project": "FROM_FLAG", "test.timeout": "10m", "test.parallel": None})
    assert settings.project == "FROM_FLAG"
    assert settings.test.timeout == 600
    assert settings.test.parallel == 8


def test_an_api_node_of_the_environment_is_no_stage(load_text: Load) -> None:
    environ = {**SANDBOX, "MLOPS_API_PROD_1_URL": "http://127.0.0.1:9", "MLOPS_API_PROD_1_API_INFRA": "api-prod"}
    settings = load_text("", environ)
    assert [stage.name for stage in settings.stages()] == ["test", "prod"]
    del environ["MLOPS_API_PROD_1_API_INFRA"]
    assert "api-prod-1" in load_text("", environ).nodes


def test_an_empty_variable_counts_as_not_set(load_text: Load) -> None:
    assert load_text(FULL, {"MLOPS_PROJECT": "", "MLOPS_CONFIG": "", "MLOPS_TEST_URL": ""}).project == "DKU_CHURN"


def test_the_file_is_named_by_a_variable_or_stands_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/other.yml").write_text(FULL.replace("DKU_CHURN", "OTHER"), encoding="utf-8")
    (tmp_path / "mlops.yml").write_text(FULL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).project == "DKU_CHURN"
    named = load(None, {"MLOPS_CONFIG": "conf/other.yml"})
    assert named.project == "OTHER"
    assert named.root == tmp_path / "conf"


def test_a_path_among_the_flags_belongs_to_the_current_folder(
    load_text: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load_text(FULL, {}, {"reports": Path("out"), "record": "r.json"})
    assert settings.reports == tmp_path / "elsewhere/out"
    assert settings.record == tmp_path / "r.json"


def test_a_section_without_a_value_stands_for_its_defaults(load_text: Load) -> None:
    settings = load_text(
        "project: P\ntest:\nrelease: ~\nvalidate:\n  limits:\nnodes:\n  design:\n",
        {"MLOPS_DESIGN_URL": "http://localhost:1"},
    )
    assert settings.test.parallel == 8
    assert settings.nodes["design"].url == "http://localhost:1"


def test_words_that_yaml_takes_for_something_else_stay_words(load_text: Load) -> None:
    text = """\
        project: 007
        nodes:
          design: {url: "http://localhost:1", verify: no}
          on: {url: "http://localhost:2", infra: 1.10}
        """
    settings = load_text(text)
    assert settings.project == "007"
    assert settings.nodes["design"].verify is False
    assert settings.stage("on").infra == "1.10"


def test_a_value_behind_an_alias_is_the_value(load_text: Load) -> None:
    settings = load_text(
        "project: P\nnodes: {design: &d {url: 'http://localhost:1'}, deployer: *d}\ntest: {timeout: &t 5m}\n"
        "deploy: {timeout: *t}\n"
    )
    assert settings.deployer().url == "http://localhost:1"
    assert settings.deploy.timeout == 300


class TestProblems:
    def test_all_of_them_come_at_once_with_their_lines_the_first_line_first(self, load_text: Load) -> None:
        text = """\
            project: DKU CHURN
            automation: ful
            nodes:
              design: {url: "https://design.example.com"}
              prod: {url: "https://prod.example.com", infraa: auto-prod}
              prod: {}
            test:
              paralel: 8
              parallel: many
              timeout: 30 minutes
            infra: x
            """
        assert problems(load_text, text) == [
            ":1: project: must be a project key: letters, digits and '_'",
            ":2: automation: must be one of full, approval, manual; did you mean full?",
            ":5: nodes.prod.infraa: unknown key; did you mean infra?",
            ":6: nodes.prod: the key is given twice; it stands in line 5 too",
            ":8: test.paralel: unknown key; did you mean parallel?",
            ":9: test.parallel: must be a whole number",
            ":10: test.timeout: must be a duration such as 30m, 90s, 1h30m, or a number of seconds",
            ":11: infra: unknown key; did you mean nodes.<name>.infra?",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("nodes: [a]", ":1: nodes: must be a mapping of keys to values"),
            ("nodes: {test: {url: 'https://h'}}", ":1: nodes: must hold the node design (or set MLOPS_DESIGN_URL)"),
            ("nodes: {design: {}}", ":1: nodes.design.url: is missing (or set MLOPS_DESIGN_URL)"),
            ("nodes: {design: {url: h}}", ":1: nodes.design.url: must begin with https:// (or http://)"),
            ("nodes: {design: {url: 'https://h:99999'}}", ":1: nodes.design.url: is not a URL"),
            (
                "nodes: {design: {url: 'https://h/?a=b'}}",
                ":1: nodes.design.url: must be the address of the node alone, without ? or #",
            ),
            (
                "nodes: {design: {url: 'https://h', infra: a}}",
                ":1: nodes.design.infra: nothing is deployed to this node",
            ),
            (
                "nodes: {design: {url: 'https://h'}, a: {url: 'https://h', infra: ../x}}",
                ":1: nodes.a.infra: must be an id: letters, digits, '_', '-' and '.'",
            ),
            (
                "nodes: {design: {url: 'https://h'}, a-b: {url: 'https://h'}, a_b: {url: 'https://h'}}",
                ":1: nodes.a_b: has the environment variables of node a-b (MLOPS_A_B_…)",
            ),
            (
                "nodes: {design: {url: 'https://h'}, a: {url: 'https://h', infra: i}, b: {url: 'https://h', infra: i}}",
                ":1: nodes.b: deployment P-on-i is that of stage a; set deployment",
            ),
            (
                "nodes: {design: {url: 'https://h', verify: ca.pem}}",
                "ca.pem",
            ),
            (
                "nodes: {design: {url: 'https://h', client_key: k.pem}}",
                ":1: nodes.design.client_key: requires client_certificate",
            ),
            ("nodes: {design: {url: 'https://h', name: x}}", ":1: nodes.design.name: unknown key"),
            ("nodes: {1x: {url: 'https://h'}}", ":1: nodes.1x: must be a node name"),
            ("release: {stage: prd}", ":1: release.stage: unknown stage 'prd'"),
            ("validation: {}", ":1: validation: unknown key; did you mean validate?"),
            ("root: /", ":1: root: unknown key"),
            ("validate: {severity: {a: eror}}", "did you mean error?"),
            ("validate: {exceptions: [{rule: a, object: b}]}", ":1: validate.exceptions.0.reason: is missing"),
            (
                "validate: {exceptions: [{rule: a, object: b, reason: '  '}]}",
                ":1: validate.exceptions.0.reason: must say why the exception is made",
            ),
            ("validate: {rules: [nonsense]}", "must be 'path/to/file.py:function' or 'package.module:function'"),
            ("package: {bundle_id: '{build}/{commit}'}", "may hold letters, digits, '.', '_', '-' and fields only"),
            ("package: {bundle_id: '{build.__class__}'}", "unknown field"),
            ("package: {bundle_id: 'v1-{date}'}", "else two builds make the same bundle"),
            ("package: {bundle_id: '{build'}", "unpaired brace"),
            ("test: {scenarios: ['a/b']}", "must be a scenario id or a pattern"),
            ("test: {parallel: 0}", ":1: test.parallel: must be greater than or equal to 1"),
            ("test: {parallel: ''}", ":1: test.parallel: must be a whole number"),
            ("test: TEST_*", ":1: test: must be a mapping of keys to values"),
            ('test: {pytest: "a\\0b"}', ":1: test.pytest: must be a path"),
            ("test: {<<: {}}", "merge keys are not supported"),
            ("? [a]\n: b", "a key must be a word"),
            ("test: {timeout: !!python/object:os.system x}", "is not supported"),
            ('test: {"a\\ud800": 1}', ":1: test: must be text"),
        ],
    )
    def test_each_mistake_is_said_in_plain_words(self, load_text: Load, text: str, problem: str) -> None:
        lines = problems(load_text, text, {"MLOPS_PROJECT": "P", "MLOPS_DESIGN_URL": ""})
        assert any(problem in line for line in lines), lines

    def test_a_bad_value_of_the_environment_is_said_of_the_variable(self, load_text: Load) -> None:
        lines = problems(load_text, FULL, {"MLOPS_TEST_URL": "nonsense"}, project="a b")
        assert lines == [
            "command line: project: must be a project key: letters, digits and '_'",
            "MLOPS_TEST_URL: nodes.test.url: must begin with https:// (or http://)",
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"\x00\x01\x02\xff",
            b"project: \xe9",
            b"- a\n- b",
            b"just words",
            b"a: b: c",
            b"a: [",
            b"a: *nothing",
            b"--- {}\n--- {}",
            b"[" * 5000,
            b"a: &a [*a, *a]",
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)),
            b'a: "\\UFFFFFFFF"',
            b"x" * 300_000,
        ],
    )
    def test_a_file_that_is_no_configuration_is_one_clear_error(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "mlops.yml"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"mlops\.yml") as caught:
            load(path, {})
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_named_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no such file"):
            load(tmp_path / "nothing.yml", {})
        with pytest.raises(ConfigError, match="cannot be read"):
            load(tmp_path, {})

    def test_without_a_file_the_folder_that_has_none_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError) as caught:
            load(environ={"MLOPS_DESIGN_URL": "https://design.example.com"})
        assert caught.value.message == f"no mlops.yml in {tmp_path}: project: is missing (or set MLOPS_PROJECT)"

    def test_the_usual_other_spelling_of_the_file_is_not_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "mlops.yaml").write_text(FULL, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match=r"is called mlops\.yml"):
            load(None, SANDBOX)


class TestSecrets:
    def test_a_key_comes_from_the_environment_and_is_never_shown(self, load_text: Load) -> None:
        key = "prod-key-12345"
        settings = load_text(FULL, {"MLOPS_PROD_EU_API_KEY": f" {key}\n"})
        assert settings.node("prod-eu").api_key().get_secret_value() == key
        assert key not in repr(settings)
        assert key not in str(settings.model_dump())
        assert key not in settings.model_dump_json()
        assert key not in secrets.redact(f"refused: {key}")

    @pytest.mark.parametrize("how", ["variable", "file"])
    def test_a_key_comes_from_a_file(self, load_text: Load, tmp_path: Path, how: str) -> None:
        (tmp_path / "key.txt").write_text("test-key-12345\r\n", encoding="utf-8")
        environ = {"MLOPS_TEST_API_KEY_FILE": str(tmp_path / "key.txt")} if how == "variable" else {}
        text = FULL.replace("infra: auto-test", "infra: auto-test, api_key_file: key.txt") if how == "file" else FULL
        assert load_text(text, environ).node("test").api_key().get_secret_value() == "test-key-12345"

    def test_the_variable_goes_before_the_file(self, load_text: Load, tmp_path: Path) -> None:
        environ = {"MLOPS_TEST_API_KEY": "from-variable", "MLOPS_TEST_API_KEY_FILE": str(tmp_path / "nothing")}
        assert load_text(FULL, environ).node("test").api_key().get_secret_value() == "from-variable"

    @pytest.mark.parametrize(
        ("environ", "text"),
        [
            ({}, "set MLOPS_PROD_EU_API_KEY, or MLOPS_PROD_EU_API_KEY_FILE"),
            (
                {"MLOPS_PROD_EU_API_KEY_FILE": "/nothing/here"},
                "MLOPS_PROD_EU_API_KEY_FILE: /nothing/here: No such file",
            ),
            ({"MLOPS_PROD_EU_API_KEY_FILE": "/dev/null"}, "not a regular file"),
            ({"MLOPS_PROD_EU_API_KEY": "two words-secret"}, "holds white space"),
            ({"MLOPS_PROD_EU_API_KEY": "kéy-secret"}, "characters that no key has"),
        ],
    )
    def test_a_key_that_is_missing_stops_only_who_asks_for_it(
        self, load_text: Load, environ: dict[str, str], text: str
    ) -> None:
        settings = load_text(FULL, environ)
        with pytest.raises(ConfigError) as caught:
            settings.node("prod-eu").api_key()
        assert text in str(caught.value)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("key", ["api_key", "apiKey", "key", "token", "password", "secret"])
    def test_a_key_in_the_file_is_refused_and_told_where_it_goes(self, load_text: Load, key: str) -> None:
        text = FULL.replace("infra: auto-test", f"infra: auto-test, {key}: hunter2-hunter2")
        (line,) = problems(load_text, text)
        assert line.startswith(f":5: nodes.test.{key}: no secrets in this file")
        assert "MLOPS_<NODE>_API_KEY" in line
        assert "hunter2" not in line

    def test_a_key_of_dss_is_refused_wherever_it_stands(self, load_text: Load) -> None:
        text = FULL.replace("infra: auto-test", "infra: dkuaps-abcdef")
        lines = problems(load_text, text)
        assert ":5: nodes.test.infra: this is an API key" in lines[0]
        assert "abcdef" not in str(lines)

    @pytest.mark.parametrize("url", ["https://user:hunter2@h", "http://hunter2@h", "htps://u:hunter2@h", "u:hunter2@h"])
    def test_a_url_with_a_password_is_refused_without_showing_it(self, load_text: Load, url: str) -> None:
        (line,) = problems(load_text, FULL.replace("https://auto-uat.example.com:11200", url))
        assert "must not hold a user name or a password" in line
        assert "hunter2" not in line


class TestWarnings:
    @pytest.mark.parametrize(
        ("node", "warned"),
        [
            ("url: 'http://design.example.com'", True),
            ("url: 'http://127.0.0.1.example.com'", True),
            ("url: 'http://127.0.0.1:80'", False),
            ("url: 'http://localhost:80'", False),
            ("url: 'http://[::1]:80'", False),
            ("url: 'https://design.example.com'", False),
            ("url: 'https://design.example.com', verify: false", True),
        ],
    )
    def test_what_is_allowed_but_dangerous_is_warned_of(self, load_text: Load, node: str, warned: bool) -> None:
        settings = load_text(f"project: P\nnodes: {{design: {{{node}}}}}")
        assert len(settings.warnings) == warned
        assert all("mlops.yml:2: nodes.design" in text for text in settings.warnings)


def test_a_later_message_can_name_the_line_of_a_value(load_text: Load, tmp_path: Path) -> None:
    settings = load_text(FULL)
    assert (
        settings.place("validate", "severity", "max-lines") == f"{tmp_path}/mlops.yml:10: validate.severity.max-lines"
    )
    assert settings.place("http", "retries") == "http.retries"


def test_settings_do_not_change(load_text: Load) -> None:
    settings = load_text(FULL)
    with pytest.raises(ValueError, match="frozen"):
        settings.project = "OTHER"  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{" * 100_000, "project: " + "[ " * 50_000, "[a," * 30_000, "- " * 50_000, "? " * 50_000],
    ids=["lists", "mappings", "a value", "open lists", "dashes", "keys"],
)
def test_deep_nesting_is_refused_before_it_costs_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text(f"# a comment\n{text}")
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"mlops\.yml:2: nested too deeply"):
        load(path, {})
    assert time.process_time() - start < 3  # it was 9 to 15 s


def test_very_many_values_are_refused_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text("\n".join(f"k{number}: v" for number in range(21_000)))
    with pytest.raises(ConfigError, match=r"mlops\.yml:\d+: too many values"):
        load(path, {})


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket"])
def test_a_key_file_that_is_not_a_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        socket.socket(socket.AF_UNIX).bind(str(path))
    (tmp_path / "mlops.yml").write_text("project: P\nnodes: {design: {url: 'http://127.0.0.1:9'}}\n")
    settings = load(tmp_path / "mlops.yml", {"MLOPS_DESIGN_API_KEY_FILE": str(path)})
    with pytest.raises(ConfigError, match=r"MLOPS_DESIGN_API_KEY_FILE: .*: not a regular file"):
        settings.node("design").api_key()
