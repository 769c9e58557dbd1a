"""The lock of who serves a journal in PostgreSQL.

Promises: a process is refused while another one serves the journal, and learns which. Each of a
service's connections that writes shares the lock, so that whoever loses it can write nothing more.
Leaves out: whose turn it is to write (`server`).
"""

from __future__ import annotations

from typing import Any

from psycopg.errors import LockNotAvailable

from provisioner.contract import ConfigError

_LOCK = "(1936880738, hashtext(current_schema()))"
"""A journal is a schema: several may share a database."""

_GRACE = "SET LOCAL lock_timeout = '2s'"
"""How long the lock of a process that was killed may last: its server process has to notice it."""

_WAIT = f"SELECT pg_advisory_lock{_LOCK}"
_SHARE = f"SELECT pg_try_advisory_lock_shared{_LOCK}"
_FREE = f"SELECT pg_advisory_unlock{_LOCK}"
_WHO = (
    "SELECT application_name, coalesce(host(client_addr), 'a local socket'), pid "
    "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND classid = 1936880738 AND pg_locks.database = (SELECT oid FROM pg_database WHERE "
    "datname = current_database()) AND objid::BIGINT = hashtext(current_schema())::BIGINT "
    "& 4294967295 ORDER BY backend_start LIMIT 1"
)


def reserve(conn: Any, place: str) -> None:
    """Take the lock with a connection, unless another process has it. Raises ConfigError."""
    conn.execute(_GRACE)
    try:
        conn.execute(_WAIT)
    except LockNotAvailable:
        conn.rollback()
        raise _served(conn, place) from None
    # From here on nobody else has it; what this process opens shares it.
    _got(conn, _SHARE)
    _got(conn, _FREE)
    conn.commit()


def share(conn: Any, place: str) -> None:
    """Hold the lock with one more connection. Raises ConfigError if another process has it."""
    if not _got(conn, _SHARE):
        raise _served(conn, place)
    conn.commit()


def _got(conn: Any, statement: str) -> bool:
    return bool(conn.execute(statement).fetchone()[0])


def _served(conn: Any, place: str) -> ConfigError:
    who = conn.execute(_WHO).fetchone()
    told = f"{who[0]}, by {who[1]}, server process {who[2]}" if who else "unknown"
    return ConfigError(
        f"{place} is served by another process: {told}",
        advice="stop it first; each service needs a journal of its own",
    )
