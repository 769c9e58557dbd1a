"""History: what requests have asked for, of a claim or since some moment, in the order in which
they were accepted.

Promises: everything is read from requests and steps alone, inside the caller's transaction, so that
looks at the object in between change nothing. Leaves out: what is wanted now (`ledger`), and giving
claims back (`undo`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, false, func, or_, select

from provisioner.contract import Key
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, folded, lies_in, unindexed
from provisioner.journal.persons.lately import BY_DATE
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import in_state, objects, requests, step_objects
from provisioner.journal.schema import steps as step_rows
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

TAKING = ("project.archive", "membership.remove")
"""Actions that only take claims back."""

CLAIMING = frozenset(
    {"user.provision", "project.provision", "allocation.provision", "membership.add", *TAKING}
)
"""Actions whose request names everything that is claimed for its subject."""

CLOSING = ("user.suspend", "user.resume", "allocation.suspend", "allocation.resume")
"""Actions that close or open a subject, and leave its claims."""

DATED = "ended-"
"""How the names of the service's own requests begin that end access when a date has come. A writer
may give a file such a name, too: only `ended_by` says whose it is."""

STOPPED = (RequestState.CANCELLED, RequestState.HELD)
"""States in which only what a request has already made or taken away counts."""

Pair = tuple[Key, str]
"""An object and a claimant."""


@dataclass(frozen=True, slots=True)
class Mention:
    """What one request asked for a claim.

    step: the step that claims it, '' if the request leaves the claim out; bound: that step has
    begun, so that its want is known; counts: the request is neither cancelled nor held, or had
    already made the object, or taken the claim away; generation: the object's when its step began
    to claim it, or to withdraw from it, None if it has not, or had made it before.
    """

    request: RequestId
    writer: str
    step: str
    bound: bool = False
    counts: bool = True
    generation: int | None = None


def of(conn: Connection, pairs: Collection[Pair]) -> dict[Pair, list[Mention]]:
    """Return the mentions of claims, oldest first."""
    by_pair: dict[Pair, dict[RequestId, Mention]] = {pair: {} for pair in pairs}
    order: dict[RequestId, tuple[float, RequestId]] = {}
    taken: set[tuple[RequestId, Key]] = set()
    withdrawn: dict[tuple[RequestId, Key], int | None] = {}
    for part in chunks({key for key, _ in pairs}):
        for row in conn.execute(_PARTS, {"b_ids": part}):
            if not row.routed:
                withdrawn[row.request, row.key] = row.generation
                if row.over == StepState.DONE and not row.unread:
                    taken.add((row.request, row.key))
            mentions = by_pair.get((row.key, row.claimant)) if row.routed else None
            if mentions is None:
                continue
            order[row.request] = (row.accepted, row.request)
            mention = _mention(row)
            former = mentions.get(mention.request)
            if former is None or (mention.bound, mention.counts) > (former.bound, former.counts):
                mentions[mention.request] = mention
    about: dict[str, set[Pair]] = {}
    for pair in pairs:
        for name in (pair[1], pair[1].partition("/")[0]):
            about.setdefault(name, set()).add(pair)
    for root in sorted(name for name in about if "/" not in name):
        for row in conn.execute(_about(root)):
            if not _was_accepted(row):
                continue
            order[row.id] = (row.accepted, row.id)
            stands = row.state not in STOPPED or row.action in TAKING
            for pair in about.get(row.subject, ()):
                out = (row.id, pair[0])
                counts, since = stands or out in taken, withdrawn.get(out)
                mention = Mention(row.id, row.writer, "", counts=counts, generation=since)
                by_pair[pair].setdefault(row.id, mention)
    return {
        pair: sorted(mentions.values(), key=lambda mention: order[mention.request])
        for pair, mentions in by_pair.items()
    }


def before(
    mentions: Sequence[Mention], request: RequestId
) -> tuple[Mention | None, Mention | None]:
    """Return who claimed before a request, and whose want was in force; None for nobody."""
    owner = bound = None
    for mention in mentions:
        if mention.request == request:
            break
        if not mention.counts:
            continue
        owner = mention if mention.step else None
        bound = mention if mention.bound else bound if mention.step else None
    return owner, bound


def began_without(mentions: Sequence[Mention], request: RequestId, asker: Mention) -> bool:
    """Return True if an earlier request's step began only after a request had left its claim out.

    Such a step found nothing to make, and ended what it waited for by that: its want was never in
    force.
    """
    out = mentions[_place(mentions, request)].generation
    return out is not None and asker.generation is not None and asker.generation > out


def earlier(mentions: Sequence[Mention], request: RequestId) -> Sequence[Mention]:
    """Return the mentions before a request's, oldest first."""
    return mentions[: _place(mentions, request)]


