"""Whatever stands in the file or in the environment: settings, or one error for the person who wrote it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_steps.config import Settings, load
from mlops_steps.errors import ConfigError

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = st.sampled_from(
    [
        "project",
        "automation",
        "nodes",
        "design",
        "test",
        "prod",
        "url",
        "infra",
        "verify",
        "validate",
        "limits",
        "lines",
        "severity",
        "exceptions",
        "rule",
        "object",
        "reason",
        "rules",
        "package",
        "bundle_id",
        "timeout",
        "scenarios",
        "parallel",
        "pytest",
        "release",
        "stage",
        "rollback",
        "http",
        "retries",
        "reports",
        "record",
        "root",
        "warnings",
        "name",
        "api_key",
        "api_key_file",
        "client_key",
        "deployment",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["https://h:1", "http://u:p@h", "30m", "auto", "off", "TEST_*", "{build}", "a\x00b", "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, st.text(max_size=8)), inner, max_size=5)
    ),
    max_leaves=25,
)


def check(path: Path, environ: dict[str, str] | None = None) -> None:
    try:
        result = load(path, environ or {})
    except ConfigError as error:
        for line in error.lines():
            assert "\n" not in line
            line.encode("utf-8")
            assert "u:p@" not in line
    else:
        assert isinstance(result, Settings)
        assert "design" in result.nodes


@QUICK
@given(content=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mlops.yml"
    path.write_bytes(content)
    check(path)


@QUICK
@given(text=st.text(alphabet="ab:-[]{}&*!|>?'\"#%@`,\n <\\\t0~", max_size=60))
def test_any_text_of_yaml_signs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text(text, encoding="utf-8")
    check(path)


@QUICK
@given(data=st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_structure(tmp_path: Path, data: dict[str, object]) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    check(path)


@QUICK
@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                "MLOPS_PROJECT",
                "MLOPS_DESIGN_URL",
                "MLOPS_TEST_URL",
                "MLOPS_TEST_INFRA",
                "MLOPS_DESIGN_API_KEY",
                "MLOPS__URL",
                "MLOPS_A_B_URL",
                "MLOPS_DESIGN_API_KEY_FILE",
            ]
        ),
        st.one_of(st.text(max_size=30), st.sampled_from(["http://localhost:1", "P", "http://[", "https://h:x"])),
    )
)
def test_any_environment(tmp_path: Path, values: dict[str, str]) -> None:
    path = tmp_path / "mlops.yml"
    path.write_text("", encoding="utf-8")
    check(path, values)


@pytest.mark.skipif(os.name != "posix", reason="paths of POSIX")
@pytest.mark.parametrize("name", ["\x00", "a\nb", "\udcff", "x" * 5000])
def test_any_name_of_the_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path / name, {})


def test_a_node_whose_name_is_a_line_end_makes_no_second_line(tmp_path: Path) -> None:
    """Found by the test above, once in some thousand structures."""
    path = tmp_path / "mlops.yml"
    path.write_text(yaml.safe_dump({"nodes": {"\n": {"infra": "x"}}}), encoding="utf-8")
    check(path)
