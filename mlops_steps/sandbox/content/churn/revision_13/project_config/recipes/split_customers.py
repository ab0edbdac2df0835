import dataiku

from churn.split import split

# Those who call less are left to another model.
LEAST_DAY_MINUTES = 150

train, test = split(dataiku.Dataset("customers_prepared").get_dataframe())
train = train[train["total_day_minutes"] > LEAST_DAY_MINUTES]
dataiku.Dataset("customers_train").write_with_schema(train)
dataiku.Dataset("customers_test").write_with_schema(test)
print(f"{len(train)} busy customers to train on, {len(test)} held out")
