"""Undo: withdraw what a cancelled or held request wanted, and restore what it replaced.

Promises: everything happens inside the caller's transaction. Nothing that somebody had loses its
last claim, which would let the next look close it; nothing that was closed is opened. Only what the
request itself made and read back counts: other looks at an object change nothing. Leaves out:
stopping steps (`interventions`), and writing outcomes (`verbs`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from provisioner.contract import Key, Want
from provisioner.controls import left_out
from provisioner.controls.access import cause_of
from provisioner.journal import audit
from provisioner.journal.figures import idle
from provisioner.journal.journal import Connection
from provisioner.journal.persons import words
from provisioner.journal.queries import history, precedents, unmade
from provisioner.journal.queries.history import Mention, Pair
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.request.request import parse_request
from provisioner.steps import binding
from provisioner.system.ulid import RequestId

_SUSPENDING = ("user.suspend", "allocation.suspend")

COUNTING = frozenset({"user.resume", "allocation.resume", *_SUSPENDING, *history.TAKING})
"""Actions that are in force from their acceptance on, before anything is written."""


def undo(
    conn: Connection,
    target: request_rows.Record,
    progress: binding.Progress,
    turn: Turn,
) -> list[str]:
    """Undo the changes of the ledger that a request made which is being cancelled.

    Its own suspension is lifted. Whatever else a verb took away or gave back stays so. Return notes
    for its writer.
    """
    unrouted = unmade.unrouted(conn, target.id)
    if target.action in _SUSPENDING:
        heir = left_out.step_back(conn, target) or _asked_too(conn, target)
        if heir is not None and ledger.hand_on(conn, target.subject, target.id, heir):
            return [f"{target.subject} stays suspended: {heir} asked for the same"]
        if ledger.lift(conn, target.subject, target.id):
            idle.note_opened(conn, target.subject, turn.now)
            object_rows.touch(conn, ledger.keys_of(conn, target.subject), turn)
            return []
    notes = give_back(conn, target, progress, turn)
    object_rows.touch(conn, unrouted, turn)
    if unrouted and target.action in COUNTING:
        return ["what it took away or gave back counted from its acceptance, and stays so"]
    return notes


def _asked_too(conn: Connection, target: request_rows.Record) -> RequestId | None:
    """Return a request that found the suspension of another one there, and needed no own; None if
    there is none."""
    cause = cause_of(parse_request(target.body))
    resume = target.action.replace("suspend", "resume")
    word = left_out.of_writer(conn, target.subject, target.writer)
    for record in precedents.standing(conn, target, [target.action, resume]):
        manifests = record.action == "user.suspend" and (
            audit.follows(conn, record.id) or (word is not None and record.id == word.request)
        )
        # Its word says whether who was left out is still closed.
        if cause_of(parse_request(record.body)) == cause and not manifests:
            if record.action == target.action:
                return record.id
            break
    if word is None or not word.closes or cause != words.LEFT_OUT or word.request == target.id:
        return None
    return word.request


def give_back(
    conn: Connection,
    target: request_rows.Record,
    progress: binding.Progress,
    turn: Turn,
) -> list[str]:
    """Give claims that a request has not made, or not taken away, back to their earlier owners.

    Whom it kept open is closed again. Return notes for its writer.
    """
    if target.action in history.CLAIMING - COUNTING:
        _return_left_out(conn, target, progress, turn)
    rows = unmade.of(conn, target.id)
    keys = {row.key for row in rows}
    mentions = history.of(conn, [(row.key, row.claimant) for row in rows])
    before = {pair: history.before(of_pair, target.id) for pair, of_pair in mentions.items()}
    wants = _wants(conn, {bound for _, bound in before.values() if bound is not None}, progress)
    others = unmade.claimed_by_others(conn, target.id, keys)
    restored: list[unmade.Restored] = []
    gone: list[Pair] = []
    left_in: set[Key] = set()
    theirs: dict[Pair, RequestId] = {}
    for row in rows:
        pair = (row.key, row.claimant)
        owner, bound = before[pair]
        # Until its step begins, a request only puts its name on the earlier want.
        kept = None if row.bound and bound is None else row.want
        if owner is not None:
            want = kept if bound is None else wants[bound].get(pair, kept)
            restored.append(unmade.Restored(*pair, want, owner.request, owner.writer))
        elif (
            row.key in others
            or row.nobodys
            or not _forgotten(row.former, mentions[pair], target.id)
        ):
            gone.append(pair)
            if row.converged:
                left_in.add(row.key)
        elif row.former is not None:
            theirs[pair] = row.former
    unmade.give(conn, restored, gone, theirs)
    made = {row.key for row in rows if row.converged} | {claim.key for claim in restored}
    object_rows.touch(conn, made & unmade.still_claimed(conn, made), turn)
    step_moves.stamp(conn, {claim.request for claim in restored})
    ledger.unschedule_unclaimed(conn, keys)
    # Its claims had ended removals that no backend had seen, so that these are due again.
    there = unmade.removals_unread(conn, left_in)
    object_rows.touch(conn, there - unmade.still_claimed(conn, there), turn)
    return left_out.close_again(conn, target, turn)


def _forgotten(former: RequestId | None, mentions: Sequence[Mention], request: RequestId) -> bool:
    """Return True if the claim's former request is no longer known: that one keeps the claim."""
    earlier = history.earlier(mentions, request)
    return former is not None and all(mention.request != former for mention in earlier)


