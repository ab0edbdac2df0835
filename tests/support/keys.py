"""Ed25519 keys in files, as `openssl genpkey` and `openssl pkey -pubout` write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class KeyFiles:
    private: Path
    public: Path

    @property
    def text(self) -> str:
        return self.private.read_text()


def make_key(folder: Path, name: str = "key") -> KeyFiles:
    """A new key in ``<name>.pem`` (mode 0600) and ``<name>.pub``."""
    key = Ed25519PrivateKey.generate()
    files = KeyFiles(folder / f"{name}.pem", folder / f"{name}.pub")
    files.private.touch(mode=0o600)
    files.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return files
