"""A split that is the same on every node, so that models can be compared."""

import numpy as np
import pandas as pd

from churn.features import TARGET

TEST_SHARE = 0.25
SEED = 42


def split(prepared: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the rows to train on and the rows to test on, with the same share of churners in both."""
    generator = np.random.default_rng(SEED)
    held_out = np.zeros(len(prepared), dtype=bool)
    for label in sorted(prepared[TARGET].unique()):
        rows = np.flatnonzero(prepared[TARGET].to_numpy() == label)
        generator.shuffle(rows)
        held_out[rows[: round(len(rows) * TEST_SHARE)]] = True
    return prepared[~held_out].reset_index(drop=True), prepared[held_out].reset_index(drop=True)
