"""The churn model."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from churn.features import MODEL_COLUMNS, TARGET

ALGORITHM = "gradient boosting with the bill"
# What a minute costs.
RATES = {
    "total_day_minutes": 0.17,
    "total_eve_minutes": 0.085,
    "total_night_minutes": 0.045,
    "total_intl_minutes": 0.27,
}


def with_bill(customers: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns with what the customer pays: a high bill makes people leave."""
    bill = sum(customers[column] * rate for column, rate in RATES.items())
    return customers.assign(bill=bill)


def build() -> Pipeline:
    """Returns the untrained model. The number of trees and the seed are fixed: every node trains the same model."""
    return make_pipeline(FunctionTransformer(with_bill), HistGradientBoostingClassifier(max_iter=80, random_state=0))


def train(prepared: pd.DataFrame) -> Pipeline:
    """Returns a model trained on prepared customers."""
    return build().fit(prepared[MODEL_COLUMNS], prepared[TARGET])
