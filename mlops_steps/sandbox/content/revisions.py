"""The revisions of the churn project as files: a base, and for each later revision the files that it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from mlops_steps.errors import ConfigError

PROJECT_KEY = "DKU_CHURN"
PROJECT_NAME = "Churn prediction"

# What each node knows and no project carries. `retention_budget` is what revision 3 reads, and what was forgotten in
# production: its smoke test fails there and nowhere else.
NODE_VARIABLES: dict[str, dict[str, object]] = {
    "design": {"environment": "design", "retention_budget": 25},
    "auto-test": {"environment": "test", "retention_budget": 25},
    "auto-prod": {"environment": "production"},
}

_UPLOAD = Path("uploads/churn/churn.csv")
_SAVED_MODELS = Path("project_config/saved_models")


@dataclass(frozen=True)
class Revision:
    """One state of the project, with the words of its commit."""

    number: int
    title: str
    message: str

    @property
    def tag(self) -> str:
        """The Git tag of the revision."""
        return f"revision-{self.number}"


REVISIONS = (
    Revision(
        1,
        "logistic regression",
        "Predict churn with a logistic regression\n\n"
        "Prepares and splits the customers, trains and measures the model. Test scenarios for the data, the flow,\n"
        "the model's quality and the library; TEST_SMOKE scores some customers with the deployed model.",
    ),
    Revision(
        2,
        "gradient boosting",
        "Predict churn with gradient boosting\n\n"
        "Much better than the logistic regression, so TEST_MODEL_QUALITY now requires an AUC of 0.85\n"
        "and an F1 of 0.75.",
    ),
    Revision(
        3,
        "call list",
        "Make the call list of the retention team\n\n"
        "Ranks the customers by churn probability and keeps as many as the team can call in a day, which the variable\n"
        "retention_budget of the node says.",
    ),
)


def revision(number: int) -> Revision:
    """The revision of this number. Raises :class:`ConfigError` when there is none."""
    for candidate in REVISIONS:
        if candidate.number == number:
            return candidate
    known = ", ".join(str(candidate.number) for candidate in REVISIONS)
    raise ConfigError(f"{PROJECT_KEY} has no revision {number}: choose one of {known}")


def revision_files(number: int) -> dict[Path, bytes]:
    """The project at a revision: path in the layout of a bundle → content."""
    revision(number)
    content: dict[Path, bytes] = {}
    with as_file(files(__package__).joinpath("churn")) as root:
        layers = [root / "base", *(root / f"revision_{later}" for later in range(2, number + 1))]
        for layer in layers:
            content.update({path.relative_to(layer): path.read_bytes() for path in _files(layer)})
        content[_UPLOAD] = (root / "data" / _UPLOAD.name).read_bytes()
    return content


def _files(layer: Path) -> Iterator[Path]:
    for path in sorted(layer.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path


def write_revision(project_dir: Path, number: int) -> list[Path]:
    """Makes the project's files those of a revision and returns the paths that changed.

    Files of other revisions go; files that no revision knows stay. The active version of a saved model stays: it is
    the node's doing, not the revision's.
    """
    wanted = revision_files(number)
    of_any = {path for known in REVISIONS for path in revision_files(known.number)}
    changed = []
    for path in sorted(of_any - wanted.keys()):
        if (project_dir / path).is_file():
            (project_dir / path).unlink()
            changed.append(path)
    for path, content in wanted.items():
        target = project_dir / path
        if path.parent == _SAVED_MODELS and target.is_file():
            content = _with_active_version(content, target)
        if not target.is_file() or target.read_bytes() != content:
            _replace(target, content)
            changed.append(path)
    return changed


def _with_active_version(content: bytes, current: Path) -> bytes:
    document = json.loads(content)
    document["activeVersion"] = json.loads(current.read_bytes()).get("activeVersion", "")
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _replace(target: Path, content: bytes) -> None:
    # The node may read the file at this moment: it sees the old one or the new one.
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.new")
    staged.write_bytes(content)
    staged.replace(target)
