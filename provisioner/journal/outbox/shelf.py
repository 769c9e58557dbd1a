"""The shelf: requests that a few outcomes are about, or refer to.

Promises: each is loaded once and read once, as the same few allocations are behind the news of many
users. Steps are not kept: a request can have thousands of objects. Everything is read inside the
caller's transaction. Leaves out: what a request says (the caller passes `read`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from provisioner.journal.records import request_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.records.step_rows import StepRecord
from provisioner.system.ulid import RequestId

Said = TypeVar("Said")


class Shelf(Generic[Said]):
    """What was loaded so far."""

    def __init__(self, conn: Connection, read: Callable[[Record], Said]) -> None:
        self.conn = conn
        self._read = read
        self._records: dict[RequestId, Record] = {}
        self._said: dict[RequestId, Said] = {}

    def load(self, ids: Collection[RequestId]) -> None:
        """Load requests that are not here yet, in one query."""
        if missing := [one for one in ids if one not in self._records]:
            self._records |= request_rows.load(self.conn, missing)

    def record(self, request: RequestId) -> Record | None:
        """Return a request; None if the journal has it no more."""
        self.load([request])
        return self._records.get(request)

    def records(self, ids: Sequence[RequestId]) -> list[Record]:
        """Return requests in the order of their ids; those that are gone are left out."""
        self.load(ids)
        return [self._records[one] for one in ids if one in self._records]

    def steps(self, request: RequestId) -> Sequence[StepRecord]:
        """Return the steps of a request, with their objects."""
        return step_rows.steps_of(self.conn, [request])[request]

    def says(self, record: Record) -> Said:
        """Return what a request says."""
        if record.id not in self._said:
            self._said[record.id] = self._read(record)
        return self._said[record.id]
