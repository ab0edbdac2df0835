"""``mlops-steps jenkins setup`` against a controller over HTTP."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.jenkins.conftest import Command
from tests.jenkins.fake_controller import FOLDER, TOKEN, Answer, FakeController

KEY = "dku-key-of-the-design-node"
LIBRARY = ("--library-url", "https://git.example.com/mlops-steps.git", "--library-version", "v0.1.0")
JOB = ("--job", "release", "--job-repository", "https://git.example.com/churn.git")
ALL = ("setup", "--folder", "team/churn", *LIBRARY, *JOB)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration in the environment: two nodes with their keys."""
    monkeypatch.setenv("MLOPS_PROJECT", "DKU_CHURN")
    for node in ("DESIGN", "PROD"):
        monkeypatch.setenv(f"MLOPS_{node}_URL", "http://127.0.0.1:11200")
        monkeypatch.setenv(f"MLOPS_{node}_API_KEY", f"{KEY}-{node}")


def library_of(config: str) -> dict[str, str | None]:
    root = ElementTree.fromstring(config)
    found = root.find(".//org.jenkinsci.plugins.workflow.libs.LibraryConfiguration")
    assert found is not None
    return {child.tag: child.text for child in found.iter()}


@pytest.mark.usefixtures("nodes")
def test_everything_is_made_on_an_empty_controller(controller: FakeController, jenkins: Command) -> None:
    result = jenkins(*ALL)

    assert result.exit_code == 0, result.stderr
    assert list(controller.items) == ["team", "team/churn", "team/churn/release"]
    library = library_of(controller.config("team/churn"))
    assert library["name"] == "mlops-steps"
    assert library["remote"] == "https://git.example.com/mlops-steps.git"
    assert library["defaultVersion"] == "v0.1.0"
    assert library["implicit"] == "false"
    # A version is a branch or a tag.
    assert {name.rpartition(".")[2] for name in library} >= {"BranchDiscoveryTrait", "TagDiscoveryTrait"}
    job = controller.items["team/churn/release"]
    assert job.findtext(".//hudson.plugins.git.UserRemoteConfig/url") == "https://git.example.com/churn.git"
    assert job.findtext(".//hudson.plugins.git.BranchSpec/name") == "*/main"
    assert job.findtext("definition/scriptPath") == "Jenkinsfile"
    values = {key: credential.findtext("secret") for key, credential in controller.credentials.items()}
    assert values == {
        ("team/churn", "mlops-design"): f"{KEY}-DESIGN",
        ("team/churn", "mlops-prod"): f"{KEY}-PROD",
    }
    assert "5 changes made" in result.stderr


@pytest.mark.usefixtures("nodes")
def test_the_second_time_nothing_changes(controller: FakeController, jenkins: Command) -> None:
    jenkins(*ALL)
    posts = list(controller.posts)

    result = jenkins(*ALL)

    assert result.exit_code == 0, result.stderr
    assert controller.posts == posts
    assert "nothing to change" in result.stderr
    assert "credential mlops-design: there; its value cannot be compared" in result.stderr


@pytest.mark.usefixtures("nodes")
def test_a_dry_run_says_what_would_change_and_changes_nothing(controller: FakeController, jenkins: Command) -> None:
    result = jenkins(*ALL, "--dry-run")

    assert result.exit_code == 0, result.stderr
    assert controller.posts == []
    assert "would create folder team/churn" in result.stderr
    assert "defaultVersion: (none) → v0.1.0" in result.stderr
    assert "would create credential mlops-prod" in result.stderr
    assert "value from MLOPS_PROD_API_KEY" in result.stderr


@pytest.mark.usefixtures("nodes")
def test_a_field_that_differs_is_the_only_thing_that_changes(controller: FakeController, jenkins: Command) -> None:
    jenkins(*ALL)
    posts = list(controller.posts)

    result = jenkins(*[argument.replace("v0.1.0", "v0.2.0") for argument in ALL])

    assert controller.posts == [*posts, "/job/team/job/churn/config.xml"]
    assert "update folder team/churn\n    defaultVersion: v0.1.0 → v0.2.0\n" in result.stderr
    assert library_of(controller.config("team/churn"))["defaultVersion"] == "v0.2.0"


