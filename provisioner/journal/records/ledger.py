"""The ledger: who wants what of which object, and what is suspended.

Promises: claims and suspensions change only inside the caller's transaction. An object whose claims
change becomes due, unless it was never ours. Leaves out: requests and their steps (`request_rows`),
when objects are due (`object_rows`), and any backend.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    FromClause,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from provisioner.contract import Claim, Key, Want
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, lies_in, upsert
from provisioner.journal.records import object_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.journal.schema import DUE, claims, objects, step_objects, suspensions
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption
from provisioner.plain.values import value
from provisioner.system.ulid import RequestId

# Statements of the hot path are built once: building one takes longer than running it in SQLite.


@value(frozen=True, slots=True)
class Entry:
    """One claim to write. With want None, the earlier want counts until the step is due."""

    key: Key
    claimant: str
    instance: str
    want: Want | None


def nest(subject: str) -> Any:
    """Match the claims of a subject and of everything inside it."""
    here = or_(claims.c.claimant == subject, lies_in(claims.c.claimant, subject))
    # By claimants alone, the whole table would be read.
    return and_(claims.c.root == subject.partition("/")[0], here)


def of_claimants(table: FromClause) -> Any:
    """Match the claims of some claimants; `named` has the values."""
    # By claimants alone, the whole table would be read.
    return and_(table.c.claimant.in_(IDS), table.c.leaf.in_(_LEAVES))


def named(claimants: Sequence[str]) -> dict[str, list[str]]:
    """Return the parameters of `of_claimants`. claimants: as many as `chunks` gives."""
    leaves = list(dict.fromkeys(claimant.rpartition("/")[2] for claimant in claimants))
    return {IDS.key: list(claimants), _LEAVES.key: leaves}


_LEAVES: BindParameter[Any] = bindparam("b_leaves", expanding=True)

_WRITE = upsert(claims)

_CLAIM = _WRITE.on_conflict_do_update(
    index_elements=["key", "claimant"],
    set_={
        "want": func.coalesce(_WRITE.excluded.want, claims.c.want),
        "request": _WRITE.excluded.request,
        "source": _WRITE.excluded.source,
        "former": case(
            (claims.c.request == _WRITE.excluded.request, claims.c.former), else_=claims.c.request
        ),
    },
)


_PAIRS = select(claims.c.key, claims.c.claimant)

_OF_ROOTS = _PAIRS.where(claims.c.root.in_(IDS))

_OF_CLAIMANTS = _PAIRS.where(of_claimants(claims))

_CLAIMS = select(claims.c.key, claims.c.claimant, claims.c.want, claims.c.source, claims.c.request)

_CLAIMS_OF = _CLAIMS.where(claims.c.key.in_(IDS))

_BIND = (
    update(claims)
    .where(
        claims.c.key == bindparam("b_key"),
        claims.c.claimant == bindparam("b_claimant"),
        claims.c.request == bindparam("b_request"),
    )
    .values(want=bindparam("b_want"))
)

_ANY_SUSPENSION = select(suspensions.c.subject).limit(1)


def claim(
    conn: Connection,
    entries: Sequence[Entry],
    lanes: Mapping[str, str],
    owner: Mapping[str, tuple[RequestId, str]],
    now: float,
) -> None:
    """Write claims. Those with a want count at once, and their objects become due.

    lanes: lane of each instance; owner: request and source of each claimant.
    """
    if not entries:
        return
    bulk.run(conn, _CLAIM, [_row(entry, *owner[entry.claimant]) for entry in entries])
    placed = [(e, (e.instance, lanes[e.instance], owner[e.claimant][1])) for e in entries]
    object_rows.add(conn, {e.key: where for e, where in placed if e.want is not None}, now)
    object_rows.add(conn, {e.key: where for e, where in placed if e.want is None}, None)


def restore(conn: Connection, taken: Iterable[tuple[Entry, RequestId, str]]) -> None:
    """Write claims that were taken back again, each as its request's and its writer's."""
    bulk.run(conn, _WRITE, [_row(*claim) for claim in taken])


def _row(entry: Entry, request: RequestId, source: str) -> dict[str, Any]:
    return {
        "key": entry.key,
        "claimant": entry.claimant,
        "root": entry.claimant.partition("/")[0],
        "leaf": entry.claimant.rpartition("/")[2],
        "want": entry.want,
        "request": request,
        "source": source,
    }


def bind(conn: Connection, bound: Mapping[RequestId, Sequence[Entry]]) -> None:
    """Give claims of requests their wants, unless a newer request has claimed since."""
    rows = [
        {"b_key": e.key, "b_claimant": e.claimant, "b_request": request, "b_want": e.want}
        for request, entries in bound.items()
        for e in entries
        if e.want is not None
    ]
    bulk.run(conn, _BIND, rows)


def claimed(conn: Connection, subjects: Collection[str]) -> dict[str, set[tuple[Key, str]]]:
    """Return, for each subject, the (key, claimant) pairs of its claims and of all inside it."""
    whole = [subject for subject in subjects if "/" not in subject]
    leaves = [subject for subject in subjects if "/" in subject]
    pairs_of: dict[str, set[tuple[Key, str]]] = {subject: set() for subject in subjects}
    for key, claimant in bulk.among(conn, _OF_ROOTS, whole):
        pairs_of[claimant.partition("/")[0]].add((key, claimant))
    for part in chunks(leaves):
        for key, claimant in bulk.rows(conn, _OF_CLAIMANTS, named(part)):
            pairs_of[claimant].add((key, claimant))
    return pairs_of


def pairs(conn: Connection, keys: Collection[Key]) -> set[tuple[Key, str]]:
    """Return (key, claimant) of each claim on objects, including those that do not count yet."""
    claimed_pairs: set[tuple[Key, str]] = set()
    for part in chunks(keys):
        for key, claimant in conn.execute(_PAIRS.where(claims.c.key.in_(IDS)), {"b_ids": part}):
            claimed_pairs.add((key, claimant))
    return claimed_pairs


def withdraw(conn: Connection, gone: Collection[tuple[Key, str]], turn: Turn) -> list[Key]:
    """Take claims back, and make their objects due. Return the keys.

    An object in conflict since its first try belongs to somebody else: it was claimed, but never
    ours, and stays unchanged. So does an adopted object that differs, while somebody else wants it
    open.
    """
    if not gone:
        return []
    conn.execute(
        delete(claims).where(
            claims.c.key == bindparam("b_key"), claims.c.claimant == bindparam("b_claimant")
        ),
        [{"b_key": key, "b_claimant": claimant} for key, claimant in gone],
    )
    named = {key for key, _ in gone}
    foreign = object_rows.never_ours(conn, named)
    unschedule_unclaimed(conn, foreign)
    keys = sorted(named - foreign - as_found(conn, named))
    object_rows.touch(conn, keys, turn)
    object_rows.leave(conn, set(keys) - {key for key, _ in pairs(conn, keys)})
    return keys


def as_found(conn: Connection, keys: Collection[Key]) -> set[Key]:
    """Return the adopted objects among some that differ and stay as they are."""
    differ = object_rows.adopted_among(conn, keys, Adoption.DIFFERS)
    held = claims_of(conn, differ).items()
    items = [Item(key, claims, adoption=Adoption.DIFFERS) for key, claims in held]
    return {item.key for item in items if item.as_found}


def unschedule_unclaimed(conn: Connection, keys: Collection[Key]) -> None:
    """Stop scheduling objects that nobody claims and no request waits for.

    The ledger forgets those that were never ours: a run over all objects would close them. What an
    adoption listed stays in it, as an object that nobody claims.
    """
    claimed = select(claims.c.key).where(claims.c.key == objects.c.key).exists()
    awaited = select(step_objects.c.key).where(step_objects.c.key == objects.c.key, DUE).exists()
    free = ~claimed & ~awaited
    listed = objects.c.adoption.in_([Adoption.NEW, Adoption.DIFFERS])
    begun = (objects.c.converged > 0) | objects.c.applied.is_not(None)
    for part in chunks(keys):
        some = update(objects).where(objects.c.key.in_(part), free)
        conn.execute(some.values(due=None))
        conn.execute(some.where(listed, ~begun).values(adoption=Adoption.SEEN))
    for part in chunks(object_rows.never_ours(conn, keys)):
        unknown = free & objects.c.adoption.is_(None)
        conn.execute(delete(objects).where(objects.c.key.in_(part), unknown))


def suspend(
    conn: Connection, subject: str, source: str, cause: str, request: RequestId, now: float
) -> None:
    """Record a reason for taking access away."""
    conn.execute(
        upsert(suspensions).on_conflict_do_nothing(),
        {"subject": subject, "source": source, "cause": cause, "request": request, "since": now},
    )


def resume(conn: Connection, subject: str, source: str, cause: str) -> bool:
    """Take one reason back. Return False if there was none."""
    result = conn.execute(
        delete(suspensions).where(
            suspensions.c.subject == subject,
            suspensions.c.source == source,
            suspensions.c.cause == cause,
        )
    )
    return result.rowcount > 0


def lift(conn: Connection, subject: str, request: RequestId) -> bool:
    """Take back the reason that a request recorded. Return False if it recorded none."""
    here = (suspensions.c.subject == subject, suspensions.c.request == request)
    return conn.execute(delete(suspensions).where(*here)).rowcount > 0


def hand_on(conn: Connection, subject: str, request: RequestId, heir: RequestId) -> bool:
    """Keep the reason that a request recorded for another one. Return False if it recorded none."""
    here = (suspensions.c.subject == subject, suspensions.c.request == request)
    return conn.execute(update(suspensions).where(*here).values(request=heir)).rowcount > 0


def suspended_by(conn: Connection, subject: str, cause: str) -> dict[str, tuple[float, RequestId]]:
    """Return who suspends a subject for a cause: source -> since when, and by which request."""
    rows = conn.execute(
        select(suspensions.c.source, suspensions.c.since, suspensions.c.request).where(
            suspensions.c.subject == subject, suspensions.c.cause == cause
        )
    )
    return {source: (since, request) for source, since, request in rows}


def reasons(conn: Connection, subject: str) -> list[str]:
    """List the suspensions of a subject, as `SOURCE: CAUSE`."""
    rows = conn.execute(
        select(suspensions.c.source, suspensions.c.cause).where(suspensions.c.subject == subject)
    )
    return [f"{source}: {cause}" for source, cause in rows]


def reasons_for(conn: Connection, subject: str, source: str) -> list[str]:
    """List a subject's suspensions as one source may see them: its own, and "others".

    A writer does not learn whose the other suspensions are, nor their causes.
    """
    every = reasons(conn, subject)
    own = [reason for reason in every if reason.startswith(f"{source}: ")]
    return own if len(own) == len(every) else [*own, "others"]


def keys_of(conn: Connection, subject: str) -> list[Key]:
    """List the objects that a subject claims, wherever the claimant contains it."""
    rows = conn.scalars(
        select(claims.c.key)
        .where(or_(claims.c.root == subject, claims.c.leaf == subject, nest(subject)))
        .distinct()
    )
    return sorted(rows)


def keys_by(conn: Connection, source: str) -> set[Key]:
    """Return the objects that a writer's requests claim."""
    return set(conn.scalars(select(claims.c.key).where(claims.c.source == source).distinct()))


