"""Subjects: what they claim, who has suspended them, and when their access ends.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. Leaves out: what manifests and policy do with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, or_, select, update

from provisioner.contract import InvalidRequest, Key
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.queries import history
from provisioner.journal.records.ledger import Held
from provisioner.journal.schema import claims, requests, steps, suspensions
from provisioner.objects.states import OPEN, RequestState
from provisioner.system.ulid import RequestId

_CLAIMS = select(
    claims.c.key, claims.c.claimant, claims.c.want, claims.c.request, claims.c.source
).where(claims.c.root.in_(IDS))

_PLACED = (
    select(claims.c.leaf, claims.c.source)
    .where(claims.c.leaf.in_(IDS), claims.c.leaf != claims.c.root)
    .where(claims.c.source != bindparam("b_writer"))
    .distinct()
)

_KINDS = ("user", "project", "allocation")

_NEAR = 0.7
"""How alike two names are, from 0 to 1, of which one is taken for the other."""
_SAME = 2
"""How many characters a mistyped name has in common with the right one, from its beginning."""

_MOST = 2000
"""The most names that are compared with a mistyped one."""
_KEYS = select(claims.c.key).where(claims.c.root.in_(IDS)).distinct()


def subjects_after(conn: Connection, kind: str, last: str, limit: int) -> list[str]:
    """List subjects of a kind that claim something, in order, starting after one."""
    statement = (
        select(claims.c.root)
        .where(claims.c.root > max(last, f"{kind}:"), claims.c.root < f"{kind};")
        .distinct()
        .order_by(claims.c.root)
        .limit(limit)
    )
    return list(conn.scalars(statement))


def keys_of(conn: Connection, subjects: Collection[str]) -> set[Key]:
    """Return the objects that some subjects claim."""
    keys: set[Key] = set()
    for part in chunks(subjects):
        keys.update(conn.scalars(_KEYS, {"b_ids": part}))
    return keys


def claims_of(conn: Connection, subjects: Collection[str]) -> dict[str, list[Held]]:
    """Return what each of some subjects claims, including everything inside it."""
    held: dict[str, list[Held]] = {subject: [] for subject in subjects}
    for part in chunks(subjects):
        for row in conn.execute(_CLAIMS, {"b_ids": part}):
            held[row.claimant.partition("/")[0]].append(Held(*row))
    return held


def placed_by_others(
    conn: Connection, subjects: Collection[str], writer: str
) -> dict[str, tuple[str, ...]]:
    """Return, for each user, the other writers in whose allocations and projects it is."""
    writers: dict[str, set[str]] = {}
    for part in chunks(subjects):
        for subject, source in conn.execute(_PLACED, {"b_ids": part, "b_writer": writer}):
            writers.setdefault(subject, set()).add(source)
    return {subject: tuple(sorted(sources)) for subject, sources in writers.items()}


def suspended_by(
    conn: Connection, subjects: Collection[str], writer: str, cause: str
) -> dict[str, RequestId]:
    """Return those subjects that a writer has suspended for a cause, each with the request."""
    requests_of: dict[str, RequestId] = {}
    for part in chunks(subjects):
        rows = conn.execute(
            select(suspensions.c.subject, suspensions.c.request).where(
                suspensions.c.subject.in_(part),
                suspensions.c.source == writer,
                suspensions.c.cause == cause,
            )
        )
        requests_of.update({row.subject: row.request for row in rows})
    return requests_of


@dataclass(frozen=True, slots=True)
class Suspension:
    """One reason for which a subject has no access. since: seconds since the epoch."""

    subject: str
    source: str
    cause: str
    request: RequestId
    since: float


_SUSPENSIONS = select(suspensions).where(suspensions.c.subject.in_(IDS))


def suspensions_of(conn: Connection, subjects: Collection[str]) -> list[Suspension]:
    """List the suspensions of subjects, oldest first."""
    rows = bulk.among(conn, _SUSPENSIONS, subjects)
    listed = [Suspension(r.subject, r.source, r.cause, r.request, r.since) for r in rows]
    return sorted(listed, key=lambda suspension: (suspension.since, suspension.subject))


@dataclass(frozen=True, slots=True)
class End:
    """When a subject's access ends. request: the one that says so, of a writer.

    at: seconds since the epoch; ended_by: the service's request that ended it, None before.
    """

    subject: str
    at: float
    request: RequestId
    writer: str
    uid: int
    ended_by: RequestId | None = None


_DATED = select(
    requests.c.id, requests.c.subject, requests.c.ends, requests.c.writer, requests.c.uid,
    requests.c.ended_by,
).where(requests.c.ends.is_not(None))  # fmt: skip


_asked = requests.alias()
_IN_VAIN = exists().where(
    _asked.c.id == requests.c.ended_by,  # by its key: very many requests may have failed
    _asked.c.state.in_([RequestState.FAILED, RequestState.REFUSED]),
    _asked.c.ended < bindparam("b_failed"),
    ~select(steps.c.name).where(steps.c.request == _asked.c.id).exists(),
)


def ends_until(conn: Connection, until: float, failed: float = 0.0) -> list[End]:
    """List the dates in force up to a time that were not followed yet, earliest first.

    failed: also those whose request failed or was refused before this time, and never began.

    A date is in force while no newer request of the subject has claimed. One that was cancelled or
    is held moves no date, whatever it had made before.
    """
    open_yet = or_(requests.c.ended_by.is_(None), _IN_VAIN)
    due = _DATED.where(requests.c.ends <= until, open_yet).order_by(requests.c.ends, requests.c.id)
    return _in_force(conn, conn.execute(due, {"b_failed": failed}).all())


def ends_of(conn: Connection, subjects: Collection[str]) -> list[End]:
    """List the dates in force of some subjects, earliest first."""
    rows: list[Any] = []
    for part in chunks(subjects):
        rows += conn.execute(_DATED.where(requests.c.subject.in_(part))).all()
    return _in_force(conn, sorted(rows, key=lambda row: (row.ends, row.id)))


def follows_a_date(conn: Connection, request: RequestId) -> bool:
    """Return True if the service made a request because a date had come."""
    dated = select(requests.c.id).where(requests.c.ended_by == request)
    return conn.scalar(dated.limit(1)) is not None


def ended_in_vain(conn: Connection, request: RequestId) -> str:
    """Return why a request that the service made for a date must not be followed any more.

    '' if the date is still in force, or it is no such request.
    """
    rows = conn.execute(_DATED.where(requests.c.ended_by == request)).all()
    if not rows or _in_force(conn, rows):
        return ""
    return f"the date of {rows[0].id}, which it follows, was moved or removed since"


def _in_force(conn: Connection, rows: Sequence[Any]) -> list[End]:
    """Return the dates of those requests that are the newest of their subject to have a claim.

    What one that was cancelled or is held has made counts as the claim of the request before.
    """
    newest: dict[str, str] = {}
    stopped: dict[str, str] = {}
    for part in chunks({row.subject.partition("/")[0] for row in rows}):
        claimed = select(claims.c.request).where(claims.c.root.in_(part)).distinct().subquery()
        is_stopped = requests.c.state.in_(history.STOPPED).label("is_stopped")
        statement = (
            select(requests.c.subject, is_stopped, func.max(requests.c.id))
            .where(requests.c.id.in_(select(claimed.c.request)))
            .group_by(requests.c.subject, "is_stopped")
        )
        for subject, stops, request in conn.execute(statement):
            (stopped if stops else newest)[subject] = request
    for subject, request in _behind(conn, {name.partition("/")[0] for name in stopped}):
        newest[subject] = max(request, newest.get(subject, ""))
    return [
        End(row.subject, row.ends, row.id, row.writer, row.uid, row.ended_by)
        for row in rows
        if (newest.get(row.subject) or stopped.get(row.subject)) == row.id
    ]


def _behind(conn: Connection, roots: Collection[str]) -> Iterator[tuple[str, RequestId]]:
    """Return whose the claims of stopped requests were before, each with its subject."""
    owner: dict[history.Pair, RequestId] = {}
    for part in chunks(roots):
        ids = select(requests.c.id).where(requests.c.state.in_(history.STOPPED))
        held = select(claims.c.key, claims.c.claimant, claims.c.request).where(
            claims.c.root.in_(part), claims.c.request.in_(ids)
        )
        owner.update({(key, name): request for key, name, request in conn.execute(held)})
    mentions = history.of(conn, owner)
    asked = {mention.request for some in mentions.values() for mention in some}
    about = {}
    for some_ids in chunks(asked):
        rows = select(requests.c.id, requests.c.subject, requests.c.state)
        found = conn.execute(rows.where(requests.c.id.in_(some_ids)))
        about.update({row.id: row for row in found})
    for pair, some in mentions.items():
        if not history.mentioned(some, owner[pair]):
            continue
        standing = [
            one
            for one in history.earlier(some, owner[pair])
            if one.counts and not (one.step and about[one.request].state in history.STOPPED)
        ]
        if standing and standing[-1].step:
            row = about[standing[-1].request]
            yield row.subject, row.id


def set_ended(conn: Connection, request: RequestId, ended_by: RequestId) -> None:
    """Record which request of the service's own follows from a date."""
    conn.execute(update(requests).where(requests.c.id == request).values(ended_by=ended_by))


