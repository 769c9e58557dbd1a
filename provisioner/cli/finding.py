"""Which request a name means to the person who types it.

Promises: reads only; a name that means no request, or several, is refused. Leaves out: the order in
which names are looked up (`lookup`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.cli import site
from provisioner.contract import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from provisioner.journal.journal import Journal
    from provisioner.journal.queries.lookup import Seeker
    from provisioner.journal.records.request_rows import Record


def looked_up(name: str) -> Record | None:
    """Return the request that a name means to the caller; None if the caller may not read it.

    Raises InvalidRequest if there is none, or more than one.
    """
    try:
        book = site.journal(site.config())
    except ConfigError:
        return None
    try:
        return find(book, name)
    finally:
        book.close()


def find(book: Journal, name: str) -> Record:
    """Return the request that a name means; if it is a file's name, the newest such request.

    Raises InvalidRequest if there is none, or more than one.
    """
    from provisioner.journal.queries import lookup
    from provisioner.journal.records import request_rows

    with book.reading() as conn:
        record = lookup.seek(conn, name, seeker()) or request_rows.newest(conn, name, "")
        record = record or lookup.ending(conn, name)
    if record is None:
        raise InvalidRequest(
            f"there is no request {name!r}",
            advice="`provisioner queue --ended 20` lists the newest; a file that the service has "
            "not taken yet is in staging",
        )
    return record


def seeker() -> Seeker:
    """Return the caller, who may see everything, because the caller may read the journal."""
    import os

    from provisioner.journal.queries.lookup import Seeker

    return Seeker(os.geteuid(), others=True)