def test_what_else_the_folder_and_the_job_hold_stays(controller: FakeController, jenkins: Command) -> None:
    libs = "org.jenkinsci.plugins.workflow.libs"
    other = f"<{libs}.LibraryConfiguration><name>other</name></{libs}.LibraryConfiguration>"
    controller.items["churn"] = ElementTree.fromstring(
        f"<{FOLDER}><description>ours</description><properties><{libs}.FolderLibraries>"
        f"<libraries>{other}</libraries></{libs}.FolderLibraries></properties></{FOLDER}>"
    )
    controller.items["churn/release"] = ElementTree.fromstring(
        "<flow-definition><properties><hudson.model.ParametersDefinitionProperty/></properties>"
        '<definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"><script>old</script></definition>'
        "<triggers/></flow-definition>"
    )

    result = jenkins("setup", "--folder", "churn", *LIBRARY, *JOB, "--no-credentials")

    assert result.exit_code == 0, result.stderr
    folder = controller.items["churn"]
    assert folder.findtext("description") == "ours"
    assert [name.text for name in folder.iter("name")] == ["other", "mlops-steps"]
    job = controller.items["churn/release"]
    assert job.find("properties/hudson.model.ParametersDefinitionProperty") is not None
    assert job.find("triggers") is not None
    assert "definition: CpsFlowDefinition → CpsScmFlowDefinition" in result.stderr
    assert jenkins("setup", "--folder", "churn", *LIBRARY, *JOB, "--no-credentials", "--dry-run").stderr.endswith(
        "nothing to change\n"
    )


def test_a_jenkinsfile_is_written_into_the_job_as_it_is(
    controller: FakeController, jenkins: Command, tmp_path: Path
) -> None:
    script = "pipeline {\r\n  // <&> 'é' ]]> \"$HOME\" `x`\r\n}\n\n"
    (tmp_path / "Jenkinsfile").write_bytes(script.encode())
    arguments = ("setup", "--folder", "x", "--job", "release", "--jenkinsfile", "Jenkinsfile", "--no-credentials")

    result = jenkins(*arguments)

    assert result.exit_code == 0, result.stderr
    assert controller.items["x/release"].findtext("definition/script") == script.replace("\r\n", "\n")
    assert controller.items["x/release"].findtext("definition/sandbox") == "true"
    assert "nothing to change" in jenkins(*arguments).stderr


