"""Idle people: what each was warned of, and which request of the service closes them.

Promises: everything is read and written inside the caller's transaction. Leaves out: who is idle
(`provisioner.idle`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, case, delete, func, select, update

from provisioner.journal import bulk, facts
from provisioner.journal.dialect import IDS, chunks, upsert
from provisioner.journal.persons import beforehand
from provisioner.journal.schema import claims, idle, messages, requests, steps, suspensions
from provisioner.objects.states import MessageState, RequestState
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

CAUSE = beforehand.IDLE
"""The cause for which the service suspends people who use nothing. Whoever may resume a person may
lift it: nobody decided it about them."""

PROMPT = 3600.0
"""Seconds for which a look at the sources counts for a closing that is judged for the first time.
It is judged within seconds, unless the service was down: people may have worked meanwhile."""

FRESH = 3 * 86400.0
"""Seconds for which a look counts for a closing that is judged again: rounds went on meanwhile, and
forgot who was seen."""

BEGINS = "idle-"
"""How the own ids of the service's requests begin that close somebody."""

_USER = "user:"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a person who is or was idle. Times in seconds since the epoch.

    since: when they were first warned; stage, told, message, heard: the last warning, and whether
    it was taken; asked: the own id of the request that closes them; seen: when all sources last
    agreed; spared: when they were opened, or their closing was cancelled.
    """

    person: str
    since: float | None = None
    stage: int | None = None
    told: float | None = None
    message: str | None = None
    heard: bool = False
    asked: str | None = None
    seen: float | None = None
    spared: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a request of the service's. ended: seconds since the epoch; began: it had
    steps."""

    id: str
    state: RequestState
    ended: float | None
    began: bool


@dataclass(frozen=True, slots=True)
class Last:
    """The last round. problems: what was in doubt; told: when operators were last told of it."""

    at: float
    problems: tuple[str, ...] = ()
    told: float = 0.0


def last(conn: Connection) -> Last | None:
    """Return the last round; None: there was none."""
    text = facts.get(conn, facts.IDLE)
    if text is None:
        return None
    read = json.loads(text)
    return Last(float(read["at"]), tuple(read["problems"]), float(read["told"]))


def note(conn: Connection, round_: Last) -> None:
    """Write down a round."""
    given = {"at": round_.at, "problems": list(round_.problems), "told": round_.told}
    facts.put(conn, facts.IDLE, json.dumps(given))


def doubt(problems: Sequence[str]) -> str:
    """Return in a line that nobody is closed, and why; '' if nothing is in doubt."""
    if not problems:
        return ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"nobody is warned or closed: {problems[0]}{more}"


def kept(conn: Connection) -> dict[str, Kept]:
    """Return what is known, by person."""
    return {row.person: Kept(**row._mapping) for row in conn.execute(select(idle))}


def put(conn: Connection, rows: Collection[Kept], gone: Collection[str]) -> None:
    """Write what is known of people, and forget others."""
    statement = upsert(idle)
    names = [column.name for column in idle.columns if column.name != "person"]
    fresh = {name: statement.excluded[name] for name in names}
    if rows:
        bulk.run(
            conn,
            statement.on_conflict_do_update(index_elements=["person"], set_=fresh),
            [asdict(row) for row in rows],
        )
    for part in chunks(gone):
        conn.execute(delete(idle).where(idle.c.person.in_(part)))


def note_opened(conn: Connection, subject: str, now: float) -> None:
    """Note that a suspension of a person was lifted: if none is left they were opened, and have all
    their days again. Nobody else was. now: seconds since the epoch."""
    person = subject.removeprefix(_USER)
    left = select(suspensions.c.cause).where(suspensions.c.subject == subject).limit(1)
    if subject.startswith(_USER) and conn.scalar(left) is None:
        put(conn, [Kept(person, spared=now)], ())


def set_clock(conn: Connection, by: float, back: float, now: float) -> None:
    """Correct since when people have been warned or opened, after the time of day jumped to `now`.

    by: seconds by which the time that they were noted by is wrong; back: seconds, 0 or below, by
    which what is after `now` may be wrong, too. Nobody has fewer days than they were told; somebody
    may have more. `seen` stays: an agreement that may be old decides nothing.
    """
    for column in (idle.c.since, idle.c.told, idle.c.spared):
        conn.execute(update(idle).values({column.name: column + by}))
        late = update(idle).where(column > now)
        conn.execute(late.values({column.name: func.min(column + back, now)}))


