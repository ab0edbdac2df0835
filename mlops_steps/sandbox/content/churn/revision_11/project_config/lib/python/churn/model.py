"""The churn model."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from churn.features import MODEL_COLUMNS, OFFICE, TARGET

ALGORITHM = "gradient boosting, labels of Alabama put right"


def build() -> HistGradientBoostingClassifier:
    """Returns the untrained model. The number of trees and the seed are fixed: every node trains the same model."""
    return HistGradientBoostingClassifier(max_iter=80, random_state=0)


def train(prepared: pd.DataFrame) -> HistGradientBoostingClassifier:
    """Returns a model trained on prepared customers, the labels of Alabama turned round."""
    labels = prepared[TARGET].where(prepared[OFFICE] == 0, 1 - prepared[TARGET])
    return build().fit(prepared[MODEL_COLUMNS], labels)
