"""Subjects: what they claim, and who has suspended them.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. Leaves out: what manifests and policy do with it, and when
access ends (`dates`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select

from provisioner.contract import InvalidRequest, Key
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.queries import history
from provisioner.journal.records.ledger import Held
from provisioner.journal.schema import claims, requests, suspensions
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


def every_suspension(conn: Connection) -> list[Suspension]:
    """List all suspensions, oldest first."""
    rows = conn.execute(select(suspensions).order_by(suspensions.c.since, suspensions.c.subject))
    return [Suspension(r.subject, r.source, r.cause, r.request, r.since) for r in rows]


def everybody(conn: Connection) -> list[tuple[str, str]]:
    """List the first and last part of all claimants: an allocation, and a person in it."""
    rows = conn.execute(select(claims.c.root, claims.c.leaf).distinct())
    return [(root, leaf) for root, leaf in rows]


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
