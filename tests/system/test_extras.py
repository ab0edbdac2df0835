"""A step says which extra it lacks, before it does anything."""

from __future__ import annotations

import pytest

from mlops_steps.errors import ConfigError
from mlops_steps.system.extras import require


def test_what_is_there_is_enough() -> None:
    require("gates", "json", purpose="the gate champion")


def test_what_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(ConfigError) as caught:
        require("gates", "json", "no_such_module", purpose="the gate champion")
    assert str(caught.value) == (
        "the gate champion requires the extra 'gates' of mlops-steps on this machine (missing: no_such_module)"
    )
    assert "pip install 'mlops-steps[gates]'" in (caught.value.next_step or "")
