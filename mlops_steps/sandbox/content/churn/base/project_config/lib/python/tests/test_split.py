import pandas as pd
import pytest

from churn.features import TARGET
from churn.split import TEST_SHARE, split


@pytest.fixture
def prepared():
    return pd.DataFrame({"customer": range(1000), TARGET: [1] * 140 + [0] * 860})


def test_every_customer_is_on_one_side(prepared):
    train, test = split(prepared)
    assert sorted([*train.customer, *test.customer]) == list(range(1000))


def test_both_sides_have_the_same_share_of_churners(prepared):
    train, test = split(prepared)
    assert len(test) == round(len(prepared) * TEST_SHARE)
    assert train[TARGET].mean() == pytest.approx(test[TARGET].mean(), abs=0.005)


def test_the_split_is_the_same_every_time(prepared):
    assert split(prepared)[1].equals(split(prepared)[1])
