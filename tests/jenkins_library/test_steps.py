"""The Groovy steps, with a stub in the place of mlops-steps: what they hand over, what they make of what comes back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_steps import __version__
from tests.jenkins_library.conftest import ROOT, STUB, Build, Scenario, base_environment

KEYS = "echo 'keys=design MLOPS_DESIGN_API_KEY,prod MLOPS_PROD_API_KEY'"
GOOD = "report release; echo description=all well; end 0 done"
FAILED = "report release '<failure message=\"no\"/>'; echo description=look; end"
CREDENTIALS = {"mlops-design": "design-key-1", "mlops-prod": "prod-key-1", "other": "other-key-1"}

HOSTILE = """it's "quoted" $HOME ${PATH} $(id) `id` \\\\ \\n \t; rm -rf / # é 漢 \U0001f680 %s {{x}} & | > < *
second line"""
# The first two times it is stopped while it waits.
INTERRUPTED_RECOVER = """
echo "waiting $number" >&2; if [ "$number" = 2 ]; then sleep 9; fi; %s
report recover; echo description=restored; end 0 done
"""
UNSTABLE_TWICE = (
    "node { mlopsValidate(failing: 'unstable') }\nnode { mlopsRelease(stage: 'prod', failing: 'unstable') }"
)
RELEASE = "node { mlopsRelease(stage: 'prod') }"
APPROVE = (
    "node { mlopsRelease(stage: 'prod') }\nboolean may = mlopsApprove(approvers: ['jane', 'joe'])\necho \"may ${may}\""
)


class Jobs:
    """Scenarios by name, each with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Scenario] = []

    def add(
        self, name: str, script: str, run: str = GOOD, plan: str = KEYS, recover: str = "", note: str = "", **more: Any
    ) -> None:
        root = self.folder / str(len(self.all))
        environment = {
            **base_environment(self.folder / "home", STUB),
            "STUB_LOG": str(root / "calls"),
            "STUB_VERSION": __version__,
            "STUB_plan": plan,
            "STUB_run": run,
            "STUB_recover": recover,
            "STUB_note": note,
            **more.pop("env", {}),
        }
        settings = {"env": environment, "credentials": CREDENTIALS, "grace": 0.3, "secondGrace": 0.5, **more}
        self.all.append(Scenario(name, script, root, settings))


