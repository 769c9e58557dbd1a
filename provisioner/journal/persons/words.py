"""Words: what a writer's manifest says last of a person whom another writer asks for, too.

Promises: one word for each writer and person, read and written inside the caller's transaction.
Whoever a manifest closes has a word of it, as long as it closes them: a suspension without one is a
person's, whatever cause it names. Leaves out: requests, which say as much (`askers`), and what
follows from it (`left_out`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, delete, select

from provisioner.journal import audit, bulk
from provisioner.journal.dialect import IDS, upsert
from provisioner.journal.schema import suspensions, words
from provisioner.system.ulid import RequestId

LEFT_OUT = "reconcile"
"""The cause of a suspension for being left out of a manifest."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one manifest says of a person.

    listed: it lists them; else it leaves them out; request: the manifest's own, or that closed
    them; since: seconds since the epoch; kept: the request of another writer for which who is left
    out stays open, None if listed or closed; ends: the date that a line names.
    """

    subject: str
    writer: str
    listed: bool
    request: RequestId
    since: float
    kept: RequestId | None = None
    ends: float | None = None

    @property
    def closes(self) -> bool:
        """Return True if it closes the person: it leaves them out, and nobody kept them open."""
        return not self.listed and self.kept is None


_INSERT = upsert(words)
_SAID = ("listed", "request", "since", "kept", "ends", "ended_by")
_SAY = _INSERT.on_conflict_do_update(
    index_elements=["subject", "writer"],
    # A date that is said anew was not followed yet.
    set_={name: _INSERT.excluded[name] for name in _SAID},
)
_OF = select(*(words.c[field.name] for field in fields(Word))).where(words.c.subject.in_(IDS))
_CLOSED = select(
    suspensions.c.subject, suspensions.c.source, suspensions.c.request, suspensions.c.since
).where(suspensions.c.subject.in_(IDS), suspensions.c.cause == LEFT_OUT)


def say(conn: Connection, some: Sequence[Word]) -> None:
    """Record words, each in place of the former one of the same writer and person."""
    bulk.run(conn, _SAY, [asdict(word) for word in some])


def take_back(conn: Connection, subject: str, writer: str) -> None:
    """Forget what a writer's manifest said of a person."""
    here = (words.c.subject == subject, words.c.writer == writer)
    conn.execute(delete(words).where(*here))


def lift(conn: Connection, subject: str, writer: str) -> None:
    """Forget that a writer's manifest left a person out; that it lists them stays."""
    here = (words.c.subject == subject, words.c.writer == writer, words.c.listed.is_(False))
    conn.execute(delete(words).where(*here))


def forget(conn: Connection, request: RequestId) -> None:
    """Forget what a request said that is being cancelled or held."""
    conn.execute(delete(words).where(words.c.request == request))


def of(conn: Connection, subjects: Collection[str]) -> list[Word]:
    """List the words about some persons."""
    said = {(row.subject, row.writer): Word(*row) for row in bulk.among(conn, _OF, subjects)}
    for subject, source, request, since in bulk.among(conn, _CLOSED, subjects):
        word = said.get((subject, source))
        if (word is None or word.request != request) and audit.follows(conn, request):
            # An older version wrote no word of whom a manifest closed.
            said[subject, source] = Word(subject, source, False, request, since)
    return list(said.values())
