"""Fingerprints: what a stage's result depends on, as one hash.

Two results with the same fingerprint are the same result, so a stage computes only what has no committed result yet.
"""

import hashlib
import json


def fingerprint(**parts: object) -> str:
    """Return the hex sha256 over the canonical JSON of ``parts`` (names and values, order does not matter).

    Raises:
        TypeError: a part cannot be written as JSON.
        ValueError: a part holds NaN or infinity, which have no canonical form.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