def mentioned(mentions: Sequence[Mention], request: RequestId) -> bool:
    """Return True if a request mentions the claim. One that was held from the start does not."""
    return any(mention.request == request for mention in mentions)


def overtaken(mentions: Sequence[Mention], request: RequestId) -> bool:
    """Return True if a later request claims it, or took it back."""
    return any(mention.counts for mention in mentions[_place(mentions, request) + 1 :])


def _place(mentions: Sequence[Mention], request: RequestId) -> int:
    return next(place for place, mention in enumerate(mentions) if mention.request == request)


def _mention(row: Any) -> Mention:
    counts = row.made or row.state not in STOPPED
    bound = row.generation is not None
    # A retry begins it again, later: what it had made before was in force before.
    had = row.read_back is not None and row.read_back.get("present")
    since = None if had else row.generation
    return Mention(row.request, row.writer, row.step, bound, counts, since)


def _was_accepted(row: Any) -> bool:
    """Return True if a request was ever accepted. One that only repeats an own id has no steps."""
    if row.begun:
        return True
    done = row.action in TAKING and row.state in (*RUNNING, RequestState.DONE)
    return done and row.duplicate_of is None


_STEP: Any = (step_rows.c.request == step_objects.c.request) & (
    step_rows.c.name == step_objects.c.step
)
UNREAD: Any = func.coalesce(
    in_state(StepState.DONE)
    & (objects.c.converged > 0)
    & (objects.c.converged < step_objects.c.generation),
    false(),
)
"""The part of a step is over, although its object, which was once as wanted, was not read since the
step became due: only claims that have no want yet were on it."""

_PARTS: Any = (
    select(
        step_objects.c.key,
        step_objects.c.claimant,
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.generation,
        step_objects.c.state.label("over"),
        step_objects.c.read_back,
        step_objects.c.read_back.is_not(None).label("made"),
        UNREAD.label("unread"),
        step_rows.c.routed,
        requests.c.state,
        requests.c.writer,
        requests.c.accepted,
    )
    .join(step_rows, _STEP)
    .join(requests, requests.c.id == step_objects.c.request)
    .outerjoin(objects, objects.c.key == step_objects.c.key)
    .where(step_objects.c.key.in_(IDS))
)


def _about(root: str) -> Any:
    parts = select(step_objects.c.key).join(step_rows, _STEP)
    begun = parts.where(step_objects.c.request == requests.c.id).exists()
    within = lies_in(requests.c.subject, root)
    columns = ("id", "writer", "accepted", "subject", "action", "state", "duplicate_of")
    return select(*(requests.c[name] for name in columns), begun.label("begun")).where(
        requests.c.action.in_(CLAIMING), or_(requests.c.subject == root, within)
    )


# Since a moment, also where no claim or suspension shows it.

_ACCEPTED = select(step_rows.c.name).where(step_rows.c.request == requests.c.id).exists()
"""A request has steps: it did not only wait, held or for its time."""

STANDS: Any = or_(
    unindexed(requests.c.state) != RequestState.CANCELLED,
    requests.c.action.in_([*TAKING, "user.resume", "allocation.resume"]) & _ACCEPTED,
)
"""A request was not cancelled, or only after what it takes away or gives back was in force: that
stays so."""

