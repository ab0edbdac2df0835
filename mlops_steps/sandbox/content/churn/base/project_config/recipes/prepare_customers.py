import dataiku

from churn.features import prepare

customers = dataiku.Dataset("churn").get_dataframe()
dataiku.Dataset("customers_prepared").write_with_schema(prepare(customers))
print(f"{len(customers)} customers prepared")