@pytest.fixture(scope="module")
def ran(
    builds: Callable[[Sequence[Scenario]], dict[str, Build]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Build]:
    jobs = Jobs(tmp_path_factory.mktemp("jobs"))
    jobs.add("good", RELEASE)
    jobs.add(
        "hostile", "node { mlopsRelease(stage: params.STAGE, x: 1, y: [a: true, b: null]) }", params={"STAGE": HOSTILE}
    )
    jobs.add("own keys", "node { mlopsRelease(stage: 'prod', credentials: [prod: 'other']) }")
    jobs.add("no keys", "node { mlopsRelease(stage: 'prod', credentials: false) }")
    jobs.add(
        "missing key", "node { mlopsRelease(stage: 'prod', credentials: [prod: 'nope']) }", run=FAILED + " 2 wrong"
    )
    for code in (1, 2, 3, 4, 5, 130):
        jobs.add(f"exit {code}", RELEASE + "\necho 'went on'", run=f"{FAILED} {code} 'ended {code}'")
    unstable = "node { mlopsRelease(stage: 'prod', failing: 'unstable') }\necho 'went on'"
    jobs.add("unstable 1", unstable, run=f"{FAILED} 1 'ended 1'")
    jobs.add("unstable twice", UNSTABLE_TWICE, run=f"{FAILED} 1 'ended 1'")
    jobs.add("unstable 4", unstable, run=f"{FAILED} 4 'ended 4'")
    jobs.add("not installed", RELEASE, env={"PATH": "/usr/bin:/bin"})
    jobs.add("killed", RELEASE, run="exit 137", recover="report recover; echo description=restored; end 0 done")
    jobs.add("no report", RELEASE, run="echo report=reports/none.xml; end 0 done")
    slow = "echo working >&2; trap '' TERM; sleep 2; report release; end 0 done"
    recover = "trap '' TERM; sleep 2; report recover; echo description=restored; end 0 done"
    jobs.add("aborted", RELEASE + "\necho 'went on'", run=slow, recover=recover, abortAt="^working")
    jobs.add("stopped by somebody", RELEASE, run=f"{FAILED} 130 stopped", recover=recover)
    restores = "echo working >&2; trap 'echo restored >&2; report release; end 143 stopped' TERM; sleep 9 & wait"
    jobs.add("aborted, restored at once", RELEASE, run=restores, recover=recover, abortAt="^working", grace=3)
    jobs.add("aborted twice", RELEASE, run=slow, recover=INTERRUPTED_RECOVER % "", abortAt=["^working", "^waiting 2"])
    ends = '[ "$number" = 2 ] && end 143 interrupted; '
    jobs.add("aborted twice, ends by itself", RELEASE, run=slow, recover=ends + recover, abortAt="^working")
    jobs.add(
        "aborted three times",
        RELEASE,
        run=slow,
        recover=INTERRUPTED_RECOVER % "sleep 9;",
        abortAt=["^working", "^waiting 2", "^waiting 3"],
    )
    known = f"{RELEASE}\n{RELEASE}"
    second = (
        f'if [ "$number" -lt 2 ]; then echo "live=Live on prod when it was packaged: bundle b0"; {GOOD}; fi; {slow}'
    )
    jobs.add(
        "agent lost after a note",
        RELEASE,
        plan=f"{KEYS}; echo note=true",
        note="mkdir -p .mlops; echo noted >.mlops/r.json; echo archive=.mlops/r.json; echo stash=.mlops/r.json; "
        "echo stashName=mlops-noted; echo 'live=Live on prod before the release: bundle b0'",
        run=slow,
        agentLostAt="^working",
    )
    jobs.add("agent lost", known, run=second, recover=recover, agentLostAt="^working")
    jobs.add(
        "out of time",
        "node { timeout(time: 1, unit: 'SECONDS') { mlopsRelease(stage: 'prod') } }",
        run=slow,
        recover=recover,
    )
    jobs.add(
        "agents",
        "node { mlopsDeploy(stage: 'test') }\nnode { mlopsRelease(stage: 'prod') }",
        plan=KEYS + "; echo unstash=$MLOPS_STASHES",
        run='mkdir -p .mlops; echo "$NODE_NAME" >> .mlops/r.json; report a; '
        "echo stash=.mlops/r.json,reports/mlops-a.xml; echo record=.mlops/r.json; "
        "echo stashName=mlops-$number; echo stashReplaces=$MLOPS_STASHES; "
        "echo archive=.mlops/r.json; end 0 done",
        agents=["a1", "a2"],
    )
    jobs.add("set up", 'node { echo "at ${mlopsSetup().version}" }')
    jobs.add("misfit", "node { mlopsSetup(source: 'installed') }", env={"PATH": "/usr/bin:/bin"})
    jobs.add("misspelt set up", "node { mlopsSetup(sorce: 'git', python: params.PYTHON) }", params={"PYTHON": ""})
    jobs.add(
        "loaded version",
        "node { mlopsSetup(library: 'ours', repository: 'file:///nowhere') }",
        env={"PATH": "/usr/bin:/bin", "library.ours.version": "v7"},
    )
    for automation in ("full", "approval", "manual"):
        run = f"export STUB_automation={automation}; {GOOD}"
        jobs.add(f"approve {automation}", APPROVE, run=run, answers=[{"by": "joe"}])
    jobs.add("approve declined", APPROVE, answers=[{"by": "joe", "decline": True}])
    jobs.add("approve late", APPROVE, answers=[{"late": True}])
    jobs.add("approve too early", "mlopsApprove()")
    for automation in ("approval", "manual"):
        run = f"export STUB_no_bundle=1 STUB_automation={automation}; {GOOD}"
        jobs.add(f"approve {automation} without a bundle", APPROVE, run=run)
    jobs.add("approve over REST", APPROVE + f"\n{RELEASE}", answers=[{"by": "joe", "rest": True}])
    two = "['test', 'prod'].each { mlopsApprove(stage: it) }"
    jobs.add("approve two stages", f"{RELEASE}\n{two}\n{RELEASE}", answers=[{"by": "joe"}, {"by": "jane"}])
    named = f"echo approvers=jane,managers; {GOOD}"
    plain = f"{RELEASE}\nmlopsApprove()\n{RELEASE}"
    jobs.add("approve by policy", plain, run=named, answers=[{"by": "jane"}])
    fewer = plain.replace("()", "(approvers: 'managers')")
    jobs.add("approve by fewer", fewer, run=named, answers=[{"by": "managers"}])
    jobs.add("approve by others", plain.replace("()", "(approvers: 'managers,joe')"), run=named)
    jobs.add(
        "who started it",
        f"withEnv(['MLOPS_STARTED_BY=[]', 'MLOPS_LIBRARY_POLICY=']) {{ {RELEASE} }}",
        causes=[{"_class": "hudson.model.Cause$UserIdCause", "userId": 'it\'s "me"'}, {"_class": "x.ReplayCause"}],
    )
    jobs.add("approve unknown", "mlopsApprove(aprovers: 'x')")
    example = (ROOT / "Jenkinsfile.example").read_text()
    manual = f"export STUB_automation=manual; {GOOD}"
    jobs.add("example manual", example, run=manual)
    jobs.add("example without release", example, params={"RELEASE": False})
    for branch in ("main", "feature"):
        jobs.add(f"example on {branch}", example, env={"BRANCH_NAME": branch}, answers=[{"by": "jane"}])
    jobs.add("example", example, answers=[{"by": "jane"}])
    jobs.add(
        "example restarted", example, restartOf="example", restartFrom="Release", number=2, answers=[{"by": "joe"}]
    )
    for name in ("README.md", "docs/jenkins.md"):
        jobs.add(f"shortest form of {name}", shortest_form(name), answers=[{"by": "release-managers"}])
    jobs.add("recorded elsewhere", APPROVE, run=f"echo record=ci/.mlops/r.json; {manual}")
    jobs.add("another encoding", RELEASE, run=GOOD.replace("all well", "bündle 漢"), encoding="ISO-8859-1")
    jobs.add("approve and release", APPROVE + f"\n{RELEASE}", answers=[{"by": "joe"}])
    return builds(jobs.all)


def shortest_form(name: str) -> str:
    """The Jenkinsfile that a page of the documentation shows."""
    block = re.search(r"```groovy\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert block is not None
    return block[1]


def calls(build: Build) -> list[str]:
    return [folder.name.partition("-")[2] for folder in folders(build)]


def folders(build: Build) -> list[Path]:
    return sorted((build.root / "calls").iterdir(), key=lambda folder: int(folder.name.partition("-")[0]))


def given(build: Build, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folders(build)[number] / "step").read_text())
    return found


def environment(build: Build, number: int) -> dict[str, str]:
    lines = (folders(build)[number] / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def answers(build: Build, number: int) -> list[dict[str, str]]:
    """The approvals that a call got: a variable of several lines, which is not in the stub's own list."""
    text = (folders(build)[number] / "approval").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_step_plans_runs_publishes_and_describes(ran: dict[str, Build]) -> None:
    build = ran["good"]
    assert (build.result, build.description) == ("SUCCESS", "all well")
    assert calls(build) == ["plan", "run"]
    assert build.tests("mlops-release") == {"release": "passed"}
    assert all(case["keepsOutput"] for case in build.junit)


def test_any_value_arrives_as_it_was(ran: dict[str, Build]) -> None:
    build = ran["hostile"]
    assert build.result == "SUCCESS", build.log
    for number in (0, 1):
        assert given(build, number)["parameters"] == {"stage": HOSTILE, "x": 1, "y": {"a": True, "b": None}}
        assert given(build, number)["step"] == "release"
        arguments = (folders(build)[number] / "arguments").read_text().split()
        assert arguments == ["from-environment", ("plan", "run")[number]]
    assert "uid=" not in build.log


def test_keys_are_bound_for_the_run_only_and_masked(ran: dict[str, Build]) -> None:
    build = ran["good"]
    assert environment(build, 1)["MLOPS_DESIGN_API_KEY"] == "design-key-1"
    assert environment(build, 1)["MLOPS_PROD_API_KEY"] == "prod-key-1"
    assert "MLOPS_PROD_API_KEY" not in environment(build, 0)


def test_the_console_has_no_lines_that_say_nothing(ran: dict[str, Build]) -> None:
    build = ran["shortest form of README.md"]
    set_ups = build.called.count("mlopsSetup")
    assert build.stepsRun.count("libraryResource") == 3 * set_ups + 1  # the policy is read once
    assert "script" not in build.stepsRun
    assert "withCredentials" not in ran["no keys"].stepsRun


def test_the_pipelines_have_the_parameter_that_monitor_gives_its_reason_to(ran: dict[str, Build]) -> None:
    assert ran["shortest form of README.md"].parameters["REASON"] == ""
    assert ran["example"].parameters["REASON"] == ""


def test_ids_of_credentials_can_be_chosen_per_node(ran: dict[str, Build]) -> None:
    found = environment(ran["own keys"], 1)
    assert (found["MLOPS_DESIGN_API_KEY"], found["MLOPS_PROD_API_KEY"]) == ("design-key-1", "other-key-1")


def test_an_agent_with_keys_needs_no_credentials(ran: dict[str, Build]) -> None:
    assert ran["no keys"].result == "SUCCESS"
    assert "MLOPS_PROD_API_KEY" not in environment(ran["no keys"], 1)


def test_a_missing_credential_is_told_by_the_command_in_its_report_too(ran: dict[str, Build]) -> None:
    build = ran["missing key"]
    assert build.result == "FAILURE"
    assert environment(build, 1)["MLOPS_MISSING"] == "Could not find credentials entry with ID 'nope'"
    assert build.tests("mlops-release")


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
def test_a_bad_end_fails_the_build_after_its_report_was_published(ran: dict[str, Build], code: int) -> None:
    build = ran[f"exit {code}"]
    assert build.result == "FAILURE"
    assert build.error == f"mlops-steps release: ended {code}"
    assert build.description == "look"
    assert build.tests("mlops-release") == {"release": "failure"}
    assert "went on" not in build.log
    assert calls(build) == ["plan", "run"]


def test_a_failing_check_may_mark_the_build_unstable(ran: dict[str, Build]) -> None:
    build = ran["unstable 1"]
    assert build.result == "UNSTABLE"
    assert "WARNING: mlops-steps release: ended 1" in build.log
    assert build.description == "look | UNSTABLE: release: ended 1"
    assert "went on" in build.log


def test_a_later_step_keeps_why_the_build_is_unstable(ran: dict[str, Build]) -> None:
    # Jenkins gives each file in vars/ an instance of its own of every other one: what a field holds, nobody else sees.
    assert ran["unstable twice"].description == "look | UNSTABLE: validate: ended 1 | UNSTABLE: release: ended 1"


def test_a_rollback_is_never_just_unstable(ran: dict[str, Build]) -> None:
    assert ran["unstable 4"].result == "FAILURE"
    assert "went on" not in ran["unstable 4"].log


def test_without_mlops_steps_on_the_agent_one_line_says_what_to_do(ran: dict[str, Build]) -> None:
    assert ran["not installed"].error == "mlops-steps is not on this agent: call mlopsSetup() before the first step"


def test_a_command_that_was_killed_is_followed_by_recover(ran: dict[str, Build]) -> None:
    build = ran["killed"]
    assert calls(build) == ["plan", "run", "recover"]
    assert (build.result, build.error) == ("FAILURE", "mlops-steps release was interrupted, exit code 137")
    assert build.description == "restored"
    assert build.tests("mlops-recover") == {"recover": "passed"}


def test_a_report_that_is_missing_is_an_error(ran: dict[str, Build]) -> None:
    assert ran["no report"].result == "FAILURE"
    assert "No test report files" in ran["no report"].error


def test_after_an_abort_recover_runs_with_the_keys_before_the_interruption_goes_on(ran: dict[str, Build]) -> None:
    build = ran["aborted"]
    assert build.result == "ABORTED"
    assert calls(build) == ["plan", "run", "recover"]
    assert environment(build, 2)["MLOPS_PROD_API_KEY"] == "prod-key-1"
    assert given(build, 2) == given(build, 1)
    assert build.description == "restored"
    assert build.tests("mlops-recover") == {"recover": "passed"}
    assert "went on" not in build.log


def test_an_abort_that_the_command_has_seen_to_is_an_abort_and_leaves_its_output_out_of_the_log(
    ran: dict[str, Build],
) -> None:
    # Jenkins writes what a script has printed to the log when the script fails, and forgets an abort when it does not.
    build = ran["aborted, restored at once"]
    assert build.result == "ABORTED"
    assert "restored" in build.log.splitlines()
    assert "verdict=" not in build.log
    assert build.description == "restored"


def test_a_command_that_somebody_else_stopped_is_followed_by_recover(ran: dict[str, Build]) -> None:
    build = ran["stopped by somebody"]
    assert build.result == "FAILURE"
    assert calls(build) == ["plan", "run", "recover"]
    assert build.error == "mlops-steps release was interrupted: script returned exit code 130"


def test_a_restore_that_outlives_a_timeout_is_waited_for(ran: dict[str, Build]) -> None:
    build = ran["out of time"]
    assert build.result == "ABORTED"
    assert calls(build) == ["plan", "run", "recover", "recover"]
    assert "aborted once more; still waiting for the restore to end" in build.log
    assert build.tests("mlops-recover") == {"recover": "passed"}


@pytest.mark.parametrize("name", ["aborted twice", "aborted twice, ends by itself"])
def test_a_second_abort_does_not_end_the_wait_for_the_restore(ran: dict[str, Build], name: str) -> None:
    build = ran[name]
    assert build.result == "ABORTED"
    assert calls(build) == ["plan", "run", "recover", "recover"]
    assert "aborted once more; still waiting for the restore to end" in build.log
    assert build.description == "restored"
    assert build.tests("mlops-recover") == {"recover": "passed"}


def test_a_third_abort_ends_the_wait_and_says_what_is_true(ran: dict[str, Build]) -> None:
    build = ran["aborted three times"]
    assert (build.result, calls(build)) == ("ABORTED", ["plan", "run", "recover", "recover"])
    assert build.description == "INTERRUPTED | release prod: its end was not seen, see the log"
    (line,) = [line for line in build.log.splitlines() if "INTERRUPTED" in line]
    assert "no longer waiting for the restore, which goes on in its own process while agent agent-1 lives" in line
    assert "mlopsRecover(stage: 'prod') finishes the restore, or finds that none is pending" in line


def test_a_lost_agent_is_one_line_and_the_first_error_goes_on(ran: dict[str, Build]) -> None:
    build = ran["agent lost"]
    assert build.result == "FAILURE"
    assert build.error.endswith("AgentOfflineException: Unable to create live FilePath for agent-1")
    assert build.description == "INTERRUPTED | release prod: its end was not seen, see the log"
    (line,) = [line for line in build.log.splitlines() if "INTERRUPTED" in line]
    assert line == (
        "mlops-steps release: INTERRUPTED: agent agent-1 is lost; what became of prod was not seen. Last known: Live "
        "on prod when it was packaged: bundle b0. On another agent, mlopsRecover(stage: 'prod') finishes the restore, "
        "or finds that none is pending."
    )


def test_what_was_live_is_archived_before_it_is_changed(ran: dict[str, Build]) -> None:
    build = ran["agent lost after a note"]
    assert calls(build) == ["plan", "note", "run"]
    assert environment(build, 1)["MLOPS_PROD_API_KEY"] == "prod-key-1"
    assert build.artifact(".mlops/r.json") == "noted\n"
    # The next agent finds it, too.
    assert (build.stashes, build.environment["MLOPS_STASHES"]) == (["mlops-noted"], "mlops-noted")
    assert "Last known: Live on prod before the release: bundle b0." in build.log


def test_what_a_step_wrote_goes_with_the_build_to_the_next_agent(ran: dict[str, Build]) -> None:
    build = ran["agents"]
    assert build.result == "SUCCESS", build.log
    assert (build.root / "a2/workspace/churn/.mlops/r.json").read_text() == "a1\na2\n"
    assert build.artifact(".mlops/r.json") == "a1\na2\n"
    assert build.stashes == ["mlops-1", "mlops-3"]
    assert build.environment["MLOPS_STASHES"] == "mlops-3"


def test_set_up_takes_what_fits_and_the_steps_find_it(ran: dict[str, Build]) -> None:
    build = ran["set up"]
    assert build.result == "SUCCESS", build.log
    assert f"at {__version__}" in build.log
    assert (build.root / "agent-1/workspace/churn@tmp/mlops-steps/bin/mlops-steps").resolve() == STUB / "mlops-steps"


def test_a_misfit_is_one_clear_line(ran: dict[str, Build]) -> None:
    assert ran["misfit"].error == (
        f"mlopsSetup: the Jenkins library is {__version__}, but on the PATH of this agent there is no mlops-steps"
    )


def test_set_up_names_a_parameter_that_it_does_not_have(ran: dict[str, Build]) -> None:
    assert ran["misspelt set up"].error == "mlopsSetup: unknown parameter 'sorce'; did you mean source?"


def test_from_git_the_version_is_the_one_that_jenkins_loaded(ran: dict[str, Build]) -> None:
    assert ran["loaded version"].error.startswith("mlopsSetup: the repository file:///nowhere cannot be read: fatal: ")


def test_full_automation_asks_nobody(ran: dict[str, Build]) -> None:
    build = ran["approve full"]
    assert (build.result, build.inputs) == ("SUCCESS", [])
    assert "may true" in build.log
    assert build.environment["MLOPS_RELEASE"] == "true"


def test_approval_asks_the_approvers_and_holds_no_executor(ran: dict[str, Build]) -> None:
    build = ran["approve approval"]
    assert build.result == "SUCCESS"
    (asked,) = build.inputs
    assert (asked["submitter"], asked["held"]) == ("jane,joe", False)
    assert build.environment["MLOPS_RELEASE"] == "true"


def test_the_policy_names_the_approvers_and_the_jenkinsfile_may_choose_among_them(ran: dict[str, Build]) -> None:
    for name, submitter in (("approve by policy", "jane,managers"), ("approve by fewer", "managers")):
        build = ran[name]
        assert build.result == "SUCCESS", build.log
        assert build.inputs[0]["submitter"] == submitter
        assert json.loads(environment(build, 3)["MLOPS_APPROVAL"])["among"] == submitter
    assert ran["approve by others"].error == (
        "mlopsApprove: joe may not approve; the policy of the project names jane, managers"
    )


def test_who_started_the_build_and_the_policy_come_from_jenkins_whatever_the_jenkinsfile_sets(
    ran: dict[str, Build],
) -> None:
    found = environment(ran["who started it"], 1)
    assert json.loads(found["MLOPS_STARTED_BY"])["causes"] == [
        {"kind": "hudson.model.Cause$UserIdCause", "user": 'it\'s "me"'},
        {"kind": "x.ReplayCause", "user": ""},
    ]
    first = (ROOT / "resources/mlops-steps/policy.yml").read_text().splitlines()[0]
    assert found["MLOPS_LIBRARY_POLICY"] == first


def test_the_question_names_the_bundle_and_has_its_details_beside_it(ran: dict[str, Build]) -> None:
    # Jenkins makes the message one heading, and shows the description of a parameter line by line.
    (asked,) = ran["approve approval"].inputs
    assert (asked["id"], asked["message"]) == ("Mlops-prod", "Release bundle b1 of project P to prod?")
    assert asked["details"] == "New: bundle b1\nLive on prod when it was packaged: nothing"
    assert "question Mlops-prod waits for an answer: http://jenkins.example.com/job/churn/1/input/" in (
        ran["approve approval"].log
    )


@pytest.mark.parametrize("automation", ["approval", "manual"])
def test_without_a_bundle_there_is_no_question(ran: dict[str, Build], automation: str) -> None:
    build = ran[f"approve {automation} without a bundle"]
    assert (build.result, build.inputs) == ("FAILURE", [])
    assert build.error == (
        "mlopsApprove: no step of this build has made anything to release; call mlopsPackage(), or mlopsApiPackage(), "
        "before"
    )


def steps(build: Build) -> list[str]:
    """The steps that ran, in order."""
    return [given(build, number)["step"] for number, what in enumerate(calls(build)) if what == "run"]


def test_the_example_ends_green_and_releases_nothing_where_a_person_does_it(ran: dict[str, Build]) -> None:
    build = ran["example manual"]
    assert build.result == "SUCCESS", build.log
    assert (build.statuses["Approve"], build.statuses["Production"]) == ("SUCCESS", "SKIPPED")
    assert steps(build) == ["doctor", "validate", "package", "deploy", "test", "plan"]


def test_the_example_can_be_told_not_to_release(ran: dict[str, Build]) -> None:
    build = ran["example without release"]
    assert build.result == "SUCCESS", build.log
    assert (build.statuses["Approve"], build.statuses["Production"]) == ("SKIPPED", "SKIPPED")
    assert "release" not in steps(build)


@pytest.mark.parametrize(("branch", "status"), [("main", "SUCCESS"), ("feature", "SKIPPED")])
def test_of_a_multibranch_job_only_main_releases(ran: dict[str, Build], branch: str, status: str) -> None:
    build = ran[f"example on {branch}"]
    assert build.result == "SUCCESS", build.log
    assert (build.statuses["Test"], build.statuses["Production"]) == ("SUCCESS", status)
    assert len(build.inputs) == (1 if branch == "main" else 0)


def test_the_example_restarted_at_the_release_asks_again(ran: dict[str, Build]) -> None:
    build = ran["example restarted"]
    assert build.result == "SUCCESS", build.log
    assert (build.statuses["Build and test"], build.statuses["Production"]) == ("SKIPPED", "SUCCESS")
    assert len(build.inputs) == 1
    assert steps(build) == ["release"]
    # That of the first build was copied with `env`, and names the first build.
    copied, answer = answers(build, 1)
    assert (answer["stage"], answer["by"]) == ("prod", "joe")
    assert copied["build"] != answer["build"]


@pytest.mark.parametrize("name", ["README.md", "docs/jenkins.md"])
def test_the_shortest_form_that_is_shown_goes_all_the_way(ran: dict[str, Build], name: str) -> None:
    build = ran[f"shortest form of {name}"]
    assert build.result == "SUCCESS", build.log
    assert steps(build) == ["doctor", "validate", "package", "compare", "deploy", "test", "plan", "release"]


def test_the_line_that_releases_by_hand_puts_the_record_where_it_was(ran: dict[str, Build]) -> None:
    assert (
        "curl -fsSn --create-dirs -o ci/.mlops/r.json "
        "http://jenkins.example.com/job/churn/1/artifact/ci/.mlops/r.json && "
        "mlops-steps release --stage prod --config ci/mlops.yml --project 'P 1'"
    ) in ran["recorded elsewhere"].log


def test_what_comes_back_is_utf_8_whatever_the_agent_writes(ran: dict[str, Build]) -> None:
    assert ran["another encoding"].description == "bündle 漢"


@pytest.mark.parametrize("name", ["approve and release", "approve over REST"])
def test_an_approval_reaches_the_release_with_what_was_asked_when_and_where(ran: dict[str, Build], name: str) -> None:
    build = ran[name]
    assert answers(build, 1) == []
    (answer,) = answers(build, 3)
    assert (answer["stage"], answer["by"], answer["asked"]) == ("prod", "joe", "1".zfill(64))
    # Jenkins copies `env` to a build that is restarted from a stage: the answer names its own build.
    assert answer["build"] == "http://jenkins.example.com/job/churn/1/"
    assert abs(int(answer["at"]) / 1000 - time.time()) < 600  # milliseconds since 1970


def test_each_stage_has_its_own_approval(ran: dict[str, Build]) -> None:
    found = answers(ran["approve two stages"], 3)
    assert [(answer["stage"], answer["by"]) for answer in found] == [("test", "joe"), ("prod", "jane")]


def test_manual_automation_ends_green_with_the_line_that_releases(ran: dict[str, Build]) -> None:
    build = ran["approve manual"]
    assert (build.result, build.inputs) == ("SUCCESS", [])
    assert "&& mlops-steps release --stage prod" in build.log
    assert "may false" in build.log
    assert build.environment["MLOPS_RELEASE"] == "false"


@pytest.mark.parametrize("name", ["approve declined", "approve late"])
def test_without_an_approval_the_build_is_aborted_and_says_so(ran: dict[str, Build], name: str) -> None:
    assert ran[name].result == "ABORTED"
    assert ran[name].description == "all well | prod: not approved"
    assert "MLOPS_RELEASE" not in ran[name].environment


def test_approve_needs_a_step_that_has_read_the_configuration(ran: dict[str, Build]) -> None:
    assert "no step of this build has read mlops.yml yet" in ran["approve too early"].error


def test_approve_refuses_an_unknown_parameter(ran: dict[str, Build]) -> None:
    assert "unknown parameter aprovers (parameters: stage, approvers" in ran["approve unknown"].error
