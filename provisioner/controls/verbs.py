"""What actions without steps do: they change claims, suspensions, requests or lanes.

Promises: each verb acts inside the caller's transaction, so that it is done with the request's
acceptance or not at all. Leaves out: provisioning (`intake` writes those claims) and files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from provisioner.contract import InvalidRequest, Key, Refused
from provisioner.controls import interventions, renewal, undo
from provisioner.journal import audit
from provisioner.journal import facts as journal_facts
from provisioner.journal.journal import Connection
from provisioner.journal.queries import beforehand, history, lookup
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import (
    companion_rows,
    ledger,
    object_rows,
    request_rows,
    step_moves,
    step_rows,
)
from provisioner.objects.states import OPEN, RUNNING, Adoption, RequestState, StepState
from provisioner.request.request import Request
from provisioner.steps import binding


@dataclass(slots=True)
class Effect:
    """What is left to do for a verb.

    keys: objects that the request waits for, with their instances; notes: what its writer should
    know; advance: other requests whose steps may go on; ended: others that have their outcome;
    reopened: others whose files go back to `active/`; readmitted: others that are to be judged and
    accepted anew; lanes: names to pause (True) or not; released: the journal is no longer only
    observed.
    """

    keys: Mapping[Key, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    advance: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    ended: dict[str, RequestState] = field(default_factory=dict)
    reopened: list[str] = field(default_factory=list)
    resubmitted: list[str] = field(default_factory=list)
    readmitted: list[str] = field(default_factory=list)
    lanes: dict[str, bool] = field(default_factory=dict)
    released: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what, when.

    id: the asking request's own; lanes: lane of each instance; seeker: what they may know of
    others' requests; has_file: says whether a refused request's file can go through staging again;
    on_behalf_of: the person for whom, where that was believed.
    """

    id: str
    writer: str
    request: Request
    now: float
    lanes: Mapping[str, str]
    progress: binding.Progress
    seeker: Seeker
    has_file: Callable[[request_rows.Record], bool]
    on_behalf_of: str | None = None

    @property
    def by(self) -> str:
        """Name who asks."""
        return request_rows.asker(self.writer, self.on_behalf_of)


def _suspend(conn: Connection, asked: Asked) -> Effect:
    subject = asked.request.subject
    beforehand.check(conn, subject, asked.writer, _cause(asked))
    ledger.suspend(conn, subject, asked.writer, _cause(asked), asked.id, asked.now)
    effect = _touched(conn, asked, ledger.keys_of(conn, subject))
    if not effect.keys:
        effect.notes.append("the suspension stays in force: later requests make nothing either")
    return effect


def _resume(conn: Connection, asked: Asked) -> Effect:
    subject = asked.request.subject
    cause = _cause(asked)
    lifted = ledger.resume(conn, subject, asked.writer, cause)
    effect = _touched(conn, asked, ledger.keys_of(conn, subject)) if lifted else Effect()
    if not lifted:
        effect.notes.append(f"{asked.writer} had not suspended {subject} for {cause!r}")
    if asked.seeker.others:
        left = ledger.reasons(conn, subject)
    else:
        left = ledger.reasons_for(conn, subject, asked.writer)
    if left:
        effect.notes.append(f"{subject} is still suspended by {', '.join(left)}")
    return effect


def _withdraw(conn: Connection, asked: Asked) -> Effect:
    subject = asked.request.subject
    gone = ledger.claimed(conn, [subject])[subject]
    keys = ledger.withdraw(conn, gone, asked.now)
    effect = Effect(keys=object_rows.instances_of(conn, keys))
    if not keys:
        effect.notes.append(f"nothing was claimed for {subject}")
    return effect


def _reconcile(conn: Connection, asked: Asked) -> Effect:
    older = replace_older(conn, asked.id, asked.writer, asked.now)
    keys = object_rows.all_keys(conn)
    effect = look_again(conn, keys, asked.now)
    effect.ended = older
    if not keys:
        effect.notes.append(f"nothing is claimed for {asked.request.subject}")
    return effect


def replace_older(
    conn: Connection, request: str, writer: str, now: float
) -> dict[str, RequestState]:
    """End a writer's earlier reconciles that still wait: a newer one looks at everything again.

    So a backend that is away for a day does not leave an open request for each hour of it. Return
    their outcomes.
    """
    older = request_rows.older_open(conn, request, writer, "reconcile", RUNNING)
    # A manifest that is still compared or followed says more than that.
    older = [who for who in older if not companion_rows.has_companion(conn, who)]
    outcomes = dict.fromkeys(older, RequestState.SUPERSEDED)
    for who in older:
        step_moves.stop(conn, who, StepState.CANCELLED, now)
    request_rows.end_requests(conn, outcomes, now, text=f"{request} looks at everything again")
    return outcomes


