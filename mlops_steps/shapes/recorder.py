"""Notes the shapes of answers as they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Container
from urllib.parse import urlsplit

from mlops_steps.shapes.document import Shapes
from mlops_steps.shapes.shape import shape_of
from mlops_steps.shapes.words import ALIASES, template


class Recorder:
    """The shapes of all answers that it is given. Safe to use from several threads.

    ``known``: the names of fields that may be written; ``None`` for all.
    """

    def __init__(self, known: Container[str] | None) -> None:
        self.shapes = Shapes()
        self._known = known
        self._lock = threading.Lock()

    def note(self, node: str, method: str, url: str, body: bytes, version: str) -> None:
        """Takes note of an answer with a body of JSON; anything else is passed over."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return
        shape = shape_of(value, known=self._known)
        with self._lock:
            self.shapes.add(node, template(method, urlsplit(url).path), shape)
            if version and version not in self.shapes.versions:
                self.shapes.versions = (*self.shapes.versions, version)


def known_names(shapes: Shapes) -> frozenset[str]:
    """The names of fields that are DSS's own: those of the shapes, and their other names."""
    return shapes.field_names() | {name for group in ALIASES for name in group}
