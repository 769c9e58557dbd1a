"""Writers: by which names requests, claims and suspensions go, although names pass to others.

Promises: a name means the account that first had a right under it, and no other one. Who has it
later, with another uid, is the writer `NAME:UID`, and has nothing of the former's. The name of a
service that the policy lists means whoever has it now. Leaves out: what a writer may ask for
(`policy`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from provisioner.journal.journal import Connection, Journal
from provisioner.journal.records import keepsakes
from provisioner.policy.policy import Policy
from provisioner.spool.spool import Submission
from provisioner.system import users

log = logging.getLogger(__name__)


class Writers:
    """The writers of one journal, for one thread."""

    def __init__(self, book: Journal, site: Policy) -> None:
        self._journal = book
        self._site = site
        self._reported: set[str] = set()
        self._uids: dict[str, int] | None = None

    def named(self, submission: Submission) -> Submission:
        """Return a submission with its writer as the journal knows it."""
        writer = self.of(submission.uid, users.plain(submission.writer))
        return submission if writer == submission.writer else replace(submission, writer=writer)

    def of(self, uid: int, name: str) -> str:
        """Return the writer that a user of this host is. name: one that the uid has."""
        if self._uids is None:
            with self._journal.reading() as conn:
                self._uids = keepsakes.names(conn)
        former = self._uids.get(name, uid)
        if former == uid or self._site.goes_by_name(uid, name):
            return name
        writer = users.beside(name, uid)
        if writer not in self._reported:
            self._reported.add(writer)
            log.warning(
                "%s was the name of uid %d here, and uid %d has it now: this is another writer, "
                "%s. If it is the same account, list %s in `policy.by_name`",
                *(name, former, uid, writer, name),
            )
        return writer

    def renew(self, conn: Connection) -> None:
        """Read again whom names mean: another process may have written it."""
        self._uids = keepsakes.names(conn)

    def keep(self, conn: Connection, submissions: Iterable[Submission]) -> Mapping[str, int]:
        """Write whom names mean from now on; return what is new, for `kept`."""
        known = self._uids if self._uids is not None else keepsakes.names(conn)
        new = {
            sent.writer: sent.uid
            for sent in submissions
            if known.get(sent.writer) != sent.uid
            and not sent.writer.startswith("uid-")
            and users.plain(sent.writer) == sent.writer
            and not self._site.is_outsider(users.find(sent.uid))
        }
        if new:
            keepsakes.save_names(conn, new)
        return new

    def kept(self, new: Mapping[str, int]) -> None:
        """Take note of what `keep` wrote, after its commit."""
        if self._uids is not None:
            self._uids.update(new)
