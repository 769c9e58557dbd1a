"""Remarks: what else is true of a request whose steps are all done.

Promises: what a newer request replaced while it waited is named, and so is who else wants an object
that was left as it is, and whose suspension keeps it closed. Leaves out: writing any outcome
(`steps`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from provisioner import agenda, ledger
from provisioner.contract import Key, Want
from provisioner.tables import IDS, chunks, claims, requests, step_objects, steps

Asked = Callable[[str, str], Mapping[tuple[Key, str], Want | None]]
"""What a step of a request asks for, by (key, claimant): (request, step) -> wants."""

_MOST = 20
"""Remarks of one kind on one request: an allocation may have thousands of users."""

_OWN = (
    select(
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.key,
        step_objects.c.claimant,
        step_objects.c.changed,
    )
    .join(
        steps,
        (steps.c.request == step_objects.c.request) & (steps.c.name == step_objects.c.step),
    )
    .where(step_objects.c.request.in_(IDS), steps.c.routed)
    .order_by(steps.c.ordinal, step_objects.c.key)
)
_CLAIMS = select(claims.c.key, claims.c.claimant, claims.c.want, claims.c.request).where(
    claims.c.key.in_(IDS)
)


@dataclass(slots=True)
class Remark:
    """What is to be said of a request. newer: the request that replaced what it asked for."""

    newer: str = ""
    notes: list[str] = field(default_factory=list)


def remarks(conn: Connection, ids: Collection[str], asked: Asked) -> dict[str, Remark]:
    """Say what else is true of requests all of whose steps are done; those with nothing are left
    out.
    """
    own: dict[str, list[Any]] = {}
    for part in chunks(ids):
        for row in conn.execute(_OWN, {"b_ids": part}):
            own.setdefault(row.request, []).append(row)
    held: dict[Key, dict[str, tuple[Want | None, str]]] = {}
    for part in chunks({row.key for rows in own.values() for row in rows}):
        for key, claimant, want, request in conn.execute(_CLAIMS, {"b_ids": part}):
            held.setdefault(key, {})[claimant] = (want, request)
    closed = ledger.suspended_parts(conn, {row.claimant for rows in own.values() for row in rows})
    found = {who: _of(conn, who, rows, held, closed, asked) for who, rows in own.items()}
    return {who: remark for who, remark in found.items() if remark.newer or remark.notes}


def _of(
    conn: Connection,
    who: str,
    rows: Collection[Any],
    held: Mapping[Key, Mapping[str, tuple[Want | None, str]]],
    closed: Collection[str],
    asked: Asked,
) -> Remark:
    remark = Remark()
    replaced: dict[str, list[Key]] = {}
    others: list[str] = []
    for row in rows:
        standing = held.get(row.key, {})
        mine = standing.get(row.claimant)
        if mine is None or mine[1] > who:
            newer = mine[1] if mine else _withdrawn_by(conn, who, row.claimant)
            if mine is None or _differs(asked(who, row.step), row.key, row.claimant, mine[0]):
                replaced.setdefault(newer, []).append(row.key)
        elif not row.changed:
            root = row.claimant.partition("/")[0]
            also = [
                name
                for name, (want, _) in standing.items()
                if name.partition("/")[0] != root and want is not None and want != mine[0]
            ]
            if also:
                others.append(f"{row.key}: also wanted by {_few(sorted(also))}")
    for newer, keys in replaced.items():
        if newer:
            remark.newer = max(remark.newer, newer)
            remark.notes.append(f"{newer} asked for something else meanwhile: {_few(keys)}")
        else:
            remark.notes.append(f"nobody wants this any more: {_few(keys)}")
    remark.notes += _shortened(others)
    remark.notes += _shortened(_kept_closed(conn, [row for row in rows if row.claimant in closed]))
    return remark


def _differs(
    wants: Mapping[tuple[Key, str], Want | None], key: Key, claimant: str, now: Want | None
) -> bool:
    if (key, claimant) not in wants:
        return True
    return bool(json.loads(json.dumps(wants[key, claimant])) != now)


def _withdrawn_by(conn: Connection, who: str, claimant: str) -> str:
    """Find the newest request after one that spoke of a claimant; '' where there is none."""
    statement = (
        select(requests.c.id)
        .where(
            requests.c.subject.in_({claimant, claimant.partition("/")[0]}),
            requests.c.id > who,
            requests.c.state.in_(["accepted", "deferred", "done", "failed"]),
        )
        .order_by(requests.c.id.desc())
        .limit(1)
    )
    return conn.scalar(statement) or ""


def _kept_closed(conn: Connection, rows: Collection[Any]) -> list[str]:
    """Say of suspended subjects who suspended them, and what was not even made."""
    if not rows:
        return []
    states = agenda.states(conn, {row.key for row in rows})
    missing: dict[str, list[Key]] = {}
    for row in rows:
        for subject in ledger.parts(row.claimant):
            absent = missing.setdefault(subject, [])
            if not states.get(row.key, {}).get("present"):
                absent.append(row.key)
    notes = []
    for subject, absent in missing.items():
        why = suspension(conn, [subject])
        if why:
            notes.append(f"{why}, kept closed" + (f"; not made: {_few(absent)}" * bool(absent)))
    return notes


def suspension(conn: Connection, subjects: Iterable[str]) -> str:
    """Say which subjects are suspended, by whom and why; '' where none is."""
    said = ((subject, ledger.reasons(conn, subject)) for subject in subjects)
    return "; ".join(f"{name} is suspended by {', '.join(why)}" for name, why in said if why)


def _few(names: Collection[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - 5} more" if len(unique) > 5 else ""
    return ", ".join(unique[:5]) + more


def _shortened(notes: list[str]) -> list[str]:
    if len(notes) <= _MOST:
        return notes
    return [*notes[:_MOST], f"and {len(notes) - _MOST} more like this"]
