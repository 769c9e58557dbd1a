"""Shares: which requests an intake files, where several take files for one journal; and when others
have changed them.

Promises: results and receipts come to the spool where a file was taken. Whoever dropped the same
request in two spools finds a receipt under its own id in both, which says the same. Rows of a spool
that no intake has any more are forgotten with those of the others. Of a spool that several share,
one files at a time. Whatever is told of requests whose files lie elsewhere does no harm. Leaves
out: filing (`outcome`), and what was not heard, which a start repairs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence

from provisioner.journal import facts
from provisioner.journal.hosts import spools
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries import expiry, precedents
from provisioner.journal.records import request_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.objects.states import RequestState
from provisioner.outcome import telling
from provisioner.outcome.filing import Finisher
from provisioner.outcome.filing_thread import Clerk
from provisioner.outcome.telling import Records, Share
from provisioner.recovery.retention import Keeper
from provisioner.spool.layout import OPEN
from provisioner.spool.spool import Spool
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)


class Common:
    """The share of an intake in a spool that others share: a `telling.Share`."""

    def __init__(self, spool: str, since: float, here: Callable[[], bool] = lambda: True) -> None:
        """spool: its id in the journal; since: when it was certainly served last, in seconds since
        the epoch, 0: not yet; here: whether its files are this process's now."""
        self._spool = spool
        self._since = since
        self._here = here

    def split(self, conn: Connection, loaded: Records) -> tuple[Records, Records]:
        """Return what was taken here; receipts of others lie beside these."""
        return self._mine(loaded), {}

    def among(self, conn: Connection, ids: Sequence[RequestId], before: float) -> list[RequestId]:
        """Return what was taken here, or where there is no intake any more."""
        if not self._here():
            return []
        return expiry.of_spools(conn, ids, [self._spool, *spools.left(conn, before)])

    def missed(self, conn: Connection) -> list[RequestId]:
        """Return none: whoever changed one has written its receipt."""
        return []

    def since(self) -> float:
        """Return when its spool was served: what is told since then may not have been heard."""
        return self._since or math.inf

    def _mine(self, loaded: Records) -> Records:
        if not self._here():
            return {}
        return {name: record for name, record in loaded.items() if record.spool == self._spool}


class Apart(Common):
    """The share of an intake whose writers read no other one's receipts."""

    def split(self, conn: Connection, loaded: Records) -> tuple[Records, Records]:
        """Return what was taken here, and what was dropped here again."""
        mine = self._mine(loaded)
        others = [record for record in loaded.values() if record.spool != self._spool]
        names = {(record.writer, record.writer_id) for record in others if record.writer_id}
        first = precedents.repeated(conn, names, self._spool)
        first |= {one.duplicate_of for one in mine.values() if one.duplicate_of and _answered(one)}
        known = {name: record for name, record in loaded.items() if name in first}
        found = request_rows.load(conn, first - known.keys()) | known
        return mine, {name: one for name, one in found.items() if one.spool != self._spool}

    def missed(self, conn: Connection) -> list[RequestId]:
        """Return what was dropped here again, and has changed since."""
        return precedents.repeated_since(conn, self._spool, self._since)


def _answered(record: Record) -> bool:
    """Return True if a request repeats another one, whose receipt answers its writer."""
    same = record.duplicate_of is not None and record.writer_id is not None
    return same and record.state != RequestState.REFUSED


class Hearing:
    """The ears of an intake: an `elsewhere.Hears`."""

    def __init__(self, book: Journal, finisher: Finisher, clerk: Clerk, keeper: Keeper) -> None:
        self.wake: Callable[[], None] = lambda: None
        """Has the intake look for what is to be done."""
        self.released: Callable[[], None] = lambda: None
        """Called when lanes may write again."""
        self.here: Callable[[], bool] = lambda: True
        """Whether files are this process's now; else whoever goes on with them looks for itself."""
        self._journal = book
        self._finisher = finisher
        self._clerk = clerk
        self._keeper = keeper

    def share(self, share: Share) -> None:
        """File only a part of all requests from now on; before any is."""
        self._finisher.share = self._keeper.share = share
        if self._keeper.outsiders is not None:
            self._keeper.outsiders.share = share

    def give_up(self, spool: Spool) -> None:
        """Put the files of requests aside for which another intake answers by now; their receipts
        here say how they stand."""
        ids = {ulid for place in OPEN for ulid in spool.listed(place)}
        with self._journal.reading() as conn:
            known = request_rows.states_of(conn, ids)
            lost = set(known).difference(expiry.of_spools(conn, known, [spool.identity]))
            loaded, steps = request_rows.load(conn, lost), step_rows.steps_of(conn, lost)
            told = telling.read(conn, loaded, steps)
        with self._finisher.teller.telling(told) as tell:
            for record in telling.by_writer(loaded):
                log.warning("%s: another intake answers for it by now", record.id)
                if self._finisher.teller.is_newest(record):
                    tell(record, steps[record.id])
                for place in OPEN:
                    spool.move(record.id, place, "done", record.name)

    def changed(self, ids: Collection[RequestId]) -> None:
        """Put files in their places that others have begun or ended."""
        if self.here():
            self._clerk.settle(ids)
            self.wake()

    def renewed(self, ids: Collection[RequestId]) -> None:
        """Write receipts again of what others have learned more."""
        if self.here():
            self._clerk.renew(ids)

    def returned(self, ids: Collection[RequestId]) -> None:
        """Put refused files through staging again that others were asked to."""
        for ulid in ids if self.here() else ():
            self._clerk.resubmit(ulid)

    def follow(self) -> None:
        """Learn whether lanes may write again."""
        with self._journal.reading() as conn:
            observing = facts.get(conn, facts.OBSERVING) is not None
        if self._finisher.teller.observing and not observing:
            self.released()
