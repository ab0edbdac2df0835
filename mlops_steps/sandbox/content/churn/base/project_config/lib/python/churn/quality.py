"""What is measured: the data that comes in, and the model that goes out."""

import pandas as pd
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from churn.features import NUMERIC_COLUMNS, TARGET

DECISION_THRESHOLD = 0.5
FEWEST_CUSTOMERS = 1000
CHURN_SHARE = (0.05, 0.35)


def metrics(target: pd.Series, probability: pd.Series) -> dict[str, float]:
    """Returns auc, f1, precision and recall of churn probabilities, each from 0 to 1."""
    predicted = (probability >= DECISION_THRESHOLD).astype("int64")
    return {
        "auc": float(roc_auc_score(target, probability)),
        "f1": float(f1_score(target, predicted, zero_division=0)),
        "precision": float(precision_score(target, predicted, zero_division=0)),
        "recall": float(recall_score(target, predicted, zero_division=0)),
    }


def shortfalls(measured: dict[str, float], required: dict[str, float]) -> list[str]:
    """Returns one sentence for each metric that is below what is required."""
    return [
        f"{name} is {measured[name]:.3f}, at least {least:.3f} is required"
        for name, least in sorted(required.items())
        if measured[name] < least
    ]


def data_problems(customers: pd.DataFrame) -> list[str]:
    """Returns one sentence for each thing that is wrong with the raw customer table."""
    problems = []
    if len(customers) < FEWEST_CUSTOMERS:
        problems.append(f"{len(customers)} customers, at least {FEWEST_CUSTOMERS} are expected")
    empty = sorted(column for column in customers.columns if customers[column].isna().any())
    if empty:
        problems.append(f"empty values in {', '.join(empty)}")
    negative = sorted(column for column in NUMERIC_COLUMNS if (customers[column] < 0).any())
    if negative:
        problems.append(f"negative values in {', '.join(negative)}")
    share = float((customers[TARGET] == "yes").mean())
    if not CHURN_SHARE[0] <= share <= CHURN_SHARE[1]:
        problems.append(
            f"{share:.1%} of the customers churn, {CHURN_SHARE[0]:.0%} to {CHURN_SHARE[1]:.0%} are expected"
        )
    return problems
