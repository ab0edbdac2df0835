"""Writes a first, commented ``mlops.yml``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlops_steps.config.file import shown
from mlops_steps.config.nodes import variable_prefix
from mlops_steps.errors import ConfigError

_LONGEST_LIST = 12


@dataclass(frozen=True)
class FoundStage:
    """A stage to be: its name, its infrastructure, and the URL of its node when that is known."""

    name: str
    infra: str
    url: str | None


@dataclass(frozen=True)
class Found:
    """What the Design node told."""

    project: str
    design_url: str
    stages: Sequence[FoundStage] = ()
    scenarios: Sequence[str] = ()
    other_projects: Sequence[str] = field(default=())

    @property
    def smoke_scenario(self) -> str | None:
        """The scenario that looks like the smoke test."""
        return next((name for name in self.scenarios if "SMOKE" in name.upper() and re.match(r"^[\w.-]+$", name)), None)


def stage_names(infras: Sequence[tuple[str, str]]) -> list[str]:
    """Names for stages from (infrastructure, stage of the deployer): ``test``, ``prod``, or the infrastructure's."""
    names: list[str] = []
    for infra, stage in infras:
        word = stage.lower()
        short = "prod" if word.startswith("prod") else "dev" if word.startswith("dev") else _slug(word)
        alone = sum(other == stage for _, other in infras) == 1
        name = short if alone and short else _slug(infra.lower())
        while name in names or name in ("design", "deployer"):
            name = f"{name}-2"
        names.append(name)
    return names


def _slug(text: str) -> str:
    word = re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:40]
    return word if re.match(r"^[a-z]", word) else f"stage-{word}".rstrip("-")


def render(found: Found) -> str:
    """The text of the file. What is a default stands there as a comment."""
    smoke = found.smoke_scenario
    return "\n".join(
        [
            "# Configuration of mlops-steps. A flag goes before an environment variable, that before this file.",
            "# For editors: `mlops-steps config schema` prints the JSON schema of this file.",
            "# API keys never stand here: they come from MLOPS_<NODE>_API_KEY, or from a file that",
            "# MLOPS_<NODE>_API_KEY_FILE names.",
            "",
            f"project: {_quoted(found.project)}",
            *_comment("other projects on this node", found.other_projects),
            "",
            "# How far this project goes by itself: full, approval (a person approves the release) or manual.",
            "automation: approval",
            "",
            "# Nodes and stages have names of your own; stages come in this order, the last one is released to.",
            "nodes:",
            "  design:  # hosts the Project Deployer too, unless there is a node `deployer`",
            f"    url: {_quoted(found.design_url)}",
            *(line for stage in found.stages for line in _stage(stage)),
            *_no_stages(found),
            "",
            "validate:",
            "  limits: {lines: 100, logical_lines: 50, complexity: 21}",
            "  # severity: {max-lines: warning}      # error, warning or off",
            "  # exceptions:",
            "  #   - {rule: max-complexity, object: recipe NAME, reason: why}",
            "  # rules: [checks/rules.py:my_rule]    # rules of your own",
            "",
            "package:",
            '  bundle_id: "{build}-{commit}"',
            "",
            "test:",
            '  scenarios: ["TEST_*"]  # and those that are marked as test in DSS (marked: true)',
            *_comment("scenarios of the project", found.scenarios),
            "  parallel: 8",
            "  timeout: 30m",
            "  warning: pass          # or fail: what a scenario counts for that ends with WARNING",
            "  # pytest: tests/dss    # folder of a pytest suite of your own",
            "",
            "release:",
            f"  smoke_scenario: {_quoted(smoke or 'TEST_SMOKE')}"
            + ("" if smoke else "  # to be created: no scenario of the project looks like a smoke test"),
            "  smoke_timeout: 10m",
            "  rollback: auto",
            "",
        ]
    )


def write(text: str, path: Path, force: bool) -> None:
    """Writes the file. Raises :class:`ConfigError` when it exists and ``force`` is not given."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists already", next_step="use --force to replace it, or --output") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _stage(stage: FoundStage) -> list[str]:
    if stage.url:
        return [f"  {stage.name}:", f"    url: {_quoted(stage.url)}", f"    infra: {_quoted(stage.infra)}"]
    variable = f"{variable_prefix(stage.name)}_URL"
    return [
        f"  # The node of infrastructure {shown(stage.infra)} has no known URL: write it here, or set {variable}.",
        f"  # {stage.name}:",
        '  #   url: "https://…"',
        f"  #   infra: {_quoted(stage.infra)}",
    ]


def _no_stages(found: Found) -> list[str]:
    if found.stages:
        return []
    return [
        "  # The Project Deployer has no infrastructure that this key may see. A stage looks like this:",
        "  # test:",
        '  #   url: "https://auto-test.example.com:11200"',
        "  #   infra: auto-test",
    ]


def _comment(label: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _LONGEST_LIST} more" if len(names) > _LONGEST_LIST else ""
    return [f"  # {label}: {', '.join(shown(name) for name in names[:_LONGEST_LIST])}{more}"]


def _quoted(text: str) -> str:
    """Plain when it is a word, else quoted as JSON does it, which is YAML too."""
    return text if re.match(r"^[A-Za-z][A-Za-z0-9_.-]*$", text) else json.dumps(text)