@pytest.mark.usefixtures("nodes")
def test_credentials_are_written_anew_only_when_asked(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    jenkins("setup", "--folder", "x")
    monkeypatch.setenv("MLOPS_PROD_API_KEY", "another-key-for-production")

    kept = jenkins("setup", "--folder", "x")
    assert controller.credentials[("x", "mlops-prod")].findtext("secret") == f"{KEY}-PROD"
    updated = jenkins("setup", "--folder", "x", "--update-credentials")

    assert "nothing to change" in kept.stderr
    assert "update credential mlops-prod" in updated.stderr
    assert controller.credentials[("x", "mlops-prod")].findtext("secret") == "another-key-for-production"


@pytest.mark.usefixtures("nodes")
def test_a_credential_without_a_value_is_said_before_anything_is_made(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLOPS_PROD_API_KEY")

    result = jenkins(*ALL)

    assert result.exit_code == 2
    assert "set MLOPS_PROD_API_KEY" in result.stderr
    assert controller.posts == []


@pytest.mark.usefixtures("nodes")
def test_secrets_are_never_printed(controller: FakeController, jenkins: Command) -> None:
    controller.before.append(
        lambda method, path: (
            Answer(400, b"", "text/html", {"X-Error": f"{KEY}-DESIGN and {TOKEN} are bad"})
            if path.endswith("createCredentials")
            else None
        )
    )

    result = jenkins(*ALL, "-vv")

    assert result.exit_code == 3
    assert "******** and ******** are bad" in result.stderr
    assert KEY not in result.output
    assert TOKEN not in result.output


@pytest.mark.usefixtures("nodes")
def test_a_refusal_half_way_says_how_far_it_came(controller: FakeController, jenkins: Command) -> None:
    refusal = Answer(403, b"<html/>", "text/html", {"X-Required-Permission": "hudson.model.Item.Create"})
    controller.before.append(
        lambda method, path: refusal if method == "POST" and path.startswith("/job/team/job/churn/createItem") else None
    )

    result = jenkins(*ALL)

    assert result.exit_code == 3
    assert "may not do this" in result.stderr
    assert "403, needs hudson.model.Item.Create" in result.stderr
    assert "4 of 5 changes were made" in result.stderr


def test_a_missing_plugin_is_named_with_its_id_and_the_oldest_version(
    controller: FakeController, jenkins: Command
) -> None:
    del controller.plugins["junit"]
    controller.plugins["workflow-basic-steps"] = "2.16"
    controller.inactive.add("git")

    result = jenkins("setup", "--folder", "x", "--no-credentials")

    assert result.exit_code == 3
    assert "lacks a plugin: git 5.7.0 is installed but not active" in result.stderr
    assert "junit is missing: 1.50 or later is needed" in result.stderr
    assert "workflow-basic-steps 2.16 is too old: 2.18 or later is needed" in result.stderr
    assert controller.posts == []


def test_plugins_that_the_user_may_not_see_are_a_warning(controller: FakeController, jenkins: Command) -> None:
    controller.before.append(
        lambda method, path: Answer(403, b"", "text/html") if path.startswith("/pluginManager") else None
    )

    result = jenkins("setup", "--folder", "x", "--no-credentials")

    assert result.exit_code == 0
    assert "warning: plugins were not checked" in result.stderr


@pytest.mark.parametrize(
    ("version", "told"),
    [("2.346.3", "is too old: 2.361.4 or later"), (None, "is not a Jenkins controller")],
)
def test_what_is_no_usable_controller_is_refused(
    controller: FakeController, jenkins: Command, version: str | None, told: str
) -> None:
    controller.version = version

    result = jenkins("setup", "--folder", "x", "--no-credentials")

    assert result.exit_code == 3
    assert told in result.stderr


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"x": "<flow-definition/>"}, "folder x exists and is not a folder (it is a flow-definition)"),
        ({"x": f"<{FOLDER}/>", "x/release": "<project/>"}, "job x/release exists and is not a pipeline job"),
    ],
)
def test_an_item_of_another_kind_is_left_alone(
    controller: FakeController, jenkins: Command, there: dict[str, str], told: str
) -> None:
    controller.items = {name: ElementTree.fromstring(config) for name, config in there.items()}

    result = jenkins("setup", "--folder", "x", *JOB, "--no-credentials")

    assert result.exit_code == 2
    assert told in result.stderr
    assert controller.posts == []


@pytest.mark.usefixtures("nodes")
def test_a_credential_of_another_kind_is_left_alone(controller: FakeController, jenkins: Command) -> None:
    jenkins("setup", "--folder", "x")
    other = ElementTree.Element("com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl")
    controller.credentials[("x", "mlops-design")] = other

    result = jenkins("setup", "--folder", "x", "--update-credentials")

    assert result.exit_code == 2
    assert "is not a Secret text (it is a UsernamePasswordCredentials)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--folder", "a/../b"], "is not a full name"),
        (["--folder", "a%b"], "Jenkins takes no '%' in a name"),
        (["--folder", "x", "--library-url", "https://git/x"], "--library-version is missing"),
        (["--folder", "x", "--library-version", "v1"], "requires --library-url"),
        (
            ["--folder", "x", "--library-url", "https://me:pw@git/x", "--library-version", "v1"],
            "--library-url holds a user",
        ),
        (["--folder", "x", "--job", "j"], "needs one of --job-repository"),
        (["--folder", "x", "--job", "a/b"], "without a slash"),
        (["--folder", "x", "--jenkinsfile", "J"], "--job is missing"),
        (["--folder", "x", "--job", "j", "--jenkinsfile", "J"], "J cannot be read: No such file"),
    ],
)
def test_wrong_usage_is_said_in_a_line(
    controller: FakeController, jenkins: Command, arguments: list[str], told: str
) -> None:
    result = jenkins("setup", "--no-credentials", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr.splitlines()[0]
    assert "pw" not in result.stderr
    assert controller.posts == []


def test_without_a_configuration_the_way_out_is_named(controller: FakeController, jenkins: Command) -> None:
    result = jenkins("setup", "--folder", "x")

    assert result.exit_code == 2
    assert "--no-credentials" in result.stderr
