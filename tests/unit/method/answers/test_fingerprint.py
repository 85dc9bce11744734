"""Fingerprints of secrets."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np

from queen.method.answers.fingerprint import LARGEST_FINGERPRINT, fingerprint_of


def test_two_secrets_have_two_fingerprints_that_a_float_holds() -> None:
    """Of a thousand secrets no two share one, by this seed, and float32 rounds none."""
    rng = np.random.default_rng(0)
    prints = [fingerprint_of(rng.bytes(32)) for _ in range(1000)]
    assert len(set(prints)) == 1000
    assert min(prints) >= 1
    assert max(prints) <= LARGEST_FINGERPRINT
    assert [int(np.float32(number)) for number in prints] == prints


def test_a_fingerprint_is_the_start_of_hkdf() -> None:
    """RFC 5869 with SHA-256, a salt of zeros and a label of its own: 3 bytes of the output."""
    secret = b"sixteen bytes or more"
    key = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    expanded = hmac.new(key, b"queen secret fingerprint\x01", hashlib.sha256).digest()
    assert fingerprint_of(secret) == int.from_bytes(expanded[:3], "big")
    # No other use of the secret begins with the same bytes.
    assert hmac.digest(secret, b"queen secret fingerprint\x01", "sha256")[:3] != expanded[:3]
