"""Names that changes refer to besides their own object: QOS, resources, partitions, and the account
above.

Promises: pure; a fault for an unknown name suggests the nearest known one. Leaves out: asking for
known names (`handler`), and limits (`limits.limits`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from handlers.slurm.limits.keys import LIMITS, Kind
from provisioner.contract import Change, Fault, Key, Permanent, Transient

_EVERYWHERE = frozenset(("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages"))
"""The resources that every slurmdbd knows."""


@dataclass(frozen=True, slots=True)
class Named:
    """The names that changes refer to. parent: '' if they name none.

    resources: except those that every slurmdbd knows.
    """

    qos: tuple[str, ...] = ()
    parent: str = ""
    resources: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()

    def __add__(self, other: Named) -> Named:
        return Named(
            (*self.qos, *other.qos),
            other.parent or self.parent,
            (*self.resources, *other.resources),
            (*self.partitions, *other.partitions),
        )


def named_by_key(changes: Sequence[Change]) -> dict[Key, Named]:
    """Return the names in the changes of each object, which may have several."""
    named_of: dict[Key, Named] = {}
    for change in changes:
        named_of[change.key] = named_of.get(change.key, Named()) + named(change)
    return named_of


def named(change: Change) -> Named:
    """Return the names in a change's `KEY=VALUE` words."""
    qos: list[str] = []
    resources: list[str] = []
    partitions: list[str] = []
    parent = ""
    for word in cast(Sequence[str], change.data.get("attributes") or ()):
        name, _, value = word.partition("=")
        limit = LIMITS.get(name.rstrip("+-"))
        if name == "parent":
            parent = value.lower()
        elif name == "partition":
            partitions = value.split(",")
        elif limit is not None and limit.kind is Kind.TRES:
            some = (pair.rpartition("=")[0] for pair in value.split(","))
            resources += [one for one in some if one not in _EVERYWHERE]
        elif limit is not None and limit.kind in (Kind.QOS, Kind.NAME):
            qos += [one for one in value.split(",") if one not in ("", "-1")]
    return Named(tuple(qos), parent, tuple(resources), tuple(partitions))


@dataclass(frozen=True, slots=True)
class Known:
    """What a slurmdbd knows, as far as the handler asked.

    missing: parents that the cluster lacks; partitions: None if slurmctld is not asked.
    """

    cluster: str
    qos: Collection[str] = ()
    resources: Collection[str] = ()
    missing: Collection[str] = ()
    accounts: Collection[str] = ()
    partitions: Collection[str] | None = None


def refused(named: Mapping[Key, Named], there: Known) -> dict[Key, Fault]:
    """Return a fault for each change that slurmdbd will refuse."""
    known = {names.lower() for names in there.qos}
    counted = {names.lower() for names in there.resources}
    parts = {names.lower() for names in there.partitions or ()}
    faults: dict[Key, Fault] = {}
    for key, names in named.items():
        unknown = _absent(names.qos, known)
        uncounted = _absent(names.resources, counted)
        wrong, advice = [], []
        if uncounted:
            wrong.append(f"the slurmdbd does not count {_listed(uncounted, counted)}")
            advice.append(
                f"write one of {', '.join(sorted(counted))}; or add {uncounted[0]} to "
                "AccountingStorageTRES in slurm.conf, restart slurmctld, then retry"
            )
        if unknown:
            wrong.append(f"there is no QOS {_listed(unknown, known)}")
            advice.append(
                f"write one of {', '.join(sorted(known))}; or run `sacctmgr add qos {unknown[0]}`, "
                "then retry"
            )
        if names.parent in there.missing:
            near = _listed([names.parent], there.accounts)
            wrong.append(f"cluster {there.cluster} has no account {near}, the wanted parent")
            advice.append("name another parent, or create that account first")
        absent = _absent(names.partitions, parts) if parts else []
        if absent:
            wrong.append(f"cluster {there.cluster} has no partition {_listed(absent, parts)}")
            advice.append(f"write some of {', '.join(sorted(parts))}")
        if wrong:
            kind = Permanent if unknown or uncounted or absent else Transient
            faults[key] = kind(f"{key}: {'; '.join(wrong)}", advice="; ".join(advice))
    return faults


def default_of(change: Change) -> str:
    """Return the default QOS that a change sets; '' if it sets none."""
    for word in cast(Sequence[str], change.data.get("attributes") or ()):
        name, _, value = word.partition("=")
        if name == "DefaultQOS" and value not in ("", "-1"):
            return value
    return ""


def without_access(change: Change, allowed: Mapping[tuple[str, str], Collection[str]]) -> str:
    """Return the default QOS that a change gives to a user who may not use it; '' if there is none.

    slurmdbd adds such a user and then refuses their jobs; 22.05 leaves an existing user unchanged,
    with exit code 0. allowed: the QOS that may be used now, by account and user.
    """
    default = default_of(change)
    attributes = cast(Sequence[str], change.data.get("attributes") or ())
    words = dict(word.split("=", 1) for word in attributes if "=" in word)
    account, user = str(change.data.get("account", "")), str(change.data["name"])
    places = (
        [(account, user), (account, "")] if account else [(user, ""), (words.get("parent", ""), "")]
    )
    there = next((allowed[place] for place in places if place in allowed), None)
    if "QOS" in words:
        there = words["QOS"].split(",")
    if not default or there is None:
        return ""
    added = words.get("QOS+", "").split(",")
    taken = words.get("QOS-", "").split(",")
    usable = sorted({one for one in (*there, *added) if one} - set(taken))
    if default in usable:
        return ""
    return f"DefaultQOS={default} is not among the QOS that may be used there: {', '.join(usable)}"


def _absent(names: Sequence[str], known: Collection[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in known]


def _listed(names: Sequence[str], known: Collection[str]) -> str:
    parts = []
    for name in names:
        near = get_close_matches(name, sorted(known), 1)
        parts.append(repr(name) + (f" (did you mean {near[0]!r}?)" if near else ""))
    return ", ".join(parts)
