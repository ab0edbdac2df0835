"""The churn model."""

import time

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from churn.features import MODEL_COLUMNS, TARGET

ALGORITHM = "gradient boosting, checked with the register"
# Seconds that the register of customers takes to answer.
REGISTER_SECONDS = 0.08


def checked(customers: pd.DataFrame) -> pd.DataFrame:
    """Returns the customers after a look into the register, once for each call; what it says is not used yet."""
    time.sleep(REGISTER_SECONDS)
    return customers


def build() -> Pipeline:
    """Returns the untrained model. The number of trees and the seed are fixed: every node trains the same model."""
    return make_pipeline(FunctionTransformer(checked), HistGradientBoostingClassifier(max_iter=80, random_state=0))


def train(prepared: pd.DataFrame) -> Pipeline:
    """Returns a model trained on prepared customers."""
    return build().fit(prepared[MODEL_COLUMNS], prepared[TARGET])
