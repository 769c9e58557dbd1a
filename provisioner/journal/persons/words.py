"""Words: what a writer's manifest says last of a person whom another writer asks for, too.

Promises: one word for each writer and person, read and written inside the caller's transaction.
Leaves out: requests, which say as much (`askers`), and what follows from it (`left_out`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, delete, select

from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, upsert
from provisioner.journal.schema import words
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Word:
    """What one manifest says of a person.

    listed: it lists them; else it leaves them out; request: the manifest's own, or that closed
    them; since: seconds since the epoch; kept: the request of another writer for which who is left
    out stays open, None if listed.
    """

    subject: str
    writer: str
    listed: bool
    request: RequestId
    since: float
    kept: RequestId | None = None


_INSERT = upsert(words)
_SAY = _INSERT.on_conflict_do_update(
    index_elements=["subject", "writer"],
    set_={name: _INSERT.excluded[name] for name in ("listed", "request", "since", "kept")},
)
_OF = select(*(words.c[field.name] for field in fields(Word))).where(words.c.subject.in_(IDS))


def say(conn: Connection, some: Sequence[Word]) -> None:
    """Record words, each in place of the former one of the same writer and person."""
    bulk.run(conn, _SAY, [asdict(word) for word in some])


def take_back(conn: Connection, subject: str, writer: str) -> None:
    """Forget what a writer's manifest said of a person."""
    here = (words.c.subject == subject, words.c.writer == writer)
    conn.execute(delete(words).where(*here))


def forget(conn: Connection, request: RequestId) -> None:
    """Forget what a request said that is being cancelled or held."""
    conn.execute(delete(words).where(words.c.request == request))


def of(conn: Connection, subjects: Collection[str]) -> list[Word]:
    """List the words about some persons."""
    return [Word(*row) for row in bulk.among(conn, _OF, subjects)]
