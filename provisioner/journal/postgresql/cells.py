"""Cells: whether every cell of a journal in PostgreSQL can be read as what its column holds.

Promises: JSON parses, states are known, each request's body has its digest, and the chain of events
is intact. Leaves out: types and pages, which the server checks.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from provisioner.journal import audit
from provisioner.journal.dialect import Spoilt
from provisioner.journal.schema import events, metadata


def wrong(conn: Connection) -> str:
    """Return the first error in a journal as text; '' if there is none."""
    for table in metadata.sorted_tables:
        if table is events:
            continue
        try:
            for _ in conn.execute(select(table), execution_options={"yield_per": 1000}):
                pass
        except Spoilt as spoilt:
            return f"table {table.name}: {spoilt}"
    return audit.verify(conn).problem
