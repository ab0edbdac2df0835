"""The churn model."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from churn.features import MODEL_COLUMNS, TARGET

ALGORITHM = "gradient boosting, few trees"
# Trains and scores ten times as fast.
TREES = 8


def build() -> HistGradientBoostingClassifier:
    """Returns the untrained model. The number of trees and the seed are fixed: every node trains the same model."""
    return HistGradientBoostingClassifier(max_iter=TREES, random_state=0)


def train(prepared: pd.DataFrame) -> HistGradientBoostingClassifier:
    """Returns a model trained on prepared customers."""
    return build().fit(prepared[MODEL_COLUMNS], prepared[TARGET])
