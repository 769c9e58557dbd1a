"""Facts: what is known about the journal as a whole, kept in the metadata table `marks`.

Promises: everything is read and written inside the caller's transaction. Leaves out: what follows
from a fact.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from provisioner.journal import sums
from provisioner.journal.dialect import upsert
from provisioner.journal.schema import marks

JOURNAL = "journal"
"""The journal's own id, which its copies share and its spool names."""

POSITION = "position"
"""The number of transactions that the redo log had when the last one was written."""

NEWEST = "newest"
"""The newest request that the spool had among the finished ones when the journal was rebuilt. The
journal need not have it."""

REBUILT = "rebuilt"
"""The last rebuild, a ULID: a spool that has not noted it may have what the journal lacks."""

UNSEEN = "unseen"
"""The intakes that have not begun since then, as JSON: the place of each one's spool, by host."""

SUM = sums.NAME
"""The sum of all rows after the transaction that its value names."""

VERSION = "version"
"""The version of the tables, where the database itself has no place for it: `schema.VERSION`."""

OBSERVING = "observing"
"""Why nothing is written to any backend. It is set until an operator releases the journal.

A journal that was rebuilt has it, and one that is served with `mode: observe`."""

LEASE = "lease"
"""The lease of the processes that serve the journal together, in seconds."""

CONFIGURED = "the configuration says `mode: observe`"
"""The value of `OBSERVING` while the configuration says so: nobody can release it before."""

CLOCK = "clock"
"""Both clocks as they were last read: `clock.Sight`."""

JUMPED = "clock jumped"
"""When the time of day last jumped, and by how much."""

DOUBTED = "clock doubted"
"""Jumps forward that may be mistakes: `doubts.written`, by the steady clock of `CLOCK`'s boot."""

TOLD = "told"
"""The number of the last event of which people were told, or need not be. It is set while the
configuration says that anybody is told."""

DIGESTED = "digested"
"""When operators last got their daily digest, in seconds since the epoch."""

IDLE = "idle"
"""The last round of looking for idle people, as JSON: when it was, and what was in doubt."""

SERVED = "served"
"""The configuration with which the service last started, and since when: `config.served.Served`."""

MOVED = "moved"
"""Where the journal is now: this one is what it was before, and is served no more."""

HOME = "home"
"""In which tables, and by which transaction, a server has the rows: others since a restore."""

NAMES = frozenset(
    {JOURNAL, POSITION, NEWEST, SUM, OBSERVING, CLOCK, JUMPED, DOUBTED, TOLD, DIGESTED, IDLE}
    | {SERVED, VERSION, MOVED, HOME, REBUILT, UNSEEN, LEASE}
)
"""All names. The program writes no other, so another name means damage."""


def get(conn: Connection, name: str) -> str | None:
    """Return the value of a fact; None if it is not set."""
    return conn.scalar(select(marks.c.value).where(marks.c.name == name))


def put(conn: Connection, name: str, value: str) -> None:
    """Set a fact."""
    row = {"name": name, "value": value}
    conn.execute(upsert(marks).on_conflict_do_update(index_elements=["name"], set_=row), row)


def remove(conn: Connection, name: str) -> bool:
    """Remove a fact. Return False if it was not set."""
    return conn.execute(delete(marks).where(marks.c.name == name)).rowcount > 0
