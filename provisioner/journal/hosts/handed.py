"""Handed: requests that a host without a spool hands on to one that takes requests.

Promises: everything is read and written inside the caller's transaction; each has one taker. Leaves
out: how it comes into staging (`hosts.handing`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from provisioner.journal.schema import handed


@dataclass(frozen=True, slots=True)
class Handed:
    """A request on its way. id: a ULID; name: of its file in staging, of which there is one; taker:
    the spool into whose staging it comes, and the host that puts it there; None: none yet."""

    id: str
    name: str
    body: bytes
    taker: str | None = None

    @property
    def host(self) -> str:
        """The host that has taken it."""
        return (self.taker or "").partition(" ")[2]


def taker(spool: str, host: str) -> str:
    """Return a taker. spool: its id; host: a name without blanks."""
    return f"{spool} {host}"


def add(conn: Connection, one: Handed) -> None:
    """Hand a request on."""
    conn.execute(insert(handed), {"id": one.id, "name": one.name, "body": one.body})


def last_id(conn: Connection) -> str:
    """Return the highest id of those on their way; '' if there is none."""
    return conn.scalar(select(func.max(handed.c.id))) or ""


def waiting(conn: Connection, most: int = 1000) -> list[Handed]:
    """Return those that nobody has taken, the oldest first, at most some."""
    return _some(conn, handed.c.taker.is_(None), most)


def taken(conn: Connection, spool: str, most: int = 1000) -> list[Handed]:
    """Return those that come into the staging of a spool, whichever host has taken them."""
    return _some(conn, handed.c.taker.startswith(taker(spool, ""), autoescape=True), most)


def _some(conn: Connection, which: ColumnElement[bool], most: int) -> list[Handed]:
    rows = select(handed).where(which).order_by(handed.c.id).limit(most)
    return [Handed(*row) for row in conn.execute(rows)]


def take(conn: Connection, ids: Collection[str], by: str) -> None:
    """Have those of some taken that nobody has. by: the taker."""
    free = update(handed).where(handed.c.id.in_(ids), handed.c.taker.is_(None))
    conn.execute(free.values(taker=by))


def take_all(conn: Connection, by: str) -> None:
    """Have all of them taken, also those that another one has. by: the taker."""
    conn.execute(update(handed).values(taker=by))


def remove(conn: Connection, ids: Collection[str]) -> None:
    """Remove those that are in staging."""
    conn.execute(delete(handed).where(handed.c.id.in_(ids)))
