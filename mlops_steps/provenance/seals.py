"""Seals: the statement that a bundle may go live on an infrastructure, short enough for a tag of the published project.

`release` writes one before it deploys; the pre-deployment hook of the Project Deployer (:mod:`deployer_hook`) asks for
it. A seal is a verification summary, signed as all statements are.
"""

from __future__ import annotations

import base64
import inspect
import json
import zlib
from collections.abc import Mapping

from mlops_steps.provenance import deployer_hook
from mlops_steps.provenance.envelope import PAYLOAD_TYPE, PublicKey, SigningKey
from mlops_steps.provenance.statements import (
    POLICY,
    SUMMARY,
    Artifact,
    Node,
    Resource,
    Run,
    Statement,
    Subject,
    Summary,
    Verifier,
)

PREFIX = f"{deployer_hook.SEAL}|"


def seal(artifact: Artifact, run: Run, stage: str, infra: str, node: Node, inputs: Mapping[str, str]) -> Statement:
    """The archive has fulfilled what a release to this infrastructure demands; it is about to be deployed."""
    notes = {
        "kind": "seal",
        "project": artifact.project,
        "bundle": artifact.bundle,
        "stage": stage,
        "infrastructure": infra,
    }
    summary = Summary(
        verifier=Verifier(id=run.builder),
        time_verified=run.ended or None,
        resource_uri=f"{node.url.rstrip('/')}/projects/{artifact.project}/",
        policy=Resource(uri=POLICY, annotations=notes),
        input_attestations=[Resource(uri=name, digest={"sha256": sha256}) for name, sha256 in inputs.items()],
        verification_result="PASSED",
        verified_levels=["MLOPS_TESTED"],
        slsa_version="1.0",
    )
    subject = Subject(name=artifact.bundle, digest={"sha256": artifact.sha256})
    return Statement(subject=[subject], predicate_type=SUMMARY, predicate=summary)


def tag(statement: Statement, key: SigningKey, infra: str, bundle: str) -> str:
    """The tag that carries the seal: statement and signature of its envelope, compressed."""
    envelope = json.loads(key.sign(statement.payload()))
    payload = base64.b64decode(envelope["payload"]).decode()
    short = json.dumps({"payload": payload, "sig": envelope["signatures"][0]["sig"]}, ensure_ascii=False)
    packed = base64.urlsafe_b64encode(zlib.compress(short.encode(), 9)).decode()
    return f"{PREFIX}{infra}|{bundle}|{packed}"


def envelope_of(tag: str, key_id: str) -> bytes:
    """The seal as a file that `verify` reads. Raises ``ValueError`` for what is no seal."""
    short = json.loads(zlib.decompress(base64.urlsafe_b64decode(tag.rpartition("|")[2])))
    content = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(short["payload"].encode()).decode(),
        "signatures": [{"keyid": key_id, "sig": short["sig"]}],
    }
    return json.dumps(content).encode()


def hook_source(key: PublicKey) -> str:
    """The pre-deployment hook that accepts what this key has sealed, as a text of Python."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = key.key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    return inspect.getsource(deployer_hook).replace('PUBLIC_KEY = ""', f'PUBLIC_KEY = "{raw}"', 1)
