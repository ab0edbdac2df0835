"""Quarters after the release: customers that the project has not seen, and, later, whether they left.

The first is like what the model knows. From the second on the operator sells a new tariff: people talk longer by day,
less in the evening, and more abroad. Who leaves does not change, but what the model knows of them does not fit any
more.
"""

from __future__ import annotations

import csv
import io
import random
from importlib.resources import files

ROWS = 2000
_FROM = 2  # the quarter from which on the new tariff is sold
_CHARGE = {"day": 0.17, "eve": 0.085, "night": 0.045, "intl": 0.27}
LABEL = "churn"


def customers(quarter: int, rows: int = ROWS) -> str:
    """The customers of a quarter as CSV, each with a number of its own; the same at each call."""
    return _csv([{name: value for name, value in row.items() if name != LABEL} for row in _rows(quarter, rows)])


def labels(quarter: int, rows: int = ROWS) -> str:
    """Whether each of them left, as CSV."""
    return _csv([{"customer": row["customer"], LABEL: row[LABEL]} for row in _rows(quarter, rows)])


def table(quarter: int, rows: int) -> str:
    """Customers of a quarter with their labels in the form of the project's table: what a new model is trained on."""
    return _csv([{name: value for name, value in row.items() if name != "customer"} for row in _rows(quarter, rows)])


def _rows(quarter: int, count: int) -> list[dict[str, str]]:
    source = files(__package__).joinpath("churn/data/churn.csv").read_text(encoding="utf-8")
    known = list(csv.DictReader(io.StringIO(source)))
    chance = random.Random(quarter)
    rows = []
    for number in range(count):
        row = dict(chance.choice(known))
        minutes = {kind: float(row[f"total_{kind}_minutes"]) * chance.uniform(0.97, 1.03) for kind in _CHARGE}
        if quarter >= _FROM:
            minutes["day"], minutes["eve"], minutes["intl"] = (
                minutes["day"] + 70,
                minutes["eve"] * 0.7,
                minutes["intl"] + 5,
            )
        for kind, value in minutes.items():
            row[f"total_{kind}_minutes"] = f"{value:.1f}"
            row[f"total_{kind}_charge"] = f"{value * _CHARGE[kind]:.2f}"
        rows.append({"customer": str(quarter * 100_000 + number), **row})
    return rows


def _csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
