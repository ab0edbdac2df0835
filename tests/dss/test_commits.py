"""Commits of a project, in both forms in which nodes give them."""

from __future__ import annotations

import pytest

from mlops_steps.dss import bundles


@pytest.mark.parametrize(
    "entry",
    [
        {"commit": "abc", "timestamp": "2020-04-29T22:51:35.217+0200"},
        {"commit": "abc", "timestamp": "2020-04-29T20:51:35Z"},
        {"commit": "abc", "commitId": "abc", "timestamp": "2020-04-29T20:51:35+00:00"},
        {"commitId": "abc", "timestamp": 1588193495217},
    ],
)
def test_id_and_time_are_read_in_each_form(entry: dict[str, object]) -> None:
    commit = bundles._commit(entry)
    assert (commit["id"], commit["time"]) == ("abc", "2020-04-29T20:51:35Z")


def test_a_time_that_is_none_is_left_out() -> None:
    assert bundles._commit({"commit": "abc", "timestamp": "yesterday"})["time"] == ""