def look_again(conn: Connection, keys: Collection[Key], now: float) -> Effect:
    """Make objects due for a reconcile, but for those that were adopted and differ.

    It waits for nothing while the service only observes: it comes again each hour, and what it
    would wait for may take weeks.
    """
    left = object_rows.adopted_among(conn, keys, Adoption.DIFFERS)
    again = set(keys) - left
    object_rows.look_again(conn, again, now)
    effect = Effect(keys=object_rows.instances_of(conn, again))
    if left:
        told = f"{len(left)} objects were adopted, differ, and stay unchanged: provisioner drift"
        effect.notes.append(told)
    if journal_facts.get(conn, journal_facts.OBSERVING) is not None:
        effect.keys = {}
        effect.notes.append("the service only observes: provisioner drift says what differs")
    return effect


def _adopt(conn: Connection, asked: Asked) -> Effect:
    raise InvalidRequest("it names no manifest", field="manifest", expected="a companion file")


def _touched(conn: Connection, asked: Asked, keys: list[Key]) -> Effect:
    object_rows.touch(conn, keys, asked.now)
    effect = Effect(keys=object_rows.instances_of(conn, keys))
    if not keys:
        effect.notes.append(f"nothing is claimed for {asked.request.subject}")
    return effect


def _cause(asked: Asked) -> str:
    return str(asked.request.values.get("cause") or "request")


def _retry(conn: Connection, asked: Asked) -> Effect:
    target = _target(conn, asked)
    effect = Effect()
    if target.state == RequestState.REFUSED:
        _need_file(target, asked)
        effect.resubmitted.append(target.id)
        # What a crash would keep from being done after the commit is done at the next start.
        _tell(conn, asked, target, "resubmitted")
        effect.notes.append(f"{target.id} was refused: its file goes through staging again")
        return effect
    failed = target.state == RequestState.FAILED
    if target.state == RequestState.CANCELLED or (failed and not _begun(conn, target)):
        _undo_nothing(conn, target, asked)
        # It comes anew: neither a hold nor a release of what it was counts any more.
        request_rows.end_hold(conn, target.id)
        _tell(conn, asked, target, "retried")
        step_rows.forget_steps(conn, target.id)
        return Effect(readmitted=[target.id])
    if failed:
        request_rows.set_state(conn, [target.id], [target.state], RequestState.ACCEPTED)
        _tell(conn, asked, target, "retried")
        interventions.again(conn, target.id)
        interventions.begin_unrouted(conn, target.id, asked.now)
        effect.reopened.append(target.id)
        effect.advance.append(target.id)
        return effect
    if target.state in RUNNING:
        waiting = step_rows.waiting_for(conn, [target.id])[target.id]
        keys = [str(row["object"]) for row in waiting]
        object_rows.hasten(conn, keys, asked.now)
        _tell(conn, asked, target, "hastened")
        effect.notes.append(f"{len(keys)} objects of {target.id} are due now")
        return effect
    raise InvalidRequest(
        f"{target.id} is {target.state}: there is nothing to retry", expected="a failed request"
    )


def _need_file(target: request_rows.Record, asked: Asked) -> None:
    """Refuse to put through staging what has no file: nothing would come of it."""
    if asked.has_file(target):
        return
    why = f"{target.id} was refused, and its file is not in failed/: "
    if target.set_aside:
        raise InvalidRequest(
            why + "it is in quarantine/",
            field="request",
            expected="its file back in staging (mv), after `provisioner show` has said why",
        )
    raise InvalidRequest(
        why + "a line of a manifest has no file, and any other file was removed",
        field="request",
        expected="the manifest or the file, sent again",
    )


_SUSPENDING = frozenset({"user.suspend", "user.resume", "allocation.suspend", "allocation.resume"})


def _undo_nothing(conn: Connection, target: request_rows.Record, asked: Asked) -> None:
    """Refuse to accept a request anew after which another one said what should be.

    What failed still claims what it claimed, unless a newer one does; what was cancelled claims
    nothing, and accepting it anew would put it above the newer ones.
    """
    for family in (_SUSPENDING, history.CLAIMING):
        newer = request_rows.newer(conn, target, family) if target.action in family else ""
        if newer:
            one = newer if lookup.knows(conn, newer, asked.seeker) else "another request"
            raise InvalidRequest(
                f"{target.id} is {target.state}, and {one} was accepted for {target.subject} "
                "since: retrying the old request would undo that one",
                field="request",
                expected="the file sent again, if it is what you want now",
            )


def _hold(conn: Connection, asked: Asked) -> Effect:
    target = _target(conn, asked)
    if target.state in RUNNING and target.action in undo.COUNTING:
        raise InvalidRequest(
            f"{target.id} is a {target.action}, which is in force since its acceptance: it cannot "
            "be held any more",
            field="request",
            expected=_OPPOSITE[target.action],
        )
    moving = (*RUNNING, RequestState.SCHEDULED)
    if not request_rows.set_state(conn, [target.id], moving, RequestState.HELD):
        raise InvalidRequest(f"{target.id} is {target.state}", expected="a request in progress")
    request_rows.hold(conn, target.id, asked.writer)
    step_moves.stop(conn, target.id, StepState.WAITING, asked.now)
    undo.give_back(conn, target, asked.progress, asked.now)
    _tell(conn, asked, target, "held")
    return Effect(held=[target.id])


