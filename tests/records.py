"""What tests look up in a release record, as JSON."""

from __future__ import annotations

from typing import Any

from mlops_steps.delivery.record import ReleaseRecord


def pending(record: dict[str, Any], stage: str) -> bool:
    """Whether the record says that a restore is pending on the stage."""
    found = ReleaseRecord.model_validate(record).stages.get(stage)
    return bool(found and found.pending)


def unit(record: dict[str, Any], stage: str) -> dict[str, Any]:
    """The only unit of the stage."""
    (found,) = record["stages"][stage]["units"].values()
    return dict(found)
