"""Newcomers: users whom the ledger does not know.

Promises: reads only, inside the caller's transaction. Leaves out: who brought them, and when
(`lately`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, select

from provisioner.journal.dialect import chunks
from provisioner.journal.schema import claims


def unknown(conn: Connection, users: Sequence[str]) -> list[str]:
    """List the users for whom there is no claim."""
    return _without(conn, claims.c.leaf, users)


def without_request(conn: Connection, users: Sequence[str]) -> list[str]:
    """List the users without claims from requests about themselves, such as `user.provision`."""
    return _without(conn, claims.c.root, users)


def _without(conn: Connection, column: ColumnElement[str], users: Sequence[str]) -> list[str]:
    known: set[str] = set()
    for part in chunks([f"user:{name}" for name in users]):
        known.update(conn.scalars(select(column).where(column.in_(part)).distinct()))
    return [name for name in dict.fromkeys(users) if f"user:{name}" not in known]
