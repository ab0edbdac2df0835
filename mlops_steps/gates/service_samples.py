"""Rows that an endpoint of an API service scores: what gates of the service look at."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.dss import datasets
from mlops_steps.dss.api_node import Prediction
from mlops_steps.dss.session import Dss
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.samples import Samples, Version
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import Deadline

#: Scores records by an endpoint of a version of the service, until the deadline.
Score = Callable[[Version, str, list[dict[str, Any]], Deadline], list[Prediction]]

#: So many rows are scored at most: production answers them beside the calls of users.
MOST_ROWS = 20_000
PREDICTION, PROBABILITY = "prediction", "proba_"


@dataclass
class ServiceSamples(Samples):
    """The rows of a dataset, on the Design node, with the answers of an ``endpoint`` to them.

    The answers are the columns ``prediction`` and, for each class, ``proba_<class>``. Each version scores a dataset
    once, whatever number of gates looks at it.
    """

    design: Dss | None = None
    score: Score | None = None
    endpoint: str = ""
    _answered: dict[tuple[str, str, str], dict[str, list[Any]]] = field(default_factory=dict)
    _scoring: threading.Lock = field(default_factory=threading.Lock)

    def of(self, gate: Any) -> ServiceSamples:
        """What this gate looks at."""
        return dataclasses.replace(self, endpoint=getattr(gate, "endpoint", None) or "")

    def read(
        self,
        version: Version,
        dataset: str,
        columns: Sequence[str],
        deadline: Deadline,
        scenario: str | None = None,  # noqa: ARG002
    ) -> dict[str, list[Any]]:
        """Raises :class:`CheckFailed` for a column that is not there, and where no endpoint scores the rows."""
        if not self.endpoint or self.design is None or self.score is None:
            raise CheckFailed(
                f"dataset {dataset} cannot be read: {version} is of an API service, which has no datasets",
                next_step="measure it in the steps test and release, name an endpoint that scores the rows "
                "(`endpoint` of the gate), or ask the API nodes",
            )
        with self._scoring:
            place = (version.bundle, dataset, self.endpoint)
            if place not in self._answered:
                self._answered[place] = self._ask(self.design, self.score, version, dataset, deadline)
            found = self._answered[place]
        for column in columns:
            if column not in found:
                raise CheckFailed(
                    f"dataset {dataset}, scored by endpoint {self.endpoint}, has no column {column}"
                    f"{nearest(column, found)}",
                    details=[f"columns: {', '.join(found)}"],
                )
        return {column: found[column] for column in columns}

    def _ask(
        self, design: Dss, score: Score, version: Version, dataset: str, deadline: Deadline
    ) -> dict[str, list[Any]]:
        with design.within(deadline):
            rows = datasets.typed(design, version.project_key, dataset, MOST_ROWS)
        names = list(rows)
        records = [dict(zip(names, values, strict=True)) for values in zip(*rows.values(), strict=True)]
        self.say(f"scoring {len(records)} rows of {dataset} by {version}")
        answers = score(version, self.endpoint, records, deadline)
        classes = {name: None for answer in answers for name in answer.probas or {}}
        probas = {f"{PROBABILITY}{name}": [(answer.probas or {}).get(name) for answer in answers] for name in classes}
        return {**rows, PREDICTION: [answer.prediction for answer in answers], **probas}
