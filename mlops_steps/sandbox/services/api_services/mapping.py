"""Which generations of a service answer, and with which share of the calls.

``{"mode": "SINGLE_GENERATION", "generation": V}`` is what the client writes. For several generations, DSS documents
the list ``entries`` of ``generation`` and ``proba`` (a share from 0 to 1; together 1). The word for their mode and the
key of the strategy are in no documentation: ``MULTI_GENERATION`` and ``MULTI_GENERATIONS`` are both taken, and so is a
mapping with ``entries`` and no mode, as the API node's command line takes it. What else a mapping holds is kept.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request

SINGLE = "SINGLE_GENERATION"
MULTI = ("MULTI_GENERATION", "MULTI_GENERATIONS")
RANDOM, HASHED = "RANDOM", "HASH_BASED"
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Shares:
    """The generations of a mapping with their shares, in its order, and how a call finds its generation."""

    entries: tuple[tuple[str, float], ...]
    strategy: str = RANDOM

    @property
    def generations(self) -> list[str]:
        """The generations, also those without calls of their own."""
        return [generation for generation, _share in self.entries]

    def choose(self, dispatch: Mapping[str, Any], *, keyed: bool = True) -> str:
        """The generation that answers a call. ``keyed``: whether calls of this kind can carry a dispatch key.

        Raises 400 for a forced generation that is not in the mapping, and without a dispatch key that is needed.
        """
        forced, key = dispatch.get("forcedGeneration"), dispatch.get("dispatchKey")
        if forced is not None:
            if forced not in self.generations:
                known = ", ".join(self.generations)
                raise bad_request(f"Generation {forced!r} is not active: the mapping holds {known}")
            return str(forced)
        if len(self.entries) == 1:
            return self.entries[0][0]
        if self.strategy != HASHED or not keyed:
            return self._at(random.random())
        if key is None:
            raise bad_request("A dispatch key is needed: the generations of this service are dispatched by hash")
        return self._at(int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:8], "big") / 2**64)

    def _at(self, position: float) -> str:
        """The generation whose part of the way from 0 to 1 holds ``position``."""
        reached = 0.0
        for generation, share in self.entries:
            reached += share
            if position < reached:
                return generation
        return next(generation for generation, share in reversed(self.entries) if share > 0)


def shares_of(mapping: Any) -> Shares:
    """The shares of a mapping. Raises 400 when it is none."""
    if not isinstance(mapping, dict):
        raise bad_request("generationsMapping must be an object")
    mode = mapping.get("mode", MULTI[0] if "entries" in mapping else SINGLE)
    if mode == SINGLE:
        if not isinstance(mapping.get("generation"), str) or not mapping["generation"]:
            raise bad_request(f"generationsMapping of mode {SINGLE} needs a generation")
        return Shares(((mapping["generation"], 1.0),))
    if mode not in MULTI:
        raise bad_request(f"Unknown mode {mode!r} of generationsMapping: use {SINGLE} or {MULTI[0]}")
    strategy = mapping.get("strategy") or RANDOM
    if strategy not in (RANDOM, HASHED):
        raise bad_request(f"Unknown strategy {strategy!r} of generationsMapping: use {RANDOM} or {HASHED}")
    return Shares(_entries(mapping.get("entries")), strategy)


def _entries(entries: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(entries, list) or not entries:
        raise bad_request("generationsMapping needs entries: a list of objects with generation and proba")
    found = []
    for entry in entries:
        generation = entry.get("generation") if isinstance(entry, dict) else None
        share = entry.get("proba") if isinstance(entry, dict) else None
        if not isinstance(generation, str) or isinstance(share, bool) or not isinstance(share, int | float):
            raise bad_request("Each entry of generationsMapping needs a generation and a proba from 0 to 1")
        if not 0 <= share <= 1:
            raise bad_request(f"proba of generation {generation} must be from 0 to 1, not {share}")
        found.append((generation, float(share)))
    names = [generation for generation, _share in found]
    if len(set(names)) != len(names):
        raise bad_request("A generation stands in generationsMapping twice")
    total = sum(share for _generation, share in found)
    if abs(total - 1) > _TOLERANCE:
        raise bad_request(f"The probabilities of generationsMapping must add up to 1; they add up to {total:g}")
    return tuple(found)
