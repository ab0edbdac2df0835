"""What is known beforehand of requests and fields, so that nothing of a site's own gets into a file of shapes."""

from __future__ import annotations

import re

BASE_PATHS = ("/dip/publicapi", "/public/api")

#: The parts of paths that are DSS's own; every other part is a name, and written as ``*``.
PATH_WORDS = frozenset(
    """
    abort actions activate admin api-deployer apiservices archive auth bundles code-envs connections contents
    current-user datasets deployments details exported files futures generations get-last-runs get-names
    get-run-for-trigger git governance-status groups imported info infras instance-info last-update libraries
    light log managed managedfolders metadata models packages payload plugins predict predict-multi preload
    project-deployer projects publish recipes run run-test-queries savedmodels scenario-run-report scenarios
    schema services settings stages status step-run-report summary testing-status trigger update uploaded users v1
    variables versions
    """.split()  # noqa: SIM905
)

#: Fields whose values are words of DSS's own.
STATE_FIELDS = frozenset(
    {"health", "lifecycleStage", "mode", "nodeType", "outcome", "severity", "status", "state", "stepType"}
)
STATE = re.compile(r"[A-Z][A-Z_]{1,40}")

#: Names that versions of DSS give to one and the same field. Steps read either.
ALIASES: tuple[frozenset[str], ...] = (
    frozenset({"commit", "commitId"}),
    frozenset({"automationNodeUrl", "automationNodeExternalUrl"}),
)

#: Words that versions of DSS give to one and the same state. Steps read either.
SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"SUCCESS", "DONE"}),
    frozenset({"RUNNING", "STARTED", "IN_PROGRESS", "PENDING"}),
)


def template(method: str, path: str) -> str:
    """The request with ``*`` in the place of every name: ``GET /projects/*/scenarios``."""
    for base in BASE_PATHS:
        if path.startswith(base + "/"):
            path = path.removeprefix(base)
            break
    parts = [part if part in PATH_WORDS else "*" for part in path.strip("/").split("/")]
    return f"{method} /{'/'.join(parts)}"


def others(name: str, groups: tuple[frozenset[str], ...]) -> list[str]:
    """The other names of the group that a name is in, sorted."""
    return sorted(other for group in groups if name in group for other in group if other != name)
