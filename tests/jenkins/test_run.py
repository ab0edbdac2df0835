"""``mlops-steps jenkins run`` against a controller over HTTP."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.jenkins.conftest import Command
from tests.jenkins.fake_controller import TOKEN, Answer, FakeBuild, FakeController
from tests.jenkins.graphs import Graph

PARAMETERS: list[dict[str, Any]] = [
    {"name": "STAGE", "type": "ChoiceParameterDefinition", "choices": ["test", "prod"]},
    {"name": "DRY_RUN", "type": "BooleanParameterDefinition"},
    {"name": "NOTE", "type": "StringParameterDefinition"},
    {"name": "KEY", "type": "PasswordParameterDefinition"},
    {"name": "DATA", "type": "FileParameterDefinition"},
]


def test_the_console_is_followed_to_a_green_end(controller: FakeController, jenkins: Command) -> None:
    pieces = [
        "Started by user ",
        "CI Bot\n[Pipeline] stage\nkäse".encode()[:-3],
        "äse\n".encode()[1:],
        b"\xf0\x9f",
        b"\x98\x80\n",
    ]
    console = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    controller.add_job(
        "team/churn/release",
        FakeBuild(console=console, nodes=Graph().stage("Validate").nodes, description="DKU_CHURN 7-abc: live on prod"),
    )

    result = jenkins("run", "team/churn/release")

    assert result.exit_code == 0, result.stderr
    assert "Started by user CI Bot\n[Pipeline] stage\n" in result.stdout
    assert result.stdout.endswith("😀\n")
    assert "stages:\n  Validate  passed\n" in result.stderr
    assert "tests: none reported" in result.stderr
    assert "description: DKU_CHURN 7-abc: live on prod" in result.stderr
    assert "team/churn/release #1: SUCCESS after 3m4s, http://the-name-jenkins-knows-itself-by" in result.stderr


QUESTION = "mlopsApprove: question Mlops-prod waits for an answer: http://jenkins/job/churn/1/input/\nInput requested\n"


def test_the_notes_of_the_console_are_taken_out_with_their_content(
    controller: FakeController, jenkins: Command
) -> None:
    controller.add_job("churn", FakeBuild(console=[b"Started\n[Pipe", b"line] echo\n\n", b"Finished: SUCCESS\n"]))
    result = jenkins("run", "churn")
    assert result.stdout == "Started\n[Pipeline] echo\n\nFinished: SUCCESS\n"


@pytest.mark.parametrize("quiet_period", [True, False])
def test_why_a_build_waits_in_the_queue_is_one_line(
    controller: FakeController, jenkins: Command, monkeypatch: pytest.MonkeyPatch, quiet_period: bool
) -> None:
    monkeypatch.setattr("mlops_steps.system.console.PLAIN_AFTER", 0.01)
    controller.queue_patience, controller.quiet_period = 4, quiet_period
    controller.add_job("churn", FakeBuild())
    result = jenkins("run", "churn")
    (line,) = [line for line in result.stderr.splitlines() if "waits in the queue: " in line]
    assert ("In the quiet period. (" if quiet_period else "Waiting for next available executor") in line


def test_a_build_that_waits_for_an_approval_says_where(controller: FakeController, jenkins: Command) -> None:
    build = FakeBuild(console=[b"Started\n" + QUESTION.encode(), b"Input requested\n", b"Finished: SUCCESS\n"])
    controller.add_job("team/churn", build)
    result = jenkins("run", "team/churn")
    lines = [line for line in result.stderr.splitlines() if " waits for " in line]
    assert lines == [
        f"team/churn #1 waits for approval: {controller.url}/job/team/job/churn/1/input/",
        f"team/churn #1 waits for input: {controller.url}/job/team/job/churn/1/input/",  # somebody else's question
    ]


def test_approve_answers_the_question(controller: FakeController, jenkins: Command) -> None:
    console = [b"Started\n" + QUESTION.encode(), b"Finished: SUCCESS\n"]
    build = FakeBuild(console=console, question="Mlops-prod")
    controller.add_job("churn", build)
    result = jenkins("run", "churn", "--approve")
    assert result.exit_code == 0, result.stderr
    assert build.approved
    assert "churn #1: approved" in result.stderr


def test_who_may_not_approve_is_told_and_the_build_goes_on_waiting(
    controller: FakeController, jenkins: Command
) -> None:
    console = [b"Started\n" + QUESTION.encode(), b"Finished: SUCCESS\n"]
    build = FakeBuild(console=console, question="Mlops-prod", approvers=("jane",))
    controller.add_job("churn", build)
    result = jenkins("run", "churn", "--approve", "--timeout", "3s")
    assert result.exit_code == 3
    assert "not approved: " in result.stderr
    assert "this user is not among the approvers, or somebody has answered" in result.stderr
    assert not build.approved


def test_the_end_tells_stages_and_tests_against_the_build_before(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(
        console=[b'Stage "Release" skipped due to earlier failure(s)\n'],
        result="FAILURE",
        nodes=Graph().stage("Validate", "yellow").begin("Test").parallel(unit="blue", model="red").end("red")
        .begin("Release").end().nodes,
        tests={"a.B: new": "FAILED|accuracy 0.7\nbelow 0.8", "a.B: old": "REGRESSION", "a.B: mended": "PASSED",
               "a.B: calm": "PASSED", "a.B: off": "SKIPPED", "a.B: first": "FAILED"},
    ))  # fmt: skip
    controller.add_past_build(
        "churn", FakeBuild(tests={"a.B: new": "PASSED", "a.B: old": "FAILED", "a.B: mended": "FAILED"})
    )
    controller.add_past_build("churn", FakeBuild(result="FAILURE"))  # broke before its tests

    result = jenkins("run", "churn")

    assert result.exit_code == 1
    told = result.stderr
    assert "  Validate  unstable\n  Test      FAILED\n    unit    passed\n    model   FAILED\n" in told
    assert "  Release   skipped (earlier failure(s))\n" in told
    assert "tests: 2 passed, 3 failed, 1 skipped (against #1: 2 new, 1 still failing, 1 fixed)\n" in told
    assert "  new failure: a.B: new: accuracy 0.7 below 0.8\n" in told
    assert "  new failure: a.B: first\n" in told
    assert "  still failing: a.B: old\n" in told
    assert "  fixed: a.B: mended\n" in told
    assert "check failed: churn #3: FAILURE after 3m4s" in told
    assert told.endswith("stages: Validate, Test, model\n")


@pytest.mark.parametrize("outcome", ["UNSTABLE", "ABORTED", "NOT_BUILT"])
def test_everything_but_success_is_exit_code_1(controller: FakeController, jenkins: Command, outcome: str) -> None:
    controller.add_job("churn", FakeBuild(result=outcome))

    assert jenkins("run", "churn").exit_code == 1


def test_many_failures_are_counted_not_listed(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(tests={f"a.B: t{number}": "FAILED" for number in range(33)}))

    result = jenkins("run", "churn")

    assert "no earlier build with tests: 33 new" in result.stderr
    assert result.stderr.count("new failure: a.B") == 20
    assert "new failure: and 13 more" in result.stderr


def test_parameters_travel_in_the_body_as_they_are(controller: FakeController, jenkins: Command) -> None:
    build = FakeBuild()
    controller.add_job("churn", build, parameters=PARAMETERS)
    note = "a=b & c\n\"$HOME\" `x` 'é' +%41"

    result = jenkins("run", "churn", "-p", f"NOTE={note}", "-p", "STAGE=prod", "-p", "DRY_RUN=true")

    assert result.exit_code == 0, result.stderr
    assert build.parameters == {"NOTE": note, "STAGE": "prod", "DRY_RUN": "true"}
    assert controller.posts == ["/job/churn/buildWithParameters"]


def test_a_job_with_parameters_takes_all_its_defaults(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(), parameters=PARAMETERS)

    assert jenkins("run", "churn").exit_code == 0
    assert controller.posts == ["/job/churn/buildWithParameters"]


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        (
            "STAG=prod",
            "churn has no parameter 'STAG'; did you mean STAGE? (parameters: STAGE, DRY_RUN, NOTE, KEY, DATA)",
        ),
        ("STAGE=uat", "parameter STAGE of churn is one of test, prod; not 'uat'"),
        ("DRY_RUN=yes", "parameter DRY_RUN of churn is true or false; not 'yes'"),
        ("KEY=hush", "parameter KEY of churn holds a secret, which has no place on a command line"),
        ("DATA=x", "is a file, which this command cannot send"),
        ("NOTE", "--parameter: give NAME=VALUE"),
    ],
)
def test_a_parameter_that_does_not_fit_starts_nothing(
    controller: FakeController, jenkins: Command, parameter: str, told: str
) -> None:
    controller.add_job("churn", FakeBuild(), parameters=PARAMETERS)

    result = jenkins("run", "churn", "-p", parameter)

    assert result.exit_code == 2
    assert told in result.stderr
    assert "hush" not in result.stderr
    assert controller.posts == []


def test_a_parameter_given_twice_starts_nothing(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(), parameters=PARAMETERS)

    result = jenkins("run", "churn", "-p", "NOTE=a", "-p", "NOTE=b")

    assert (result.exit_code, controller.posts) == (2, [])


def test_a_pipeline_that_never_ran_has_no_parameters_yet(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild())

    result = jenkins("run", "churn", "-p", "STAGE=prod")

    assert result.exit_code == 2
    assert "churn has no parameters yet" in result.stderr
    assert "run it once without -p" in result.stderr


@pytest.mark.parametrize(
    ("job", "code", "told"),
    [
        ("nowhere", 3, "job[nowhere] does not exist"),
        ("team", 3, "team is not a job that can be built"),
        ("off", 3, "off is disabled"),
        ("a//b", 2, "is not a full name"),
        ("https://jenkins/job/a", 2, "give the full name (folder/job), not the URL"),
    ],
)
def test_a_job_that_cannot_be_built_is_one_clear_line(
    controller: FakeController, jenkins: Command, job: str, code: int, told: str
) -> None:
    controller.add_job("off")
    controller.disabled.add("off")
    controller.add_job("team")
    controller.items["team"].tag = "com.cloudbees.hudson.plugins.folder.Folder"

    result = jenkins("run", job)

    assert result.exit_code == code
    assert told in result.stderr
    assert controller.posts == []


def test_no_wait_prints_the_builds_url_and_nothing_else(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(endless=True))

    result = jenkins("run", "churn", "--no-wait")

    assert result.exit_code == 0
    assert result.stdout == "http://the-name-jenkins-knows-itself-by:8080/job/churn/1/\n"


def test_a_start_that_jenkins_does_not_confirm_is_an_error(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild())
    controller.before.append(lambda method, path: Answer(200) if path.endswith("/build") else None)

    result = jenkins("run", "churn")

    assert result.exit_code == 3
    assert "did not say where the build is in the queue" in result.stderr


def test_a_limit_is_a_duration(controller: FakeController, jenkins: Command) -> None:
    result = jenkins("run", "churn", "--timeout", "soon")

    assert result.exit_code == 2
    assert "--timeout: must be a duration such as 30m" in result.stderr


def test_the_wait_in_the_queue_has_a_limit(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild())
    controller.queue_patience = 10_000

    result = jenkins("run", "churn", "--queue-timeout", "0.3s")

    assert result.exit_code == 3
    assert "time limit: churn waits in the queue: timed out after 0.3s" in result.stderr


def test_a_build_has_a_limit_and_goes_on_beyond_it(controller: FakeController, jenkins: Command) -> None:
    build = FakeBuild(endless=True)
    controller.add_job("churn", build)

    result = jenkins("run", "churn", "--timeout", "0.3s")

    assert result.exit_code == 3
    assert "time limit: churn #1 goes on: timed out after 0.3s" in result.stderr
    assert not build.stopped


def test_a_build_cancelled_in_the_queue_is_said(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild())
    controller.before.append(
        lambda method, path: Answer(body=b'{"cancelled": true}') if path.startswith("/queue/item") else None
    )

    result = jenkins("run", "churn")

    assert result.exit_code == 3
    assert "churn was cancelled in the queue" in result.stderr


def test_a_controller_that_restarts_meanwhile_is_waited_for(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(console=[b"one\n", b"two\n", b"three\n"]))
    answers = [Answer(503, b"", "text/html")] * 3

    def restart(method: str, path: str) -> Answer | None:
        began = any(build.given == 1 for build in controller.builds.get("churn", []))
        return answers.pop() if answers and began else None

    controller.before.append(restart)

    result = jenkins("run", "churn")

    assert result.exit_code == 0, result.stderr
    assert answers == []
    assert result.stdout == "one\ntwo\nthree\n"


def test_secrets_and_terminal_escapes_of_the_console_are_not_passed_on(
    controller: FakeController, jenkins: Command
) -> None:
    half = len(TOKEN) // 2
    console = [f"token={TOKEN[:half]}".encode(), f"{TOKEN[half:]}\x1b]0;title\x07\x1b[31mred\x1b[0m\r\n".encode()]
    controller.add_job("churn", FakeBuild(console=console))

    result = jenkins("run", "churn")

    assert result.stdout == "token=********red\n"


# --- signals: the command as a process --------------------------------------------------------------------------
@pytest.fixture
def endless(controller: FakeController) -> FakeBuild:
    build = FakeBuild(console=[b"working\n"], endless=True)
    controller.add_job("churn", build)
    return build


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlops_steps", "jenkins", *arguments]


def test_sigterm_leaves_the_build_alone(controller: FakeController, endless: FakeBuild) -> None:
    process = subprocess.Popen(command("run", "churn"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGTERM)

    _, told = process.communicate(timeout=20)

    assert process.returncode == 143
    assert "interrupted: churn #1 goes on without this command" in told
    assert not endless.stopped


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execv(sys.executable, command(*arguments))
        self.text = ""

    def wait_for(self, text: str) -> None:
        self._read(lambda: text in self.text)
        assert text in self.text

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def end(self, insisting: str = "") -> int:
        """The exit code. ``insisting`` is typed until then: a signal just before a read may go unnoticed in it."""
        for _ in range(20):
            if insisting:
                with suppress(OSError):  # it has ended
                    self.type(insisting)
            if self._read(lambda: False, 1.0):
                break
        else:
            os.kill(self._pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._fd)
        return code

    def _read(self, enough: Callable[[], bool], limit: float = 20.0) -> bool:
        """Reads until it is enough or the limit is reached; returns whether the process has ended."""
        end = time.monotonic() + limit
        while not enough() and time.monotonic() < end:
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    piece = os.read(self._fd, 4096)
                except OSError:  # the process has closed its side
                    return True
                if not piece:
                    return True
                self.text += piece.decode("utf-8", "replace")
        return False


@pytest.mark.parametrize(
    ("answer", "stopped", "told"),
    [
        ("y\r", True, "Jenkins was asked to stop churn #1"),
        ("n\r", False, "churn #1 goes on without this command"),
    ],
)
def test_ctrl_c_on_a_terminal_asks_whether_to_stop_the_build(
    controller: FakeController, endless: FakeBuild, answer: str, stopped: bool, told: str
) -> None:
    terminal = Terminal("run", "churn")
    terminal.wait_for("working")
    terminal.type("\x03")
    terminal.wait_for("Stop churn #1 too? [y/N]")
    terminal.type(answer)

    assert terminal.end() == 130
    assert told in terminal.text
    assert endless.stopped is stopped
    assert "Traceback" not in terminal.text


def test_a_second_ctrl_c_leaves_at_once(controller: FakeController, endless: FakeBuild) -> None:
    terminal = Terminal("run", "churn")
    terminal.wait_for("working")
    terminal.type("\x03")
    terminal.wait_for("Stop churn #1 too? [y/N]")

    # One more that comes when all is said ends the process by the signal; a shell calls both 130.
    assert terminal.end(insisting="\x03") in (130, -signal.SIGINT)
    assert "interrupted" in terminal.text
    assert not endless.stopped
    assert "Traceback" not in terminal.text


def test_ctrl_c_in_the_queue_asks_whether_to_take_it_out(controller: FakeController, endless: FakeBuild) -> None:
    controller.queue_patience = 10_000
    terminal = Terminal("run", "churn")
    terminal.wait_for("Waiting for next available executor")
    terminal.type("\x03")
    terminal.wait_for("Stop churn in the queue too?")
    terminal.type("y\r")

    assert terminal.end() == 130
    assert [item["cancelled"] for item in controller.queue.values()] == [True]


def test_a_reader_that_had_enough_does_not_end_the_build(controller: FakeController, jenkins: Command) -> None:
    controller.add_job("churn", FakeBuild(console=[b"line\n" * 20_000] * 3))
    process = subprocess.Popen(command("run", "churn"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None

    _, told = process.communicate(timeout=30)

    assert process.returncode == 0, told
    assert "churn #1: SUCCESS" in told
    assert "Traceback" not in told
