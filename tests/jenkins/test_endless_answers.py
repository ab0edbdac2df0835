"""A request to a controller ends in time, however long something goes on arriving."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins.access import Access
from mlops_steps.jenkins.session import Limits, Session
from tests.support.endless import KINDS, EndlessProxy


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_an_end_is_given_up(kind: str) -> None:
    with closing(EndlessProxy()) as endless:
        endless.kind = kind
        session = Session(Access(endless.url, "me", "a-token-0123456789"), Limits(connect=0.5, read=0.5, patience=0.1))
        start = time.monotonic()
        with pytest.raises(ControllerError, match="cannot be reached"):
            session.get_whoami()
        assert time.monotonic() - start < 15
        session.close()
