"""Placement: every object gets a lane of the current configuration, whatever it was before.

Promises: an object whose handler changed its lane moves there. An object whose handler is no longer
configured is given up, and the requests that wait for it fail. Leaves out: what a lane does
(`lanes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from provisioner.journal.journal import Journal
from provisioner.journal.records import object_rows, waits
from provisioner.objects.states import StepState
from provisioner.steps import settling
from provisioner.steps.binding import Progress

log = logging.getLogger(__name__)


def place(book: Journal, lanes: Mapping[str, str], progress: Progress) -> None:
    """Move objects to the lanes that serve them now. lanes: lane of each instance."""
    with book.reading() as conn:
        if not waits.displaced(conn, lanes):
            return
    now = time.time()
    with book.transaction() as conn:
        waits.place(conn, lanes)
        readings = waits.stranded(conn, lanes)
        if not readings:
            return
        object_rows.record(conn, readings, now)
        verdicts = {
            reading.key: settling.Verdict(
                reading.generation, StepState.FAILED, (), reading.error, None
            )
            for reading in readings
        }
        settling.settle(conn, verdicts, progress, now)
    for reading in readings:
        log.warning("%s: its handler is no longer configured; given up", reading.key)
