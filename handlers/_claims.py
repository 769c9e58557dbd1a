"""Claims of several on one object: which are older, and what they do not agree about. Pure.

Promises: an order that is the same for everybody. Leaves out: what counts, which is the handler's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from provisioner.contract import Claim, Json


def age(claim: Claim) -> tuple[str, list[tuple[int, str]]]:
    """Sort claims from the oldest to the newest; of one age by numbers as numbers."""
    return claim.order, natural(claim.claimant)


def natural(name: str) -> list[tuple[int, str]]:
    """Sort names by the numbers in them: `allocation:9` before `allocation:10`."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name) if p]


def said(field: str, claims: Sequence[Claim]) -> dict[str, Json]:
    """Say what claimants want of a field, those of them that name it, in the order of names."""
    ordered = sorted(claims, key=lambda claim: natural(claim.claimant))
    found = {claim.claimant: claim.want.get(field) for claim in ordered}
    return {who: value for who, value in found.items() if value is not None}


def differ(values: Mapping[str, Json]) -> bool:
    """Say whether claimants want several things."""
    return len({str(value) for value in values.values()}) > 1
