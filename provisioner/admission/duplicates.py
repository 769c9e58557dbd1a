"""Duplicates: what was accepted before, by whomever, and what follows for a new request.

Promises: among requests with one id or one order of a writer, or with the same signed bytes, the
one that counts is found inside the caller's transaction. The verdict on a candidate is a pure
function of that, of policy's answer and of the time. Leaves out: reading a request (`candidates`),
and asking policy (`review`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from provisioner.admission.after_commit import AfterCommit
from provisioner.admission.candidates import Candidate, expired
from provisioner.journal.figures import idle
from provisioner.journal.journal import Connection
from provisioner.journal.queries import dates, precedents
from provisioner.journal.queries.precedents import Known
from provisioner.journal.records import request_rows
from provisioner.objects.states import OPEN, RequestState
from provisioner.plain.values import value
from provisioner.policy import policy
from provisioner.policy.review import Review, Ruling
from provisioner.policy.writers import Writers
from provisioner.request.documents import Problem
from provisioner.system import users
from provisioner.system.ulid import RequestId

Current = Callable[[Candidate], Candidate]
"""Returns a candidate as it is judged for whom its writer's name means now."""


class Company(Protocol):
    """Who else accepts requests into the journal.

    Ids grow in the order in which requests are accepted, whoever does, and what one judges by is
    what all have accepted.
    """

    def now(self) -> float:
        """Return the time of day by which all accept, in seconds since the epoch."""

    def catch_up(self, conn: Connection, writers: Writers, review: Review) -> None:
        """Learn what others have accepted, at the beginning of a transaction that accepts."""

    def number(
        self, conn: Connection, batch: Sequence[Candidate], current: Current
    ) -> Sequence[Candidate]:
        """Return a batch with ids greater than all before, and with the writers of now."""

    def put_back(self, numbered: Sequence[Candidate], batch: Sequence[Candidate]) -> None:
        """Give files their former ids: they were not accepted. Both have the same order."""

    def tell(self, conn: Connection, left: Iterable[AfterCommit]) -> None:
        """Tell the others, at the commit, of what a transaction leaves for them to do."""


class Alone:
    """The company of a process that alone accepts, whose ids grow by themselves."""

    def now(self) -> float:
        """Return this host's time."""
        return time.time()

    def catch_up(self, conn: Connection, writers: Writers, review: Review) -> None:
        """Do nothing."""

    def number(
        self, conn: Connection, batch: Sequence[Candidate], current: Current
    ) -> Sequence[Candidate]:
        """Return the batch."""
        return batch

    def put_back(self, numbered: Sequence[Candidate], batch: Sequence[Candidate]) -> None:
        """Do nothing."""

    def tell(self, conn: Connection, left: Iterable[AfterCommit]) -> None:
        """Do nothing."""


ALONE = Alone()


@value(frozen=True, slots=True)
class Verdict:
    """The next state of a candidate, and why.

    duplicate_of: the earlier request that has the same own id or signed bytes; held_by: who held
    an earlier one of the same own id or subject.
    """

    state: RequestState
    problems: tuple[Problem, ...] = ()
    duplicate_of: RequestId | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True)
class Precedents:
    """What was accepted before with the ids, orders and signed bytes of a wave.

    kept: what others hold, or held when it was cancelled, by writer, action and subject; in_vain:
    why one that follows from a date, and is judged again, follows from none; unfounded: why those
    of the service that close idle people do not any more, by their own id.
    """

    known: Mapping[tuple[str, str], Known]
    orders: Mapping[tuple[str, str], int]
    signed: Mapping[tuple[str, str], Known]
    kept: Mapping[tuple[str, str, str], Known] = field(default_factory=dict)
    in_vain: str = ""
    unfounded: Mapping[tuple[str, str], str] = field(default_factory=dict)


_OVER = (RequestState.DONE, RequestState.SUPERSEDED)
"""States of a request that is settled: the same once more gets the same answer."""


def look_up(
    conn: Connection, wave: Sequence[Candidate], now: float, besides: str = ""
) -> Precedents:
    """Look up what was accepted before. besides: a request that is ignored, being judged again."""
    wave = [c for c in wave if c.forbidden is None]
    read = [(c.submission.writer, c.request) for c in wave if c.request is not None]
    ids = [(writer, request.id) for writer, request in read if request.id is not None]
    keys = [(writer, request.order.key) for writer, request in read if request.order is not None]
    known = precedents.earlier(conn, ids)
    others = {name: request for name, request in known.items() if request.id != besides}
    bodies = [(c.submission.writer, c.submission.sha256) for c in wave if c.submission.signed]
    orders, signed = precedents.highest_orders(conn, keys), precedents.taken(conn, bodies)
    # What is released or retried was let go by somebody who may do that; a time lets nothing go.
    states = request_rows.states_of(conn, [RequestId(besides)]) if besides else {}
    let_go = any(state != RequestState.SCHEDULED for state in states.values())
    asked = [] if let_go else [_about(c) for c in wave if c.request is not None]
    kept = precedents.kept(conn, asked)
    in_vain = dates.ended_in_vain(conn, RequestId(besides)) if besides else ""
    service = users.user_name(os.geteuid())
    own = [request_id for writer, request_id in ids if writer == service]
    within = idle.FRESH if besides else idle.PROMPT
    closings = idle.in_vain(conn, own, now, within)
    unfounded = {(service, one): why for one, why in closings.items()}
    return Precedents(others, orders, signed, kept, in_vain, unfounded)