def requests_of(conn: Connection, keys: Collection[Key]) -> dict[Key, RequestId]:
    """Return the newest request that claims each of some objects."""
    newest: dict[Key, RequestId] = {}
    for part in chunks(keys):
        statement = select(claims.c.key, func.max(claims.c.request)).where(claims.c.key.in_(part))
        rows = conn.execute(statement.group_by(claims.c.key))
        newest |= {key: RequestId(request) for key, request in rows}
    return newest


@dataclass(frozen=True, slots=True)
class Held:
    """One claim. request: the last one that claimed; source: that request's writer."""

    key: Key
    claimant: str
    want: Want | None
    request: RequestId
    source: str


_HELD = select(claims.c.key, claims.c.claimant, claims.c.want, claims.c.request, claims.c.source)
_HELD_ON = _HELD.where(claims.c.key.in_(IDS))


def everything(conn: Connection) -> list[Held]:
    """List every claim."""
    return [Held(*row) for row in conn.execute(_HELD)]


def held_on(conn: Connection, keys: Collection[Key]) -> list[Held]:
    """List the claims on some objects."""
    return [Held(*row) for row in bulk.among(conn, _HELD_ON, keys)]


def claims_of(conn: Connection, keys: Collection[Key]) -> dict[Key, tuple[Claim, ...]]:
    """Return the claims on objects that count, each with whether it is suspended.

    An object that only steps not yet due claim has an empty tuple; one that nobody claims is left
    out.
    """
    return _counting(conn, bulk.among(conn, _CLAIMS_OF, keys))


