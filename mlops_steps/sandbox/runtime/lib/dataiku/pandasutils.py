"""The module that new recipes import as ``pdu``. The sandbox has none of its functions."""

from __future__ import annotations

from typing import Any

from ._context import Unsupported


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise Unsupported(f"dataiku.pandasutils.{name} is not supported by the sandbox")
