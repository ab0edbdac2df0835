"""Heavy libraries are extras: who uses none of them need not install them."""

from __future__ import annotations

from importlib.util import find_spec

from mlops_steps.errors import ConfigError


def require(extra: str, *modules: str, purpose: str) -> None:
    """Checks that the modules of an extra are installed, without importing them.

    ``purpose`` begins the message: what requires them (``"gates"``). Raises :class:`ConfigError` that names the extra
    and how to install it.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"{purpose} requires the extra {extra!r} of mlops-steps on this machine (missing: {', '.join(missing)})",
            next_step=f"install it: pip install 'mlops-steps[{extra}]'",
        )
