"""Holds: which host has a lane, and the epoch by which a slow one's records are refused.

Promises: each host that takes a lane up raises its epoch; `check`, in a transaction that writes, is
true of the moment of its commit. Leaves out: when a lane may be taken up, and for how long its host
may write to a backend (`hosts`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from provisioner.journal import bulk
from provisioner.journal.dialect import upsert
from provisioner.journal.schema import holds

_BLANK = upsert(holds)
_TAKE = _BLANK.on_conflict_do_update(
    index_elements=["lane"],
    set_={
        "epoch": holds.c.epoch + 1,
        "host": _BLANK.excluded.host,
        "since": _BLANK.excluded.since,
    },
)
_ONE = select(holds.c.epoch, holds.c.host).where(holds.c.lane == bindparam("b_lane"))
_GIVE_BACK = (
    update(holds)
    .where(holds.c.lane == bindparam("b_lane"), holds.c.epoch == bindparam("b_epoch"))
    .values(host=None)
)


class Overtaken(Exception):
    """Another host has taken the lane up: this one may neither write to its backend nor record."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lane. host: None if it was given back; since: seconds since the epoch."""

    lane: str
    epoch: int
    host: str | None
    since: float


def take_up(conn: Connection, lane: str, host: str, now: float) -> Holder:
    """Take a lane up for a host. Return whose it was until now, if anybody's.

    The returned epoch is the one that the host has from now on.
    """
    before = next(iter(bulk.rows(conn, _ONE, {"b_lane": lane})), None)
    bulk.run(conn, _TAKE, [{"lane": lane, "epoch": 1, "host": host, "since": now}])
    [(epoch, _)] = bulk.rows(conn, _ONE, {"b_lane": lane})
    return Holder(lane, epoch, None if before is None else before.host, now)


def check(conn: Connection, lane: str, epoch: int) -> None:
    """Raise Overtaken if a lane was taken up again after an epoch.

    On a connection that writes: nobody takes it up before the commit.
    """
    rows = bulk.rows(conn, _ONE, {"b_lane": lane})
    if rows and rows[0].epoch == epoch:
        return
    by = f"{rows[0].host or 'another host'} has" if rows else "nobody has"
    raise Overtaken(f"lane {lane}: {by} taken it up meanwhile; this host writes nothing more to it")


def give_back(conn: Connection, lane: str, epoch: int) -> None:
    """Give a lane back, unless another host has it by now: who takes it up need not wait."""
    bulk.run(conn, _GIVE_BACK, [{"b_lane": lane, "b_epoch": epoch}])


def listed(conn: Connection) -> dict[str, Holder]:
    """Return who has each lane that a host ever took up."""
    return {row.lane: Holder(*row) for row in conn.execute(select(holds))}
