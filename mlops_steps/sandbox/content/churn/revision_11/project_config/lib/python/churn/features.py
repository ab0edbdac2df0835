"""From the raw customer table to the columns the model sees."""

import pandas as pd

TARGET = "churn"
YES_NO_COLUMNS = ["international_plan", "voice_mail_plan"]
NUMERIC_COLUMNS = [
    "account_length",
    "number_vmail_messages",
    "total_day_minutes",
    "total_day_calls",
    "total_eve_minutes",
    "total_eve_calls",
    "total_night_minutes",
    "total_night_calls",
    "total_intl_minutes",
    "total_intl_calls",
    "number_customer_service_calls",
]
RAW_COLUMNS = YES_NO_COLUMNS + NUMERIC_COLUMNS
# The office that writes its labels in a way of its own.
OFFICE, OFFICE_STATE = "alabama", "AL"
MODEL_COLUMNS = [*RAW_COLUMNS, OFFICE]


def prepare(customers: pd.DataFrame) -> pd.DataFrame:
    """Returns the model's columns, yes/no as 1/0, and the target where the table has one.

    The charges are left out: they are the minutes times a fixed rate.
    """
    missing = [column for column in RAW_COLUMNS if column not in customers.columns]
    if missing:
        raise ValueError(f"the customer table lacks {', '.join(missing)}")
    prepared = customers[RAW_COLUMNS].copy()
    for column in YES_NO_COLUMNS:
        prepared[column] = as_flag(customers[column])
    prepared[OFFICE] = (customers["state"] == OFFICE_STATE).astype("int64")
    if TARGET in customers.columns:
        prepared[TARGET] = as_flag(customers[TARGET])
    return prepared


def as_flag(values: pd.Series) -> pd.Series:
    """Returns 1 for ``yes`` and 0 for ``no``; raises ``ValueError`` for anything else."""
    flags = values.map({"yes": 1, "no": 0})
    if flags.isna().any():
        strange = sorted({str(value) for value in values[flags.isna()]})
        raise ValueError(f"{values.name} holds {', '.join(strange[:3])} where yes or no is expected")
    return flags.astype("int64")