def verdict(candidate: Candidate, before: Precedents, ruling: Ruling | None, now: float) -> Verdict:
    """Return the next state of a candidate, and why."""
    request, submission = candidate.request, candidate.submission
    if request is None:
        return Verdict(RequestState.REFUSED, candidate.problems)
    if candidate.forbidden is not None:
        return Verdict(RequestState.REFUSED, (_by_policy(candidate.forbidden.answer),))
    replayed = before.signed.get((submission.writer, submission.sha256))
    if replayed is not None:
        why = f"the same request as {replayed.id}, which is {replayed.state}"
        if replayed.state in (*OPEN, RequestState.DONE):
            return Verdict(RequestState.DONE, (Problem(None, "", why),), duplicate_of=replayed.id)
        # A copy of a signed request must not bring back what was cancelled.
        renewal = "a new `expires`, and a new signature"
        return Verdict(RequestState.REFUSED, (Problem(None, "", why, renewal),))
    known = before.known.get((submission.writer, request.id or ""))
    if known is not None and known.state in (*OPEN, *_OVER):
        if known.digest != submission.sha256:
            why = f"id {request.id!r} is {known.id}, {known.state}, with other content"
            other = Problem(None, "id", why, "a new id for a new request")
            return Verdict(RequestState.REFUSED, (other,), duplicate_of=known.id)
        why = f"the same request as {known.id}, which is {known.state}"
        state = known.state if known.state in _OVER else RequestState.DONE
        return Verdict(state, (Problem(None, "id", why),), duplicate_of=known.id)
    if candidate.problems:
        return Verdict(RequestState.REFUSED, candidate.problems)
    if request.users_file is not None:  # accepting it without users would remove all of them
        unread = Problem(None, "users_file", "its list was not read", _SEND_AGAIN)
        return Verdict(RequestState.REFUSED, (unread,))
    answer = ruling.answer if ruling is not None else policy.ALLOWED
    if answer.verdict == policy.REFUSE:
        return Verdict(RequestState.REFUSED, (_by_policy(answer),))
    late = expired(request, now)
    if late is not None:
        return Verdict(RequestState.REFUSED, (late,))
    in_vain = before.in_vain or before.unfounded.get((submission.writer, request.id or ""), "")
    if in_vain:
        return Verdict(RequestState.SUPERSEDED, (Problem(None, "", in_vain),))
    if request.order is not None:
        highest = before.orders.get((submission.writer, request.order.key))
        if highest is not None and request.order.number < highest:
            why = f"order {request.order.number} is lower than {highest}, which was accepted before"
            late = request.placed(Problem(None, "order.number", why, highest=highest))
            return Verdict(RequestState.SUPERSEDED, (late,))
    if answer.verdict == policy.REVIEW:
        return Verdict(RequestState.HELD, (_by_policy(answer),))
    stopped = _stopped(known, before.kept.get(_about(candidate)))
    if stopped is not None:
        return stopped
    if request.not_before is not None and request.not_before.timestamp() > now:
        return Verdict(RequestState.SCHEDULED)
    return Verdict(RequestState.ACCEPTED)


_SEND_AGAIN = "the request sent again, with its file"


def _about(candidate: Candidate) -> tuple[str, str, str]:
    """Return a valid request's writer, action and subject."""
    assert candidate.request is not None
    request = candidate.request
    return candidate.submission.writer, request.action, request.subject


def _stopped(known: Known | None, kept: Known | None) -> Verdict | None:
    """Hold what another person held before. Asking under a new id would bypass them."""
    key = ""
    if known is not None and known.state == RequestState.CANCELLED and known.held_by is not None:
        kept, key = known, "id"
    if kept is None:
        return None
    why = f"{kept.held_by} held {kept.id} before it was cancelled: held again"
    if kept.state == RequestState.HELD:
        why = f"{kept.held_by} holds {kept.id}, which asks for the same subject: held, too"
    return Verdict(RequestState.HELD, (Problem(None, key, why),), held_by=kept.held_by)


def _by_policy(answer: policy.Answer) -> Problem:
    return Problem(None, "", answer.why, answer.advice)
