"""``mlops.yml``, environment variables and flags, as one typed object."""

from mlops_steps.config.loading import load, load_without_file
from mlops_steps.config.nodes import ConnectionSettings, InfraSettings, NodeSettings, RolloutSettings
from mlops_steps.config.sections import (
    CompareSettings,
    DeploySettings,
    HttpSettings,
    LimitSettings,
    NeedException,
    NeedKind,
    PackageSettings,
    ReleaseSettings,
    RuleException,
    Severity,
    TestSettings,
    ValidateSettings,
)
from mlops_steps.config.settings import DEFAULT_FILE, Settings

__all__ = [
    "DEFAULT_FILE",
    "CompareSettings",
    "ConnectionSettings",
    "DeploySettings",
    "HttpSettings",
    "InfraSettings",
    "LimitSettings",
    "NeedException",
    "NeedKind",
    "NodeSettings",
    "PackageSettings",
    "ReleaseSettings",
    "RolloutSettings",
    "RuleException",
    "Settings",
    "Severity",
    "TestSettings",
    "ValidateSettings",
    "load",
    "load_without_file",
]
