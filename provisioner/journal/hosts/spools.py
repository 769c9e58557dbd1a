"""Spools: where each intake of a journal takes files, and puts results and receipts.

Promises: everything is read and written inside the caller's transaction. A spool keeps its id; that
of the first one is '', so that a process that serves alone need not look. Leaves out: what lies in
a spool (`spool`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import Connection, case, func, select, update

from provisioner.contract import Refused
from provisioner.journal import facts
from provisioner.journal.dialect import chunks, upsert
from provisioner.journal.hosts import presence
from provisioner.journal.schema import requests, spools
from provisioner.objects.states import OPEN
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

FIRST = ""
"""The id of the spool that a journal had first."""

SHARED = " shared"
"""The end of the mark of an intake that says that it shares its staging."""

_ADD = upsert(spools)
_AGAIN = _ADD.on_conflict_do_update(
    index_elements=["id"],
    set_={name: getattr(_ADD.excluded, name) for name in ("host", "place", "mark", "served")},
)


@dataclass(frozen=True, slots=True)
class Spool:
    """A spool. host, place: of the intake that had it last, and its directory there; mark: what
    that one wrote into its staging; served: seconds since the epoch."""

    id: str
    host: str
    place: str
    mark: str = ""
    served: float = 0.0


def listed(conn: Connection) -> list[Spool]:
    """Return every spool that an intake ever had."""
    return [Spool(*row) for row in conn.execute(select(spools).order_by(spools.c.id))]


def identity(conn: Connection, host: str, place: str, *, first: bool) -> str:
    """Return the id of a spool that does not know its own: that of its place, or a new one.

    first: it may be the one that the journal had first.
    """
    there = listed(conn)
    is_first = first and all(spool.id != FIRST for spool in there)
    same = (spool.id for spool in there if (spool.host, spool.place) == (host, place))
    return next(same, FIRST if is_first else ulid.new())


def put(conn: Connection, spool: Spool) -> None:
    """Write who has a spool now."""
    row = {name: getattr(spool, name) for name in ("id", "host", "place", "mark", "served")}
    conn.execute(_AGAIN, row)


def is_shared(mark: str) -> bool:
    """Return True for the mark of an intake that says that it shares its staging."""
    return mark.endswith(SHARED)


@dataclass(frozen=True, slots=True)
class Filed:
    """A request. ended: seconds since the epoch, None: it is open."""

    id: RequestId
    ended: float | None


def portion(conn: Connection, some: Collection[str], most: int) -> list[Filed]:
    """Return requests whose files were taken in some spools, the oldest first, at most some."""
    own = requests.c.spool.in_(list(some))
    over = case((requests.c.state.in_(OPEN), None), else_=requests.c.ended)
    rows = select(requests.c.id, over).where(own).order_by(requests.c.id).limit(most)
    return [Filed(*row) for row in conn.execute(rows)]


def give(conn: Connection, ids: Collection[RequestId], spool: str) -> None:
    """Have requests answered in another spool from now on."""
    for part in chunks(ids):
        conn.execute(update(requests).where(requests.c.id.in_(part)).values(spool=spool))


def unanswered(conn: Connection) -> dict[str, int]:
    """Return how many requests of each spool are open."""
    rows = select(requests.c.spool, func.count().label("open")).where(requests.c.state.in_(OPEN))
    return {row.spool: row.open for row in conn.execute(rows.group_by(requests.c.spool))}


def note(conn: Connection, spool: str, now: float) -> None:
    """Write that a spool is still served."""
    conn.execute(update(spools).where(spools.c.id == spool).values(served=now))


def another(conn: Connection, asking: str, asked: str) -> str:
    """Return the host of the spool of a request; '' if another request has the same one."""
    whose = select(requests.c.id, requests.c.spool).where(requests.c.id.in_([asking, asked]))
    taken = {row.id: row.spool for row in conn.execute(whose)}
    hosts = {spool.id: spool.host for spool in listed(conn)}
    return "" if taken[asking] == taken[asked] else hosts.get(taken[asked], "another host")


def left(conn: Connection, before: float) -> list[str]:
    """Return the spools that no intake has served since a time."""
    return list(conn.scalars(select(spools.c.id).where(spools.c.served < before)))


def await_all(conn: Connection) -> None:
    """Have every intake be awaited: its spool may have what a rebuilt journal lacks."""
    last = {
        one.host: one.place for one in sorted(listed(conn), key=attrgetter("served")) if _alone(one)
    }
    facts.put(conn, facts.UNSEEN, json.dumps(last))


def _alone(spool: Spool) -> bool:
    """Return True for the spool of an intake that shares it with no other one."""
    return bool(spool.mark) and not is_shared(spool.mark)


def others(conn: Connection, host: str, place: str) -> bool:
    """Return True if there are intakes of other hosts than one, or were, all begun since a rebuild.

    host, place: of the intake that asks, and of its spool.
    """
    last = [(one.host, one.place) for one in listed(conn) if _alone(one)]
    return not awaited(conn) and any(one != (host, place) for one in last)


def awaited(conn: Connection) -> Mapping[str, str]:
    """Return the hosts whose intakes have not begun since a rebuild, with the places of their
    spools there."""
    found: dict[str, str] = json.loads(facts.get(conn, facts.UNSEEN) or "{}")
    return found


def begun(conn: Connection, host: str) -> None:
    """Await the intake of a host no more."""
    left = awaited(conn)
    if host in left:
        rest = {name: place for name, place in left.items() if name != host}
        facts.put(conn, facts.UNSEEN, json.dumps(rest))


def refuse_awaited(conn: Connection) -> None:
    """Raise Refused if several processes serve, and an intake has not begun since a rebuild."""
    for host, place in awaited(conn).items() if presence.listed(conn) else ():
        raise Refused(
            f"the intake on {host} has not begun since the journal was rebuilt: what {place} there "
            "has, and the journal does not know, such as who was suspended, was not named",
            advice=f"start it; if it is refused, `provisioner journal rebuild` on {host} names it; "
            f"if {host} is gone for good, provisioner take-over {host}",
        )
