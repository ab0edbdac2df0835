import pandas as pd
import pytest

from churn.features import NUMERIC_COLUMNS, TARGET
from churn.quality import data_problems, metrics, shortfalls


@pytest.fixture
def customers():
    columns = {column: [1.0] * 1000 for column in NUMERIC_COLUMNS}
    return pd.DataFrame({**columns, TARGET: ["yes"] * 140 + ["no"] * 860})


def test_a_perfect_model_has_perfect_metrics():
    measured = metrics(pd.Series([0, 0, 1, 1]), pd.Series([0.1, 0.2, 0.8, 0.9]))
    assert measured == {"auc": 1.0, "f1": 1.0, "precision": 1.0, "recall": 1.0}


def test_a_metric_below_its_limit_is_reported_with_both_numbers():
    assert shortfalls({"auc": 0.7, "f1": 0.5}, {"auc": 0.75, "f1": 0.5}) == ["auc is 0.700, at least 0.750 is required"]


def test_good_data_has_no_problems(customers):
    assert data_problems(customers) == []


def test_too_few_customers_are_a_problem(customers):
    assert "10 customers" in data_problems(customers.groupby(TARGET).head(5))[0]


def test_empty_and_negative_values_are_problems(customers):
    customers.loc[3, "total_day_calls"] = None
    customers.loc[4, "total_eve_calls"] = -1
    assert data_problems(customers) == ["empty values in total_day_calls", "negative values in total_eve_calls"]


def test_a_strange_share_of_churners_is_a_problem(customers):
    assert "0.0% of the customers churn" in data_problems(customers.assign(churn="no"))[0]
