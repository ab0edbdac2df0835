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
    #: The revisions whose files it has on top of the base, in this order.
    layers: tuple[int, ...] = ()

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
        (2,),
    ),
    Revision(
        3,
        "call list",
        "Make the call list of the retention team\n\n"
        "Ranks the customers by churn probability and keeps as many as the team can call in a day, which the variable\n"
        "retention_budget of the node says.",
        (2, 3),
    ),
)

# What may follow revision 2 as a version of the API service `churn`, for a canary to judge. No part of the demo.
CANDIDATES = (
    Revision(
        4,
        "gradient boosting with the bill",
        "Predict churn with the customer's bill\n\n"
        "The minutes times their rates: a high bill makes people leave. Better than revision 2.",
        (2, 4),
    ),
    Revision(
        5,
        "gradient boosting, checked with the register",
        "Look customers up in the register\n\n"
        "The register takes 80 ms to answer, which every call of the model waits for.",
        (2, 5),
    ),
    Revision(
        6,
        "gradient boosting of domestic customers",
        "Train on domestic customers\n\n"
        "Customers with an international plan are few and different; the model has not seen them and is wrong\n"
        "about them.",
        (2, 6),
    ),
    Revision(
        7,
        "gradient boosting that scores every customer",
        "Score customers with gaps in their data\n\n"
        "A record that lacks a feature is given to the model, which fails: it knows no gaps.",
        (2, 7),
    ),
)

# What gates judge. Revision 8 brings the scored customers, and is the champion. The code of the others is better; so is
# the model of 9. Those of 10 to 13 are worse, each in a way of its own, which no test scenario sees.
JUDGED = (
    Revision(
        8,
        "scored for gates",
        "Score the held-out customers\n\n"
        "The scenario SCORE_HOLDOUT makes the dataset customers_scored, with data quality rules, for gates to look at.",
        (2, 8),
    ),
    Revision(
        9,
        "with the bill",
        "Predict churn with the customer's bill\n\nA high bill makes people leave. Better than revision 8.",
        (2, 8, 4),
    ),
    Revision(
        10,
        "few trees",
        "Train and score ten times as fast\n\nEight trees instead of eighty. The model is worse for everybody.",
        (2, 8, 10),
    ),
    Revision(
        11,
        "labels put right",
        "Turn the labels of Alabama round\n\n"
        "Its office was said to write them the other way. It does not: the model is wrong in this one state.",
        (2, 8, 11),
    ),
    Revision(
        12,
        "tempered",
        "Temper the probabilities\n\n"
        "Scores are less extreme, and the same customers are called. But a probability does not mean what it says.",
        (2, 8, 12),
    ),
    Revision(
        13,
        "busy customers",
        "Train on busy customers\n\n"
        "Those who call little are left to another model, which is not there yet: this one meets customers unlike\n"
        "those that it has seen.",
        (2, 8, 13),
    ),
)

# What is watched after its release: it scores the customers of each quarter, and keeps what it has predicted.
WATCHED = (
    Revision(
        14,
        "scores each quarter",
        "Score the customers of each quarter\n\n"
        "Files of the managed folder `quarter` are scored and logged, with the version of the model that did it.\n"
        "Labels arrive later, in another file.",
        (2, 8, 14),
    ),
)

ALL_REVISIONS = (*REVISIONS, *CANDIDATES, *JUDGED, *WATCHED)


def queries_of_service() -> str:
    """The test queries of the API service `churn`, as YAML."""
    return files(__package__).joinpath("churn/queries/churn.yml").read_text(encoding="utf-8")


def revision(number: int) -> Revision:
    """The revision of this number. Raises :class:`ConfigError` when there is none."""
    for candidate in ALL_REVISIONS:
        if candidate.number == number:
            return candidate
    known = ", ".join(str(candidate.number) for candidate in ALL_REVISIONS)
    raise ConfigError(f"{PROJECT_KEY} has no revision {number}: choose one of {known}")


def revision_files(number: int) -> dict[Path, bytes]:
    """The project at a revision: path in the layout of a bundle → content."""
    wanted = revision(number)
    content: dict[Path, bytes] = {}
    with as_file(files(__package__).joinpath("churn")) as root:
        layers = [root / "base", *(root / f"revision_{layer}" for layer in wanted.layers)]
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
    of_any = {path for known in ALL_REVISIONS for path in revision_files(known.number)}
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
