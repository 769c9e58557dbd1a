"""Remarks: what else a request's writer should know when its steps are all done.

Promises: a remark names the newer request that replaced what it asked for, others who want an
object that stayed unchanged, suspensions that keep objects closed, what was left behind, and what
handlers say of the objects. Leaves out: writing outcomes (`advance`), and the dry run, which shows
them, too (`planning`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from provisioner.contract import Fault, Key, Want
from provisioner.journal.journal import Connection
from provisioner.journal.persons import beforehand
from provisioner.journal.queries import history, holdings, precedents, replaced
from provisioner.journal.records import ledger, object_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.request.request import InvalidFile, parse_request
from provisioner.steps.binding import Progress
from provisioner.steps.disputes import MOST, Claimed
from provisioner.system.ulid import RequestId

WantsOf = Callable[[RequestId, str], Mapping[tuple[Key, str], Want | None]]
"""Returns the wants of a step by (key, claimant): (request, step) -> wants."""

Held = Mapping[Key, Mapping[str, tuple[Want | None, RequestId]]]
"""The want and request of each claim on objects, by claimant (`holdings.claims_now`)."""


COMPARED = 200
"""The most claims on an object with which one of them is compared."""


@dataclass(slots=True)
class Remark:
    """The remarks on one request. newer: the request that replaced all that it asked for."""

    newer: RequestId | Literal[""] = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Claims:
    """The claims on objects. Who contradicts one is found out once for each want, among the first
    `COMPARED`: all requests of a project can have claims on one object."""

    held: Held
    _against: dict[tuple[Key, str], dict[str, RequestId]] = field(default_factory=dict)

    def against(self, key: Key, claimant: str, mine: Want | None) -> dict[str, RequestId]:
        """Return the requests by which others want an object in contradiction to a claim."""
        about = key, json.dumps(mine, sort_keys=True)
        if about not in self._against:
            self._against[about] = {
                name: other
                for name, (want, other) in islice(self.held[key].items(), COMPARED)
                if _at_odds(want, mine)
            }
        root, others = claimant.partition("/")[0], self._against[about]
        return {name: one for name, one in others.items() if name.partition("/")[0] != root}


Part = tuple[str, ObjectRecord]
"""The name of a step, and an object of it."""


def remarks(
    conn: Connection,
    done: Mapping[RequestId, Sequence[StepRecord]],
    held: Held,
    wants_of: WantsOf,
) -> dict[RequestId, Remark]:
    """Return the remarks on requests whose steps are all done; those without any are left out.

    done: the steps of each, in the route's order; held: the claims on the objects of those that the
    route made.
    """
    own = {
        request: [(step.name, part) for step in listed if step.routed for part in step.objects]
        for request, listed in done.items()
    }
    every = [part for parts in own.values() for _, part in parts]
    closed = ledger.suspended_parts(conn, {part.claimant for part in every})
    claims = _Claims(held)
    every_remark = {
        request: _of(conn, request, parts, claims, closed, wants_of)
        for request, parts in own.items()
    }
    for request, listed in done.items():
        if own[request]:
            every_remark[request].notes += _left_behind(conn, listed)
    return {
        request: remark for request, remark in every_remark.items() if remark.newer or remark.notes
    }


def _of(
    conn: Connection,
    request: RequestId,
    parts: Collection[Part],
    claims: _Claims,
    closed: Collection[str],
    wants_of: WantsOf,
) -> Remark:
    remark = Remark()
    overtaken: dict[RequestId | Literal[""], list[Key]] = {}
    in_force = False
    others: list[tuple[Key, Mapping[str, RequestId]]] = []
    nobody: Literal[""] = ""
    held = claims.held
    gone = {part.claimant for _, part in parts if part.claimant not in held.get(part.key, ())}
    withdrawn = precedents.withdrawn_by(conn, request, gone)
    owners = {one[1] for _, part in parts if (one := held.get(part.key, {}).get(part.claimant))}
    later = history.later(conn, request, owners)
    for step, part in parts:
        standing = held.get(part.key, {})
        mine = standing.get(part.claimant)
        in_force = in_force or (mine is not None and mine[1] not in later)
        if mine is None or mine[1] in later:
            newer = mine[1] if mine else withdrawn.get(part.claimant, nobody)
            if mine is None or _differs(wants_of(request, step), part.key, part.claimant, mine[0]):
                overtaken.setdefault(newer, []).append(part.key)
        elif not part.changed and (also := claims.against(part.key, part.claimant, mine[0])):
            others.append((part.key, also))
    ranked = history.later(conn, request, [newer for newer in overtaken if newer])
    # While a claim of its own is in force, it is done, less what the newer one took away.
    remark.newer = ranked[-1] if ranked and not in_force else nobody
    for newer, keys in overtaken.items():
        if newer:
            same = replaced.writer_of(conn, newer) == replaced.writer_of(conn, request)
            name = newer if same else replaced.OTHERS
            remark.notes.append(f"{name} has since asked for something else: {_few(keys)}")
        else:
            remark.notes.append(f"nobody wants this any more: {_few(keys)}")
    remark.notes += _shortened(_also_wanted(conn, request, others[:MOST]), len(others))
    shut = [part for _, part in parts if part.claimant in closed]
    if shut:
        remark.notes += _kept_closed(conn, shut, replaced.writer_of(conn, request))
    return remark


def _also_wanted(
    conn: Connection, request: RequestId, others: Iterable[tuple[Key, Mapping[str, RequestId]]]
) -> list[str]:
    """Return a note for each of some objects, with those others who want it as it is not."""
    notes = []
    for key, also in others:
        names = replaced.names_for(conn, also, replaced.writer_of(conn, request))
        notes.append(f"{key}: also wanted by {_few(sorted(names.values()))}")
    return notes


@dataclass(frozen=True, slots=True)
class Overtaken:
    """What a newer request made of a suspension, resume or removal.

    newer: that request, '' if it is unknown; what: what it did, in words that follow its name;
    whole: nothing is left of what was asked for.
    """

    newer: RequestId | Literal[""]
    what: str
    whole: bool = True

    def told(self, name: str) -> str:
        """Return it as a sentence. name: of the newer request, as the reader may know it."""
        return f"{name or 'a newer request'} {self.what}"


def overtaken(conn: Connection, record: Record, listed: Sequence[StepRecord]) -> Overtaken | None:
    """Return what overtook an accepted suspension, resume or removal; None if nothing did.

    listed: its steps, with the objects that it closes, opens or takes away.
    """
    if record.action in history.TAKING:
        return _claimed_again(conn, record, {part.key for step in listed for part in step.objects})
    verb = record.action.partition(".")[2]
    if verb not in ("suspend", "resume"):
        return None
    cause = replaced.cause_of(record)
    standing = ledger.suspended_by(conn, record.subject, cause)
    if verb == "suspend" and record.writer not in standing:
        return Overtaken(replaced.lifted_by(conn, record), f"lifted the suspension for {cause!r}")
    if verb == "resume":
        again = [
            (since, request)
            for source, (since, request) in standing.items()
            if source == _whose(record)
            or (cause == beforehand.IDLE and (since, request) > (record.accepted, record.id))
        ]
        if again:
            return Overtaken(max(again)[1], f"suspended {record.subject} again for {cause!r}")
    return None


def _whose(record: Record) -> str:
    """Return the writer whose suspension a resume lifts."""
    try:
        return str(parse_request(record.body).values.get("writer") or record.writer)
    except InvalidFile:  # in an older format, which knew no other
        return record.writer


def _claimed_again(conn: Connection, record: Record, keys: Collection[Key]) -> Overtaken | None:
    """Return what claims again what a request took back; None if nobody does."""
    mine = ledger.claimed(conn, [record.subject])[record.subject]
    held = holdings.claims_now(conn, keys)
    newer = {
        key: [request for name, (_, request) in standing.items() if (key, name) in mine]
        for key, standing in held.items()
        if any((key, name) in mine for name in standing)
    }
    if not newer:
        return None
    what = f"asked for it again: {_few(sorted(newer))}"
    owners = {request for some in newer.values() for request in some}
    last = [*sorted(owners), *history.later(conn, record.id, owners)][-1]
    return Overtaken(last, what, whole=newer.keys() >= set(keys))


def _left_behind(conn: Connection, listed: Sequence[StepRecord]) -> list[str]:
    """Return a note on objects that a request no longer names, kept with their data."""
    keys = {part.key for step in listed if not step.routed for part in step.objects}
    kept = holdings.left_behind(conn, keys)
    if not kept:
        return []
    return [
        f"nobody claims {_few(sorted(kept))} any more: kept, and closed if possible; its data "
        "stays there. To keep using it, send the request again with the project's earlier code, or "
        "name it in `allocation.storage.fileset` or `allocation.slurm.account`"
    ]


def _at_odds(other: Want | None, mine: Want | None) -> bool:
    """Return True if another's want contradicts what was asked for."""
    wanted = {name: value for name, value in (mine or {}).items() if value}
    return other is not None and any(other.get(name) not in (None, wanted[name]) for name in wanted)