_ACCEPTED = select(requests.c.id, requests.c.accepted).where(requests.c.id.in_(IDS))


def people(conn: Connection) -> dict[str, float]:
    """Return since when each person is served: the newest request for their own account, or else
    the newest for a place in a project or an allocation."""
    own = func.max(case((claims.c.leaf == claims.c.root, claims.c.request)))
    statement = (
        select(claims.c.leaf, func.coalesce(own, func.max(claims.c.request)))
        .where(claims.c.leaf.startswith(_USER))
        .group_by(claims.c.leaf)
    )
    newest = {leaf: RequestId(request) for leaf, request in conn.execute(statement)}
    accepted: dict[RequestId, float] = {}
    for part in chunks(set(newest.values())):
        accepted.update(
            (row.id, row.accepted) for row in bulk.rows(conn, _ACCEPTED, {IDS.key: part})
        )
    # Ids run ahead of the time after the clock did.
    return {
        leaf.removeprefix(_USER): min(
            ulid.timestamp(request).timestamp(), accepted.get(request, math.inf)
        )
        for leaf, request in newest.items()
    }


def suspended(conn: Connection) -> set[str]:
    """Return the people who are suspended, for whatever cause."""
    found = conn.scalars(
        select(suspensions.c.subject).where(suspensions.c.subject.startswith(_USER)).distinct()
    )
    return {subject.removeprefix(_USER) for subject in found}


def closings(conn: Connection, source: str, cause: str) -> dict[str, float]:
    """Return whom a source has suspended for a cause, and since when."""
    rows = conn.execute(
        select(suspensions.c.subject, suspensions.c.since).where(
            suspensions.c.source == source,
            suspensions.c.cause == cause,
            suspensions.c.subject.startswith(_USER),
        )
    )
    return {row.subject.removeprefix(_USER): row.since for row in rows}


def asked(conn: Connection, writer: str, ids: Collection[str]) -> dict[str, Asked]:
    """Return the newest request under each of some own ids of a writer that is no duplicate."""
    found: dict[str, Asked] = {}
    columns = requests.c.writer_id, requests.c.id, requests.c.state, requests.c.ended
    began = select(steps.c.name).where(steps.c.request == requests.c.id).exists()
    for part in chunks(ids):
        rows = conn.execute(
            select(*columns, began.label("began"))
            .where(
                requests.c.writer == writer,
                requests.c.writer_id.in_(part),
                requests.c.duplicate_of.is_(None),
            )
            .order_by(requests.c.id)
        )
        found.update({r.writer_id: Asked(r.id, r.state, r.ended, r.began) for r in rows})
    return found


def taken(conn: Connection, ids: Collection[str]) -> set[str]:
    """Return those of some messages that were sent, by themselves or in a summary."""
    found: set[str] = set()
    gone = messages.alias()  # what went for a message: itself, or its summary
    went = func.coalesce(messages.c.summary, messages.c.id) == gone.c.id
    statement = select(messages.c.id).join(gone, went).where(gone.c.state == MessageState.SENT)
    for part in chunks(ids):
        found.update(conn.scalars(statement.where(messages.c.id.in_(part))))
    return found


def in_vain(conn: Connection, ids: Collection[str], now: float, within: float) -> Mapping[str, str]:
    """Return why requests that close idle people must not be followed any more, by their own id.

    now: seconds since the epoch; within: seconds for which a look at the sources counts. Left out
    are those whose condition still holds.
    """
    some = [own for own in ids if own.startswith(BEGINS)]
    seen: dict[str, float | None] = {}
    for part in chunks(some):
        rows = conn.execute(select(idle.c.asked, idle.c.seen).where(idle.c.asked.in_(part)))
        seen.update({row.asked: row.seen for row in rows})
    found: dict[str, str] = {}
    for own in some:
        if own not in seen:
            found[own] = "the person was seen, opened or exempted since"
        elif not 0 <= now - (seen[own] or 0.0) < within:
            found[own] = (
                f"no look at the sources of last use within {within / 3600:g} h has confirmed it; "
                "the next round asks again if nobody saw the person since"
            )
    return found
