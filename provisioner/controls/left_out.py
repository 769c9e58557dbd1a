"""Left out: persons whom one writer's manifest leaves out, and another writer asks for.

Promises: everything happens inside the caller's transaction. A request that asks for a person ends
the suspensions for being left out of other writers' manifests, and nothing else; if it is cancelled
or held, and nobody else asks for them, they are closed as before. Leaves out: who asks (`askers`),
and the manifests (`manifest`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.persons import askers, words
from provisioner.journal.persons.askers import LEFT_OUT
from provisioner.journal.persons.words import Word
from provisioner.journal.queries import subjects
from provisioner.journal.queries.subjects import Suspension
from provisioner.journal.records import ledger, object_rows, request_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.system.ulid import RequestId

LIFTED = "lifted"
"""The kind of the event that a request ended the suspension of who was left out."""


def lift(conn: Connection, asking: Mapping[str, RequestId], now: float) -> None:
    """Open the persons whom other writers have left out, for requests that were just accepted.

    asking: the request for each subject. One that puts right what the same writer had asked before
    opens nobody.
    """
    _outlive(conn, asking)
    closed = _left_out(conn, asking.keys())
    now_asking = askers.of(conn, {suspension.subject for suspension in closed})
    for suspension in closed:
        subject, source = suspension.subject, suspension.source
        new = [a for a in now_asking[subject].values() if a.request == asking[subject]]
        if not askers.beside(new, source):
            continue
        keys = ledger.keys_of(conn, subject)
        left = ledger.as_found(conn, keys)
        ledger.resume(conn, subject, source, LEFT_OUT)
        word = Word(subject, source, False, suspension.request, suspension.since, asking[subject])
        words.say(conn, [word])
        record = request_rows.load(conn, [asking[subject]])[asking[subject]]
        object_rows.touch(conn, set(keys) - left, Turn(now, record.writer))
        _tell(conn, record, subject, source, now)


def _outlive(conn: Connection, asking: Mapping[str, RequestId]) -> None:
    """Forget what a writer's manifest said after a request's id, and before its acceptance: it was
    held, or waited for its time."""
    before = [word for word in words.of(conn, asking.keys()) if word.request > asking[word.subject]]
    for word in before:
        if word.writer == askers.whose(conn, asking[word.subject]):
            words.take_back(conn, word.subject, word.writer)


def close_again(conn: Connection, target: request_rows.Record, turn: Turn) -> list[str]:
    """Close again whom a request kept open that is being cancelled or held, unless another writer
    asks for them. Return notes for its writer."""
    subject = target.subject
    kept = [word for word in words.of(conn, [subject]) if word.kept == target.id]
    if not kept:
        return []
    asking = askers.of(conn, [subject], besides=target.id)[subject].values()
    for word in kept:
        others = askers.beside(asking, word.writer)
        if others:
            words.say(conn, [replace(word, kept=others[-1].request)])
            continue
        ledger.suspend(conn, subject, word.writer, LEFT_OUT, word.request, word.since)
        words.take_back(conn, subject, word.writer)
    if not _left_out(conn, [subject]):
        return []
    keys = ledger.keys_of(conn, subject)
    object_rows.touch(conn, set(keys) - ledger.as_found(conn, keys), turn)
    return [f"{subject} is closed again: nobody asks for them any more"]


def _left_out(conn: Connection, names: Collection[str]) -> list[Suspension]:
    found = subjects.suspensions_of(conn, names)
    return [suspension for suspension in found if suspension.cause == LEFT_OUT]


def _tell(
    conn: Connection, request: request_rows.Record, subject: str, source: str, now: float
) -> None:
    """Add to a request, and to the trail, that it opened who was left out."""
    text = f"{subject} was closed for being left out of another writer's manifest, and opens again"
    note = {"line": None, "key": "", "message": text}
    request_rows.set_problems(conn, request.id, [*(request.problems or ()), note])
    event = audit.Event(request.id, LIFTED, text, subject, {"left_out_by": source})
    audit.append(conn, [event], now)