def _differs(
    wants: Mapping[tuple[Key, str], Want | None], key: Key, claimant: str, now: Want | None
) -> bool:
    if (key, claimant) not in wants:
        return True
    return bool(json.loads(json.dumps(wants[key, claimant])) != now)


def _kept_closed(conn: Connection, parts: Collection[ObjectRecord], writer: str) -> list[str]:
    """Return notes on the suspended subjects, with what was not even made."""
    states = object_rows.states(conn, {part.key for part in parts})
    missing: dict[str, list[Key]] = {}
    for part in parts:
        for subject in ledger.parts(part.claimant):
            absent = missing.setdefault(subject, [])
            if not states.get(part.key, {}).get("present"):
                absent.append(part.key)
    suspended = ledger.suspended_among(conn, {part.claimant for part in parts})
    closed = [subject for subject in missing if subject in suspended]
    notes = []
    for subject in closed[:MOST]:
        why, absent = suspension(conn, [subject], writer), missing[subject]
        unmade = f"; not made until that is resumed: {_few(absent)}" if absent else ""
        notes.append(f"{why}, kept closed{unmade}")
    return _shortened(notes, len(closed))


def suspension(conn: Connection, subjects: Iterable[str], writer: str) -> str:
    """Return which subjects are suspended, and by whom and why if the writer did it; '' for none.

    `provisioner status` shows all suspensions.
    """
    reasons = ((subject, ledger.reasons_for(conn, subject, writer)) for subject in subjects)
    return "; ".join(f"{name} is suspended by {', '.join(why)}" for name, why in reasons if why)


