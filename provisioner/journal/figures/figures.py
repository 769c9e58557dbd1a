"""Figures: how many requests, objects and messages there are, and how old the oldest is.

Promises: reads only, inside the caller's transaction. Each count uses an index or a small table,
except that of objects, of which there are as many as people have things. Leaves out: what is too
much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from provisioner.journal.figures import idle
from provisioner.journal.figures.drift import Seen, seen
from provisioner.journal.outbox import messages, news
from provisioner.journal.records import object_rows
from provisioner.journal.schema import UNFIXED, events, lanes, objects, requests, steps
from provisioner.objects.states import ENDED, OPEN
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Open:
    """The requests in one open state. oldest: when the first of them was accepted."""

    number: int
    oldest: float


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """One lane. due, later: objects that are due now, and later; paused: a person paused it;
    away: why its backend is not asked for now, '' if it answers."""

    due: int = 0
    later: int = 0
    paused: bool = False
    away: str = ""


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """The objects of one handler. differing: not as wanted when last looked at, or not looked at
    since the want changed; failing: of these, with an error."""

    known: int
    differing: int
    failing: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What monitoring needs to know of a journal. need_person: failed or refused, and not fixed;
    idle: the last look for idle people, None if there was none."""

    open: Mapping[str, Open]
    by_action: Mapping[tuple[str, str], int]
    need_person: int
    lanes: Mapping[str, LaneFigures]
    objects: Mapping[str, ObjectFigures]
    messages: Mapping[str, int]
    last_event: int
    drift: Mapping[str, Seen]
    idle: idle.Last | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """One outcome. seconds: from acceptance; steps: (name, handler, seconds) of those that ran."""

    action: str
    outcome: str
    seconds: float
    steps: Sequence[tuple[str, str, float]]


def read(conn: Connection, now: float) -> Figures:
    """Return the figures of now."""
    waiting = conn.execute(
        select(requests.c.state, requests.c.action, func.count(), func.min(requests.c.accepted))
        .where(requests.c.state.in_(OPEN))
        .group_by(requests.c.state, requests.c.action)
    ).all()
    states: dict[str, Open] = {}
    for state, _, number, oldest in waiting:
        before = states.get(state, Open(0, oldest))
        states[str(state)] = Open(before.number + number, min(before.oldest, oldest))
    return Figures(
        open=states,
        by_action={(str(state), action): number for state, action, number, _ in waiting},
        need_person=_need_person(conn),
        lanes=_lanes(conn, now),
        objects=_objects(conn),
        messages=messages.counts(conn),
        last_event=conn.scalar(select(func.max(events.c.seq))) or 0,
        drift=seen(conn),
        idle=idle.last(conn),
    )


def _need_person(conn: Connection) -> int:
    # As `replaced.unfixed`: of a request whose file went through staging again, the new one counts.
    return int(
        conn.scalar(
            select(func.count())
            .select_from(requests)
            .where(UNFIXED, requests.c.fixed_by.is_(None))
            .where(~requests.c.action.startswith("request."))
            .where(~requests.c.action.startswith("lane."))
            .where(~requests.c.action.startswith("journal."))
        )
        or 0
    )


def _lanes(conn: Connection, now: float) -> dict[str, LaneFigures]:
    due = object_rows.due_counts(conn, now)
    rows = {row.name: row for row in conn.execute(select(lanes))}
    found = {}
    for name in due.keys() | rows.keys():
        row = rows.get(name)
        ready, later = due.get(name, (0, 0))
        paused = row is not None and row.paused_by is not None
        away = (row.breaker_reason or "") if row is not None else ""
        found[name] = LaneFigures(ready, later, paused, away)
    return found


def _objects(conn: Connection) -> dict[str, ObjectFigures]:
    differing = (objects.c.converged < objects.c.generation) | objects.c.error.is_not(None)
    rows = conn.execute(
        select(
            objects.c.instance,
            func.count(),
            func.sum(case((differing, 1), else_=0)),
            func.sum(case((objects.c.error.is_not(None), 1), else_=0)),
        ).group_by(objects.c.instance)
    )
    return {row[0]: ObjectFigures(row[1], int(row[2] or 0), int(row[3] or 0)) for row in rows}


@dataclass(frozen=True, slots=True)
class Failing:
    """What a backend refuses. number: objects that it refused; right: its objects that are as
    wanted; error: what it said of one of them."""

    number: int
    right: int
    error: str


def failing(conn: Connection) -> dict[str, Failing]:
    """Return, by handler, the objects whose last write or read its backend refused."""
    known = _objects(conn)
    rows = conn.execute(
        select(objects.c.instance, objects.c.error).where(objects.c.error.is_not(None))
    )
    errors: dict[str, list[str]] = {}
    for row in rows:
        if row.error.type in _REFUSED:
            errors.setdefault(row.instance, []).append(row.error.message)
    return {
        instance: Failing(len(some), known[instance].known - known[instance].differing, some[-1])
        for instance, some in sorted(errors.items())
    }


_REFUSED = ("Permanent", "Transient", "Unknown")
"""Types of errors that are the backend's."""


def ended_after(conn: Connection, seq: int, most: int) -> tuple[list[Ended], int]:
    """Return the outcomes after an event, and the number of the last event that was looked at.

    most: outcomes in the list.
    """
    found = news.after(conn, seq, most)
    if found is None:
        return [], seq
    listed: list[Ended] = []
    for outcome in found.outcomes:
        row = conn.execute(
            select(requests.c.action, requests.c.accepted, requests.c.ended).where(
                requests.c.id == outcome.request
            )
        ).first()
        if row is not None:
            seconds = max(0.0, (row.ended or outcome.at) - row.accepted)
            listed.append(Ended(row.action, outcome.state, seconds, _steps(conn, outcome.request)))
    return listed, found.last


def _steps(conn: Connection, request: RequestId) -> list[tuple[str, str, float]]:
    rows = conn.execute(
        select(steps.c.name, steps.c.instance, steps.c.started, steps.c.ended).where(
            steps.c.request == request, steps.c.routed, steps.c.ended.is_not(None)
        )
    )
    return [(r.name, r.instance, max(0.0, r.ended - r.started)) for r in rows if r.started]


ALL = tuple(map(str, (*OPEN, *ENDED)))
"""The names of all states."""
