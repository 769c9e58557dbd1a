"""Askers: the writers who ask for a person, and those who have left them out since.

A writer asks for a person by a `user.provision` that began, or by listing them in a manifest while
they are another writer's. The newest of these counts, and leaving them out of a manifest ends it. A
request that puts right one of another writer (`replaces`) speaks for that writer. Promises: reads
only, inside the caller's transaction. Leaves out: subjects of other kinds, which have one owner
(`precedents`), and what follows from it (`left_out`, `manifest`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.persons import chains, words
from provisioner.journal.schema import claims, requests, steps
from provisioner.objects.states import RUNNING, RequestState
from provisioner.system.ulid import RequestId

PROVISION = "user.provision"


@dataclass(frozen=True, slots=True)
class Asker:
    """A writer who asked for a person. asks: they have not left them out since.

    request: the newest that says so, or that they are left out; ends: the date that it names;
    again: the newest by which a writer has asked since whose manifest closes the person. It opens
    nobody, and counts once another writer has opened them.
    """

    writer: str
    request: RequestId
    asks: bool = True
    ends: float | None = None
    again: RequestId | None = None


Askers = Mapping[str, Asker]
"""Who asked for one person, by the writer's name."""

_ASKING = (
    requests.c.action == PROVISION,
    # What another writer's request has superseded was asked for nevertheless.
    requests.c.state.in_(
        [*RUNNING, RequestState.DONE, RequestState.FAILED, RequestState.SUPERSEDED]
    ),
    requests.c.duplicate_of.is_(None),
    select(steps.c.name).where(steps.c.request == requests.c.id).exists(),
)
_columns = ("subject", "writer", "id", "accepted", "replaces", "ends", "follows")
_ASKED: Any = (
    select(*(requests.c[name] for name in _columns))
    .where(requests.c.subject.in_(IDS), *_ASKING)
    .order_by(requests.c.accepted, requests.c.id)
)


def of(
    conn: Connection, subjects: Collection[str], besides: RequestId | str = ""
) -> Mapping[str, Askers]:
    """Return the writers who ask for persons, or did. Subjects of other kinds have none.

    besides: a request that does not count.
    """
    found: dict[str, dict[str, Asker]] = {subject: {} for subject in subjects}
    people = [subject for subject in subjects if subject.startswith("user:")]
    asked: dict[tuple[str, str], RequestId] = {}
    for part in chunks(people):
        rows = [row for row in conn.execute(_ASKED, {"b_ids": part}) if row.id != besides]
        mending = {row.replaces for row in rows if row.replaces is not None}
        for_whom = chains.writers(chains.read(conn, mending))
        for row in rows:
            writer = for_whom.get(row.replaces, row.writer)
            found[row.subject][writer] = Asker(writer, row.id, ends=row.ends)
            pair = row.subject, writer
            # What followed from a manifest came before what the next one says, whatever its own id.
            since = row.follows or row.id
            asked[pair] = max(asked.get(pair, since), since)
    for word in words.of(conn, people):
        newest = asked.get((word.subject, word.writer))
        # By id, as the time of day may have jumped (`left_out` sees to those that were released).
        again = newest if newest is not None and word.request < newest else None
        if word.closes or again is None:
            said = Asker(word.writer, word.request, word.listed, word.ends, again)
            found[word.subject][word.writer] = said
    return found


def whose(conn: Connection, request: RequestId) -> str | None:
    """Return the writer for whom a request asks; None if it is unknown.

    That is the one whose request was put right, if one of another writer's does that.
    """
    return chains.writers(chains.read(conn, [request])).get(request)


def beside(askers: Iterable[Asker], writer: str) -> list[Asker]:
    """List those who ask for a person, without a writer; the newest is last."""
    others = [asker for asker in askers if asker.asks and asker.writer != writer]
    return sorted(others, key=lambda asker: asker.request)


_CLAIMED = select(claims.c.root).where(claims.c.root == requests.c.subject).exists()


def newest() -> Select[tuple[RequestId]]:
    """Return a statement for the newest requests by which each writer asks for a person who has
    claims: the newest by id, and by acceptance."""
    own = (*_ASKING, _CLAIMED, requests.c.replaces.is_(None))
    pair = (requests.c.writer, requests.c.subject)
    last = (
        select(
            *pair, func.max(requests.c.id).label("id"), func.max(requests.c.accepted).label("at")
        )
        .where(*own)
        .group_by(*pair)
        .subquery()
    )
    same = (last.c.writer == requests.c.writer) & (last.c.subject == requests.c.subject)
    is_last = (requests.c.id == last.c.id) | (requests.c.accepted == last.c.at)
    return select(requests.c.id).join(last, same & is_last).where(*own)


def put_right() -> tuple[Select[tuple[RequestId]], Select[tuple[RequestId]]]:
    """Return statements for the requests that put right others, and for those others: together they
    say for whom somebody asks."""
    mending = (requests.c.replaces.is_not(None), *_ASKING, _CLAIMED)
    return select(requests.c.id).where(*mending), select(requests.c.replaces).where(*mending)
