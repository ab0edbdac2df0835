"""Shapes: what is written and what is not, there and back, differences, and answers of another shape."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.errors import ConfigError
from mlops_steps.shapes import document
from mlops_steps.shapes.differences import differences
from mlops_steps.shapes.document import Shapes, sandbox_shapes
from mlops_steps.shapes.recorder import Recorder, known_names
from mlops_steps.shapes.reshape import reshape
from mlops_steps.shapes.shape import Shape, shape_of
from mlops_steps.shapes.words import template
from tests.shapes.known import changed, dates_as, renamed, said_as, without

URL = "https://design.example.com/dip/publicapi"


def test_no_value_and_no_name_of_the_site_is_written(tmp_path: Path) -> None:
    recorder = Recorder(known_names(sandbox_shapes()))
    answer = {
        "projectKey": "SECRET_CHURN",
        "health": "HEALTHY",
        "status": "made by Jane Doe",
        "tags": ["secretTag"],
        "permissions": [{"group": "secretGroup", "admin": True}],
        "remapping": {"secretConnection": {"target": "secretTarget"}},
        "secretVariable": "s3cr3t",
        "creationTag": {"lastModifiedOn": 1795392000000, "lastModifiedBy": {"login": "secretLogin"}},
    }
    body = json.dumps([answer]).encode()
    recorder.note(
        "design", "GET", f"{URL}/projects/SECRET_CHURN/scenarios/secretScenario/light?secret=1", body, "14.0.0"
    )
    document.write(tmp_path / "shapes.yml", recorder.shapes)
    text = (tmp_path / "shapes.yml").read_text()
    assert "ecret" not in text
    assert "s3cr3t" not in text
    assert "Jane" not in text
    assert "CHURN" not in text
    for word in ("GET /projects/*/scenarios/*/light", "health: state HEALTHY", "lastModifiedOn: milliseconds", "'*':"):
        assert word in text


def test_requests_hold_no_names() -> None:
    assert template("GET", "/dip/publicapi/projects/A/bundles/exported/b1/archive") == (
        "GET /projects/*/bundles/exported/*/archive"
    )
    assert template("GET", "/public/api/project-deployer/deployments/d/update/179") == (
        "GET /project-deployer/deployments/*/update/*"
    )


def values(order: random.Random, depth: int = 0) -> Any:
    """Some JSON."""
    scalars = [None, True, 7, 0.5, "text", 1795392000000, "2026-01-31T10:00:00.000+0000", "2026-01-31T10:00:00Z", ""]
    if depth > 3 or order.random() < 0.4:
        return order.choice(scalars)
    if order.random() < 0.5:
        return [values(order, depth + 1) for _ in range(order.randrange(4))]
    names = ["status", "health", "items", "when", "commit", "any thing", "UPPER"]
    found = {name: values(order, depth + 1) for name in order.sample(names, order.randrange(5))}
    return {**found, "health": "HEALTHY"} if "health" in found else found


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    for seed in range(100):
        order, shapes = random.Random(seed), Shapes(("14.2.1",))
        for _ in range(5):
            shapes.add(order.choice(["design", "automation"]), "GET /projects/*", shape_of(values(order)))
        document.write(tmp_path / "shapes.yml", shapes)
        again = document.read(tmp_path / "shapes.yml")
        assert again == shapes, seed
        assert differences(shapes, again) == []


def test_an_answer_in_its_own_shape_stays_as_it_is() -> None:
    for seed in range(200):
        value = values(random.Random(seed))
        shape = shape_of(value)
        assert reshape(value, shape, shape) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "format: 1"),
        ("format: 1\nmoon: {}", "must be one of design"),
        ("format: 1\ndesign: {GET /x: words}", "'words' is none of text"),
        ("format: 1\ndesign: {look: text}", "is no request"),
        ("format: 1\ndesign: {GET /x: {Bad Name: text}}", "no name of a field"),
        ("format: 1\ndesign: {GET /x: [text, text]}", "one shape of its items"),
        ("format: 1\ndesign: {GET /x: {a: state lower}}", "is no state"),
        ("{", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "shapes.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        document.read(tmp_path / "shapes.yml")
    assert said in caught.value.message


OWN = {"entries": [{"commit": "a1", "timestamp": "2026-01-31T10:00:00.250+0000", "author": "x", "count": 3}]}


def only(value: Any) -> Shapes:
    return Shapes(answers={"design": {"GET /projects/*": shape_of(value)}})


def as_the_site(value: Any, *changes: Any) -> Any:
    site = only(value)
    for change in changes:
        site = changed(site, change)
    found = site.of("design", "GET /projects/*")
    assert found
    return reshape(value, shape_of(value), found)


def test_an_answer_takes_the_shape_of_the_site() -> None:
    entry = OWN["entries"][0]
    assert as_the_site(OWN, dates_as("milliseconds"))["entries"] == [{**entry, "timestamp": 1769853600250}]
    assert as_the_site(OWN, dates_as("ISO Z"))["entries"][0]["timestamp"] == "2026-01-31T10:00:00.250Z"
    assert as_the_site(OWN, renamed("commit", "commitId"))["entries"][0] == {
        "commitId": "a1",
        **{name: value for name, value in entry.items() if name != "commit"},
    }
    assert "author" not in as_the_site(OWN, without("author"))["entries"][0]
    more = {"entries": [{**entry, "extra": {"deep": "text"}}]}
    assert reshape(OWN, shape_of(OWN), shape_of(more))["entries"][0]["extra"] == {"deep": ""}
    texts = {"entries": [{**entry, "count": "three"}]}
    assert reshape(OWN, shape_of(OWN), shape_of(texts))["entries"][0]["count"] == "3"


def test_a_state_takes_the_word_of_the_site() -> None:
    update = {"status": "SUCCESS"}
    assert as_the_site(update, said_as("SUCCESS", "DONE")) == {"status": "DONE"}
    # One that the site was never seen in stays.
    assert reshape({"status": "ERROR"}, Shape(fields={}), shape_of(update)) == {"status": "ERROR"}


def test_differences_are_said_one_by_one() -> None:
    own = only(OWN)
    request = "design: GET /projects/*"
    assert differences(own, own) == []
    assert differences(own, changed(own, dates_as("milliseconds"))) == [
        f"{request}: entries[].timestamp: ISO +0000 in the sandbox, milliseconds in the file"
    ]
    assert differences(own, changed(own, renamed("commit", "commitId"))) == [
        f"{request}: entries[].commit: is commitId in the file"
    ]
    assert differences(own, changed(own, without("author"))) == [f"{request}: entries[].author: only in the sandbox"]
    assert differences(own, Shapes()) == [f"{request}: only in the sandbox"]
