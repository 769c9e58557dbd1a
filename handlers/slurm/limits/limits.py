"""Limits of Slurm's associations: what is wanted, what is set, what differs, what is sent.

Limits are a mapping of places to values. A place has one value of its own: `MaxJobs`,
`GrpTRES/cpu`, `GrpTRES/gres/gpu:tesla`, `QOS` (the complete list), `QOS+` and `QOS-` (names added
to, and taken off, the list or what is inherited). A value is an int wherever Slurm counts: shares,
jobs, minutes, amounts (memory in MiB); UNLIMITED clears. It is a text where it names: lists of QOS,
sorted; `parent`. Equal limits are equal mappings, numbers compare as numbers, and both go through
JSON.

Promises: pure. `seen` has only what is set at an association itself, not what it inherits. Leaves
out: reading (`client`), merging claims (`limits.merge`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from handlers.slurm.limits import amounts, values
from handlers.slurm.limits.amounts import UNLIMITED
from handlers.slurm.limits.keys import LIMITS, Kind
from handlers.slurm.limits.values import Value

Limits = dict[str, Value]

COLUMNS: Final = tuple(limit.column for limit in LIMITS.values())
"""The columns of `show assoc` in the order that `printed` expects."""

OWN: Final = ("wopl", "withrawqos")
"""Words that make `show assoc` print what is set at each association itself."""


def key_of(place: str) -> str:
    """Return the key of a place: that of `GrpTRES/cpu` is `GrpTRES`."""
    return place.partition("/")[0].rstrip("+-")


def clear(place: str) -> Value:
    """Return the value that clears a place, as if nobody had set it."""
    key = key_of(place)
    if key == "QOS":
        return ""
    return 1 if key == "Fairshare" else UNLIMITED


def is_clear(place: str, value: Value) -> bool:
    """Return True if a value clears its place."""
    return value == clear(place)


def printed(row: Sequence[str]) -> Limits:
    """Return the limits in the columns that `show assoc` prints, without places that are not
    set."""
    seen: Limits = {}
    for limit, text in zip(LIMITS.values(), row, strict=False):
        if not text:
            continue
        if limit.kind is Kind.TRES:
            pairs = (part.rpartition("=")[::2] for part in text.split(","))
            seen |= {
                f"{limit.name}/{name.lower()}": amounts.printed(name, amount)
                for name, amount in pairs
                if amount != "NONE"
            }
        elif limit.kind is Kind.QOS:
            signed = values.signed(text.split(","))
            seen |= {limit.name + sign: some for sign, some in signed.items()}
        elif limit.kind is Kind.WALL:
            seen[limit.name] = values.printed_time(text)
        else:
            seen[limit.name] = values.printed_number(text)
    return {place: value for place, value in seen.items() if not is_clear(place, value)}


def differing(want: Mapping[str, Value], seen: Mapping[str, Value]) -> Limits:
    """Return what to set so that all wants are met; places that no want names are left out."""
    changed = {
        place: value
        for place, value in want.items()
        if LIMITS[key_of(place)].kind is not Kind.QOS and not is_whole(place)
        if seen.get(place, clear(place)) != value
    }
    for key in (key_of(place) for place in want if is_whole(place)):
        there = (place for place in seen if place.startswith(key + "/"))
        changed |= {place: UNLIMITED for place in there if place not in want}
    return changed | _differing_qos(want, seen)


def is_whole(place: str) -> bool:
    """Return True if a place stands for all resources of a key that are not named."""
    return "/" not in place and LIMITS[key_of(place)].kind is Kind.TRES


def _differing_qos(want: Mapping[str, Value], seen: Mapping[str, Value]) -> Limits:
    listed, added, taken = (values.names(seen.get(place, "")) for place in ("QOS", "QOS+", "QOS-"))
    changed: Limits = {}
    if "QOS" in want and (values.names(want["QOS"]) != listed or added or taken):
        changed["QOS"] = want["QOS"]
    elif not listed:
        adding = values.names(want.get("QOS+", "")) - added
        taking = values.names(want.get("QOS-", "")) - taken
        changed |= {"QOS+": values.listed(adding)} if adding else {}
        changed |= {"QOS-": values.listed(taking)} if taking else {}
    else:
        adding = values.names(want.get("QOS+", "")) - listed
        taking = values.names(want.get("QOS-", "")) & listed
        changed |= {"QOS+": values.listed(adding)} if adding else {}
        changed |= {"QOS-": values.listed(taking)} if taking else {}
    return changed


def folded(limits: Mapping[str, Value]) -> Limits:
    """Return limits with one list of QOS, made of the list and of names added to and taken off it.

    sacctmgr reads `QOS=a` and `QOS+=b` in one command as `QOS=a`.
    """
    if "QOS" not in limits:
        return dict(limits)
    added, taken = (values.names(limits.get(place, "")) for place in ("QOS+", "QOS-"))
    whole = values.listed((values.names(limits["QOS"]) | added) - taken)
    return {p: v for p, v in limits.items() if p not in ("QOS+", "QOS-")} | {"QOS": whole}


def set_words(limits: Mapping[str, Value]) -> list[str]:
    """Return limits as arguments of `sacctmgr modify ... set`, one for each key and operator."""
    words: dict[str, list[str]] = {}
    for place, value in sorted(limits.items()):
        key, slash, resource = place.partition("/")
        if slash:
            text = f"{resource}={_written(place, value)}"
        elif is_whole(place):
            continue
        else:
            text = _written(place, value)
        words.setdefault(key, []).append(text)
    return [f"{key}={','.join(some)}" for key, some in words.items()]


def add_words(limits: Mapping[str, Value]) -> list[str]:
    """Return limits as arguments of `sacctmgr add`, which need not clear anything."""
    return set_words({p: v for p, v in limits.items() if not is_clear(p, v)})


def shown_value(place: str, value: Value) -> str:
    """Return a place with a value as text for people, as sacctmgr takes it: `GrpTRES=cpu=64`."""
    key, slash, resource = place.partition("/")
    text = _written(place, value)
    return f"{key}={resource}={text}" if slash else f"{key}={text}"


def _written(place: str, value: Value) -> str:
    key, _, resource = place.partition("/")
    if isinstance(value, str) or value == UNLIMITED:
        return str(value)
    if resource:
        return amounts.written(resource, value)
    return values.written_time(value) if LIMITS[key_of(key)].kind is Kind.WALL else str(value)
