"""Access: whether an association lets people use less with one want than with another. Pure.

Promises: compares wants only. Less means a partition or a QOS that a claim asked for and no longer
does, or a limit of 0, with which nothing runs. Leaves out: smaller limits, with which jobs still
run, and what an association inherits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

from handlers.slurm.limits import values
from handlers.slurm.limits.keys import LIMITS, Kind
from handlers.slurm.limits.limits import folded, key_of
from handlers.slurm.limits.values import Value
from provisioner.contract import Want

_HARMLESS: Final = frozenset({"Priority", "MinPrioThresh", "GrpJobsAccrue", "MaxJobsAccrue"})
"""Numbers that at worst delay jobs (sacctmgr(1))."""

_COUNTED: Final = (Kind.COUNT, Kind.WALL, Kind.TRES)


def shuts(before: Want, after: Want) -> bool:
    """Return True if people lose with `after` something that they could use with `before`."""
    if _partitions_shut(before, after):
        return True
    was, will = (cast(Mapping[str, Value], one.get("limits") or {}) for one in (before, after))
    return bool(_zeros(will) - _zeros(was)) or _qos_lost(was, will)


def _partitions_shut(before: Want, after: Want) -> bool:
    """Return True if a partition is lost; no partition named means all."""
    was, will = (set(cast(Sequence[str], one.get("partitions") or ())) for one in (before, after))
    return bool(will) and (not was or not was <= will)


def _zeros(limits: Mapping[str, Value]) -> set[str]:
    return {
        place
        for place, value in limits.items()
        if value == 0 and LIMITS[key_of(place)].kind in _COUNTED and key_of(place) not in _HARMLESS
    }


def _qos_lost(was: Mapping[str, Value], will: Mapping[str, Value]) -> bool:
    """Return True if a QOS is lost, where both wants name a complete list."""
    before, after = folded(was), folded(will)
    if "QOS" not in before or not after.get("QOS"):
        return False
    return not values.names(before["QOS"]) <= values.names(after["QOS"])
