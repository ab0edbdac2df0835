"""The churn model."""

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from churn.features import MODEL_COLUMNS, TARGET

ALGORITHM = "logistic regression"


def build() -> Pipeline:
    """Returns the untrained model. Churners are few, so the classes are weighted."""
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))


def train(prepared: pd.DataFrame) -> Pipeline:
    """Returns a model trained on prepared customers."""
    return build().fit(prepared[MODEL_COLUMNS], prepared[TARGET])
