"""Signed statements: the envelope of DSSE (https://github.com/secure-systems-lab/dsse, protocol 1.0.0), with Ed25519.

A statement that nobody signs has no envelope. The file then holds the statement itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.system.extras import require
from mlops_steps.system.secrets import read_secret
from mlops_steps.system.text import one_line

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"

#: Bytes of a file. A statement of ours has at most some hundred thousand.
LARGEST = 2 * 1024 * 1024

_MOST_SIGNATURES = 16


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of the payload and its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key. ``id`` is the SHA-256 (hexadecimal) of its SubjectPublicKeyInfo in DER."""

    key: Ed25519PublicKey
    id: str

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> PublicKey:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, hashlib.sha256(der).hexdigest())

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Reads a file in PEM. Raises :class:`ConfigError`, also when the extra is missing."""
        require("provenance", "cryptography", purpose="a public key")
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        name = one_line(str(path), 200)
        try:
            text = read_secret(path)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "not a text file"
            raise ConfigError(f"the public key cannot be read: {name}: {reason}") from None
        if "PRIVATE KEY" in text:
            raise ConfigError(
                f"{name} holds a private key; a public one is needed here",
                next_step="write the public one: openssl pkey -in KEY.pem -pubout -out PUBLIC.pem",
            )
        try:
            key = load_pem_public_key(text.encode())
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigError(f"{name} does not hold a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{name}: the public key is not an Ed25519 key")
        return cls.of(key)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether it is this key's signature of the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key. It has no text form."""

    _key: Ed25519PrivateKey
    public: PublicKey

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id[:16]}…)"

    @classmethod
    def load(cls, pem: str, source: str) -> SigningKey:
        """Reads a key in PEM; ``source`` names it in the :class:`ConfigError` that another text raises."""
        require("provenance", "cryptography", purpose=f"signing ({source})")
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        next_step = "make one: openssl genpkey -algorithm ed25519 -out KEY.pem"
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except TypeError:
            raise ConfigError(f"{source}: the key is encrypted; a key without a password is needed") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigError(f"{source}: the file does not hold a private key in PEM", next_step=next_step) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"{source}: the key is not an Ed25519 key", next_step=next_step)
        return cls(key, PublicKey.of(key.public_key()))

    def sign(self, payload: bytes) -> bytes:
        """The envelope around the payload, as a file of one line holds it."""
        signature = self._key.sign(pae(PAYLOAD_TYPE, payload))
        content = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": self.public.id, "sig": base64.b64encode(signature).decode()}],
        }
        return json.dumps(content).encode() + b"\n"


@dataclass(frozen=True)
class Opened:
    """The payload of a file.

    ``key_ids`` are those that the envelope names: unchecked words. ``signed_by`` is the id of the key whose signature
    was checked, ``None`` when no signature was.
    """

    payload: dict[str, Any]
    key_ids: tuple[str, ...] = ()
    is_signed: bool = False
    signed_by: str | None = None


def open_file(data: bytes, key: PublicKey | None) -> Opened:
    """Opens an envelope, or a statement without one. With a key, an envelope must have its signature.

    Raises :class:`CheckFailed` with the reason, without the name of the file.
    """
    if len(data) > LARGEST:
        raise CheckFailed(f"it is larger than {LARGEST} bytes, so not a statement")
    content = parse(data, "it")
    if not {"payload", "payloadType", "signatures"} & set(content):
        return Opened(content)
    kind, signatures = content.get("payloadType"), content.get("signatures")
    if kind != PAYLOAD_TYPE:
        raise CheckFailed(f"its payload type is {one_line(str(kind), 100)!r}, not {PAYLOAD_TYPE}")
    payload = _decoded(content.get("payload"), "its payload")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= _MOST_SIGNATURES:
        raise CheckFailed(f"its envelope does not have one to {_MOST_SIGNATURES} signatures")
    found = [_signature(one) for one in signatures]
    key_ids = tuple(one for one, _ in found if one)
    if key is not None:
        # The id narrows the choice of signatures; it is the signature that counts.
        tried = [signature for name, signature in found if name == key.id]
        if not tried:
            named = ", ".join(one_line(name, 80) for name in key_ids) or "without an id"
            raise CheckFailed(f"it is signed by another key ({named}), not by {key.id}")
        if not any(key.verifies(signature, pae(PAYLOAD_TYPE, payload)) for signature in tried):
            raise CheckFailed(f"its signature is not one of key {key.id}: it was changed, or signed by another key")
    return Opened(parse(payload, "its payload"), key_ids, True, key.id if key else None)


def parse(data: bytes, what: str) -> dict[str, Any]:
    """Reads a JSON object strictly: UTF-8, no key twice, no NaN. Raises :class:`CheckFailed`."""
    try:
        found = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CheckFailed(f"{what} is not a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _signature(value: object) -> tuple[str | None, bytes]:
    key_id = value.get("keyid") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(key_id, str | None):
        raise CheckFailed("its envelope has a signature of a wrong form")
    return key_id or None, _decoded(value.get("sig"), "its signature")


def _decoded(text: object, what: str) -> bytes:
    """Standard or URL-safe base64, in its one canonical form: of two texts, two are not the same bytes."""
    try:
        if isinstance(text, str):
            data = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
            if text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
                return data
    except (binascii.Error, ValueError):
        pass
    raise CheckFailed(f"{what} is not base64")
