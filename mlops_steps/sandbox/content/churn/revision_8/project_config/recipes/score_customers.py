import dataiku

from churn.features import TARGET, prepare
from churn.quality import DECISION_THRESHOLD
from churn.split import split

customers = dataiku.Dataset("churn").get_dataframe()
_, held_out = split(prepare(customers).assign(customer=customers.index, state=customers["state"]))
probability = dataiku.Model("churn_model").get_predictor().predict(held_out)["proba_1"]

scored = held_out[["customer", "state", TARGET]].assign(
    prediction=(probability >= DECISION_THRESHOLD).astype("int64"), probability=probability
)
dataiku.Dataset("customers_scored").write_with_schema(scored)
print(f"{len(scored)} customers scored")
