"""The token of a JWT file: as `scontrol token` prints it, and when it ends.

Promises: pure; checks no signature, which is slurmdbd's to do. Source: scontrol(1), RFC 7519.
"""

from __future__ import annotations

import base64
import json


def without_name(text: str) -> str:
    """Return the token in a line of `scontrol token`, `SLURM_JWT=eyJ...`, or the line itself."""
    return text.strip().removeprefix("SLURM_JWT=")


def end_of(text: str) -> float | None:
    """Return when a token ends, in seconds since the epoch; None if it does not say."""
    parts = without_name(text).split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None
