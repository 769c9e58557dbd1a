"""The locks of who serves a journal in PostgreSQL.

Promises: a process that serves it alone is refused while another one serves it, and one that serves
it with others while one serves it alone; each learns which that is. The connections of a service
that write hold the locks, so that whoever loses them can write nothing more. Leaves out: whose turn
it is to write (`server`), and who has which lane (`journal.hosts.holds`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from psycopg.errors import LockNotAvailable

from provisioner.contract import ConfigError

_SERVED = 1936880738
"""The lock that all who serve share. Whoever has it for itself makes the journal ready."""

_ALONE = 1936880739
"""The lock that the connections of a process share which serves alone."""

_ROLE = 1936880740
"""The lock of who has a role that one process has."""

_GRACE = 2.0
"""Seconds for which the lock of a process that was killed may last: its server process has to
notice it. A process that serves waits twice as long for one that asks in vain."""

_READY = 30.0
"""Seconds for which another process may make the journal ready."""


_STOP = (
    "stop it first; each service needs a journal of its own, or roles on every host: "
    "--intake, --lanes"
)

FIRST = (
    "the journal has an earlier version than this program, or lacks what only the redo log here "
    "has: stop all that serve it, start this one, then the others, with one version on all hosts"
)
"""Advice for one that is to serve it with others, and has to change it before."""


def _lock(number: int, role: str = "") -> str:
    """Return the key of a lock. A journal is a schema: several may share a database."""
    quoted = role.replace("'", "''")
    return f"({number}, pg_catalog.hashtext(current_schema()::TEXT || '{quoted}'))"


def _who(number: int) -> str:
    return (
        "SELECT application_name, coalesce(host(client_addr), 'a local socket'), pid "
        "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
        f"AND classid = {number} AND pg_locks.database = (SELECT oid FROM pg_database WHERE "
        f"datname = current_database()) AND objid::BIGINT = "
        "pg_catalog.hashtext(current_schema()::TEXT || %s)::BIGINT & 4294967295 "
        "AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 1"
    )


def only(conn: Any, place: str, advice: str = _STOP) -> None:
    """Take the lock of all with a connection, alone.

    Raises ConfigError if a process serves; advice: what to do then.
    """
    if not _waited(conn, f"SELECT pg_advisory_lock{_lock(_SERVED)}", _GRACE):
        raise _served(conn, place, _SERVED, advice)
    conn.commit()


def reserve(conn: Any, place: str) -> None:
    """Serve alone, with a connection. Raises ConfigError if another process serves."""
    only(conn, place)
    # From here on nobody else has it; what this process opens shares it.
    claim(conn, place)
    conn.execute(f"SELECT pg_advisory_unlock{_lock(_SERVED)}")
    conn.commit()


def claim(conn: Any, place: str) -> None:
    """Serve alone, with one more connection. Raises ConfigError if another process does."""
    for number in (_SERVED, _ALONE):
        if not _waited(conn, f"SELECT pg_advisory_lock_shared{_lock(number)}", 2 * _GRACE):
            raise _served(conn, place, number)
    conn.commit()


def share(conn: Any, place: str, roles: Sequence[str]) -> None:
    """Serve with others, with a connection. roles: those that one process has.

    Raises ConfigError if another process serves alone, or has one of the roles.
    """
    if not _waited(conn, f"SELECT pg_advisory_lock_shared{_lock(_SERVED)}", _READY):
        raise _served(conn, place, _SERVED)
    for role in roles:
        if not _waited(conn, f"SELECT pg_advisory_lock{_lock(_ROLE, role)}", _GRACE):
            raise _taken(conn, place, role)
    # Until the commit: whoever serves alone would keep it.
    if not _waited(conn, f"SELECT pg_advisory_xact_lock{_lock(_ALONE)}", _GRACE):
        raise _served(conn, place, _ALONE)
    conn.commit()


def _waited(conn: Any, statement: str, seconds: float) -> bool:
    """Take a lock, for which others may have to give it up first. Return False if none does."""
    conn.execute(f"SET LOCAL lock_timeout = '{seconds:.3f}s'")
    try:
        conn.execute(statement)
    except LockNotAvailable:
        conn.rollback()
        return False
    return True


def _named(conn: Any, number: int, role: str = "") -> str:
    who = conn.execute(_who(number), [role]).fetchone()
    return f"{who[0]}, by {who[1]}, server process {who[2]}" if who else "unknown"


# A host without power keeps its locks until the server gives it up: who starts meanwhile may try
# again.


def _served(conn: Any, place: str, number: int, advice: str = _STOP) -> ConfigError:
    return ConfigError(
        f"{place} is served by another process: {_named(conn, number)}; this host is "
        f"{os.uname().nodename}",
        advice=advice,
        passing=True,
    )


def _taken(conn: Any, place: str, role: str) -> ConfigError:
    return ConfigError(
        f"{place} has {role} already: {_named(conn, _ROLE, role)}; this host is "
        f"{os.uname().nodename}",
        advice="stop one of both: each intake needs a host and a spool of its own; if both have "
        "one spool on a shared file system, set `roles.staging: shared`; if one has a copy of the "
        "other's, remove the file `intake` from the copy",
        passing=True,
    )