def every_suspension(conn: Connection) -> list[Suspension]:
    """List all suspensions, oldest first."""
    rows = conn.execute(select(suspensions).order_by(suspensions.c.since, suspensions.c.subject))
    return [Suspension(r.subject, r.source, r.cause, r.request, r.since) for r in rows]


def everybody(conn: Connection) -> list[tuple[str, str]]:
    """List the first and last part of all claimants: an allocation, and a person in it."""
    rows = conn.execute(select(claims.c.root, claims.c.leaf).distinct())
    return [(root, leaf) for root, leaf in rows]


def unknown(conn: Connection, users: Sequence[str]) -> list[str]:
    """List the users for whom there is no claim."""
    return _without(conn, claims.c.leaf, users)


def without_request(conn: Connection, users: Sequence[str]) -> list[str]:
    """List the users without claims from requests about themselves, such as `user.provision`."""
    return _without(conn, claims.c.root, users)


def _without(conn: Connection, column: ColumnElement[str], users: Sequence[str]) -> list[str]:
    known: set[str] = set()
    for part in chunks([f"user:{name}" for name in users]):
        known.update(conn.scalars(select(column).where(column.in_(part)).distinct()))
    return [name for name in dict.fromkeys(users) if f"user:{name}" not in known]


def _is(root: str) -> ColumnElement[bool]:
    """Match the claims of a subject. A project matches its code in upper and lower case.

    Routes make one group of `CF3` and `cf3`, so that whoever has one has the other.
    """
    if not root.startswith("project:"):
        return claims.c.root == root
    within = and_(claims.c.root >= "project:", claims.c.root < "project;")
    return and_(within, func.lower(claims.c.root) == root.lower())


