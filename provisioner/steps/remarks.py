"""Remarks: what else is true of a request whose steps are all done.

Promises: what a newer request replaced while it waited is named, and so is who else wants an object
that was left as it is, whose suspension keeps it closed, and what stays behind. Leaves out: writing
any outcome (`advance`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.contract import Key, Want
from provisioner.journal.journal import Connection
from provisioner.journal.queries import replaced
from provisioner.journal.records import ledger, object_rows
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord

Asked = Callable[[str, str], Mapping[tuple[Key, str], Want | None]]
"""What a step of a request asks for, by (key, claimant): (request, step) -> wants."""

_MOST = 20
"""Remarks of one kind on one request: an allocation may have thousands of users."""


@dataclass(slots=True)
class Remark:
    """What is to be said of a request. newer: the request that replaced what it asked for."""

    newer: str = ""
    notes: list[str] = field(default_factory=list)


Part = tuple[str, ObjectRecord]
"""The name of a step, and an object of it."""


def remarks(
    conn: Connection, done: Mapping[str, Sequence[StepRecord]], asked: Asked
) -> dict[str, Remark]:
    """Say what else is true of requests all of whose steps are done; those with nothing are left
    out.

    done: the steps of each, in the route's order.
    """
    own = {
        who: [(step.name, part) for step in listed if step.routed for part in step.objects]
        for who, listed in done.items()
    }
    every = [part for parts in own.values() for _, part in parts]
    held = replaced.claims_now(conn, {part.key for part in every})
    closed = ledger.suspended_parts(conn, {part.claimant for part in every})
    found = {who: _of(conn, who, parts, held, closed, asked) for who, parts in own.items()}
    for who, listed in done.items():
        if own[who]:
            found[who].notes += _left_behind(conn, listed)
    return {who: remark for who, remark in found.items() if remark.newer or remark.notes}


def _of(
    conn: Connection,
    who: str,
    parts: Collection[Part],
    held: Mapping[Key, Mapping[str, tuple[Want | None, str]]],
    closed: Collection[str],
    asked: Asked,
) -> Remark:
    remark = Remark()
    overtaken: dict[str, list[Key]] = {}
    others: list[str] = []
    for step, part in parts:
        standing = held.get(part.key, {})
        mine = standing.get(part.claimant)
        if mine is None or mine[1] > who:
            newer = mine[1] if mine else replaced.withdrawn_by(conn, who, part.claimant)
            if mine is None or _differs(asked(who, step), part.key, part.claimant, mine[0]):
                overtaken.setdefault(newer, []).append(part.key)
        elif not part.changed and len(standing) > 1:
            root = part.claimant.partition("/")[0]
            also = {
                name: request
                for name, (want, request) in standing.items()
                if name.partition("/")[0] != root and _at_odds(want, mine[0])
            }
            if also:
                names = replaced.names_for(conn, also, replaced.writer_of(conn, who))
                others.append(f"{part.key}: also wanted by {_few(sorted(names.values()))}")
    for newer, keys in overtaken.items():
        if newer:
            remark.newer = max(remark.newer, newer)
            same = replaced.writer_of(conn, newer) == replaced.writer_of(conn, who)
            one = newer if same else "another's request"
            remark.notes.append(f"{one} asked for something else meanwhile: {_few(keys)}")
        else:
            remark.notes.append(f"nobody wants this any more: {_few(keys)}")
    remark.notes += _shortened(others)
    shut = [part for _, part in parts if part.claimant in closed]
    if shut:
        remark.notes += _shortened(_kept_closed(conn, shut, replaced.writer_of(conn, who)))
    return remark


def _left_behind(conn: Connection, listed: Sequence[StepRecord]) -> list[str]:
    """Say what a request no longer speaks of, and is kept: what is in it did not move."""
    keys = {part.key for step in listed if not step.routed for part in step.objects}
    kept = replaced.left_behind(conn, keys)
    if not kept:
        return []
    return [
        f"nobody claims {_few(sorted(kept))} any more: kept, and closed where it can be; what is "
        "in there stays there. To go on with it, send the request again with the project's code as "
        "it was, or name it in `allocation.storage.fileset` or `allocation.slurm.account`"
    ]


def _at_odds(other: Want | None, mine: Want | None) -> bool:
    """Say whether another's want says something else than what was asked for."""
    asked = {name: value for name, value in (mine or {}).items() if value}
    return other is not None and any(other.get(name) not in (None, asked[name]) for name in asked)


def _differs(
    wants: Mapping[tuple[Key, str], Want | None], key: Key, claimant: str, now: Want | None
) -> bool:
    if (key, claimant) not in wants:
        return True
    return bool(json.loads(json.dumps(wants[key, claimant])) != now)


def _kept_closed(conn: Connection, parts: Collection[ObjectRecord], writer: str) -> list[str]:
    """Say of suspended subjects that they are, as `suspension`, and what was not even made."""
    states = object_rows.states(conn, {part.key for part in parts})
    missing: dict[str, list[Key]] = {}
    for part in parts:
        for subject in ledger.parts(part.claimant):
            absent = missing.setdefault(subject, [])
            if not states.get(part.key, {}).get("present"):
                absent.append(part.key)
    notes = []
    for subject, absent in missing.items():
        why = suspension(conn, [subject], writer)
        if why:
            notes.append(f"{why}, kept closed" + (f"; not made: {_few(absent)}" * bool(absent)))
    return notes


def suspension(conn: Connection, subjects: Iterable[str], writer: str) -> str:
    """Say which subjects are suspended, and by whom and why where the writer did it; '' for none.

    `provisioner status` says it of all.
    """
    said = ((subject, ledger.reasons_for(conn, subject, writer)) for subject in subjects)
    return "; ".join(f"{name} is suspended by {', '.join(why)}" for name, why in said if why)


def _few(names: Collection[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - 5} more" if len(unique) > 5 else ""
    return ", ".join(unique[:5]) + more


def _shortened(notes: list[str]) -> list[str]:
    if len(notes) <= _MOST:
        return notes
    return [*notes[:_MOST], f"and {len(notes) - _MOST} more like this"]
