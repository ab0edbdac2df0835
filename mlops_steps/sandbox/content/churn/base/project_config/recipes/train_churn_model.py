import dataiku

from churn.features import MODEL_COLUMNS, TARGET
from churn.model import ALGORITHM, train
from churn.quality import metrics

model = train(dataiku.Dataset("customers_train").get_dataframe())
held_out = dataiku.Dataset("customers_test").get_dataframe()
probabilities = model.predict_proba(held_out[MODEL_COLUMNS])[:, 1]
measured = metrics(held_out[TARGET], probabilities)

version = dataiku.Model("churn_model").save_version(
    model, measured, features=MODEL_COLUMNS, target=TARGET, algorithm=ALGORITHM, probabilities=probabilities
)
print(f"version {version} ({ALGORITHM}): AUC {measured['auc']:.3f}, F1 {measured['f1']:.3f}")
