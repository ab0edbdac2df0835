"""Seals: what is tampered with is refused by the hook, whose own Ed25519 agrees with a library's."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import zlib
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mlops_steps.provenance import deployer_hook, seals
from mlops_steps.provenance.envelope import PublicKey, SigningKey
from mlops_steps.provenance.statements import Artifact, Node, Run
from mlops_steps.provenance.verify import check

NODE = Node("https://auto.example.com", "14.2.1")
PRIVATE = Ed25519PrivateKey.generate()
KEY = SigningKey(PRIVATE, PublicKey.of(PRIVATE.public_key()))
RAW = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@pytest.fixture(autouse=True)
def _key_of_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployer_hook, "PUBLIC_KEY", RAW.hex())


def sealed(order: random.Random) -> tuple[Artifact, str]:
    digest = hashlib.sha256(order.randbytes(40)).hexdigest()
    artifact = Artifact(f"P{order.getrandbits(20):x}", f"b{order.getrandbits(30):x}", digest)
    run = Run(job="churn", number="7", ended="2026-01-31T10:00:00Z")
    inputs = {"package.intoto.json": "0" * 64, "test-test.intoto.json": "1" * 64}
    return artifact, seals.tag(
        seals.seal(artifact, run, "prod", "auto-prod", NODE, inputs), KEY, "auto-prod", artifact.bundle
    )


def judged(tag: str, artifact: Artifact, infra: str = "auto-prod", **other: str) -> str:
    given = {"project": artifact.project, "bundle": artifact.bundle, "digest": artifact.sha256, **other}
    return deployer_hook.check(tag.split("|")[3], given["project"], given["bundle"], infra, given["digest"])


def unpacked(tag: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(base64.urlsafe_b64decode(tag.split("|")[3])))
    return found


def packed(envelope: dict[str, Any]) -> str:
    return "x|x|x|" + base64.urlsafe_b64encode(zlib.compress(json.dumps(envelope).encode())).decode()


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_tampered_with_is_refused(seed: int) -> None:
    order = random.Random(seed)
    artifact, tag = sealed(order)
    assert judged(tag, artifact).startswith(
        f"bundle {artifact.bundle} was sealed by urn:mlops-steps:jenkins:churn at 2026"
    )
    # It is a statement like the others.
    assert check("seal", seals.envelope_of(tag, KEY.public.id), artifact.sha256, KEY.public).is_authentic
    assert len(tag) < 1000

    def refused(changed: str, **other: str) -> None:
        with pytest.raises((ValueError, KeyError, TypeError, zlib.error)):
            judged(changed, artifact, **other)

    refused(tag, digest=hashlib.sha256(b"other").hexdigest())
    refused(tag, bundle="other")
    refused(tag, project="OTHER")
    refused(tag, infra="auto-test")
    head, data = tag.rsplit("|", 1)
    raw = bytearray(base64.urlsafe_b64decode(data))
    raw[order.randrange(len(raw))] ^= 1 << order.randrange(8)
    changed = f"{head}|{base64.urlsafe_b64encode(raw).decode()}"
    with contextlib.suppress(ValueError, zlib.error):
        if unpacked(changed) == unpacked(tag):
            return  # a bit that fills up a byte: it is the same seal
    refused(changed)
    short = unpacked(tag)
    other, _ = sealed(order)
    swapped = short["payload"].replace(artifact.sha256, other.sha256)
    refused(packed({**short, "payload": swapped}), digest=other.sha256)
    signature = bytearray(base64.b64decode(short["sig"]))
    signature[order.randrange(64)] ^= 1 << order.randrange(8)
    refused(packed({**short, "sig": base64.b64encode(signature).decode()}))
    refused(packed({**short, "sig": ""}))
    refused(packed({"payload": short["payload"]}))
    # The signature of another kind of document.
    text = base64.b64encode(PRIVATE.sign(short["payload"].encode())).decode()
    refused(packed({**short, "sig": text}))


def test_its_ed25519_agrees_with_a_library() -> None:
    order = random.Random(1)
    for number in range(40):
        private = Ed25519PrivateKey.from_private_bytes(order.randbytes(32))
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        message = order.randbytes(order.randrange(200))
        signature = bytearray(private.sign(message))
        if number % 2:
            signature[order.randrange(64)] ^= 1 << order.randrange(8)
        try:
            private.public_key().verify(bytes(signature), message)
            right = True
        except InvalidSignature:
            right = False
        assert right is (number % 2 == 0)
        assert deployer_hook.verifies(public, bytes(signature), message) is right
    # The same signature with another S, which is not below the order of the group.
    signature = bytearray(PRIVATE.sign(b"m"))
    s = int.from_bytes(signature[32:], "little") + deployer_hook.L
    assert not deployer_hook.verifies(RAW, bytes(signature[:32]) + s.to_bytes(32, "little"), b"m")
    assert not deployer_hook.verifies(RAW, bytes(signature)[:-1], b"m")
    assert not deployer_hook.verifies(b"\xff" * 32, bytes(signature), b"m")


def test_a_seal_that_unpacks_to_too_much_is_refused() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 10_000_000)).decode()
    with pytest.raises(ValueError, match="too large"):
        deployer_hook.check(bomb, "P", "b", "auto-prod", "0" * 64)
