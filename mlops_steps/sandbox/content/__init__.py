"""DKU_CHURN, the project of the sandbox: churn prediction in three revisions, and what the nodes know of it."""

from __future__ import annotations

from mlops_steps.sandbox.content.design import Applied, DesignNode, apply_revision, install
from mlops_steps.sandbox.content.revisions import (
    CANDIDATES,
    JUDGED,
    PROJECT_KEY,
    REVISIONS,
    WATCHED,
    Revision,
    queries_of_service,
)

__all__ = [
    "CANDIDATES",
    "JUDGED",
    "PROJECT_KEY",
    "REVISIONS",
    "WATCHED",
    "Applied",
    "DesignNode",
    "Revision",
    "apply_revision",
    "install",
    "queries_of_service",
]
