"""Known: what each person was told, so that nobody is told the same fact twice.

Promises: everything is read and written inside the caller's transaction. Leaves out: what a fact is
(`notify`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, upsert
from provisioner.journal.schema import told

Pair = tuple[str, str]
"""A person, and what they were told about."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a person knows. fact: a digest; open: they may use it; at: since when."""

    fact: str
    open: bool
    at: float


_OF = select(told).where(told.c.about.in_(IDS))
_MAY_USE = select(told.c.person).where(told.c.about == bindparam("b_about"), told.c.open)

_ROW = upsert(told)
_PUT = _ROW.on_conflict_do_update(
    index_elements=["person", "about"],
    set_={name: _ROW.excluded[name] for name in ("fact", "open", "at")},
)


def of(conn: Connection, pairs: Collection[Pair]) -> dict[Pair, Known]:
    """Return what persons know; what they were never told is left out."""
    wanted = set(pairs)
    found: dict[Pair, Known] = {}
    for part in chunks({about for _, about in wanted}):
        for row in conn.execute(_OF, {"b_ids": part}):
            if (row.person, row.about) in wanted:
                found[row.person, row.about] = Known(row.fact, row.open, row.at)
    return found


def may_use(conn: Connection, about: str) -> set[str]:
    """Return the persons who know that they may use something."""
    return set(conn.scalars(_MAY_USE, {"b_about": about}))


def put(conn: Connection, facts: Mapping[Pair, Known]) -> None:
    """Write what persons know from now on."""
    rows = [
        {"person": person, "about": about, "fact": fact.fact, "open": fact.open, "at": fact.at}
        for (person, about), fact in facts.items()
    ]
    bulk.run(conn, _PUT, rows)


def forget(conn: Connection, about: Collection[str]) -> None:
    """Forget what everybody knows about some things: they are news if they happen again."""
    for part in chunks(about):
        conn.execute(delete(told).where(told.c.about.in_(part)))
