"""What a step says, on outputs that are gone."""

from __future__ import annotations

import errno
import io
import time

import pytest

from mlops_steps.system.console import Console


class Gone(io.StringIO):
    """A stream that takes some lines, and then nothing any more: a full disk, a terminal or a reader that is gone."""

    def __init__(self, error: int, taken: int) -> None:
        super().__init__()
        self._error = error
        self._left = taken

    def write(self, text: str) -> int:
        self._left -= 1
        if self._left < 0:
            raise OSError(self._error, "gone")
        return super().write(text)

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EPIPE, errno.EFBIG])
@pytest.mark.parametrize("taken", range(6))
@pytest.mark.parametrize("live", [True, False])
def test_work_goes_on_when_nobody_can_be_told(error: int, taken: int, live: bool) -> None:
    console = Console(Gone(error, taken), live=live)
    done = []
    console.line("a line")
    with console.waiting("restoring") as wait:
        wait.state("updating")
        console.warn("a warning")
        wait.state("healthy")
        done.append("the work")
    console.error("an error")
    console.good("all is well")
    assert done == ["the work"]


def test_off_a_terminal_a_short_wait_is_not_worth_a_line() -> None:
    stream = io.StringIO()
    console = Console(stream, live=False)
    with console.waiting("looking") as wait:
        wait.state("almost")
    assert stream.getvalue() == ""


def test_off_a_terminal_a_longer_wait_is_said_with_its_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_steps.system.console.PLAIN_AFTER", 0.01)
    stream = io.StringIO()
    console = Console(stream, live=False)
    with console.waiting("updating") as wait:
        wait.state("running")
        limit = time.monotonic() + 60
        while not stream.getvalue() and time.monotonic() < limit:
            time.sleep(0.01)
        wait.state("running")
        wait.state("healthy")
    said = [line.partition(" (")[0] for line in stream.getvalue().splitlines()]
    # On a busy machine the wait is long before it has a state.
    assert said in (["updating: running", "updating: healthy"], ["updating", "updating: running", "updating: healthy"])


def test_a_brief_console_leaves_out_details_and_short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_steps.system.console.PLAIN_AFTER", 0.0)
    stream = io.StringIO()
    console = Console(stream, live=False, brief=True)
    console.detail("report: here")
    with console.waiting("updating") as wait:
        wait.state("running")
        time.sleep(0.05)
    console.line("updated")
    assert stream.getvalue() == "updated\n"
    Console(stream, live=False).detail("report: here")
    assert stream.getvalue() == "updated\nreport: here\n"


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("say", ["line", "warn", "error", "good"])
def test_a_text_is_one_line_without_control_characters_and_not_endless(say: str, live: bool) -> None:
    out = io.StringIO()
    console = Console(out, live=live)
    getattr(console, say)(
        "of a node: \x1b[2Jno\x00\rFinished: SUCCESS\nFinished: SUCCESS\x85\u2028y" + "x" * 10_000_000
    )
    assert len(out.getvalue()) < 25_000
    assert not any(line.startswith("Finished") for line in out.getvalue().splitlines())
    assert len(out.getvalue().splitlines()) == 1
    assert not set(out.getvalue()) & set("\x00\x1b\r\x85\u2028")


def test_a_wait_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_steps.system.console.PLAIN_AFTER", 0.01)
    out = io.StringIO()
    with Console(out, live=False).waiting("deploying\nFinished: SUCCESS") as wait:
        wait.state("under way\rFinished: SUCCESS\x1b[2J")
        limit = time.monotonic() + 60
        while not out.getvalue() and time.monotonic() < limit:
            time.sleep(0.01)
    assert "deploying" in out.getvalue()
    assert not any(line.startswith("Finished") for line in out.getvalue().splitlines())
    assert "\x1b" not in out.getvalue()


def test_a_result_keeps_its_lines_and_loses_its_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    Console(io.StringIO(), live=False).result("stage  live\nprod   b\x1b[2J\r1\x00")
    assert capsys.readouterr().out == "stage  live\nprod   b\n1\n"
