"""Duplicates: what was accepted before, and what it makes of a request that comes now.

Promises: of one id or one order of a writer, and of signed bytes, the request that counts is
found inside the caller's transaction; the verdict on a candidate is a pure function of that, of
policy's answer and of the time. Leaves out: reading a request (`candidates`), and asking policy
(`review`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from provisioner.admission.candidates import Candidate, expired
from provisioner.journal.schema import IDS, chunks, requests
from provisioner.objects.states import OPEN, RequestState
from provisioner.policy import policy
from provisioner.policy.review import Ruling
from provisioner.request.documents import Problem


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a candidate, and why.

    duplicate_of: the request whose own id it came under again.
    """

    state: RequestState
    problems: tuple[Problem, ...] = ()
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a request that comes again is compared with."""

    id: str
    state: RequestState
    digest: str


@dataclass(frozen=True, slots=True)
class Precedents:
    """What was accepted before under the ids and orders of a wave, and signed by the bytes."""

    known: Mapping[tuple[str, str], Known]
    orders: Mapping[tuple[str, str], int]
    signed: Mapping[tuple[str, str], Known]


def look_up(conn: Connection, wave: Sequence[Candidate], besides: str = "") -> Precedents:
    """Look up what was accepted before; besides: a request that does not count, being judged."""
    wave = [c for c in wave if c.forbidden is None]
    read = [(c.claimed.writer, c.request) for c in wave if c.request is not None]
    ids = [(writer, request.id) for writer, request in read if request.id is not None]
    keys = [(writer, request.order.key) for writer, request in read if request.order is not None]
    known = _earlier(conn, ids)
    others = {name: one for name, one in known.items() if one.id != besides}
    bodies = [(c.claimed.writer, c.claimed.sha256) for c in wave if c.claimed.signed]
    return Precedents(others, _highest_orders(conn, keys), _taken(conn, bodies))


def verdict(candidate: Candidate, before: Precedents, ruling: Ruling | None, now: float) -> Verdict:
    """Say what becomes of a candidate: its state, and why."""
    request, claimed = candidate.request, candidate.claimed
    if request is None:
        return Verdict(RequestState.REFUSED, candidate.problems)
    if candidate.forbidden is not None:
        return Verdict(RequestState.REFUSED, (_by_policy(candidate.forbidden.answer),))
    replayed = before.signed.get((claimed.writer, claimed.sha256))
    if replayed is not None:
        why = f"the same request as {replayed.id}, which is {replayed.state}"
        if replayed.state in (*OPEN, RequestState.DONE):
            return Verdict(RequestState.DONE, (Problem(None, "", why),))
        # Whoever can copy a signed request does not bring back what was cancelled.
        anew = "a new `expires`, and a new signature"
        return Verdict(RequestState.REFUSED, (Problem(None, "", why, anew),))
    known = before.known.get((claimed.writer, request.id or ""))
    if known is not None and known.state in (*OPEN, RequestState.DONE):
        if known.digest != claimed.sha256:
            why = f"id {request.id!r} is {known.id}, {known.state}, with other content"
            other = Problem(None, "id", why, "a new id for a new request")
            return Verdict(RequestState.REFUSED, (other,), duplicate_of=known.id)
        why = f"the same request as {known.id}, which is {known.state}"
        return Verdict(RequestState.DONE, (Problem(None, "id", why),), duplicate_of=known.id)
    if candidate.problems:
        return Verdict(RequestState.REFUSED, candidate.problems)
    if request.users_file is not None:  # to accept it would take everybody out
        unread = Problem(None, "users_file", "its list was not read", _ANEW)
        return Verdict(RequestState.REFUSED, (unread,))
    answer = ruling.answer if ruling is not None else policy.ALLOWED
    if answer.verdict == policy.REFUSE:
        return Verdict(RequestState.REFUSED, (_by_policy(answer),))
    late = expired(request, now)
    if late is not None:
        return Verdict(RequestState.REFUSED, (late,))
    if request.order is not None:
        highest = before.orders.get((claimed.writer, request.order.key))
        if highest is not None and request.order.number < highest:
            why = f"order {request.order.number} comes after {highest}, which was accepted"
            late = request.placed(Problem(None, "order.number", why))
            return Verdict(RequestState.SUPERSEDED, (late,))
    if answer.verdict == policy.REVIEW:
        return Verdict(RequestState.HELD, (_by_policy(answer),))
    if request.not_before is not None and request.not_before.timestamp() > now:
        return Verdict(RequestState.SCHEDULED)
    return Verdict(RequestState.ACCEPTED)


_ANEW = "the request sent anew, with its file"


def _by_policy(answer: policy.Answer) -> Problem:
    return Problem(None, "", answer.why, answer.advice)


_EARLIER = (
    select(
        requests.c.id,
        requests.c.state,
        requests.c.digest,
        requests.c.writer,
        requests.c.writer_id,
    )
    # One that was refused by itself never hides an older one that was accepted.
    .where(
        requests.c.writer_id.in_(IDS),
        requests.c.state != RequestState.REFUSED,
        requests.c.duplicate_of.is_(None),
    )
    .order_by(requests.c.id)
)


def _earlier(conn: Connection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the newest request that each (writer, writer's id) names, and no repetition of it."""
    wanted = set(names)
    found: dict[tuple[str, str], Known] = {}
    for part in chunks({writer_id for _, writer_id in wanted}):
        for row in conn.execute(_EARLIER, {"b_ids": part}):
            found[row.writer, row.writer_id] = Known(row.id, row.state, row.digest)
    return {name: one for name, one in found.items() if name in wanted}


def _taken(conn: Connection, bodies: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the first request of each (writer, digest) that was not refused."""
    wanted = set(bodies)
    found: dict[tuple[str, str], Known] = {}
    for part in chunks({digest for _, digest in wanted}):
        rows = conn.execute(
            select(requests.c.id, requests.c.state, requests.c.digest, requests.c.writer)
            .where(requests.c.digest.in_(part), requests.c.state != RequestState.REFUSED)
            .order_by(requests.c.id)
        )
        for who, state, digest, writer in rows:
            found.setdefault((writer, digest), Known(who, state, digest))
    return {body: one for body, one in found.items() if body in wanted}


def _highest_orders(
    conn: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the highest order number accepted under each (writer, key)."""
    wanted = set(names)
    found: dict[tuple[str, str], int] = {}
    for part in chunks({key for _, key in wanted}):
        rows = conn.execute(
            select(requests.c.writer, requests.c.order_key, func.max(requests.c.order_number))
            .where(requests.c.order_key.in_(part), requests.c.state != RequestState.REFUSED)
            .group_by(requests.c.writer, requests.c.order_key)
        )
        found.update({(writer, key): number for writer, key, number in rows})
    return {name: number for name, number in found.items() if name in wanted}
