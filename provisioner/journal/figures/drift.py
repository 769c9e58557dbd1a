"""Drift as it was last seen: for each handler, what differed, and what was repaired since.

Promises: everything is read and written inside the caller's transaction. Leaves out: looking for
drift (`inspection.rounds`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from provisioner.contract import Key
from provisioner.journal import audit
from provisioner.journal.dialect import upsert
from provisioner.journal.schema import drift, events

FOUND = "drift found"
REPAIRED = "drift repaired"
"""The kinds of events of drift. Their facts: handler, number, closing."""

_NAMED = 20
"""The most objects that an event names."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a handler.

    at: when it began; seconds: how long it took; looked: the number of settled objects; differing:
    those that are not as wanted; closing: how many of these would be closed or removed; failing:
    the number of those with another error; error: why the handler could not be asked, '' if it
    answered.
    """

    instance: str
    at: float
    seconds: float
    looked: int = 0
    differing: tuple[Key, ...] = ()
    closing: int = 0
    failing: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last look at a handler, and all that was found and repaired before.

    asked: when a repair was last asked for; None: never; repairs: when that of each object was, of
    those that differ.
    """

    look: Look
    found: int
    repaired: int
    asked: float | None
    repairs: Mapping[Key, float]


def seen(conn: Connection) -> dict[str, Seen]:
    """Return the last look at each handler."""
    return {
        row.instance: Seen(
            Look(
                row.instance, row.at, row.seconds, row.looked, tuple(row.differing), row.closing,
                row.failing, row.error or "",
            ),
            row.found,
            row.repaired,
            row.asked,
            row.repairs,
        )
        for row in conn.execute(select(drift))
    }  # fmt: skip


def record(
    conn: Connection, look: Look, before: Seen | None, now: float, asked: Collection[Key] = ()
) -> None:
    """Write a look, and an event of what is new. asked: those of which a repair was asked for.

    before: the look before. What differed then and no longer does is repaired, whoever did it. A
    handler that could not be asked keeps what was known of it.
    """
    known = set(before.look.differing) if before else set()
    differing = sorted(known) if look.error else list(look.differing)
    fresh, gone = set(differing) - known, known - set(differing)
    added = []
    if fresh:
        closing = f", {look.closing} of them to be closed or removed" if look.closing else ""
        text = f"{look.instance}: {_many(fresh)}: {_listed(fresh)}{closing}"
        added.append(_event(FOUND, text, look.instance, len(fresh), look.closing))
    if gone:
        text = f"{look.instance}: {_many(gone)} as wanted again: {_listed(gone)}"
        added.append(_event(REPAIRED, text, look.instance, len(gone), 0))
    audit.append(conn, added, now)
    repairs = {**(before.repairs if before else {}), **dict.fromkeys(asked, now)}
    row = {
        "instance": look.instance,
        "at": look.at,
        "seconds": look.seconds,
        "looked": look.looked,
        "differing": differing,
        "closing": look.closing,
        "failing": look.failing,
        "error": look.error or None,
        "found": (before.found if before else 0) + len(fresh),
        "repaired": (before.repaired if before else 0) + len(gone),
        "asked": now if asked else before.asked if before else None,
        "repairs": {key: repairs[key] for key in differing if key in repairs},
    }
    conn.execute(upsert(drift).on_conflict_do_update(index_elements=["instance"], set_=row), row)


def _many(keys: Collection[Key]) -> str:
    return "1 object" if len(keys) == 1 else f"{len(keys)} objects"


def _listed(keys: Collection[Key]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(sorted(keys)[:_NAMED]) + more


def _event(kind: str, text: str, instance: str, number: int, closing: int) -> audit.Event:
    return audit.Event(
        None, kind, text, None, {"handler": instance, "number": number, "closing": closing}
    )


def told_since(conn: Connection, since: float) -> dict[str, dict[str, int]]:
    """Return how many objects each handler's looks found differing, and repaired, since a time."""
    first = _first_since(conn, since)
    rows: Sequence[tuple[str, str]] = [
        (row.kind, row.facts)
        for row in conn.execute(
            select(events.c.kind, events.c.facts).where(
                events.c.seq >= first, events.c.request.is_(None), events.c.kind.in_(_KINDS)
            )
        )
    ]
    numbers: dict[str, Counter[str]] = {}
    for kind, text in rows:
        told = json.loads(text)
        word = "found" if kind == FOUND else "repaired"
        numbers.setdefault(str(told["handler"]), Counter())[word] += int(told["number"])
    return {name: {w: some[w] for w in ("found", "repaired")} for name, some in numbers.items()}


_KINDS = (FOUND, REPAIRED)


def _first_since(conn: Connection, since: float) -> int:
    """Return the number of the first event since a time; there is no index of times."""
    low, high = conn.execute(select(func.min(events.c.seq), func.max(events.c.seq))).one()
    if low is None:
        return 0
    while low <= high:
        middle = (low + high) // 2
        at = conn.scalar(
            select(events.c.at).where(events.c.seq >= middle).order_by(events.c.seq).limit(1)
        )
        if at is not None and at < since:
            low = middle + 1
        else:
            high = middle - 1
    return int(low)