_ASKED = select(requests.c.id, requests.c.subject).where(
    requests.c.id >= bindparam("b_since"),
    unindexed(requests.c.writer) == bindparam("b_writer"),
    requests.c.action.in_(sorted({*CLAIMING, *CLOSING})),
    unindexed(requests.c.state) != RequestState.REFUSED,
    STANDS,
    requests.c.duplicate_of.is_(None),
    requests.c.id.not_in(BY_DATE),
)

_BEFORE = (
    select(requests.c.id)
    .where(requests.c.id >= bindparam("b_least"), requests.c.accepted < bindparam("b_at"))
    .order_by(requests.c.id.desc())
    .limit(1)
)


def first_at(conn: Connection, at: float) -> RequestId:
    """Return the least id that counts as accepted at a time or later, in seconds since the epoch.

    Ids run ahead of the time after the clock did: what was accepted earlier has one all the same.
    """
    least = ulid.first(at)
    last = conn.scalar(_BEFORE, {"b_least": least, "b_at": at})
    return least if last is None else ulid.after(last)


def numbered(conn: Connection, writer: str, since: int, before: RequestId) -> list[RequestId]:
    """Return a writer's first request with a higher number than one, of those that were accepted
    before another one, however long; none if there is none."""
    # By the index of writers and numbers: the first by id may be any number of rows behind.
    some = (requests.c.writer == writer, requests.c.order_number > since)
    first = conn.scalar(select(func.min(unindexed(requests.c.id))).where(*some))
    return [] if first is None or first > before else [first]


def asked_since(conn: Connection, writer: str, least: RequestId) -> list[tuple[RequestId, str]]:
    """List a writer's requests for something, each with the subject that is or has it, `folded`.

    least: the id of the first one that counts.
    """
    rows = bulk.rows(conn, _ASKED, {"b_since": least, "b_writer": writer})
    return [(request, folded(subject.partition("/")[0])) for request, subject in rows]


def newer(conn: Connection, record: Record, actions: Collection[str]) -> RequestId | Literal[""]:
    """Return what was accepted last after a request, for its subject or one in or around it.

    actions: those that count. '' if there is none.
    """
    root, slash, _ = record.subject.partition("/")
    within = lies_in(requests.c.subject, root)
    about = [requests.c.subject == root, requests.c.subject == record.subject if slash else within]
    # A subject has few requests; SQLite would use the index of states, which most requests share.
    columns = requests.c.id, requests.c.accepted, requests.c.action, requests.c.state
    own = requests.c.duplicate_of.is_(None)
    rows = conn.execute(select(*columns).where(or_(*about), STANDS, own))
    counting = {*RUNNING, RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED}
    there = [row for row in rows if row.action in actions and row.state in counting]
    since = request_rows.order(record.id, record.accepted)
    ranked = max((request_rows.order(row.id, row.accepted) for row in there), default=since)
    return ranked[-1] if ranked > since else ""


_ACCEPTED_AT = select(requests.c.id, requests.c.accepted).where(requests.c.id.in_(IDS))


def later(conn: Connection, request: RequestId, others: Collection[RequestId]) -> list[RequestId]:
    """Return those of some requests that were accepted after one, in that order."""
    if not set(others) - {request}:
        return []
    accepted = dict(bulk.among(conn, _ACCEPTED_AT, {request, *others}))
    ranks = {one: request_rows.order(one, accepted.get(one, 0.0)) for one in {request, *others}}
    return sorted((one for one in others if ranks[one] > ranks[request]), key=ranks.__getitem__)


_MANIFESTS = select(requests.c.id, func.coalesce(requests.c.follows, requests.c.id)).where(
    requests.c.id.in_(IDS),
    or_(requests.c.follows.is_not(None), requests.c.action.in_(["reconcile", "adopt"])),
)


def manifests_of(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, RequestId]:
    """Return from which request's manifest each of some follows; one with a manifest is itself
    that. Others are left out."""
    return {row[0]: row[1] for row in bulk.among(conn, _MANIFESTS, ids)}
