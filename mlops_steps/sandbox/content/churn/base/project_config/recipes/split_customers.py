import dataiku

from churn.split import split

train, test = split(dataiku.Dataset("customers_prepared").get_dataframe())
dataiku.Dataset("customers_train").write_with_schema(train)
dataiku.Dataset("customers_test").write_with_schema(test)
print(f"{len(train)} customers to train on, {len(test)} held out")
