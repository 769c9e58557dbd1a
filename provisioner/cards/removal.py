"""What an admin would remove who was asked to delete a subject's data, and where.

Promises: reads only; nothing is removed, and nothing that anybody else claims is listed to be, nor
what would take something with it that is not on the list.
Leaves out: the service's own records, which go with their age (`retention`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from provisioner.cards import objects
from provisioner.cards.objects import ObjectStatus
from provisioner.contract import Fault, Key, split_key
from provisioner.contract.abilities import Encloses, Removes, able
from provisioner.journal.records import ledger
from provisioner.wiring import System

_MOST_NAMED = 5
"""So many objects are named that another one would take with it."""

_FACTS = ("path", "dn", "uid", "quota", "files", "enabled")
"""What is said of an object, as far as its backend says it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One object. about: where it is; commands: argument lists that remove it; kept: why it is not
    to be removed, '' if it is."""

    key: Key
    about: str
    commands: tuple[tuple[str, ...], ...] = ()
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """What there is of a subject. closed: it is suspended; unread: objects that could not be read,
    with why; shared: data of allocations in which a person may have files, by the object."""

    subject: str
    closed: bool
    parts: tuple[Part, ...]
    unread: dict[Key, str]
    shared: dict[Key, tuple[str, ...]]


def of(system: System, subject: str) -> Removal:
    """Read every backend, and return the list. Raises InvalidRequest if it is not a subject."""
    listed = objects.of(system, subject)
    closed = objects.suspensions(system, subject, listed)
    there = [item for item in listed if item.state and item.state.get("present")]
    parts = [_part(system, subject, item) for item in _last_first(there)]
    return Removal(
        subject=subject,
        closed=any(one.subject == subject for one in closed),
        parts=tuple(_sparing(system, parts)),
        unread={
            item.key: item.error.message if item.error is not None else "it was not read"
            for item in listed
            if item.state is None and (item.error is not None or item.claims)
        },
        shared=_shared(system, subject, listed),
    )


def _last_first(items: Sequence[ObjectStatus]) -> list[ObjectStatus]:
    """Return objects so that what is inside another one comes before it: members, then groups."""
    return sorted(items, key=lambda item: (-len(split_key(item.key)), item.key))


def _part(system: System, subject: str, item: ObjectStatus) -> Part:
    """Return how an object is removed, or why it stays."""
    about, handler = _about(item), system.handlers.get(item.instance)
    others = sorted(
        claim.claimant
        for claim in item.claims
        if subject not in ledger.parts(claim.claimant)
        and not claim.claimant.startswith(f"{subject}/")
    )
    if others:
        return Part(item.key, about, kept=f"{', '.join(others)} claims it, too")
    if not item.claims:
        return Part(item.key, about, kept="no request claims it: look whose it is")
    if not able(handler, Removes):
        return Part(item.key, about, kept="its handler does not say how it is removed")
    commands = handler.removal(item.key, item.state or {})
    return Part(item.key, about, tuple(tuple(argv) for argv in commands))


def _sparing(system: System, parts: Sequence[Part]) -> list[Part]:
    """Return parts so that none is removed with which something else would go."""
    gone = {part.key for part in parts if not part.kept}
    kept: dict[Key, str] = {}
    for instance in sorted({split_key(key)[0] for key in gone}):
        handler = system.handlers.get(instance)
        if not able(handler, Encloses):
            continue
        keys = sorted(key for key in gone if split_key(key)[0] == instance)
        try:
            enclosed = handler.enclosed(keys)
        except Fault as fault:
            kept |= dict.fromkeys(keys, f"what would go with it could not be read: {fault.message}")
            continue
        others = {key: sorted(set(inside) - gone) for key, inside in enclosed.items()}
        kept |= {key: _taking(some) for key, some in others.items() if some}
    return [
        replace(part, commands=(), kept=kept[part.key]) if part.key in kept else part
        for part in parts
    ]


def _taking(others: Sequence[Key]) -> str:
    """Return that an object would take others with it."""
    more = len(others) - _MOST_NAMED
    named = ", ".join(others[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"it would take with it {named}; move or remove these first"


def _about(item: ObjectStatus) -> str:
    facts = {**(item.state or {}), **(item.described or {})}
    said = (f"{name} {facts[name]}" for name in _FACTS if facts.get(name) not in (None, ""))
    return ", ".join(said)


def _shared(
    system: System, subject: str, listed: Sequence[ObjectStatus]
) -> dict[Key, tuple[str, ...]]:
    """Return where a person may have files that belong to projects, each with how to list them."""
    numbers = {item.outputs.get("uid") for item in listed} - {None}
    if not subject.startswith("user:") or len(numbers) != 1:
        return {}
    every = {claim.claimant.partition("/")[0] for item in listed for claim in item.claims}
    roots = sorted(one for one in every if one != subject)
    with system.journal.reading() as conn:
        claimed = ledger.claimed(conn, roots)
    keys = {key for root in roots for key, claimant in claimed[root] if claimant == root}
    data = objects.of_keys(system, [key for key in keys if system.nature.stores(key)])
    paths = {item.key: item.outputs.get("path") for item in data}
    uid = str(numbers.pop())
    return {
        key: ("find", str(path), "-xdev", "-uid", uid, "-ls") for key, path in paths.items() if path
    }