def check_letters(conn: Connection, root: str) -> None:
    """Raise InvalidRequest if a project is claimed under its code in other letters."""
    other = conn.scalar(select(claims.c.root).where(_is(root), claims.c.root != root).limit(1))
    if other is not None:
        raise InvalidRequest(
            f"nothing is claimed for {root}, but there is {other}",
            field="project.code",
            nearest=other.partition(":")[2],
        )


def nearest(conn: Connection, subject: str, writer: str | None) -> str:
    """Return the subject with claims whose name is nearest to that of one without; '' if none is.

    writer: only what this one claims; None: whoever claims it. Looks only among names with the same
    beginning, so that a mistyped name costs little in a large ledger.
    """
    root = subject.partition("/")[0]
    kind, _, name = root.partition(":")
    begins = f"{kind}:{name[:_SAME]}"
    column = claims.c.leaf if kind == "user" else claims.c.root
    names = select(column).where(column >= begins, column < begins + "\U0010ffff")
    if writer is not None:
        names = names.where(claims.c.source == writer)
    if name.isdigit():
        return ""  # another number is another one, however near
    known = conn.scalars(names.distinct().limit(_MOST))
    # The kind, which both have, would make any two short names alike.
    known_names = [other.partition(":")[2] for other in known]
    close = get_close_matches(name, known_names, 1, _NEAR)
    return f"{kind}:{close[0]}" if close else ""


def is_known(conn: Connection, subject: str) -> bool:
    """Return True if something is claimed for a subject, it is suspended, or was asked for."""
    root, slash, _ = subject.partition("/")
    of_claims: Any = (claims.c.root == root) & (claims.c.claimant == subject)
    of_claims = of_claims if slash else _names(root)
    statements = (
        select(claims.c.key).where(of_claims),
        select(suspensions.c.subject).where(suspensions.c.subject == subject),
        select(requests.c.id).where(
            requests.c.subject == subject,
            requests.c.state.in_([*OPEN, RequestState.DONE, RequestState.FAILED]),
            requests.c.action.not_in(history.CLOSING),
        ),
    )
    return any(conn.scalar(statement.limit(1)) is not None for statement in statements)


def _names(subject: str) -> ColumnElement[bool]:
    return or_(claims.c.root == subject, claims.c.leaf == subject)


def meant(conn: Connection, name: str, also: Collection[str] = ()) -> str:
    """Return the subject that a person means by its name alone, such as `jdoe` or `42`.

    also: subjects of that name that claim nothing themselves, such as a project in an allocation.

    Raises InvalidRequest if there is none, or more than one.
    """
    named = (f"{kind}:{name}" for kind in _KINDS)
    found = [subject for subject in named if subject in also or is_known(conn, subject)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequest(f"{name!r} is {len(found)} subjects", expected=" or ".join(found))
    near = (nearest(conn, f"{kind}:{name}", None) for kind in _KINDS)
    raise InvalidRequest(
        f"nothing is claimed for {name!r}",
        expected="user:NAME, project:CODE or allocation:ID",
        nearest=next(filter(None, near), ""),
    )


def claimed_by(conn: Connection, root: str) -> list[Any]:
    """List the requests and writers behind the claims of a subject."""
    statement = select(claims.c.request, claims.c.source).where(_is(root)).distinct()
    return list(conn.execute(statement).all())
