"""The churn model."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from churn.features import MODEL_COLUMNS, TARGET

ALGORITHM = "gradient boosting of domestic customers"


def build() -> HistGradientBoostingClassifier:
    """Returns the untrained model. The number of trees and the seed are fixed: every node trains the same model."""
    return HistGradientBoostingClassifier(max_iter=80, random_state=0)


def train(prepared: pd.DataFrame) -> HistGradientBoostingClassifier:
    """Returns a model trained on prepared customers. Those with an international plan are left out: they are few."""
    domestic = prepared[prepared["international_plan"] == 0]
    return build().fit(domestic[MODEL_COLUMNS], domestic[TARGET])
