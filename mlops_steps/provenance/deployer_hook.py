"""Pre-deployment hook of the Project Deployer: only what the pipeline has sealed is deployed.

Written by `mlops-steps hook`. It needs nothing but Python: paste it into the settings of an infrastructure, as a hook
that runs before a deployment. It reads tags and the archive of the bundle, and changes nothing.
"""

import base64
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    HookResult: Any  # DSS brings it along

#: The key that seals must be signed with: 32 bytes, in hexadecimal.
PUBLIC_KEY = ""

SEAL = "mlops-steps-seal"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
MOST_BYTES = 64 * 1024


def execute(
    requesting_user: Any,  # noqa: ARG001
    deployment_id: str,
    deployment_report: Any,  # noqa: ARG001
    deployer_client: Any,
    automation_client: Any,  # noqa: ARG001
    deploying_user: Any,  # noqa: ARG001
    deployed_project_key: str,  # noqa: ARG001
    **kwargs: Any,  # noqa: ARG001
) -> Any:
    """Called by the deployer before each deployment."""
    try:
        return HookResult.success(allowed(deployer_client.get_projectdeployer(), deployment_id))  # noqa: F821
    except Refused as why:
        return HookResult.error("refused: " + str(why))  # noqa: F821
    except Exception as error:  # whatever it is, what was not checked is not deployed
        what = type(error).__name__ + ": " + str(error)
        return HookResult.error("refused: it could not be checked: " + what)  # noqa: F821


class Refused(Exception):
    """The bundle is not to be deployed; the text says why."""


def allowed(deployer: Any, deployment_id: str) -> str:
    """Why the deployment may go on. Raises :class:`Refused`."""
    deployment = deployer.get_deployment(deployment_id)
    settings = deployment.get_settings().get_raw()
    if not settings.get("enabled", True):
        return "the deployment is being disabled"
    project, bundle, infra = (str(settings[name]) for name in ("publishedProjectKey", "bundleId", "infraId"))
    published = deployer.get_project(project)
    why = "bundle " + bundle + " has no seal for " + infra + ": only `mlops-steps release` makes one"
    digest = ""
    for tag in published.get_settings().get_raw().get("tags") or []:
        parts = tag.split("|") if isinstance(tag, str) else []
        if len(parts) != 4 or parts[0] != SEAL or (parts[1], parts[2]) != (infra, bundle):
            continue
        digest = digest or sha256_of(published.get_bundle_stream(bundle))
        try:
            return check(parts[3], project, bundle, infra, digest)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            why = "the seal of bundle " + bundle + " is not valid: " + str(error)
    for update in deployment.list_updates():
        raw = update.get_raw()
        if raw.get("bundleId") == bundle and str(raw.get("status")).upper() in ("SUCCESS", "WARNING", "DONE"):
            return "bundle " + bundle + " was live here before: going back is not refused"
    raise Refused(why)


def sha256_of(stream: Any) -> str:
    """The SHA-256 of an archive, read in pieces."""
    digest = hashlib.sha256()
    try:
        for piece in stream.iter_content(1024 * 1024):
            digest.update(piece)
    finally:
        stream.close()
    return digest.hexdigest()


def check(data: str, project: str, bundle: str, infra: str, digest: str) -> str:
    """What a seal says, if the key has signed it, and it is about this archive here. Raises ``ValueError`` or alike."""
    packed = base64.b64decode(data, altchars=b"-_", validate=True)
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(packed, MOST_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError("it is too large")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("it is not whole")
    seal = json.loads(text)
    payload = seal["payload"].encode()
    # What DSSE has signed.
    message = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    if not verifies(bytes.fromhex(PUBLIC_KEY), base64.b64decode(seal["sig"], validate=True), message):
        raise ValueError("it is not signed by the key of this hook")
    statement = json.loads(payload)
    said = statement["predicate"]
    notes = said["policy"]["annotations"]
    if statement["_type"] != STATEMENT or statement["predicateType"] != SUMMARY or notes["kind"] != "seal":
        raise ValueError("it is a statement of another kind")
    if said["verificationResult"] != "PASSED":
        raise ValueError("it does not say PASSED")
    if (notes["project"], notes["bundle"], notes["infrastructure"]) != (project, bundle, infra):
        raise ValueError("it is about another project, bundle or infrastructure")
    if digest not in [subject["digest"].get("sha256") for subject in statement["subject"]]:
        raise ValueError("the archive on the deployer is not the one that was sealed")
    return "bundle " + bundle + " was sealed by " + str(said["verifier"]["id"]) + " at " + str(said.get("timeVerified"))


# ---- Ed25519 (RFC 8032), because DSS may lack a library for it

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def verifies(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether it is the key's signature of the message."""
    if len(key) != 32 or len(signature) != 64:
        return False
    point, s = decoded(key), int.from_bytes(signature[32:], "little")
    if point is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y, z, t = times(h, point)
    return encoded(plus(times(s, BASE), (-x % P, y, z, -t % P))) == signature[:32]


def plus(one: Any, other: Any) -> Any:
    """The sum of two points, in extended coordinates."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number: int, point: Any) -> Any:
    """The point, so many times."""
    found = NEUTRAL
    while number:
        if number & 1:
            found = plus(found, point)
        point = plus(point, point)
        number >>= 1
    return found


def encoded(point: Any) -> bytes:
    """The 32 bytes of a point."""
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return bytes((y | (x & 1) << 255).to_bytes(32, "little"))


def decoded(data: bytes) -> Any:
    """The point of 32 bytes; ``None`` when there is none."""
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decoded((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