def _counting(conn: Connection, rows: Sequence[Any]) -> dict[Key, tuple[Claim, ...]]:
    closed = suspended_among(conn, {row.claimant for row in rows})
    counting: dict[Key, list[Claim]] = {}
    for key, claimant, want, source, request in rows:
        of_key = counting.setdefault(key, [])
        if want is not None:
            suspended = bool(closed) and not closed.isdisjoint(parts(claimant))
            of_key.append(Claim(claimant, want, suspended, source, request))
    return {key: tuple(sorted(value, key=lambda c: c.claimant)) for key, value in counting.items()}


def parts(claimant: str) -> tuple[str, ...]:
    """Return the subjects whose suspension closes a claimant's claims."""
    root, slash, leaf = claimant.partition("/")
    return (root, leaf, claimant) if slash else (claimant,)


def suspended_among(conn: Connection, claimants: Collection[str]) -> set[str]:
    """Return those subjects that are suspended and so close claims of some claimants."""
    suspended: set[str] = set()
    if not claimants or not bulk.rows(conn, _ANY_SUSPENSION, {}):
        return suspended
    for part in chunks({name for claimant in claimants for name in parts(claimant)}):
        suspended.update(
            conn.scalars(select(suspensions.c.subject).where(suspensions.c.subject.in_(part)))
        )
    return suspended


def suspended_parts(conn: Connection, claimants: Collection[str]) -> set[str]:
    """Return the claimants that a suspension closes."""
    closed = suspended_among(conn, claimants)
    return {claimant for claimant in claimants if not closed.isdisjoint(parts(claimant))}
