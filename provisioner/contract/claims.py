"""Several claims on one object: which are older, what they disagree about, what they left. Pure.

Promises: one order for all handlers. A setting that claims had set and now leave out returns to its
earlier value, or to none, if it still has our value; what somebody else has set since stays. Leaves
out: which claim wins, how a setting is written and when two values are equal; the handler decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

from provisioner.contract.handler import Claim, Json, Want

_Left: TypeAlias = Mapping[str, Mapping[str, Any]]
_DIGITS = re.compile(r"(\d+)")


def by_age(claim: Claim) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return the key that sorts claims, oldest first, and equally old ones by claimant."""
    return claim.order, _natural(claim.claimant)


@lru_cache(maxsize=1024)
def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts names by the numbers in them: `allocation:9` before
    `allocation:10`.

    An object's claims are sorted several times, so the last keys are kept.
    """
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in _DIGITS.split(name) if p)


def values_by_claimant(field: str, claims: Sequence[Claim]) -> dict[str, Json]:
    """Return what claimants want of a field, for those that name it, in the order of claimants."""
    ordered = sorted(claims, key=lambda claim: _natural(claim.claimant))
    values = {claim.claimant: claim.want.get(field) for claim in ordered}
    return {claimant: value for claimant, value in values.items() if value is not None}


def disagree(values: Mapping[str, Json]) -> bool:
    """Return True if claimants want different values."""
    return len({str(value) for value in values.values()}) > 1


def given_back(want: Want, is_so: Callable[[str, Json], bool]) -> dict[str, Json]:
    """Return the settings to restore, each with its earlier value; None: not set.

    is_so: returns True if the object has a setting, by name, with a value.
    """
    left = cast(_Left, want.get("left") or {})
    return {
        name: one["before"]
        for name, one in left.items()
        if any(is_so(name, value) for value in one["set"]) and not is_so(name, one["before"])
    }
