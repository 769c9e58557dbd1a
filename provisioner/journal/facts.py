"""Facts: what is known about the journal as a whole.

Promises: everything is read and written inside the caller's transaction. Leaves out: what follows
from a mark.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from provisioner.journal import sums
from provisioner.journal.dialect import upsert
from provisioner.journal.schema import marks

JOURNAL = "journal"
"""The journal's own id, which its copies share and its spool names."""

POSITION = "position"
"""How many transactions the redo log had when this one was written."""

NEWEST = "newest"
"""The newest request that was done in the spool when the journal was rebuilt, and need not be in
it."""

SUM = sums.MARK
"""What all rows came to with the transaction that it names."""

OBSERVING = "observing"
"""Set until an operator has released the journal: why nothing is written to any backend.

A journal that was rebuilt has it, and one that is served with `mode: observe`."""

CONFIGURED = "the configuration says `mode: observe`"
"""The value of `OBSERVING` for as long as that is so: nobody releases it before."""

CLOCK = "clock"
"""Both clocks as they were seen last: `clock.Sight`."""

JUMPED = "clock jumped"
"""When the time of day jumped last, and by how much."""


NAMES = frozenset({JOURNAL, POSITION, NEWEST, SUM, OBSERVING, CLOCK, JUMPED})
"""All that there are: a name beside them was written by nobody."""


def get(conn: Connection, name: str) -> str | None:
    """Return a mark; None where it is not set."""
    return conn.scalar(select(marks.c.value).where(marks.c.name == name))


def put(conn: Connection, name: str, value: str) -> None:
    """Set a mark."""
    row = {"name": name, "value": value}
    conn.execute(upsert(marks).on_conflict_do_update(index_elements=["name"], set_=row), row)


def remove(conn: Connection, name: str) -> bool:
    """Remove a mark; False where it was not set."""
    return conn.execute(delete(marks).where(marks.c.name == name)).rowcount > 0
