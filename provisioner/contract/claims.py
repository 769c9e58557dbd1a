"""Several claims on one object: which are older, and what they disagree about. Pure.

Promises: one order for all handlers. Leaves out: which claim wins; the handler decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from provisioner.contract.handler import Claim, Json


def by_age(claim: Claim) -> tuple[str, list[tuple[int, str]]]:
    """Return the key that sorts claims, oldest first, and equally old ones by claimant."""
    return claim.order, _natural(claim.claimant)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names by the numbers in them: `allocation:9` before
    `allocation:10`."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name) if p]


def values_by_claimant(field: str, claims: Sequence[Claim]) -> dict[str, Json]:
    """Return what claimants want of a field, for those that name it, in the order of claimants."""
    ordered = sorted(claims, key=lambda claim: _natural(claim.claimant))
    values = {claim.claimant: claim.want.get(field) for claim in ordered}
    return {claimant: value for claimant, value in values.items() if value is not None}


def disagree(values: Mapping[str, Json]) -> bool:
    """Return True if claimants want different values."""
    return len({str(value) for value in values.values()}) > 1
