import pandas as pd
import pytest

from churn.retention import budget, call_list


def test_the_budget_is_read_from_the_variables_of_the_node():
    assert budget({"retention_budget": "25"}) == budget({"retention_budget": 25}) == 25


def test_a_node_without_a_budget_is_reported():
    with pytest.raises(LookupError, match="retention_budget is not set on this node"):
        budget({})


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="retention_budget is 0"):
        budget({"retention_budget": 0})


def test_the_likeliest_leavers_are_called_first():
    customers = pd.DataFrame({"state": ["KS", "OH", "NJ"]})
    assert call_list(customers, pd.Series([0.2, 0.9, 0.5]), calls=2).state.tolist() == ["OH", "NJ"]
