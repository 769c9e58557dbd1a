"""Outsiders: what is kept of writers who may ask for nothing here.

Promises: of each one's refused files so many are kept, the newest, with result, receipt and row; no
body of one is in the journal, and what is older goes together, told by an event. Nothing goes that
came while its writer might ask for anything, or of who may by now; what was accepted never does.
Leaves out: who is an outsider (`policy`), and events, which go with the others in their time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select

from provisioner.journal import audit
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from provisioner.journal.schema import chunks, requests
from provisioner.objects.states import RequestState
from provisioner.outcome import receipts
from provisioner.outcome.outcomes import receipt_name
from provisioner.spool.spool import Spool

log = logging.getLogger(__name__)

EVENT = "outsider"
"""The kind of event that says what was removed."""

PROBLEMS = 20
"""Mistakes that are kept of an outsider's file, the first."""

_PORTION = 500
_PLACES = ("failed", "quarantine")

_LEFT = (requests.c.state == RequestState.REFUSED) & (func.length(requests.c.body) == 0)
"""Rows that an outsider may have left: nobody else's refused request is without its body."""


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Leave of an outsider's refused request what its result needs."""
    return {**row, "body": b"", "problems": row["problems"][:PROBLEMS]}


class Outsiders:
    """Removes what is too much, for one thread."""

    def __init__(
        self, spool: Spool, book: Journal, keep: int, is_outsider: Callable[[int], bool]
    ) -> None:
        """keep: refused files of each outsider; is_outsider: says so of a uid, as of now."""
        self._spool = spool
        self._journal = book
        self._keep = keep
        self._is_outsider = is_outsider
        self.unsettled = False
        """Whether something is still on its way to its place, and has to be looked at again."""

    def portions(self) -> Iterator[int]:
        """Remove what is too much, portion by portion; give how many files each was."""
        self.unsettled = False
        with self._journal.reading() as conn:
            counted = conn.execute(
                select(requests.c.uid, func.count()).where(_LEFT).group_by(requests.c.uid)
            ).all()
        for uid, count in counted:
            if count <= self._keep or not self._is_outsider(uid):
                continue
            with self._journal.reading() as conn:
                older = (
                    select(requests.c.id)
                    .where(_LEFT, requests.c.uid == uid)
                    .order_by(requests.c.id.desc())
                    .offset(self._keep)
                )
                ids = sorted(conn.scalars(older))
            for start in range(0, len(ids), _PORTION):
                yield self._remove(ids[start : start + _PORTION])

    def _remove(self, ids: Sequence[str]) -> int:
        """Remove files, results and receipts, and then their rows: so a crash leaves no file."""
        with self._journal.reading() as conn:
            loaded = list(request_rows.load(conn, ids).values())
            shared = _shared(conn, loaded)
        gone = [record for record in loaded if self._discard(record)]
        for record in gone:
            if (record.writer, receipt_name(record)) not in shared:
                receipts.remove(self._spool.receipts, record.writer, receipt_name(record))
        if not gone:
            return 0
        writer = gone[-1].writer
        text = (
            f"{len(gone)} refused files of {writer}, who may ask for nothing, were removed; "
            f"the newest {self._keep} are kept"
        )
        facts = {"writer": writer, "uid": gone[-1].uid, "files": len(gone)}
        with self._journal.transaction() as conn:
            for part in chunks([record.id for record in gone]):
                conn.execute(delete(requests).where(requests.c.id.in_(part), _LEFT))
            audit.append(conn, [audit.Event(None, EVENT, text, None, facts)], time.time())
        log.warning("%s", text)
        return len(gone)

    def _discard(self, record: request_rows.Record) -> bool:
        """Remove a file and its result; False: it is not in its place yet, or cannot be removed."""
        if self._spool.lies("active", record.id, record.name):
            self.unsettled = True
            return False
        try:
            for place in _PLACES:
                self._spool.remove(place, record.id, record.name)
        except OSError as error:
            log.warning("%s of %s cannot be removed: %s", record.id, record.writer, error)
            return False
        return True


def _shared(conn: Connection, gone: Sequence[request_rows.Record]) -> set[tuple[str, str]]:
    """Name the receipts, by writer and name, that other requests have as well."""
    own = {record.writer_id for record in gone if record.writer_id is not None}
    ids = {record.id for record in gone}
    found: set[tuple[str, str]] = set()
    for part in chunks(own):
        rows = conn.execute(
            select(requests.c.id, requests.c.writer, requests.c.writer_id).where(
                requests.c.writer_id.in_(part)
            )
        )
        found.update((row.writer, row.writer_id) for row in rows if row.id not in ids)
    return found
