"""Pipeline steps that take Dataiku DSS projects to production from Jenkins.

The names in ``__all__`` are the public API, for rules of your own (docs/validation.md), gates of your own
(docs/gates.md), reports (docs/reports.md), calls of an API service (docs/api-services.md) and tests on the sandbox
(docs/game-day.md). Semantic versioning covers them, and nothing else that can be imported. Each is imported when it is
used: starting a step must be quick, and the sandbox is an extra.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlops_steps.version import __version__

if TYPE_CHECKING:
    from mlops_steps.config import Settings as Settings
    from mlops_steps.config import ValidateSettings as ValidateSettings
    from mlops_steps.config import load as load_settings
    from mlops_steps.dss.api_node import FunctionAnswer as FunctionAnswer
    from mlops_steps.dss.api_node import Prediction as Prediction
    from mlops_steps.dss.api_node import ScoringClient as ScoringClient
    from mlops_steps.dss.facts import ProjectFacts as ProjectFacts
    from mlops_steps.errors import CheckFailed as CheckFailed
    from mlops_steps.errors import ConfigError as ConfigError
    from mlops_steps.errors import MlopsError as MlopsError
    from mlops_steps.errors import NodeError as NodeError
    from mlops_steps.gates.model import GateCheck as GateCheck
    from mlops_steps.gates.model import GateContext as GateContext
    from mlops_steps.gates.model import GateResult as GateResult
    from mlops_steps.gates.model import GateVerdict as GateVerdict
    from mlops_steps.report.html import update as update_summary
    from mlops_steps.report.junit import read as read_report
    from mlops_steps.report.junit import write as write_report
    from mlops_steps.report.model import Case as Case
    from mlops_steps.report.model import Outcome as Outcome
    from mlops_steps.report.model import Report as Report
    from mlops_steps.rules.model import Finding as Finding
    from mlops_steps.rules.model import rule as rule
    from mlops_steps.sandbox.site import Sandbox as Sandbox

#: Where each name is defined.
_PLACES = {
    "Case": "mlops_steps.report.model:Case",
    "CheckFailed": "mlops_steps.errors:CheckFailed",
    "ConfigError": "mlops_steps.errors:ConfigError",
    "Finding": "mlops_steps.rules.model:Finding",
    "FunctionAnswer": "mlops_steps.dss.api_node:FunctionAnswer",
    "GateCheck": "mlops_steps.gates.model:GateCheck",
    "GateContext": "mlops_steps.gates.model:GateContext",
    "GateResult": "mlops_steps.gates.model:GateResult",
    "GateVerdict": "mlops_steps.gates.model:GateVerdict",
    "MlopsError": "mlops_steps.errors:MlopsError",
    "NodeError": "mlops_steps.errors:NodeError",
    "Outcome": "mlops_steps.report.model:Outcome",
    "Prediction": "mlops_steps.dss.api_node:Prediction",
    "ProjectFacts": "mlops_steps.dss.facts:ProjectFacts",
    "Report": "mlops_steps.report.model:Report",
    "Sandbox": "mlops_steps.sandbox.site:Sandbox",
    "ScoringClient": "mlops_steps.dss.api_node:ScoringClient",
    "Settings": "mlops_steps.config:Settings",
    "ValidateSettings": "mlops_steps.config:ValidateSettings",
    "load_settings": "mlops_steps.config:load",
    "read_report": "mlops_steps.report.junit:read",
    "rule": "mlops_steps.rules.model:rule",
    "update_summary": "mlops_steps.report.html:update",
    "write_report": "mlops_steps.report.junit:write",
}

__all__ = [
    "Case",
    "CheckFailed",
    "ConfigError",
    "Finding",
    "FunctionAnswer",
    "GateCheck",
    "GateContext",
    "GateResult",
    "GateVerdict",
    "MlopsError",
    "NodeError",
    "Outcome",
    "Prediction",
    "ProjectFacts",
    "Report",
    "Sandbox",
    "ScoringClient",
    "Settings",
    "ValidateSettings",
    "__version__",
    "load_settings",
    "read_report",
    "rule",
    "update_summary",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
