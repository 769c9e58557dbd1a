"""Telling: the receipts of a portion of requests, whose contents are read from the journal at once.

Promises: what a receipt says of others is what its writer may know. A receipt of a newer request of
the same own id stays. Leaves out: which requests get one, and when (`filing`); its file
(`receipts`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provisioner.journal.journal import Connection, Journal
from provisioner.journal.persons import closed
from provisioner.journal.queries import replaced
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.records.step_rows import StepRecord, claimants_of
from provisioner.objects.states import ENDED, RequestState
from provisioner.outcome import outcomes, receipts
from provisioner.outcome.outcomes import OutputsOf
from provisioner.outcome.uses import Uses
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

PORTION = 256
"""Requests whose records are in memory at the same time."""

Tell = Callable[[Record, Sequence[StepRecord]], None]
"""Writes the receipt of a request, given with its steps. Raises OSError if that fails."""


Records = Mapping[RequestId, Record]


class Share(Protocol):
    """Which requests are filed here, where several intakes take files."""

    def split(self, conn: Connection, loaded: Records) -> tuple[Records, Records]:
        """Return those of some requests that are filed here, and others whose receipts are
        written here, too."""

    def among(self, conn: Connection, ids: Sequence[RequestId], before: float) -> list[RequestId]:
        """Return those of some requests whose rows go from here. before: since when, in seconds
        since the epoch, a spool has no intake whose rows go with these."""

    def missed(self, conn: Connection) -> list[RequestId]:
        """Return, at a start, the others whose receipts here may say what is not so any more."""

    def since(self) -> float:
        """Return, at a start, a time before which all was filed here, in seconds since the epoch;
        infinity if nothing has changed since anybody filed it."""


class Whole:
    """All are: there is one spool."""

    def split(self, conn: Connection, loaded: Records) -> tuple[Records, Records]:
        """Return all, and none."""
        return loaded, {}

    def among(self, conn: Connection, ids: Sequence[RequestId], before: float) -> list[RequestId]:
        """Return all."""
        return list(ids)

    def missed(self, conn: Connection) -> list[RequestId]:
        """Return none."""
        return []

    def since(self) -> float:
        """Return infinity: while nobody files, nothing changes."""
        return math.inf


@dataclass(frozen=True, slots=True)
class Told:
    """What receipts say besides requests and steps.

    closed_by: what a writer may read of the request that ended the wait of its own; shut: who has
    no access, and why.
    """

    closed_by: Mapping[RequestId, str]
    shut: Mapping[RequestId, Mapping[str, str]]


def read(
    conn: Connection,
    loaded: Mapping[RequestId, Record],
    steps: Mapping[RequestId, Sequence[StepRecord]],
) -> Told:
    """Read what the receipts of requests say besides. steps: of those whose receipts show them."""
    fixed = [record for record in loaded.values() if record.fixed_by is not None]
    claimants = {ulid: claimants_of(listed) for ulid, listed in steps.items() if ulid in loaded}
    return Told(
        {record.id: replaced.name_for(conn, record) for record in fixed},
        closed.of(conn, claimants, {ulid: loaded[ulid].writer for ulid in claimants}),
    )


class Teller:
    """Writes receipts. observing: the service only observes, and open requests wait for that."""

    def __init__(self, root: Path, outputs_of: OutputsOf, uses: Uses) -> None:
        """root: the directory of all receipts."""
        self._root = root
        self._outputs_of = outputs_of
        self._uses = uses
        self.observing = False

    @contextmanager
    def telling(self, told: Told) -> Iterator[Tell]:
        """Give a function that writes receipts, best writer by writer (`by_writer`)."""
        with closing(receipts.Desk(self._root)) as desk:

            def tell(record: Record, listed: Sequence[StepRecord]) -> None:
                self._tell(desk, told, record, listed)

            yield tell

    def is_behind(self, record: Record) -> bool:
        """Return True if a request has no receipt, or lost what it said in a power cut, or is over
        and its receipt says that it is not."""
        there = receipts.path(self._root, record.writer, outcomes.receipt_name(record))
        said = receipts.head_of(there)
        if said is None:
            return True
        mine, state = said
        return record.state in ENDED and mine == record.id and state != record.state

    def is_newest(self, record: Record) -> bool:
        """Return True if a request's receipt is there, and not of a newer one of its own id."""
        there = receipts.path(self._root, record.writer, outcomes.receipt_name(record))
        return there.exists() and receipts.request_of(there) == record.id

    def _is_past(self, record: Record) -> bool:
        """Return True if a receipt is there of a request that came after this one was over."""
        if record.ended is None or record.writer_id is None:
            return False
        there = receipts.path(self._root, record.writer, outcomes.receipt_name(record))
        later = receipts.request_of(there) if there.exists() else None
        return later is not None and later > max(record.id, ulid.first(record.ended))

    def _tell(
        self, desk: receipts.Desk, told: Told, record: Record, listed: Sequence[StepRecord]
    ) -> None:
        by = told.closed_by.get(record.id, "")
        if record.fixed_by is not None:
            # The request that put it right may have the same own id, and so the same receipt. If
            # its writer may not know of that, not even the time of the receipt may tell them.
            name = outcomes.receipt_name(record)
            there = receipts.path(self._root, record.writer, name)
            if there.exists() and (not by or receipts.request_of(there) != record.id):
                return
        if self._is_past(record):
            return
        uses = self._uses.of(listed) if record.state == RequestState.DONE else None
        receipt = outcomes.receipt_of(
            record, listed, self._outputs_of, uses=uses, observing=self.observing, closed_by=by
        )
        shut = told.shut.get(record.id)
        desk.write(
            record.writer,
            outcomes.receipt_name(record),
            {**receipt, "closed": shut} if shut else receipt,
        )


def latest(book: Journal, ids: Sequence[RequestId]) -> set[RequestId]:
    """Return the newest of some requests for each name of a receipt."""
    newest: dict[tuple[str, str], RequestId] = {}
    for start in range(0, len(ids), PORTION):
        with book.reading() as conn:
            loaded = request_rows.load(conn, ids[start : start + PORTION])
        newest.update({(r.writer, outcomes.receipt_name(r)): r.id for r in loaded.values()})
    return set(newest.values())


def by_writer(records: Mapping[RequestId, Record]) -> list[Record]:
    """List requests writer by writer; those of each stay in their order."""
    return sorted(records.values(), key=lambda record: record.writer)
