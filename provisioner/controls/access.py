"""Verbs that take access away, and give it back: suspend, resume, remove.

Promises: one that found nothing to do says so, with the nearest name; one that cannot do what it
was asked for fails, and says who can. Leaves out: closing and opening objects (`convergence`).
"""

from __future__ import annotations

import os
from collections.abc import Collection

from provisioner.contract import InvalidRequest, Key, Refused
from provisioner.controls import left_out
from provisioner.controls.effects import Command, Effect
from provisioner.journal.figures import idle
from provisioner.journal.journal import Connection
from provisioner.journal.persons import beforehand, words
from provisioner.journal.queries import subjects
from provisioner.journal.records import ledger, object_rows
from provisioner.request.request import Request
from provisioner.system import users


def suspend(conn: Connection, command: Command) -> Effect:
    """Suspend a subject. It may have nothing yet: later requests then make nothing for it."""
    subject = command.request.subject
    beforehand.check(conn, subject, command.writer, cause_of(command.request))
    cause = cause_of(command.request)
    ledger.suspend(conn, subject, command.writer, cause, command.id, command.now)
    if command.request.action == "user.suspend" and cause == words.LEFT_OUT:
        left_out.tell_apart(conn, subject, command.writer, command.id, command.now)
    effect = _touched(conn, command, _left(conn, subject))
    if effect.unmatched:
        effect.notes.append("the suspension stays in force: later requests do not make anything")
    return effect


def resume(conn: Connection, command: Command) -> Effect:
    """Take a suspension of the writer back, or of the one that root names; others may be left.

    Raises InvalidRequest if the writer suspended the subject for other causes, or others did;
    Refused if another one may not name a writer.
    """
    subject, cause = command.request.subject, cause_of(command.request)
    left_open = _left(conn, subject)
    lifted = ledger.resume(conn, subject, _whose(command), cause)
    if not lifted and cause == idle.CAUSE:
        lifted = ledger.resume(conn, subject, users.user_name(os.geteuid()), cause)
    if not lifted and cause == beforehand.ENDED and command.seeker.others:
        # A date has decided this, not the writer who named it.
        for source in ledger.suspended_by(conn, subject, cause):
            lifted = ledger.resume(conn, subject, source, cause)
    if command.seeker.others:
        left = ledger.reasons(conn, subject)
    else:
        left = ledger.reasons_for(conn, subject, command.writer)
    if not lifted and left:
        whose = _whose(command)
        own = [reason for reason in left if reason.startswith(f"{whose}: ")]
        causes = [reason.removeprefix(f"{whose}: ") for reason in own]
        raise InvalidRequest(
            f"{whose} has not suspended {subject} for {cause!r}; it is suspended by "
            + ", ".join(left),
            field="cause",
            expected=" or ".join(f"cause: {one}" for one in causes)
            or "a resume from who suspended it; of who is gone, a resume from root with `writer`",
        )
    if cause == words.LEFT_OUT:
        words.lift(conn, subject, _whose(command))
    if not lifted:
        why = "it is not suspended"
        if not ledger.keys_of(conn, subject):
            why = f"{why}, and {_nothing(conn, command)}"
        return Effect(unmatched=True, notes=[f"{subject}: {why}"])
    idle.note_opened(conn, subject, command.now)
    effect = _touched(conn, command, left_open)
    effect.unmatched = False
    if left:
        effect.notes.append(f"{subject} is still suspended by {', '.join(left)}")
    return effect


def _whose(command: Command) -> str:
    """Return the writer whose suspension a request lifts."""
    named = command.request.values.get("writer")
    if named in (None, command.writer):
        return command.writer
    if command.seeker.uid not in (0, os.geteuid()):
        raise Refused(
            f"{command.writer} may lift only its own suspensions, not those of {named}",
            advice="leave `writer` out, or have root or the service's user send it",
        )
    return str(named)


def withdraw(conn: Connection, command: Command) -> Effect:
    """Take back what a subject claims."""
    subject = command.request.subject
    claimed = ledger.claimed(conn, [subject])[subject]
    if claimed:
        keys = ledger.withdraw(conn, claimed, command.turn)
        return Effect(keys=object_rows.instances_of(conn, keys))
    subjects.check_letters(conn, subject)
    return Effect(unmatched=True, notes=[_nothing(conn, command, "was")])


def _left(conn: Connection, subject: str) -> set[Key]:
    """Return what a suspension of a subject leaves as it is: adopted objects that differ, and that
    others keep open."""
    return ledger.as_found(conn, ledger.keys_of(conn, subject))


def _touched(conn: Connection, command: Command, left: Collection[Key]) -> Effect:
    """Make a subject's objects due, but for those that are left as they are; without any, say
    so."""
    keys = ledger.keys_of(conn, command.request.subject)
    if keys:
        due = set(keys).difference(left)
        object_rows.touch(conn, due, command.turn)
        return Effect(keys=object_rows.instances_of(conn, due))
    return Effect(unmatched=True, notes=[_nothing(conn, command)])


def _nothing(conn: Connection, command: Command, verb: str = "is") -> str:
    """Return a note that nothing is claimed for a subject, with the nearest known one."""
    subject = command.request.subject
    writer = None if command.seeker.others else command.writer
    nearest = subjects.nearest(conn, subject, writer)
    meant = f"; did you mean {nearest}?" if nearest else ""
    return f"nothing {verb} claimed for {subject}{meant}"


def cause_of(request: Request) -> str:
    """Return the cause for which a request suspends or resumes."""
    return str(request.values.get("cause") or "request")
