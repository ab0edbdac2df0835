"""Draws figures as SVG, with the numbers as text, in light and dark. Needs the extra ``report``."""

from __future__ import annotations

from importlib.util import find_spec


def available() -> bool:
    """Whether the plotting library is installed."""
    return find_spec("matplotlib") is not None
