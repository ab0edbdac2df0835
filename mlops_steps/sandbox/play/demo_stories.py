"""What a demo shows: the revisions that go through the pipeline, its configuration, and how each step has to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_steps.sandbox.content import JUDGED, REVISIONS, Revision

MARK = "# Written by `mlops-steps sandbox demo`.\n"
_NODES = (
    MARK
    + """\
project: {project}
automation: full
nodes:
  design: {{url: "{design}"}}
  test:   {{url: "{test}", infra: auto-test}}
  prod:   {{url: "{prod}", infra: auto-prod}}
release:
  smoke_scenario: TEST_SMOKE
  rollback: auto
"""
)
_ALL_TESTS = """\
test:
  scenarios: ["TEST_*"]
  timeout: 5m
"""
_ONE_TEST = """\
test:
  # One of five, so that the demo is short: this one is to be about the gates.
  scenarios: [TEST_MODEL_QUALITY]
  marked: false
  timeout: 5m
"""
_COMPARE = """\
compare:
  # Revision 3 needs a variable that production lacks. Without this line `release` stops before it changes anything.
  at_release: off
"""
_GATES = """\
gates:
  # Most of them look at the held-out customers, which SCORE_HOLDOUT scores on the node.
  - {{gate: metric, model: churn_model, metric: auc, at_least: 0.85}}
  - gate: champion
    metric: log_loss
    margin: 0.02
    scenario: SCORE_HOLDOUT
    dataset: customers_scored
    key: customer
    label: churn
    probability: probability
  - gate: slices
    by: state
    at_least: 0.55
    rows: 30
    scenario: SCORE_HOLDOUT
    dataset: customers_scored
    label: churn
    prediction: prediction
  - gate: calibration
    at_most: 0.06
    scenario: SCORE_HOLDOUT
    dataset: customers_scored
    label: churn
    probability: probability
  - {{gate: drift, reference: customers_train, current: customers_test, scenario: SPLIT_CUSTOMERS}}
  - {{gate: data_quality, datasets: [customers_scored], scenario: SCORE_HOLDOUT}}
"""

STEPS: dict[str, list[str]] = {
    "validate": ["validate"],
    "package": ["package"],
    "deploy": ["deploy", "--stage", "test"],
    "test": ["test", "--stage", "test"],
    "release": ["release", "--stage", "prod"],
}
#: A release once more, with something added to the configuration.
AGAIN = "again"
STOPPED, ROLLED_BACK = 1, 4


@dataclass(frozen=True)
class Story:
    """A demo. ``ends`` are the exit codes that are not 0, by revision and step; ``live`` is live at the end.

    ``again``: revisions that are released once more, and what is added to mlops.yml before that.
    """

    revisions: tuple[Revision, ...]
    config: str
    steps: Mapping[str, list[str]]
    ends: Mapping[tuple[int, str], int]
    live: int
    again: Mapping[int, str] = field(default_factory=dict)

    def end(self, number: int, step: str) -> int:
        """The exit code with which a step has to end."""
        return self.ends.get((number, step), 0)


RELEASES = Story(
    REVISIONS,
    _NODES + _ALL_TESTS,
    STEPS,
    {(3, "release"): STOPPED, (3, AGAIN): ROLLED_BACK},
    live=2,
    again={3: _COMPARE},
)

#: The champion, and three candidates: a better model, one that is worse for everybody, one for one state only.
_SHOWN = tuple(revision for revision in JUDGED if revision.number in (8, 9, 10, 11))
GATES = Story(
    _SHOWN,
    _NODES + _ONE_TEST + _GATES,
    {name: arguments for name, arguments in STEPS.items() if name != "validate"},
    {(number, step): STOPPED for number in (10, 11) for step in ("test", "release")},
    live=9,
)
STORIES = {"release": RELEASES, "gates": GATES}
