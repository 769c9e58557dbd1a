"""Placement: every object gets a lane of the current configuration, whatever it was before.

Promises: an object whose handler changed its lane moves there. An object whose handler is no longer
configured is in a lane of its own, which gives it up whenever it becomes due. Leaves out: what a
lane does (`lanes`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from provisioner.journal.journal import Journal
from provisioner.journal.records import waits

log = logging.getLogger(__name__)


def place(book: Journal, lanes: Mapping[str, str]) -> bool:
    """Move objects to the lanes that serve them now. lanes: lane of each instance.

    Return True if some have no handler any more.
    """
    with book.reading() as conn:
        displaced = waits.displaced(conn, lanes)
    if displaced:
        with book.transaction() as conn:
            waits.place(conn, lanes)
    with book.reading() as conn:
        without = waits.unserved(conn)
    if without:
        log.warning(
            "objects of handlers that are no longer configured: %s; what closes or changes them "
            "fails until they are back",
            ", ".join(without),
        )
    return bool(without)
