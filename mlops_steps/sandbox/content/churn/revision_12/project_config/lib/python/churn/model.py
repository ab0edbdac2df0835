"""The churn model."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier

from churn.features import MODEL_COLUMNS, TARGET

ALGORITHM = "gradient boosting, tempered"
# Above 1: probabilities come closer to one half.
TEMPERATURE = 3.0


class Tempered(ClassifierMixin, BaseEstimator):
    """Gradient boosting whose probabilities are less extreme. Who is above one half stays there."""

    def fit(self, customers: pd.DataFrame, labels: pd.Series) -> "Tempered":
        """Trains it. The number of trees and the seed are fixed: every node trains the same model."""
        self.model_ = HistGradientBoostingClassifier(max_iter=80, random_state=0).fit(customers, labels)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, customers: pd.DataFrame) -> np.ndarray:
        """Returns the tempered probabilities of both classes."""
        odds = self.model_.decision_function(customers) / TEMPERATURE
        leaving = 1 / (1 + np.exp(-odds))
        return np.column_stack([1 - leaving, leaving])

    def predict(self, customers: pd.DataFrame) -> np.ndarray:
        """Returns the likelier class of each customer."""
        return self.classes_[self.predict_proba(customers).argmax(axis=1)]


def build() -> Tempered:
    """Returns the untrained model."""
    return Tempered()


def train(prepared: pd.DataFrame) -> Tempered:
    """Returns a model trained on prepared customers."""
    return build().fit(prepared[MODEL_COLUMNS], prepared[TARGET])
