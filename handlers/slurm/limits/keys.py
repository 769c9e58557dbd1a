"""The keys of sacctmgr: which of them are limits, under which names, and why the others are not.

Promises: lookup accepts every name that sacctmgr of 22.05, 24.11 or 26.05 accepts, in any case, and
abbreviated as far as sacctmgr allows. Leaves out: values (`values`). Source: Slurm's
sacctmgr_set_assoc_rec and the _set_rec of accounts and users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of a key's value."""

    COUNT = "a number"
    SHARES = "shares"
    WALL = "a time"
    TRES = "amounts of resources"
    QOS = "a list of QOS"
    NAME = "one QOS"
    TEXT = "a text"


@dataclass(frozen=True, slots=True)
class Limit:
    """A key that requests may set.

    column: its name in `sacctmgr show assoc format=`; names: each full name with the number of
    letters that suffice.
    """

    name: str
    kind: Kind
    column: str
    names: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """An old key that sets one resource of another key: `GrpCPUs=4` is `GrpTRES=cpu=4`."""

    name: str
    of: str
    resource: str
    enough: int


def _limit(name: str, kind: Kind, enough: int, *names: tuple[str, int], column: str = "") -> Limit:
    return Limit(name, kind, column or name, ((name, enough), *names))


LIMITS: Final[Mapping[str, Limit]] = {
    limit.name: limit
    for limit in (
        _limit("Fairshare", Kind.SHARES, 1, ("Shares", 1)),
        _limit("Priority", Kind.COUNT, 2),
        _limit("GrpJobs", Kind.COUNT, 4),
        _limit("GrpJobsAccrue", Kind.COUNT, 8),
        _limit("GrpSubmitJobs", Kind.COUNT, 4, column="GrpSubmit"),
        _limit("GrpTRES", Kind.TRES, 7),
        _limit("GrpTRESMins", Kind.TRES, 8),
        _limit("GrpTRESRunMins", Kind.TRES, 8),
        _limit("GrpWall", Kind.WALL, 4),
        _limit("MaxJobs", Kind.COUNT, 4),
        _limit("MaxJobsAccrue", Kind.COUNT, 8),
        _limit("MaxSubmitJobs", Kind.COUNT, 4, column="MaxSubmit"),
        # 22.05 does not know MaxTRESPJ, MaxTRESPN and MaxTRESMinsPJ; all know the names used here.
        _limit("MaxTRES", Kind.TRES, 7, ("MaxTRESPerJob", 7), ("MaxTRESPJ", 9)),
        _limit("MaxTRESPerNode", Kind.TRES, 11, ("MaxTRESPN", 9)),
        _limit("MaxTRESMins", Kind.TRES, 8, ("MaxTRESMinsPerJob", 8), ("MaxTRESMinsPJ", 13)),
        _limit("MaxTRESRunMins", Kind.TRES, 8),
        _limit("MaxWall", Kind.WALL, 4, ("MaxWallDurationPerJob", 4)),
        _limit("MinPrioThresh", Kind.COUNT, 4),
        _limit("QOS", Kind.QOS, 1, ("QosLevel", 1)),
        _limit("DefaultQOS", Kind.NAME, 8, ("DefQOS", 6)),
    )
}
"""Each limit of an association, by the name that all releases accept."""

PARTS: Final = (
    Part("GrpCPUMins", "GrpTRESMins", "cpu", 7),
    Part("GrpCPURunMins", "GrpTRESRunMins", "cpu", 7),
    Part("GrpCPUs", "GrpTRES", "cpu", 7),
    Part("GrpMemory", "GrpTRES", "mem", 4),
    Part("GrpNodes", "GrpTRES", "node", 4),
    Part("MaxCPUMinsPerJob", "MaxTRESMins", "cpu", 7),
    Part("MaxCPURunMins", "MaxTRESRunMins", "cpu", 7),
    Part("MaxCPUsPerJob", "MaxTRES", "cpu", 7),
    Part("MaxNodesPerJob", "MaxTRES", "node", 4),
)

TEXTS: Final[Mapping[str, int]] = {"Description": 1, "Organization": 1}
"""Texts of an account beside its limits, with the number of letters that suffice."""

_ELSEWHERE = "it is not a limit: "
REFUSED: Final[Mapping[str, tuple[int, str]]] = {
    "AdminLevel": (2, _ELSEWHERE + "a Slurm administrator sets it with sacctmgr"),
    "Accounts": (1, "the allocation decides the account"),
    "Acct": (4, "the allocation decides the account"),
    "Classification": (2, "it belongs to a cluster, not to an association"),
    "Clusters": (1, "the resource decides the cluster"),
    "Comment": (2, "22.05 does not keep it, and no limit depends on it"),
    "Coordinator": (2, _ELSEWHERE + "a Slurm administrator sets coordinators with sacctmgr"),
    "DefaultAccount": (8, "use the parameter `default`"),
    "DefaultWCKey": (8, "the service does not provision workload characterization keys"),
    "Flags": (2, "22.05 does not keep them, and no limit depends on them"),
    "NewName": (3, "the service renames nobody"),
    "Names": (1, "the allocation decides the user"),
    "Parent": (2, "policy would not see it; use the parameter `parent`"),
    "Partition": (4, "use the parameter `partitions`"),
    "RawUsage": (7, "it would reset the recorded usage; a Slurm administrator can, with sacctmgr"),
    "Users": (1, "the allocation decides the user"),
    "WCKeys": (2, "the service does not provision workload characterization keys"),
}
"""Each other key that sacctmgr takes for an account or a user, the number of letters that suffice,
and why requests may not set it."""


def find(name: str) -> Limit | Part | str | None:
    """Return a key by what was written: a limit, a part of one, a text's name; or None.

    A key that requests may not set is also None: `why_not` says why.
    """
    written = name.lower()
    for text, enough in TEXTS.items():
        if _means(written, text, max(enough, 3)):
            return text
    for part in PARTS:
        if _means(written, part.name, part.enough):
            return part
    # A full name wins over a longer one that begins with it.
    exact = [one for one in LIMITS.values() if written in (full.lower() for full, _ in one.names)]
    if exact:
        return exact[0]
    for limit in LIMITS.values():
        if any(_means(written, full, enough) for full, enough in limit.names):
            return limit
    return None


def why_not(name: str) -> str:
    """Return why requests may not set a key that sacctmgr knows; '' for a key that it does not
    know."""
    for full, (enough, why) in REFUSED.items():
        if _means(name.lower(), full, max(enough, 2)):
            return why
    return ""


def _means(written: str, full: str, enough: int) -> bool:
    return len(written) >= enough and full.lower().startswith(written)
