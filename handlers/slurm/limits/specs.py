"""Specs: the limits, and texts of an account, that a request or a portal asks for.

Promises: every key that sacctmgr knows is accepted, or refused with the reason; all mistakes are
reported at once, before anything is written. Only listed keys pass, so no free text of a portal can
carry an `AdminLevel`. Leaves out: current limits (`limits.limits`), and whether a slurmdbd knows
the QOS and resources that are named (`refers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache

from handlers.slurm.limits import amounts, values
from handlers.slurm.limits.grammar import Word, words
from handlers.slurm.limits.keys import LIMITS, PARTS, TEXTS, Kind, Limit, Part, find, why_not
from handlers.slurm.limits.limits import Limits, folded
from provisioner.contract import InvalidRequest, several

_TOLD = 20
"""The most mistakes reported for one text."""

_KNOWN = (*LIMITS, *(part.name for part in PARTS), *TEXTS)


@dataclass(frozen=True, slots=True)
class Specs:
    """What specs ask for. texts: `description` and `organization`, if they are named."""

    limits: Limits = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def parse_specs(specs: str | Iterable[str], name: str = "specs") -> Specs:
    """Return what specs ask for: one text, or one for each line of a portal. The last value counts.

    name: the field that contains them. Raises InvalidRequest with all mistakes.
    """
    limits: Limits = {}
    texts: dict[str, str] = {}
    faults: list[InvalidRequest] = []
    for text in (specs,) if isinstance(specs, str) else specs:
        for word in words(text):
            try:
                key = _key(word)
                if isinstance(key, str):
                    texts[key.lower()] = _text(word)
                else:
                    _add(limits, _places(key, word))
            except InvalidRequest as fault:
                fault.field = name
                faults.append(fault)
            if len(faults) == _TOLD:  # the search for so many near names would take a second
                raise several(faults)
    if faults:
        raise several(faults)
    return Specs(folded(limits), texts)


@lru_cache(maxsize=32)
def together(
    specs: str | tuple[str, ...] | None, fairshare: int | None, qos: tuple[str, ...]
) -> Specs:
    """Return what specs ask for, with a fair share and QOS beside them that win over them.

    All users of an allocation have the same specs, which are parsed once. Raises InvalidRequest.
    """
    read = parse_specs(specs or ())
    limits = dict(read.limits)
    if fairshare is not None:
        limits |= parse_specs(f"Fairshare={fairshare}", "fairshare").limits
    if qos:
        limits |= parse_specs(f"QOS={','.join(qos)}", "qos").limits
    return Specs(agreed(folded(limits)), read.texts)


def agreed(limits: Limits) -> Limits:
    """Return limits whose default QOS is one of the QOS, if all are listed: Slurm takes no other.

    Raises InvalidRequest.
    """
    default, qos = limits.get("DefaultQOS", amounts.UNLIMITED), str(limits.get("QOS", ""))
    if qos and default != amounts.UNLIMITED and str(default) not in values.names(qos):
        raise InvalidRequest(
            f"DefaultQOS={default} is not one of QOS={qos}",
            field="specs",
            expected="one of them; -1 for none",
            nearest=f"DefaultQOS={qos.partition(',')[0]}",
        )
    return limits


def _add(limits: Limits, places: Limits) -> None:
    """Add the places of one word: the last counts, except that QOS changes accumulate."""
    for place, value in places.items():
        if place in ("QOS+", "QOS-"):
            other = "QOS-" if place == "QOS+" else "QOS+"
            own, others = (values.names(limits.get(one, "")) for one in (place, other))
            limits[place] = values.listed(own | values.names(value))
            limits[other] = values.listed(others - values.names(value))
        else:
            limits[place] = value
    for place in ("QOS+", "QOS-"):
        if limits.get(place) == "":
            del limits[place]


def _key(word: Word) -> Limit | Part | str:
    """Return a word's key. Raises InvalidRequest if requests may not set it."""
    limit = find(word.key)
    if limit is None or not word.operator:
        why = why_not(word.key) if word.operator else ""
        nearest = get_close_matches(word.key, _KNOWN, 1)
        raise InvalidRequest(
            f"{word.written!r} cannot be set" + (f": {why}" if why else ""),
            expected="" if why else f"KEY=VALUE, with a key of {', '.join(LIMITS)}",
            nearest=nearest[0] if nearest and not why else "",
        )
    name = limit if isinstance(limit, str) else limit.name
    if word.operator != "=" and name != "QOS":
        raise InvalidRequest(
            f"{word.written!r} changes the current value, and would do so with each try",
            expected="the whole value; only names of QOS may be added and taken off",
            nearest=f"{name}={word.value}",
        )
    return limit


def _text(word: Word) -> str:
    if not word.value:
        raise InvalidRequest(f"{word.key}= has no value", expected="a text")
    return word.value


def _places(key: Limit | Part, word: Word) -> Limits:
    """Return the places of a limit's value. Raises InvalidRequest."""
    if isinstance(key, Part):
        return {f"{key.of}/{key.resource}": _part(key, word.value)}
    name, text = key.name, word.value
    match key.kind:
        case Kind.COUNT:
            return {name: values.count(name, text)}
        case Kind.SHARES:
            return {name: values.shares(name, text)}
        case Kind.WALL:
            return {name: values.minutes(name, text)}
        case Kind.NAME:
            return {name: values.one_qos(name, text)}
        case Kind.QOS:
            return {
                name + sign: some for sign, some in values.qos(name, word.operator, text).items()
            }
        case _:
            found = amounts.amounts(name, text)
            return {f"{name}/{one}" if one else name: amount for one, amount in found.items()}


def _part(key: Part, text: str) -> int:
    """Return the one number of an old key; it takes no unit: Slurm keeps `GrpMemory=2G` as 2
    MiB."""
    try:
        return values.count(key.name, text)
    except InvalidRequest as fault:
        fault.nearest = f"{key.of}={key.resource}={text}" if text else f"{key.name}=-1"
        raise
