"""The token of a JWT file: as `scontrol token` prints it, and when it ends.

Promises: pure; checks no signature, which is slurmdbd's to do. Source: scontrol(1), RFC 7519.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

_LATEST = 2.0**40
"""Seconds since the epoch that no calendar here goes beyond."""


def without_name(text: str) -> str:
    """Return the token in a line of `scontrol token`, `SLURM_JWT=eyJ...`, or the line itself."""
    return text.strip().removeprefix("SLURM_JWT=")


def end_of(text: str) -> float | None:
    """Return when a token ends, in seconds since the epoch; None if it does not say."""
    end = _claims(text).get("exp")
    return float(end) if isinstance(end, int | float) and 0 <= end < _LATEST else None


def user_of(text: str) -> str:
    """Return whom a token is for; '' if it does not say."""
    return str(_claims(text).get("sun") or "")


def shown(end: float) -> str:
    """Return a token's end for people."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(end))


def _claims(text: str) -> dict[str, Any]:
    parts = without_name(text).split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
