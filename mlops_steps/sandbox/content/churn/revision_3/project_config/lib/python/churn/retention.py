"""Whom the retention team calls."""

from collections.abc import Mapping

import pandas as pd

BUDGET_VARIABLE = "retention_budget"


def budget(variables: Mapping[str, object]) -> int:
    """Returns how many calls a day this node's retention team can make.

    The number differs from node to node, so it is a variable of the node, not of the project.
    """
    if BUDGET_VARIABLE not in variables:
        raise LookupError(f"the variable {BUDGET_VARIABLE} is not set on this node")
    calls = int(str(variables[BUDGET_VARIABLE]))
    if calls < 1:
        raise ValueError(f"the variable {BUDGET_VARIABLE} is {calls}, at least 1 is needed")
    return calls


def call_list(customers: pd.DataFrame, scores: pd.Series, calls: int) -> pd.DataFrame:
    """Returns the ``calls`` customers who are most likely to leave, the likeliest first."""
    ranked = customers.assign(churn_probability=scores).sort_values("churn_probability", ascending=False, kind="stable")
    return ranked.head(calls)
