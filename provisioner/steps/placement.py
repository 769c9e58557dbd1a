"""Placement: every object is served by a lane that there is, whatever the configuration was before.

Promises: an object whose handler goes by another lane now goes there; one that no handler serves
any more is given up, and who waited for it is told. Leaves out: what a lane does (`lanes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from provisioner.journal.journal import Journal
from provisioner.journal.records import object_rows
from provisioner.objects.states import StepState
from provisioner.steps import settling
from provisioner.steps.binding import Progress

log = logging.getLogger(__name__)


def place(book: Journal, lanes: Mapping[str, str], progress: Progress) -> None:
    """Have objects served by the lanes there are. lanes: lane of each instance."""
    with book.reading() as conn:
        if not object_rows.displaced(conn, lanes):
            return
    now = time.time()
    with book.transaction() as conn:
        object_rows.place(conn, lanes)
        readings = object_rows.stranded(conn, lanes)
        if not readings:
            return
        object_rows.record(conn, readings, now)
        verdicts = {
            one.key: settling.Verdict(one.generation, StepState.FAILED, (), one.error, None)
            for one in readings
        }
        settling.settle(conn, verdicts, progress, now)
    for one in readings:
        log.warning("%s: its handler is not configured any more; given up", one.key)