_OPPOSITE = {
    "user.suspend": "`provisioner cancel`, which lifts it",
    "allocation.suspend": "`provisioner cancel`, which lifts it",
    "user.resume": "a user.suspend",
    "allocation.resume": "an allocation.suspend",
    "membership.remove": "a membership.add",
    "project.archive": "a project.provision",
}
"""What to ask for where a request cannot be held any more."""


def _release(conn: Connection, asked: Asked) -> Effect:
    target = _target(conn, asked)
    if not request_rows.set_state(conn, [target.id], [RequestState.HELD], RequestState.ACCEPTED):
        raise InvalidRequest(f"{target.id} is {target.state}", expected="a held request")
    approved_by = asked.by if target.for_review else target.approved_by
    request_rows.end_hold(conn, target.id, approved_by)
    _tell(conn, asked, target, "released")
    if not _begun(conn, target):
        return Effect(readmitted=[target.id])
    renewal.claim_again(conn, target, asked.lanes, asked.now)
    step_moves.wait_whole(conn, target.id)
    interventions.begin_unrouted(conn, target.id, asked.now)
    return Effect(advance=[target.id], reopened=[target.id])


def _cancel(conn: Connection, asked: Asked) -> Effect:
    target = _target(conn, asked)
    if target.state not in OPEN:
        raise InvalidRequest(f"{target.id} is {target.state}", expected="a request in progress")
    request_rows.end_approval(conn, target.id)
    step_moves.stop(conn, target.id, StepState.CANCELLED, asked.now)
    notes = undo.undo(conn, target, asked.progress, asked.now)
    told = _by(asked, target, "cancelled")
    request_rows.end_requests(
        conn, {target.id: RequestState.CANCELLED}, asked.now, text=told.text, facts=told.facts
    )
    return Effect(ended={target.id: RequestState.CANCELLED}, notes=notes)


def _tell(conn: Connection, asked: Asked, target: request_rows.Record, kind: str) -> None:
    """Tell in the target's events who did what with it."""
    audit.append(conn, [_by(asked, target, kind)], asked.now)


def _by(asked: Asked, target: request_rows.Record, kind: str) -> audit.Event:
    facts = {"by": asked.writer, "through": asked.id}
    if asked.on_behalf_of is not None:
        facts["on_behalf_of"] = asked.on_behalf_of
    text = f"by {asked.by}"
    if asked.request.reason:
        facts["reason"] = asked.request.reason
        text += f": {asked.request.reason}"
    return audit.Event(target.id, kind, text, None, facts)


def _begun(conn: Connection, target: request_rows.Record) -> bool:
    """Say whether a request was ever accepted: what waited for its time, or was held, was not."""
    return bool(step_rows.outlines_of(conn, [target.id])[target.id])


def named(request: Request) -> str:
    """Return what a request calls the one that it steers."""
    return request.subject.partition(":")[2]


def _target(conn: Connection, asked: Asked) -> request_rows.Record:
    """Find the request that another one steers."""
    return lookup.find(conn, named(asked.request), asked.seeker)


def _pause(conn: Connection, asked: Asked) -> Effect:
    lane = _lane(asked)
    object_rows.set_lane(conn, lane, paused_by=asked.writer)
    return Effect(lanes={lane: True})


def _unpause(conn: Connection, asked: Asked) -> Effect:
    lane = _lane(asked)
    object_rows.set_lane(conn, lane, paused_by=None)
    return Effect(lanes={lane: False})


def _release_journal(conn: Connection, asked: Asked) -> Effect:
    if journal_facts.get(conn, journal_facts.OBSERVING) == journal_facts.CONFIGURED:
        raise Refused(
            f"{journal_facts.CONFIGURED}: nothing is released while it does",
            advice="set `mode: converge` there and restart the service, which still only "
            "observes; then review `provisioner drift`, and release again",
        )
    if not journal_facts.remove(conn, journal_facts.OBSERVING):
        return Effect(notes=["there is nothing to release: the service writes to the backends"])
    object_rows.hasten(conn, object_rows.due_keys(conn), asked.now)
    text = f"by {asked.writer}: the service writes to the backends again"
    audit.append(conn, [audit.Event(asked.id, "journal released", text)], asked.now)
    return Effect(released=True)


def _lane(asked: Asked) -> str:
    name = asked.request.subject.partition(":")[2]
    known = set(asked.lanes.values())
    if name not in known:
        raise InvalidRequest(
            f"there is no lane {name!r}", field="lane", expected=", ".join(sorted(known))
        )
    return name


VERBS: Mapping[str, Callable[[Connection, Asked], Effect]] = {
    "user.suspend": _suspend,
    "user.resume": _resume,
    "allocation.suspend": _suspend,
    "allocation.resume": _resume,
    "project.archive": _withdraw,
    "membership.remove": _withdraw,
    "reconcile": _reconcile,
    "adopt": _adopt,
    "request.retry": _retry,
    "request.hold": _hold,
    "request.release": _release,
    "request.cancel": _cancel,
    "lane.pause": _pause,
    "lane.unpause": _unpause,
    "journal.release": _release_journal,
}
"""Every action that needs no route. Those not here are provisions."""
