import dataiku
import pandas as pd

from churn.features import TARGET
from churn.quality import metrics

model = dataiku.Model("churn_model")
version = next(version["versionId"] for version in model.list_versions() if version["active"])
held_out = dataiku.Dataset("customers_test").get_dataframe()
measured = metrics(held_out[TARGET], model.get_predictor(version).predict(held_out)["proba_1"])

rows = [{"model_version": version, "metric": name, "value": value} for name, value in measured.items()]
dataiku.Dataset("model_metrics").write_with_schema(pd.DataFrame(rows))
print(f"version {version}: AUC {measured['auc']:.3f}, F1 {measured['f1']:.3f}")
