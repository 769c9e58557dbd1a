"""Left out: persons whom one writer's manifest leaves out, and another writer asks for.

Promises: everything happens inside the caller's transaction. A request that asks for a person ends
the suspensions for being left out of other writers' manifests, and nothing else, whatever cause a
suspension by hand names; if it is cancelled or held, and nobody else asks for them, they are closed
as before. Whoever is left out again stays closed as long as one of the two times stands. Leaves
out: who asks (`askers`), and the manifests (`manifest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provisioner.journal import audit
from provisioner.journal.figures import idle
from provisioner.journal.journal import Connection
from provisioner.journal.persons import askers, words
from provisioner.journal.persons.words import LEFT_OUT, Word
from provisioner.journal.queries import history, precedents
from provisioner.journal.records import event_rows, ledger, object_rows, request_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.system.ulid import RequestId

LIFTED = "lifted"
"""The kind of the event that a request ended the suspension of who was left out."""

AGAIN = "left out again"
"""The kind of the event that a suspension took over an earlier one for being left out."""


def lift(conn: Connection, asking: Mapping[str, RequestId], now: float) -> None:
    """Open the persons whom other writers have left out, for requests that were just accepted.

    asking: the request for each subject. One that puts right what the same writer had asked before
    opens nobody.
    """
    _outlive(conn, asking)
    closing = [word for word in words.of(conn, asking.keys()) if word.closes]
    now_asking = askers.of(conn, {word.subject for word in closing})
    for word in closing:
        subject = word.subject
        new = [a for a in now_asking[subject].values() if a.request == asking[subject]]
        if not askers.beside(new, word.writer):
            continue
        words.say(conn, [replace(word, kept=asking[subject])])
        keys = ledger.keys_of(conn, subject)
        left = ledger.as_found(conn, keys)
        if not ledger.lift(conn, subject, word.request):
            continue  # a person has closed them, too
        idle.note_opened(conn, subject, now)
        record = request_rows.load(conn, [asking[subject]])[asking[subject]]
        object_rows.touch(conn, set(keys) - left, Turn(now, record.writer))
        _tell(conn, record, subject, word.writer, now)


def tell_apart(conn: Connection, subject: str, writer: str, request: RequestId, now: float) -> None:
    """Record that a writer's manifest closed a person, or else that a person did so by hand.

    request: the suspension for being left out. If the manifest's was there before one by hand, it
    passes to that one, which no other writer ends. If an earlier manifest's was, it passes to the
    newest.
    """
    word = of_writer(conn, subject, writer)
    is_before = word is not None and word.closes and word.request != request
    before = word if is_before else None
    if not audit.follows(conn, request):
        if before is not None:
            words.say(conn, [before])
            ledger.hand_on(conn, subject, before.request, request)
    else:
        words.say(conn, [Word(subject, writer, False, request, now)])
        if before is not None:
            ledger.hand_on(conn, subject, before.request, request)
        _note_before(conn, subject, request, before, now)


def _note_before(
    conn: Connection, subject: str, request: RequestId, before: Word | None, now: float
) -> None:
    """Note in the trail which suspension one takes over; a retry may take over another, or none."""
    after = before.request if before is not None else None
    if after != event_rows.last_facts(conn, request, AGAIN).get("after"):
        text = f"{subject} was left out before: {after or 'no longer'}"
        audit.append(conn, [audit.Event(request, AGAIN, text, subject, {"after": after})], now)


def step_back(conn: Connection, target: request_rows.Record) -> RequestId | None:
    """Let the word of a suspension that is being cancelled pass to the one that it took over.

    Return that one; None if there is none any more, so that the word is forgotten.
    """
    word = of_writer(conn, target.subject, target.writer)
    before = target.id
    standing = {one.id for one in precedents.standing(conn, target, [target.action])}
    while (after := event_rows.last_facts(conn, before, AGAIN).get("after")) is not None:
        before = after
        if before in standing:
            break
    if word is None or word.request != target.id or before not in standing:
        words.forget(conn, target.id)
        return None
    words.say(conn, [replace(word, request=before)])
    return before


def of_writer(conn: Connection, subject: str, writer: str) -> Word | None:
    """Return what a writer's manifest says of a person; None if it says nothing."""
    return next((word for word in words.of(conn, [subject]) if word.writer == writer), None)


def _outlive(conn: Connection, asking: Mapping[str, RequestId]) -> None:
    """Forget what a writer's manifest said after a request's id, and before its acceptance: it was
    held, or waited for its time."""
    said = [word for word in words.of(conn, asking.keys()) if not word.closes]
    manifests = history.manifests_of(conn, {asking[word.subject] for word in said})
    for word in said:
        request = asking[word.subject]
        before = word.request > manifests.get(request, request)
        if before and word.writer == askers.whose(conn, request):
            words.take_back(conn, word.subject, word.writer)


def close_again(conn: Connection, target: request_rows.Record, turn: Turn) -> list[str]:
    """Close again whom a request kept open that is being cancelled or held, unless another writer
    asks for them. Return notes for its writer."""
    subject = target.subject
    kept = [word for word in words.of(conn, [subject]) if word.kept == target.id]
    if not kept:
        return []
    asking = askers.of(conn, [subject], besides=target.id)[subject].values()
    closed = False
    for word in kept:
        others = askers.beside(asking, word.writer)
        if others:
            words.say(conn, [replace(word, kept=others[-1].request)])
            continue
        ledger.suspend(conn, subject, word.writer, LEFT_OUT, word.request, word.since)
        words.say(conn, [replace(word, kept=None)])
        closed = True
    if not closed:
        return []
    keys = ledger.keys_of(conn, subject)
    object_rows.touch(conn, set(keys) - ledger.as_found(conn, keys), turn)
    return [f"{subject} is closed again: nobody asks for them any more"]


def _tell(
    conn: Connection, request: request_rows.Record, subject: str, source: str, now: float
) -> None:
    """Add to a request, and to the trail, that it opened who was left out."""
    text = f"{subject} was closed for being left out of another writer's manifest, and opens again"
    note = {"line": None, "key": "", "message": text}
    request_rows.set_problems(conn, request.id, [*(request.problems or ()), note])
    event = audit.Event(request.id, LIFTED, text, subject, {"left_out_by": source})
    audit.append(conn, [event], now)
