"""Whatever is changed in an archive, a statement or a signature: `verify` refuses it, and never breaks."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_steps.errors import CheckFailed
from mlops_steps.provenance import statements, store
from mlops_steps.provenance.envelope import PAYLOAD_TYPE, PublicKey, SigningKey, pae
from mlops_steps.provenance.statements import Artifact, Node, Run
from mlops_steps.provenance.verify import check, missing, released_with, words

NODE = Node("https://node.example.com", "13.5.2")


def new_key() -> SigningKey:
    private = Ed25519PrivateKey.generate()
    return SigningKey(private, PublicKey.of(private.public_key()))


KEY, OTHER = new_key(), new_key()


class Sample:
    """A random archive, and a signed statement about it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.archive = self.random.randbytes(self.random.randint(1, 4000))
        artifact = Artifact(f"P{seed}", f"b{self.random.getrandbits(32):x}", self.sha256)
        run = Run(*(f"{self.random.getrandbits(64):x}" for _ in range(6)))
        names = [f"TEST_{self.random.getrandbits(20):x}" for _ in range(self.random.randint(0, 9))]
        self.statement = self.random.choice(
            (
                statements.packaged(artifact, run, NODE, NODE, self.random.randbytes(20).hex(), made=True),
                statements.tested(artifact, run, "test", "i", NODE, passed=names, failed=[], ok=True),
                statements.released(artifact, run, "prod", "i", NODE, {"x": "0" * 64}, smoke="S", failure=""),
            )
        )
        self.signed = KEY.sign(self.statement.payload())

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.archive).hexdigest()

    def flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        changed[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def envelope(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.signed)
        return found


def resigned(content: dict[str, Any], payload: bytes) -> bytes:
    return json.dumps({**content, "payload": base64.b64encode(payload).decode()}).encode()


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_tampered_with_is_refused(seed: int) -> None:
    sample, other = Sample(seed), Sample(seed + 1000)
    assert words(check("s", sample.signed, sample.sha256, KEY.public))  # untouched, it is proven

    def refused(signed: bytes, sha256: str = sample.sha256) -> None:
        with pytest.raises(CheckFailed):
            check("s", signed, sha256, KEY.public)

    # The archive.
    refused(sample.signed, hashlib.sha256(sample.flipped(sample.archive)).hexdigest())
    refused(sample.signed, hashlib.sha256(sample.archive + b"\0").hexdigest())
    refused(sample.signed, other.sha256)
    # Any bit of the file.
    for _ in range(50):
        refused(sample.flipped(sample.signed))
    refused(sample.signed[: sample.random.randrange(len(sample.signed) - 1)])
    # The statement, in an envelope that is well-formed.
    payload, content = sample.statement.payload(), sample.envelope()
    refused(resigned(content, sample.flipped(payload)))
    refused(resigned(content, payload + b" "))
    refused(resigned(content, payload.replace(sample.sha256.encode(), other.sha256.encode())), other.sha256)
    refused(resigned(content, other.statement.payload()), other.sha256)
    # The signature.
    refused(json.dumps({**content, "signatures": other.envelope()["signatures"]}).encode())
    one = content["signatures"][0]
    raw = base64.b64decode(one["sig"])
    for bad in (sample.flipped(raw), raw[:-1], raw + b"\0", b"", bytes(64)):
        refused(json.dumps({**content, "signatures": [{**one, "sig": base64.b64encode(bad).decode()}]}).encode())
    # Another key, under its own name and under the trusted one's.
    forged = OTHER.sign(payload)
    refused(forged)
    refused(forged.replace(OTHER.public.id.encode(), KEY.public.id.encode()))
    # A signature of the same bytes as something else.
    as_text = base64.b64encode(KEY._key.sign(pae("text/plain", payload))).decode()
    refused(json.dumps({**content, "signatures": [{**one, "sig": as_text}]}).encode())
    assert content["payloadType"] == PAYLOAD_TYPE


def test_every_single_bit_of_a_signed_statement_counts() -> None:
    sample = Sample(7)
    for place in range(0, len(sample.signed) * 8, 3):
        changed = bytearray(sample.signed)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(CheckFailed):
            check("s", bytes(changed), sample.sha256, KEY.public)


def test_gates_are_no_tests(tmp_path: Path) -> None:
    """A signed statement of gates that passed is refused in the place of one of tests."""
    artifact, run = Artifact("P", "b1", hashlib.sha256(b"x").hexdigest()), Run()
    store.write(tmp_path, "package", statements.packaged(artifact, run, NODE, NODE, None, made=True), KEY)
    given: dict[str, Any] = {"passed": ["gate"], "failed": [], "ok": True}
    gates = statements.tested(artifact, run, "test", "i", NODE, **given, checked="gates")
    store.write(tmp_path, "test-test", gates, KEY)
    with pytest.raises(CheckFailed, match="not about tests on stage test"):
        released_with(tmp_path, "P", "b1", artifact.sha256, "test", KEY.public)
    checked = check("gates", KEY.sign(gates.payload()), artifact.sha256, KEY.public)
    assert words(checked)[0].startswith("gates before the release to stage test")
    assert "that the bundle was tested" in missing([checked])
    store.write(tmp_path, "test-test", statements.tested(artifact, run, "test", "i", NODE, **given), KEY)
    assert len(released_with(tmp_path, "P", "b1", artifact.sha256, "test", KEY.public)) == 2


def test_without_a_signature_nothing_is_proven() -> None:
    sample = Sample(3)
    bare = check("s", sample.statement.payload(), sample.sha256, KEY.public)
    unchecked = check("s", sample.signed, sample.sha256, None)
    assert not bare.is_authentic
    assert not unchecked.is_authentic
    assert KEY.public.id in unchecked.signature
    assert len(missing([bare, unchecked])) == 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nonsense_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    """One value somewhere in a statement is replaced, and the whole is signed: the words must survive what is said."""
    sample = Sample(data.draw(st.integers(0, 50)))
    content: Any = json.loads(sample.statement.payload())
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for name in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, name))
            walk(value[name])

    walk(content)
    holder, name = data.draw(st.sampled_from(places))
    holder[name] = data.draw(_JSON)
    try:
        found = check("s", KEY.sign(json.dumps(content).encode()), sample.sha256, KEY.public)
    except CheckFailed:
        return
    assert all("\n" not in line for line in words(found))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_file_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(CheckFailed):
        check("s", data, "0" * 64, KEY.public)
