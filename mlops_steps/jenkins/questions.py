"""The question that ``mlopsApprove`` asks in a build: noticed in its console, answered over REST."""

from __future__ import annotations

import re

import jenkins
import requests

from mlops_steps.jenkins.builds import Build, place_of
from mlops_steps.jenkins.session import Session, errors_in_words
from mlops_steps.system.waiting import Deadline, poll

# Seconds after the line in the console in which Jenkins must know the question.
_APPEARS = 60.0

_ASKED = re.compile(r"^mlopsApprove: question (?P<id>[A-Za-z0-9._-]{1,200}) waits for an answer: ")
#: What Jenkins says itself of an ``input`` with parameters.
_INPUT = "Input requested"


class Questions:
    """The questions in the lines of a console."""

    def __init__(self) -> None:
        self._ours = False

    def asked(self, line: str) -> tuple[str, str | None] | None:
        """What a build waits for when it has printed this line, and the id of the question if it is mlopsApprove's."""
        found = _ASKED.match(line)
        if found:
            self._ours = True
            return "approval", found["id"]
        if line == _INPUT:
            ours, self._ours = self._ours, False
            return None if ours else ("input", None)
        return None


def page(session: Session, build: Build) -> str:
    """Where people answer."""
    return f"{place_of(session, build)}input/"


def approve(session: Session, build: Build, question: str) -> None:
    """Answers the question with yes. Raises :class:`ControllerError` when Jenkins refuses, as for who may not."""

    def answer() -> bool | None:
        try:
            session.jenkins_request(requests.Request("POST", f"{page(session, build)}{question}/proceedEmpty"))
        except jenkins.NotFoundException:
            return None  # the line comes a moment before the question
        return True

    with errors_in_words(f"approving {build}"):
        poll(answer, deadline=Deadline(_APPEARS), what=f"question {question} of {build}")
