"""The pytest plugin: it leads to the stage, gives no key away, and leaves suites alone that do not use it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

KEY = "dkuaps-0123456789abcdefghij"
PROJECTS = [{"projectKey": "DKU_CHURN", "name": "Churn", "activeBundleState": {"bundleId": "128-4f2c1aa"}}]


class Node(BaseHTTPRequestHandler):
    """As much of an Automation node as the client needs to list projects; other requests are refused."""

    def do_GET(self) -> None:
        known = self.path.startswith("/dip/publicapi/projects/?") or self.path.rstrip("/") == "/dip/publicapi/projects"
        document = PROJECTS if known else {"errorType": "NotFound", "message": f"no {self.path}"}
        body = json.dumps(document).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, url: str) -> pytest.Pytester:
    """A folder for a suite, with the settings of a node."""
    for name in ("MLOPS_STAGE", "MLOPS_CONFIG", "MLOPS_PROJECT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_UAT_API_KEY", KEY)
    nodes = {"design": {"url": url}, "uat": {"url": url, "infra": "auto-uat"}}
    document = {"project": "DKU_CHURN", "nodes": nodes, "http": {"retries": "0"}}
    (pytester.path / "mlops.yml").write_text(json.dumps(document))
    return pytester


def run(suite: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    """Runs the suite in a process of its own, as a team does."""
    suite.makepyfile(code)
    return suite.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_the_fixtures_are_of_the_stage(suite: pytest.Pytester, url: str) -> None:
    code = f"""
        def test_it(mlops_settings, mlops_stage, dss_client, dss_project, active_bundle, run_scenario):
            assert mlops_stage == "uat"
            assert mlops_settings.project == dss_project.project_key == "DKU_CHURN"
            assert dss_client.host == "{url}"
            assert active_bundle == "128-4f2c1aa"
            assert dss_client._session.limits.read == 60
            assert callable(run_scenario)
    """
    run(suite, code, "--mlops-stage=uat").assert_outcomes(passed=1)


def test_the_stage_may_come_from_the_environment(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_STAGE", "uat")
    run(suite, "def test_it(mlops_stage):\n    assert mlops_stage == 'uat'\n").assert_outcomes(passed=1)


def test_the_project_may_have_another_key_on_the_node(suite: pytest.Pytester) -> None:
    code = "def test_it(dss_project):\n    assert dss_project.project_key == 'OTHER'\n"
    run(suite, code, "--mlops-stage=uat", "--mlops-project-key=OTHER").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "no stage: give --mlops-stage NAME, or set MLOPS_STAGE (stages: uat)"),
        (["--mlops-stage=uta"], "unknown stage 'uta'; did you mean uat?"),
    ],
)
def test_a_stage_that_is_missing_or_wrong_is_said_without_a_traceback(
    suite: pytest.Pytester, options: list[str], says: str
) -> None:
    result = run(suite, "def test_it(dss_client):\n    pass\n", *options)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{says.replace('[', '[[]')}*"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_wrong_configuration_is_said_without_a_traceback(suite: pytest.Pytester) -> None:
    (suite.path / "mlops.yml").write_text("projct: X\n")
    result = run(suite, "def test_it(dss_client):\n    pass\n", "--mlops-stage=uat")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mlops.yml:1: *projct*"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_missing_key_is_said_without_a_traceback(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_UAT_API_KEY")
    result = run(suite, "def test_it(dss_client):\n    pass\n", "--mlops-stage=uat")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no API key for node uat: set MLOPS_UAT_API_KEY*"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_what_the_node_refuses_is_said_in_one_line(suite: pytest.Pytester) -> None:
    code = "def test_it(run_scenario):\n    run_scenario('TEST_X', limit=5)\n"
    result = run(suite, code, "--mlops-stage=uat")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*node 'uat'*cannot run scenario TEST_X*"])
    result.stdout.no_fnmatch_line("*mlops_steps/dss*")


def test_keys_show_in_no_output_and_no_report(suite: pytest.Pytester) -> None:
    code = """
        import requests

        def test_client(dss_client):
            key = dss_client._session.auth.username
            print("here:", key)
            assert key == "something else"

        def test_setting(mlops_settings):
            settings = [mlops_settings, mlops_settings.node("uat"), mlops_settings.node("uat").api_key()]
            assert repr(settings) == ""

        def test_request(dss_client):
            requests.get("http://127.0.0.1:9/", auth=dss_client._session.auth, timeout=2)
    """
    result = run(suite, code, "--mlops-stage=uat", "-l", "--tb=long", "-ra", "--junit-xml=report.xml")
    result.assert_outcomes(failed=3)
    texts = result.stdout.str(), result.stderr.str(), (suite.path / "report.xml").read_text()
    assert not any(KEY in text for text in texts)
    assert "here: ********" in texts[0]
    # HTTP basic authentication, as requests shows it in a traceback.
    assert "Basic ZGt1" not in texts[0]


def test_tests_that_run_in_parallel_have_the_fixtures(suite: pytest.Pytester) -> None:
    code = """
        import pytest

        @pytest.mark.parametrize("n", [1, 2])
        def test_it(active_bundle, n):
            assert active_bundle
    """
    run(suite, code, "--mlops-stage=uat", "-n", "2").assert_outcomes(passed=2)


def test_importing_the_plugin_imports_neither_the_client_nor_pydantic() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import mlops_steps.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['mlops_steps', 'mlops_steps.pytest_plugin', 'mlops_steps.version']"


def test_a_suite_that_does_not_use_it_loads_nothing_and_looks_the_same(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_good():
            assert not {"pydantic", "dataikuapi", "requests", "mlops_steps.system.secrets"} & set(sys.modules)

        def test_bad():
            print("https://user:password@example.com")
            assert False
        """
    )
    options = ("-p", "no:cacheprovider", "-p", "no:randomly", "-q", "-rA", "--no-header")
    with_it = pytester.runpytest_subprocess(*options)
    without = pytester.runpytest_subprocess(*options, "-p", "no:mlops_steps")
    with_it.assert_outcomes(passed=1, failed=1)
    strip = [" in ", "seconds"]
    lines = [
        [line for line in result.outlines if not any(word in line for word in strip)] for result in (with_it, without)
    ]
    assert lines[0] == lines[1]


def test_the_fixtures_are_listed_with_their_meaning(pytester: pytest.Pytester) -> None:
    lines = pytester.runpytest_subprocess("--fixtures").stdout.str()
    for name in ("mlops_settings", "mlops_stage", "dss_client", "dss_project", "active_bundle", "run_scenario"):
        assert f"\n{name} [session scope]" in lines
    assert "no docstring available" not in lines.split("mlops_settings")[1].split("fixtures defined")[0]
    assert Path(__file__).name not in lines
