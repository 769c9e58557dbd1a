"""Presence: the processes that serve a journal together, as the table `hosts` has them.

Promises: all but `clear` read and write inside the caller's transaction. Times are the server's.
Leaves out: saying that a process is still there, which waits for no transaction (`wire`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from provisioner.contract import ConfigError
from provisioner.journal import facts
from provisioner.journal.dialect import upsert
from provisioner.journal.hosts import holds
from provisioner.journal.journal import Journal
from provisioner.journal.schema import hosts

INTAKE = "intake"
"""The roles of a process that takes files, and keeps house if no other one does."""

HOUSE = "the house"
"""What one of the intakes does for the whole journal: it is held as a lane is."""

FORGOTTEN = 7 * 86400.0
"""Seconds after which a process that is not heard is no longer missed: its host is gone."""

_JOIN = upsert(hosts)
_COLUMNS = ("version", "since", "heard", "ahead")
_AGAIN = _JOIN.on_conflict_do_update(
    index_elements=["name", "roles"],
    set_={name: getattr(_JOIN.excluded, name) for name in _COLUMNS},
)


@dataclass(frozen=True, slots=True)
class Host:
    """A process. name: its host's; roles: `intake`, or `lanes` and their names; version: the
    program's; since, heard: when it began, and its last beat, by the server's clock; ahead: seconds
    by which its own clock is before that."""

    name: str
    roles: str
    version: str
    since: float
    heard: float
    ahead: float = 0.0

    @property
    def lanes(self) -> list[str]:
        """Return the lanes that it may drain; an intake may have the house."""
        role, _, names = self.roles.partition(" ")
        return names.split(", ") if role == "lanes" else [HOUSE]


def lanes_role(names: Collection[str]) -> str:
    """Return the roles of a process that drains some lanes."""
    return f"lanes {', '.join(sorted(names))}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A process, looked at. silent: seconds since its last beat; missing: that is too long; drains:
    the lanes that it has."""

    host: Host
    silent: float
    missing: bool
    drains: tuple[str, ...]

    @property
    def takes(self) -> bool:
        """Return True if it takes requests."""
        return self.host.roles.partition(" ")[0] == INTAKE


def seen(conn: Connection, now: float, lease: float) -> list[Seen]:
    """Return how each process is that did not end in order.

    now: the server's time; lease: seconds. One is missing after two of them, and gone after
    `FORGOTTEN`.
    """
    whose = {lane: holder.host for lane, holder in holds.listed(conn).items()}
    found = []
    for host in listed(conn):
        drains = tuple(lane for lane in host.lanes if whose.get(lane) == host.name)
        silent = max(0.0, now - host.heard)
        if silent > FORGOTTEN:
            continue
        found.append(Seen(host, silent, silent > 2 * lease, drains))
    return found


def listed(conn: Connection) -> list[Host]:
    """Return every process that did not end in order."""
    rows = conn.execute(select(hosts).order_by(hosts.c.roles, hosts.c.name))
    return [Host(*row) for row in rows]


def join(conn: Connection, host: Host, lease: float) -> None:
    """Add a process, or write again the row of one that died. lease: seconds.

    Raises ConfigError if another one that is there has another version of the program, or another
    lease: who takes a lane up waits for as long as its own lease says.
    """
    agreed = float(facts.get(conn, facts.LEASE) or lease)
    there = [o for o in listed(conn) if o.heard >= host.heard - 2 * max(agreed, lease)]
    for other in there:
        if (other.name, other.roles) != (host.name, host.roles) and agreed != lease:
            raise ConfigError(
                f"{other.name} serves the journal ({other.roles}) with a lease of {agreed:g} s, "
                f"and {host.name} has {lease:g} s",
                advice="set `roles.lease` alike on all hosts, and start them again",
                passing=True,
            )
        if other.version != host.version:
            raise ConfigError(
                f"{other.name} serves the journal ({other.roles}) with version {other.version} of "
                f"the program, and {host.name} has {host.version}",
                advice="install one version on all hosts; stop them all, then start them",
            )
    if agreed != lease:  # who was not heard, and comes back, ends, and begins with the new one
        conn.execute(delete(hosts))
    facts.put(conn, facts.LEASE, str(lease))
    row = {name: getattr(host, name) for name in ("name", "roles", *_COLUMNS)}
    conn.execute(_AGAIN, row)


def leave(conn: Connection, host: Host) -> None:
    """Remove a process that ends in order."""
    conn.execute(delete(hosts).where(hosts.c.name == host.name, hosts.c.roles == host.roles))


def clear(book: Journal) -> None:
    """Remove all processes: one serves alone from now on."""
    with book.reading() as conn:
        some = listed(conn)
    if some:
        with book.transaction() as conn:
            conn.execute(delete(hosts))
