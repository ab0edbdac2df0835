import pandas as pd
import pytest

from churn.features import MODEL_COLUMNS, NUMERIC_COLUMNS, TARGET, YES_NO_COLUMNS, as_flag, prepare


@pytest.fixture
def customers():
    rows = {column: [1.0, 2.0] for column in NUMERIC_COLUMNS}
    rows.update({column: ["yes", "no"] for column in [*YES_NO_COLUMNS, TARGET]})
    return pd.DataFrame({"state": ["KS", "OH"], **rows})


def test_prepared_customers_have_the_model_columns_and_the_target(customers):
    assert list(prepare(customers).columns) == [*MODEL_COLUMNS, TARGET]


def test_customers_without_a_known_outcome_can_be_prepared(customers):
    assert list(prepare(customers.drop(columns=TARGET)).columns) == MODEL_COLUMNS


def test_yes_and_no_become_one_and_zero():
    assert as_flag(pd.Series(["yes", "no"], name="voice_mail_plan")).tolist() == [1, 0]


def test_anything_but_yes_and_no_is_refused():
    with pytest.raises(ValueError, match="voice_mail_plan holds maybe"):
        as_flag(pd.Series(["yes", "maybe"], name="voice_mail_plan"))


def test_a_missing_column_is_named(customers):
    with pytest.raises(ValueError, match="lacks total_day_minutes"):
        prepare(customers.drop(columns="total_day_minutes"))
