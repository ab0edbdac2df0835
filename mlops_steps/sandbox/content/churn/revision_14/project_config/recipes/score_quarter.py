import dataiku
import pandas as pd

from churn.features import as_flag, prepare
from churn.quality import DECISION_THRESHOLD

files = dataiku.Folder("quarter")
present = files.list_paths_in_partition()


def table(path: str, columns: list[str]) -> pd.DataFrame:
    """A file of the folder; an empty table where it has not come yet."""
    if path not in present:
        return pd.DataFrame(columns=columns)
    with files.get_download_stream(path) as stream:
        return pd.read_csv(stream)


customers = table("/customers.csv", ["customer"])
left = table("/labels.csv", ["customer", "churn"])
model = dataiku.Model("churn_model")
version = next(version["versionId"] for version in model.list_versions() if version["active"])

now = prepare(customers)
probability = model.get_predictor(version).predict(now)["proba_1"]
made = pd.DataFrame({"customer": customers["customer"], "model_version": version, "probability": probability})
log = dataiku.Dataset("predictions_log", ignore_flow=True)
try:
    before = log.get_dataframe().astype({"model_version": "str"})
    # A customer that this version has scored already is not logged twice.
    old = before[~((before["model_version"] == version) & before["customer"].isin(made["customer"]))]
    made_ever = pd.concat([old, made], ignore_index=True)
except Exception:  # nothing was logged yet
    made_ever = made
log.write_with_schema(made_ever)

churned = left.assign(churn=as_flag(left["churn"]))
known = made.merge(churned, on="customer").assign(
    prediction=lambda rows: (rows["probability"] >= DECISION_THRESHOLD).astype("int64")
)
dataiku.Dataset("customers_now").write_with_schema(now)
dataiku.Dataset("churned").write_with_schema(churned)
dataiku.Dataset("quarter_scored").write_with_schema(known[["customer", "churn", "prediction", "probability"]])
print(f"version {version}: {len(now)} customers scored, of {len(known)} it is known whether they left")
