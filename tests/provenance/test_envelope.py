"""DSSE by its published example and by another implementation; keys and files that are not what they should be."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.provenance.envelope import LARGEST, PAYLOAD_TYPE, PublicKey, SigningKey, open_file, pae
from mlops_steps.system import extras
from tests.support.keys import KeyFiles, make_key


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return make_key(tmp_path)


def test_the_published_example_of_what_is_signed() -> None:
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md#test-vectors
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "  # lengths are of bytes


def test_the_published_example_as_a_file_is_of_another_payload_type() -> None:
    example = {
        "payload": "aGVsbG8gd29ybGQ=",
        "payloadType": "http://example.com/HelloWorld",
        "signatures": [
            {"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}
        ],
    }
    with pytest.raises(CheckFailed, match=r"payload type is 'http://example\.com/HelloWorld'"):
        open_file(json.dumps(example).encode(), None)


def test_another_implementation_verifies_ours_and_ours_verifies_its(files: KeyFiles) -> None:
    key = SigningKey.load(files.text, "KEY")
    signed = key.sign(b'{"_type": "x"}')
    theirs = Envelope.from_dict(json.loads(signed))
    public = SSlibKey.from_crypto(key.public.key, keyid=key.public.id)
    assert list(theirs.verify([public], 1)) == [key.public.id]
    assert theirs.payload == b'{"_type": "x"}'

    private = Ed25519PrivateKey.generate()
    named = PublicKey.of(private.public_key())
    envelope = Envelope(b'{"a": 1}', PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private, SSlibKey.from_crypto(private.public_key(), keyid=named.id)))
    opened = open_file(json.dumps(envelope.to_dict()).encode(), named)
    assert (opened.payload, opened.signed_by) == ({"a": 1}, named.id)


def test_an_envelope_may_have_more_signatures_and_urlsafe_base64(files: KeyFiles, tmp_path: Path) -> None:
    ours, other = SigningKey.load(files.text, "KEY"), SigningKey.load(make_key(tmp_path, "b").text, "KEY")
    payload = json.dumps({"text": "ÿ" * 9 + "?>~"}, ensure_ascii=False).encode()
    content = json.loads(ours.sign(payload))
    content["signatures"] = json.loads(other.sign(payload))["signatures"] + content["signatures"]
    content["payload"] = base64.urlsafe_b64encode(payload).decode()
    opened = open_file(json.dumps(content).encode(), ours.public)
    assert opened.signed_by == ours.public.id
    assert opened.key_ids == (other.public.id, ours.public.id)
    content["signatures"][1]["note"] = content["note"] = "unknown fields are ignored"
    assert open_file(json.dumps(content).encode(), ours.public).signed_by == ours.public.id


def _enveloped(**changes: Any) -> bytes:
    content = {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": [{"keyid": "a", "sig": "AAAA"}], **changes}
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"a": NaN}', "not a JSON object"),
        (b'{"a": 1, "a": 2}', "not a JSON object"),
        (b"\xff\xfe{}", "not a JSON object"),
        (b'{"a":' * 100_000, "not a JSON object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not a JSON object"),
        (b" " * (LARGEST + 1), "larger than"),
        (_enveloped(payloadType=...), "payload type is 'None'"),
        (_enveloped(payloadType="application/json"), "payload type is 'application/json'"),
        (_enveloped(payload=7), "payload is not base64"),
        (_enveloped(payload="e30"), "payload is not base64"),
        (_enveloped(payload="e31="), "payload is not base64"),  # not the one form of these bytes
        (_enveloped(payload="e3\n0="), "payload is not base64"),
        (_enveloped(payload="é30="), "payload is not base64"),
        (_enveloped(payload="W10="), "payload is not a JSON object"),
        (_enveloped(signatures=[]), "one to 16 signatures"),
        (_enveloped(signatures=...), "one to 16 signatures"),
        (_enveloped(signatures=[{"sig": "AAAA"}] * 17), "one to 16 signatures"),
        (_enveloped(signatures=["AAAA"]), "wrong form"),
        (_enveloped(signatures=[{"keyid": 7, "sig": "AAAA"}]), "wrong form"),
        (_enveloped(signatures=[{"keyid": "a"}]), "signature is not base64"),
    ],
)
def test_what_is_not_an_envelope_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(CheckFailed, match=why):
        open_file(data, None)


def test_keys_that_are_none(tmp_path: Path, files: KeyFiles) -> None:
    forms = (Encoding.PEM, PrivateFormat.PKCS8)
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(ConfigError, match="not an Ed25519 key"):
            SigningKey.load(key.private_bytes(*forms, NoEncryption()).decode(), "KEY")
        public = tmp_path / "other.pub"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(ConfigError, match="not an Ed25519 key"):
            PublicKey.read(public)
    locked = Ed25519PrivateKey.generate().private_bytes(*forms, BestAvailableEncryption(b"secret"))
    with pytest.raises(ConfigError, match="encrypted"):
        SigningKey.load(locked.decode(), "KEY")
    with pytest.raises(ConfigError, match="holds a private key"):
        PublicKey.read(files.private)
    with pytest.raises(ConfigError, match="not a regular file"):
        PublicKey.read(tmp_path)
    key = SigningKey.load(files.text, "KEY")
    assert files.text.splitlines()[1][:20] not in repr(key)


def test_without_the_extra_the_error_names_it(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    for call in (lambda: SigningKey.load(files.text, "KEY"), lambda: PublicKey.read(files.public)):
        with pytest.raises(ConfigError, match="requires the extra 'provenance'") as caught:
            call()
        assert "mlops-steps[provenance]" in str(caught.value.next_step)
