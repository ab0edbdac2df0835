"""What a step says, on outputs that are gone."""

from __future__ import annotations

import errno
import io

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
