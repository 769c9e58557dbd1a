"""Company: an intake, or the house, among other processes that accept into the same journal.

Promises: ids grow in the order of the commits, over all hosts: a file that was taken before another
process accepted something gets another id, before anything is written of it. Names of writers, and
what policy remembers, are read again in each transaction. What a transaction leaves for other
processes is told with it. A `duplicates.Company`. Leaves out: judging (`admission`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from provisioner.admission.after_commit import AfterCommit, Announce, MoveFiles, Resubmit
from provisioner.admission.candidates import Candidate
from provisioner.admission.duplicates import Current
from provisioner.contract import Claim, Key
from provisioner.hosts.member import Member
from provisioner.journal.journal import Connection
from provisioner.journal.persons import shutting
from provisioner.journal.records import request_rows
from provisioner.policy.gradual import NOTHING
from provisioner.policy.review import Review
from provisioner.policy.writers import Writers
from provisioner.spool.spool import Spool
from provisioner.system import ulid


class Company:
    """What both have in common."""

    def __init__(self, member: Member) -> None:
        self.now: Callable[[], float] = member.now
        self._member = member
        self._last = ""
        self._noted = 0
        self._teller = ulid.new()
        self._window = 0.0

    def catch_up(self, conn: Connection, writers: Writers, review: Review) -> None:
        """Follow the last id, and read again what others may have written."""
        self._last = request_rows.last_id(conn)
        ulid.follow(self._last)
        writers.renew(conn)
        review.gradual.others, self._window = self, review.gradual.window
        for note in shutting.since(conn, self._noted, self._teller):
            review.gradual.learn(note.uid, note.at, note.told)
            self._noted = note.seq

    def number(
        self, conn: Connection, batch: Sequence[Candidate], current: Current
    ) -> Sequence[Candidate]:
        """Return the batch: it has no files."""
        return batch

    def put_back(self, numbered: Sequence[Candidate], batch: Sequence[Candidate]) -> None:
        """Do nothing."""

    def hear(
        self,
        conn: Connection,
        uid: int,
        now: float,
        out: Collection[str] = (),
        was: Mapping[Key, Sequence[Claim]] = NOTHING,
        seen: Collection[Key] = (),
    ) -> None:
        """Have the others remember what a submitter's request does."""
        told: dict[str, Any] = {"out": sorted(out), "seen": sorted(seen)}
        told["was"] = {key: [asdict(claim) for claim in claims] for key, claims in was.items()}
        shutting.put(conn, uid, now, told, self._teller)
        shutting.forget(conn, now - self._window)

    def tell(self, conn: Connection, left: Iterable[AfterCommit]) -> None:
        """Tell the intakes of each request that was begun or ended: its file lies with one."""
        for task in left:
            if isinstance(task, MoveFiles | Announce):
                self._member.tell_changed(conn, task.requests)
            elif isinstance(task, Resubmit):
                self._member.tell_returned(conn, task.request)


class OfIntake(Company):
    """That of an intake, whose files have ids."""

    def __init__(self, member: Member, spool: Spool) -> None:
        super().__init__(member)
        self._spool = spool

    def number(
        self, conn: Connection, batch: Sequence[Candidate], current: Current
    ) -> Sequence[Candidate]:
        """Give the files other ids if the first was taken too early: their order stays."""
        known = [current(candidate) for candidate in batch]
        if known and known[0].submission.ulid > self._last:
            return known
        return [self._numbered(candidate) for candidate in known]

    def put_back(self, numbered: Sequence[Candidate], batch: Sequence[Candidate]) -> None:
        """Give them their former ids."""
        for now, before in zip(numbered, batch, strict=True):
            if now.submission.ulid != before.submission.ulid:
                self._spool.renumber(now.submission, before.submission.ulid)

    def tell(self, conn: Connection, left: Iterable[AfterCommit]) -> None:
        """Tell the other intakes of what may concern their files, too."""
        for task in left:
            if isinstance(task, MoveFiles):
                self._member.tell_others(conn, task.requests)
            elif isinstance(task, Resubmit):
                self._member.tell_returned(conn, task.request)

    def _numbered(self, candidate: Candidate) -> Candidate:
        submission = self._spool.renumber(candidate.submission, ulid.new())
        signature = candidate.signature
        if signature is not None:
            signature = replace(signature, ulid=submission.ulid)
        return replace(candidate, submission=submission, signature=signature)
