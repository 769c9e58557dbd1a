"""Shutting: what policy remembers of whom submitters shut out a moment ago, where several processes
accept.

Promises: everything is read and written inside the caller's transaction. Each note is read in the
order in which it was written. Leaves out: what follows from one (`policy`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from provisioner.journal import bulk
from provisioner.journal.schema import shutting

_SINCE = (
    select(shutting.c.seq, shutting.c.uid, shutting.c.at, shutting.c.told)
    .where(shutting.c.seq > bindparam("b_seq"), shutting.c.teller != bindparam("b_teller"))
    .order_by(shutting.c.seq)
)


@dataclass(frozen=True, slots=True)
class Note:
    """What a submitter did. at: seconds since the epoch; told: as JSON has it."""

    seq: int
    uid: int
    at: float
    told: Mapping[str, Any]


def since(conn: Connection, seq: int, besides: str) -> list[Note]:
    """Return the notes after one, without those of one teller."""
    rows = bulk.rows(conn, _SINCE, {"b_seq": seq, "b_teller": besides})
    return [Note(row.seq, row.uid, row.at, json.loads(row.told)) for row in rows]


def put(conn: Connection, uid: int, at: float, told: Mapping[str, Any], teller: str) -> None:
    """Add a note."""
    last = conn.scalar(select(func.max(shutting.c.seq))) or 0
    text = json.dumps(told, separators=(",", ":"))
    row = {"seq": last + 1, "uid": uid, "at": at, "told": text, "teller": teller}
    conn.execute(insert(shutting), row)


def forget(conn: Connection, before: float) -> None:
    """Remove the notes of before a time, but for the last one, which counts them."""
    last = select(func.max(shutting.c.seq)).scalar_subquery()
    conn.execute(delete(shutting).where(shutting.c.at < before, shutting.c.seq < last))
