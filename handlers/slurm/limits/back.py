"""Limits of an association that return to earlier values when no claim asks for them any more.

A setting, as the ledger keeps it, is a place of `limits.limits`. Each name that is added to a list
of QOS, or taken off it, is a setting of its own: `QOS+/long`. In `QOS-/long` False means that the
list has it.

Promises: pure; lists of QOS are compared as sets, and names that others added stay. Leaves out:
calling sacctmgr (`client`), merging claims (`merge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from handlers.slurm.limits import values
from handlers.slurm.limits.limits import Limits, clear, differing, is_whole, key_of
from handlers.slurm.limits.values import Value
from provisioner.contract import Json, Want, given_back


def sets(limits: Mapping[str, Value]) -> dict[str, Json]:
    """Return what limits set. A value that clears all resources of a key sets none."""
    marked: dict[str, Json] = {}
    for place, value in limits.items():
        if place in ("QOS+", "QOS-"):
            marked |= {f"{place}/{name}": True for name in values.names(value)}
        elif not is_whole(place):
            marked[place] = value
    return marked


def holds(seen: Mapping[str, Value], lock: Mapping[str, Value]) -> dict[str, Json]:
    """Return the limits that are set. lock: limits that close it; if all of them are set, none
    counts."""
    shut = all(seen.get(place) == value for place, value in lock.items())
    held: dict[str, Json] = dict(sets({p: v for p, v in seen.items() if not (shut and p in lock)}))
    for name in values.names(seen.get("QOS", "")):
        held |= {f"QOS+/{name}": True, f"QOS-/{name}": False}
    return held | ({"QOS": _all(seen)} if _all(seen) else {})


def _all(seen: Mapping[str, Value]) -> str:
    """Return all of an association's QOS: `a,b`, or what is added and taken off, `+a,-b`."""
    signs = {"QOS": "", "QOS+": "+", "QOS-": "-"}
    return ",".join(
        f"{sign}{name}"
        for place, sign in signs.items()
        for name in sorted(values.names(seen.get(place, "")))
    )


def steps(want: Want, seen: Limits) -> list[Limits]:
    """Return what to set, call after call, to make an association as wanted.

    A name that should be neither added nor taken off any more needs more than one call: Slurm
    forgets it only together with all others.
    """
    wanted = cast(Limits, want["limits"])
    back = given_back(want, lambda place, value: _is_so(seen, place, value))
    plain = {p: clear(p) if v is None else cast(Value, v) for p, v in back.items() if _plain(p)}
    first = differing(_without_qos(plain) | _without_qos(wanted), seen)
    lists = _Lists.of(seen).steps_to(_Lists.of(seen).wanted(wanted, back))
    if not lists:
        return [first] if first else []
    return [first | lists[0], *lists[1:]]


def unlocked(want: Want, opened: Limits) -> Limits:
    """Return what opens an association, without earlier limits that nobody asks for any more."""
    back = given_back(want, lambda place, value: opened.get(place, clear(place)) == value)
    before = {place: clear(place) if v is None else cast(Value, v) for place, v in back.items()}
    return opened | {place: value for place, value in before.items() if place in opened}


def _plain(place: str) -> bool:
    return key_of(place) != "QOS"


def _without_qos(limits: Mapping[str, Value]) -> Limits:
    return {place: value for place, value in limits.items() if _plain(place)}


def _is_so(seen: Limits, place: str, value: Json) -> bool:
    if place == "QOS":
        return _all(seen) == (value or "")
    if _plain(place):
        wanted = clear(place) if value is None else cast(Value, value)
        return seen.get(place, clear(place)) == wanted
    now = holds(seen, {}).get(place)
    if place.startswith("QOS-/") and "QOS" in seen:
        # With a complete list, a name counts as taken off if the list lacks it.
        return (now is False) == (value is False)
    return now == value


@dataclass(frozen=True, slots=True)
class _Lists:
    """An association's QOS: all of them, or names added to and taken off the inherited ones."""

    listed: frozenset[str]
    added: frozenset[str]
    taken: frozenset[str]

    @classmethod
    def of(cls, limits: Mapping[str, Value]) -> _Lists:
        return cls(*(values.names(limits.get(place, "")) for place in ("QOS", "QOS+", "QOS-")))

    def wanted(self, want: Limits, back: Mapping[str, Json]) -> _Lists:
        """Return what they should be."""
        own = _Lists.of(want)
        if "QOS" in want:
            return own
        listed, added, taken = self.listed, self.added, self.taken
        if "QOS" in back:
            signed = values.signed(str(back["QOS"] or "").split(","))
            listed, added, taken = (values.names(signed.get(sign, "")) for sign in ("", "+", "-"))
        gone = {sign: _named(back, f"QOS{sign}/") for sign in "+-"}
        again = {place.partition("/")[2] for place, before in back.items() if before is False}
        if listed:
            listed = ((listed - gone["+"]) | again | own.added) - own.taken
            return _Lists(listed, _NONE, _NONE)
        added = (added - gone["+"] - own.taken) | own.added
        return _Lists(_NONE, added, (taken - gone["-"] - own.added) | own.taken)

    def steps_to(self, other: _Lists) -> list[Limits]:
        """Return what to set, call after call, to reach other lists."""
        if self == other:
            return []
        if other.listed:
            more, less = other.listed - self.listed, self.listed - other.listed
            if self.listed and not (self.added or self.taken or (more and less)):
                return [{"QOS+": values.listed(more)} if more else {"QOS-": values.listed(less)}]
            return [{"QOS": values.listed(other.listed)}]
        dropped = self.listed | (self.added | self.taken) - (other.added | other.taken)
        now = _Lists(_NONE, _NONE, _NONE) if dropped else self
        first: list[Limits] = [{"QOS": ""}] if dropped else []
        changes = {"QOS+": other.added - now.added, "QOS-": other.taken - now.taken}
        some = {place: values.listed(names) for place, names in changes.items() if names}
        return [*first, *([cast(Limits, some)] if some else [])]


_NONE: frozenset[str] = frozenset()


def _named(back: Mapping[str, Json], start: str) -> frozenset[str]:
    found: Iterable[str] = (p.removeprefix(start) for p in back if p.startswith(start))
    return frozenset(found)