def _few(names: Collection[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - 5} more" if len(unique) > 5 else ""
    return ", ".join(unique[:5]) + more


def _shortened(notes: list[str], number: int) -> list[str]:
    """Return the first of a number of notes, and how many more there are."""
    if number <= MOST:
        return notes
    return [*notes[:MOST], f"and {number - MOST} more like this"]


def of_handlers(
    conn: Connection, claimed: Claimed, progress: Progress
) -> dict[RequestId, list[str]]:
    """Return what handlers remark on the objects of requests that are done, as texts.

    claimed: the objects that each request claims, with their instances. Only handlers that have
    remarks (`abilities.Remarks`) are asked, about the states last read.
    """
    instances = {
        key: instance
        for keys in claimed.values()
        for key, instance in keys.items()
        if instance in progress.remarking
    }
    if not instances:
        return {}
    states = object_rows.states(conn, instances)
    texts: dict[Key, list[str]] = {}
    for key, claims in ledger.claims_of(conn, instances).items():
        if not claims or key not in states:
            continue
        try:
            remarks = progress.remarks_of(instances[key], key, claims, states[key])
        except Fault:
            continue  # the step reports what is wrong
        texts[key] = [f"{key}: {remark}" for remark in remarks]
    return {
        request: [text for key in sorted(keys) for text in texts.get(key, ())][:MOST]
        for request, keys in claimed.items()
    }
