"""Fingerprints, by which the services name the secrets that key the answers.

A fingerprint is derived from its secret by HKDF (RFC 5869), so that it tells nothing of what the
secret keys. It has 24 bits: enough to tell two secrets apart, too few to confirm a guess, since
every 16 millionth guess has the same. A float32 holds it exactly, so that a mark can keep it.
"""

from __future__ import annotations

import hmac

LARGEST_FINGERPRINT = 2**24 - 1
MOST_SECRETS = 8
"""Most secrets that are held at once: the current one, and those that retire."""
_SALT = bytes(32)
_INFO = b"queen secret fingerprint"


def fingerprint_of(secret: bytes) -> int:
    """The fingerprint of a secret, 1 to `LARGEST_FINGERPRINT`; 0 stands for no secret."""
    key = hmac.digest(_SALT, secret, "sha256")
    expanded = hmac.digest(key, _INFO + b"\x01", "sha256")
    return int.from_bytes(expanded[:3], "big") or 1
