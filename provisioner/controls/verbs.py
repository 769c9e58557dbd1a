"""The effects of actions without steps: they change claims, suspensions, requests or lanes.

Promises: each verb acts inside the caller's transaction, so that it takes effect with the
acceptance of its request or not at all. Leaves out: provisioning (`acceptance`), and files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from provisioner.contract import InvalidRequest, Key, Refused, texts
from provisioner.controls import access, interventions, lanes, left_out, renewal, undo
from provisioner.controls.effects import AWAITED, Command, Effect
from provisioner.journal import audit
from provisioner.journal import facts as journal_facts
from provisioner.journal.figures import throughout
from provisioner.journal.hosts import spools
from provisioner.journal.journal import Connection
from provisioner.journal.queries import history, lookup, replaced
from provisioner.journal.records import (
    companion_rows,
    ledger,
    object_rows,
    request_rows,
    step_moves,
    step_rows,
)
from provisioner.journal.records.object_rows import Turn
from provisioner.objects.states import OPEN, RUNNING, RequestState, StepState
from provisioner.request.request import Request
from provisioner.steps import remarks
from provisioner.system.ulid import RequestId


def _reconcile(conn: Connection, command: Command) -> Effect:
    named = command.request.values["objects"]
    others = command.seeker.others
    if named:
        mine = named if others else ledger.keys_by(conn, command.writer).intersection(named)
        return _some(conn, mine, named, command.turn)
    older = replace_older(conn, command.id, command.writer, command.now)
    source = None if others else command.writer
    if throughout.number(conn, source, AWAITED + 1) > AWAITED:
        return Effect(ended=older, portions=True)
    keys = throughout.after(conn, source, "", AWAITED)
    effect = look_again(conn, keys, command.turn)
    effect.ended = older
    if not keys:
        effect.notes.append(f"nothing is claimed for {command.request.subject}")
    return effect


def _some(conn: Connection, keys: Collection[Key], named: Collection[Key], turn: Turn) -> Effect:
    """Make objects due for another look; those named that the ledger does not know are told.

    keys: the named ones of which the writer may learn.
    """
    known = object_rows.instances_of(conn, keys)
    effect = look_again(conn, known, turn, object_rows.repair)
    unknown = [key for key in named if key not in known]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        effect.notes.append(f"not known, and left unchanged: {unknown[0]}{more}")
        effect.unmatched = not known
    return effect


def replace_older(
    conn: Connection, request: RequestId, writer: str, now: float
) -> dict[RequestId, RequestState]:
    """End a writer's earlier reconciles that still wait: the newer one looks at everything again.

    Otherwise a backend that is away for a day would leave an open request for each hour. Return
    their outcomes.
    """
    older = request_rows.older_open(conn, request, writer, "reconcile", RUNNING)
    # A manifest that is still being compared or followed does more than that.
    older = [other for other in older if not companion_rows.has_companion(conn, other)]
    outcomes = dict.fromkeys(older, RequestState.SUPERSEDED)
    for other in older:
        step_moves.stop(conn, other, StepState.CANCELLED, now)
    request_rows.end_requests(conn, outcomes, now, text=f"{request} looks at everything again")
    return outcomes


def look_again(
    conn: Connection,
    keys: Collection[Key],
    turn: Turn,
    make_due: Callable[[Connection, Collection[Key], Turn], int] = object_rows.look_again,
) -> Effect:
    """Make objects due for a reconcile, except adopted ones that differ. make_due: does that.

    It waits for them if there are no more than `AWAITED`, and while the service only observes for
    none: it is repeated every hour, and the objects may not change for weeks.
    """
    left = ledger.as_found(conn, keys)
    again = set(keys) - left
    make_due(conn, again, turn)
    effect = Effect()
    if len(again) <= AWAITED:
        effect.keys = object_rows.instances_of(conn, again)
    else:
        effect.notes.append(too_many(len(again)))
    return leaving(conn, effect, len(left))


def leaving(conn: Connection, effect: Effect, left: int) -> Effect:
    """Return a look's effect with what its writer should know. left: objects that stay as they are,
    as they were adopted and differ."""
    if left:
        many = "1 object was" if left == 1 else f"{left} objects were"
        text = f"{many} adopted and kept, though different from what is wanted: provisioner drift"
        effect.notes.append(text)
    if journal_facts.get(conn, journal_facts.OBSERVING) is not None:
        effect.keys = {}
        effect.notes.append("the service only observes: provisioner drift shows what differs")
    return effect


def too_many(number: int) -> str:
    """Return the note that a look waits for none of very many objects."""
    return f"{number} objects are looked at again: too many to list them here"


def _adopt(conn: Connection, command: Command) -> Effect:
    raise InvalidRequest(
        "it does not name a manifest", field="manifest", expected="a companion file"
    )


def _retry(conn: Connection, command: Command) -> Effect:
    target, effect = _target(conn, command), Effect()
    if target.state == RequestState.REFUSED:
        _need_file(conn, target, command)
        effect.resubmitted.append(target.id)
        replaced.reopen(conn, target)
        request_rows.set_fixed_by(conn, target.id, target.id)
        # The next start reads this event if a crash prevents what follows the commit.
        _record(conn, command, target, "resubmitted")
        effect.notes.append(f"{target.id} was refused: its file goes through staging again")
        return effect
    failed = target.state == RequestState.FAILED
    if target.state == RequestState.CANCELLED or (failed and not begun(conn, target)):
        _undo_nothing(conn, target, command)
        # It is accepted as a new one: its earlier hold or release no longer counts.
        request_rows.end_hold(conn, target.id)
        _record(conn, command, target, "retried")
        step_rows.forget_steps(conn, target.id)
        return Effect(readmitted=[target.id])
    if failed:
        _refuse_in_vain(conn, target, command)
        request_rows.set_state(conn, [target.id], [target.state], RequestState.ACCEPTED)
        replaced.reopen(conn, target)
        _record(conn, command, target, "retried")
        interventions.again(conn, target.id)
        interventions.begin_unrouted(conn, target.id, command.now)
        effect.reopened.append(target.id)
        effect.advance.append(target.id)
        return effect
    if target.state in RUNNING:
        waiting = step_rows.waiting_for(conn, [target.id])[target.id]
        keys = [str(row["object"]) for row in waiting]
        object_rows.hasten(conn, keys, command.now)
        _record(conn, command, target, "hastened")
        effect.notes.append(f"due now, of {target.id}: {texts.many(len(keys), 'object')}")
        return effect
    raise InvalidRequest(
        f"{target.id} is {target.state}: there is nothing to retry", expected="a failed request"
    )


def _need_file(conn: Connection, target: request_rows.Record, command: Command) -> None:
    """Raise InvalidRequest if a refused request has no file that can go through staging."""
    if command.has_file(target):
        return
    why = f"{target.id} was refused, and its file is not in failed/: "
    if target.set_aside:
        raise InvalidRequest(
            why + "it is in quarantine/",
            field="request",
            expected="its file moved back to staging (mv), once `provisioner show` shows why",
        )
    if where := spools.another(conn, command.id, target.id):
        why = f"{target.id} was refused, and its file is at another intake"
        raise InvalidRequest(why, field="request", expected=f"this request, dropped on {where}")
    raise InvalidRequest(
        why + "it was removed, is the service's own copy of a line of a manifest, or "
        f"{target.writer} no longer has its owner's uid",
        field="request",
        expected="the manifest or the file, sent again",
    )


_SUSPENDING = frozenset({"user.suspend", "user.resume", "allocation.suspend", "allocation.resume"})


def _undo_nothing(conn: Connection, target: request_rows.Record, command: Command) -> None:
    """Refuse to accept a request again if a newer one has been accepted since.

    A failed request still has its claims, except those that a newer one took over. A cancelled one
    has none, and accepting it again would put it above the newer ones.
    """
    for family in (_SUSPENDING, history.CLAIMING):
        newer = history.newer(conn, target, family) if target.action in family else ""
        if newer:
            name = newer if lookup.knows(conn, newer, command.seeker) else "another request"
            raise InvalidRequest(
                f"{target.id} is {target.state}, and {name} was accepted for {target.subject} "
                "since: retrying the old request would undo that one",
                field="request",
                expected="the file sent again, if it is what you want now",
            )


def _refuse_in_vain(conn: Connection, target: request_rows.Record, command: Command) -> None:
    """Refuse to continue a suspension, resume or removal of which a newer request left nothing.

    Its objects are as wanted by now, so that it would end as if it had closed or opened them.
    """
    listed = step_rows.standings_of(conn, [target.id])[target.id]
    by = remarks.overtaken(conn, target, listed)
    if by is None or not by.whole:
        return
    known = by.newer and lookup.knows(conn, by.newer, command.seeker)
    told = by.told(by.newer if known else "another request")
    raise InvalidRequest(
        f"{target.id} is {target.state}, and nothing of it is in force any more: {told} since",
        field="request",
        expected="the file sent again, if it is what you want now; if not: "
        f"provisioner dismiss {target.id}",
    )


def _hold(conn: Connection, command: Command) -> Effect:
    target = _target(conn, command)
    if target.state in RUNNING and target.action in undo.COUNTING:
        raise InvalidRequest(
            f"{target.id} is a {target.action}, has been in force since its acceptance, and can no "
            "longer be held",
            field="request",
            expected=_OPPOSITE[target.action],
        )
    moving = (*RUNNING, RequestState.SCHEDULED)
    if not request_rows.set_state(conn, [target.id], moving, RequestState.HELD):
        raise InvalidRequest(f"{target.id} is {target.state}", expected="a request in progress")
    request_rows.hold(conn, target.id, command.by)
    step_moves.stop(conn, target.id, StepState.WAITING, command.now)
    undo.give_back(conn, target, command.progress, command.turn)
    _record(conn, command, target, "held")
    return Effect(held=[target.id])


_OPPOSITE = {
    "user.suspend": "`provisioner cancel`, which lifts it",
    "allocation.suspend": "`provisioner cancel`, which lifts it",
    "user.resume": "a user.suspend",
    "allocation.resume": "an allocation.suspend",
    "membership.remove": "a membership.add",
    "project.archive": "a project.provision",
}
"""What to ask for if a request can no longer be held."""


def _release(conn: Connection, command: Command) -> Effect:
    target = _target(conn, command)
    if not request_rows.set_state(conn, [target.id], [RequestState.HELD], RequestState.ACCEPTED):
        raise InvalidRequest(
            f"{target.id} is not held: it is {target.state}", expected="a held request"
        )
    approved_by = command.by if target.for_review else target.approved_by
    request_rows.end_hold(conn, target.id, approved_by)
    _record(conn, command, target, "released")
    if not begun(conn, target):
        return Effect(readmitted=[target.id])
    renewal.claim_again(conn, target, command.lanes, command.now)
    left_out.lift(conn, {target.subject: target.id}, command.now)
    step_moves.wait_whole(conn, target.id)
    interventions.begin_unrouted(conn, target.id, command.now)
    return Effect(advance=[target.id], reopened=[target.id])


def _cancel(conn: Connection, command: Command) -> Effect:
    target = _target(conn, command)
    if target.state not in OPEN:
        raise InvalidRequest(f"{target.id} is {target.state}", expected="a request in progress")
    request_rows.end_approval(conn, target.id)
    step_moves.stop(conn, target.id, StepState.CANCELLED, command.now)
    notes = undo.undo(conn, target, command.progress, command.turn)
    event = _by(command, target, "cancelled")
    request_rows.end_requests(
        conn, {target.id: RequestState.CANCELLED}, command.now, text=event.text, facts=event.facts
    )
    return Effect(ended={target.id: RequestState.CANCELLED}, notes=notes)


def _dismiss(conn: Connection, command: Command) -> Effect:
    """End the wait for somebody who fixes a request; its outcome stays."""
    target = _target(conn, command)
    if target.state not in (RequestState.FAILED, RequestState.REFUSED):
        raise InvalidRequest(
            f"{target.id} is {target.state}: there is nothing to dismiss",
            expected="a request that failed or was refused",
        )
    by = target.fixed_by if command.seeker.others else replaced.name_for(conn, target)
    if by:
        why = replaced.closing(target, by)
        raise InvalidRequest(f"{target.id} needs nothing any more: {why}")
    event = _by(command, target, replaced.DISMISSED)
    text = f"dismissed {event.text}"
    replaced.close(conn, target, command.id, replaced.DISMISSED, text)
    audit.append(conn, [event], command.now)
    return Effect(reopened=[target.id])


def _record(conn: Connection, command: Command, target: request_rows.Record, kind: str) -> None:
    """Write an event of the target: who did what with it."""
    audit.append(conn, [_by(command, target, kind)], command.now)


def _by(command: Command, target: request_rows.Record, kind: str) -> audit.Event:
    facts = {"by": command.writer, "through": command.id}
    if command.on_behalf_of is not None:
        facts["on_behalf_of"] = command.on_behalf_of
    text = f"by {command.by}"
    if command.request.reason:
        facts["reason"] = command.request.reason
        text += f": {command.request.reason}"
    return audit.Event(target.id, kind, text, None, facts)


def begun(conn: Connection, target: request_rows.Record) -> bool:
    """Return True if a request was ever accepted, not only held or scheduled."""
    return bool(step_rows.outlines_of(conn, [target.id])[target.id])


def named(request: Request) -> str:
    """Return the name by which a request calls the one that it steers."""
    return request.subject.partition(":")[2]


def _target(conn: Connection, command: Command) -> request_rows.Record:
    """Return the request that another one steers."""
    return lookup.find(conn, named(command.request), command.seeker)


def _release_journal(conn: Connection, command: Command) -> Effect:
    if journal_facts.get(conn, journal_facts.OBSERVING) == journal_facts.CONFIGURED:
        raise Refused(
            f"{journal_facts.CONFIGURED}: nothing can be released until that changes",
            advice="set `mode: converge` there and restart the service, which still only "
            "observes; then review `provisioner drift`, and release again",
        )
    spools.refuse_awaited(conn)
    if not journal_facts.remove(conn, journal_facts.OBSERVING):
        return Effect(notes=["there is nothing to release: the service writes to the backends"])
    object_rows.hasten(conn, object_rows.due_keys(conn), command.now)
    text = f"by {command.writer}: the service writes to the backends again"
    audit.append(conn, [audit.Event(command.id, "journal released", text)], command.now)
    return Effect(released=True)


VERBS: Mapping[str, Callable[[Connection, Command], Effect]] = {
    "user.suspend": access.suspend,
    "user.resume": access.resume,
    "allocation.suspend": access.suspend,
    "allocation.resume": access.resume,
    "project.archive": access.withdraw,
    "membership.remove": access.withdraw,
    "reconcile": _reconcile,
    "adopt": _adopt,
    "request.retry": _retry,
    "request.hold": _hold,
    "request.release": _release,
    "request.cancel": _cancel,
    "request.dismiss": _dismiss,
    "lane.pause": lanes.pause,
    "lane.unpause": lanes.unpause,
    "journal.release": _release_journal,
}
"""Every action without a route. All others are provisions."""