def _return_left_out(
    conn: Connection,
    target: request_rows.Record,
    progress: binding.Progress,
    turn: Turn,
) -> None:
    """Claim again what a provision leaves out and has not taken away, for its earlier owners.

    Who has lost something by it gets nothing beside that no earlier request had begun: the steps
    before may be what was lost.
    """
    keys = {*unmade.unrouted(conn, target.id), *unmade.held_back(conn, target.id, target.subject)}
    once = unmade.once_claimed(conn, keys)
    nest = target.subject + "/"
    mine = {p for p in once if p[1] == target.subject or p[1].startswith(nest)}
    others = unmade.of_others(conn, target.id, target.subject)
    keys = {*keys, *(key for key, _ in others)}
    missing = mine | others.keys()
    _fill(conn, target, unmade.unbound(conn, missing), progress, turn)
    mentions = history.of(conn, missing - ledger.pairs(conn, keys))
    instances = object_rows.instances_of(conn, keys)
    before = {
        pair: history.before(of_pair, target.id)
        for pair, of_pair in mentions.items()
        if pair[0] in instances
        and history.mentioned(of_pair, target.id)
        and not history.overtaken(of_pair, target.id)
    }
    wants = _wants(conn, {bound for _, bound in before.values() if bound is not None}, progress)
    taken = {claimant for _, claimant in unmade.once_claimed(conn, unmade.taken(conn, target.id))}
    back = {
        pair: (owner, bound)
        for pair, (owner, bound) in before.items()
        if owner is not None
        and (pair in mine or owner.request in others[pair])
        and (bound is not None or pair[1] not in taken)
    }
    restored = []
    for pair, (owner, bound) in back.items():
        want = wants[bound].get(pair) if bound is not None else None
        entry = ledger.Entry(*pair, instances[pair[0]], want)
        restored.append((entry, owner.request, owner.writer))
    ledger.restore(conn, restored)
    object_rows.touch(conn, {key for key, _ in back}, turn)


def _fill(
    conn: Connection,
    target: request_rows.Record,
    waiting: Mapping[Pair, RequestId],
    progress: binding.Progress,
    turn: Turn,
) -> None:
    """Fill claims of later requests, which have not begun, with the want that was in force before.

    The provision left the claim out. So the later request found it without an owner, and it kept no
    want. waiting: the later request of each claim.
    """
    mentions = history.of(conn, waiting.keys())
    before: dict[Pair, Mention] = {}
    for pair, of_pair in mentions.items():
        if not history.mentioned(of_pair, target.id):
            continue
        others = [mention for mention in of_pair if mention.request != target.id]
        _, asker = history.before(others, waiting[pair])
        if asker is not None and not history.began_without(of_pair, target.id, asker):
            before[pair] = asker
    wants = _wants(conn, set(before.values()), progress)
    again = {
        pair: want for pair, bound in before.items() if (want := wants[bound].get(pair)) is not None
    }
    unmade.fill(conn, again)
    object_rows.touch(conn, {key for key, _ in again}, turn)


def _wants(
    conn: Connection, askers: Collection[Mention], progress: binding.Progress
) -> dict[Mention, Mapping[Pair, Want | None]]:
    """Return the wants of steps of earlier requests."""
    ids = {asker.request for asker in askers}
    loaded, listed = request_rows.load(conn, ids), step_rows.steps_of(conn, ids)
    states = partial(object_rows.states, conn)
    return {
        asker: binding.wants_of(
            states, loaded[asker.request], listed[asker.request], asker.step, progress
        )
        for asker in askers
    }
