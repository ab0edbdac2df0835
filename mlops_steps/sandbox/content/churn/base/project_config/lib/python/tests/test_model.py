import numpy as np
import pandas as pd

from churn.features import MODEL_COLUMNS, TARGET
from churn.model import train


def test_the_model_learns_what_makes_customers_leave():
    generator = np.random.default_rng(7)
    customers = pd.DataFrame(generator.normal(size=(400, len(MODEL_COLUMNS))), columns=MODEL_COLUMNS)
    customers[TARGET] = (customers["number_customer_service_calls"] > 0.5).astype(int)
    probability = train(customers).predict_proba(customers[MODEL_COLUMNS])[:, 1]
    assert probability[customers[TARGET] == 1].mean() > probability[customers[TARGET] == 0].mean() + 0.5
