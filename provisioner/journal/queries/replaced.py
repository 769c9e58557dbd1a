"""Replaced: who now claims what an earlier request had asked for, and what put a failure right.

A failed or refused request waits for a person until a later one puts it right, its file is sent
again, or a person dismisses it. Promises: everything is read and written inside the caller's
transaction. Leaves out: the remarks about it (`remarks`), and moving files (`filing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select, update

from provisioner.journal import audit, bulk
from provisioner.journal.dialect import IDS, chunks, unindexed
from provisioner.journal.persons import beforehand, chains
from provisioner.journal.queries import history
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import LEFT, UNFIXED, requests
from provisioner.objects.states import RequestState
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request
from provisioner.request.subjects import glimpse
from provisioner.system.ulid import LENGTH, RequestId

DISMISSED = "dismissed"
"""The kind of the last note on a failed or refused request that a person dismissed."""

REFUSED_AGAIN = "refused again"
"""The kind of the last note on a refused request whose file was refused once more."""

_FIRST = "first_refused"
"""The key, in a refusal's first problem, of when the same file was refused for the first time."""

_WRITERS = select(requests.c.id, requests.c.writer).where(requests.c.id.in_(IDS))

_WRITER = select(requests.c.writer).where(requests.c.id == bindparam("b_id"))


def lifted_by(conn: Connection, record: Record) -> RequestId | Literal[""]:
    """Return the request that lifted a suspension, given the one that asked for it; '' if unknown.

    The first resume after it for the same cause did: of the same writer, or, for lack of use, of
    anybody.
    """
    resumes = select(requests).where(
        requests.c.subject == record.subject,
        requests.c.action == record.action.replace("suspend", "resume"),
        requests.c.accepted >= record.accepted,
        requests.c.state.not_in([RequestState.REFUSED, RequestState.SCHEDULED, RequestState.HELD]),
        requests.c.duplicate_of.is_(None),
        history.STANDS,
    )
    cause = cause_of(record)
    if cause != beforehand.IDLE:
        resumes = resumes.where(requests.c.writer == record.writer)
    order = requests.c.accepted, requests.c.id
    for row in conn.execute(resumes.order_by(*order)):
        later = (row.accepted, row.id) > (record.accepted, record.id)
        if later and cause_of(row) == cause:
            return RequestId(row.id)
    return ""


def put_right(conn: Connection, done: Collection[RequestId], now: float) -> None:
    """Write which failed requests those that are done now have put right, each with an event.

    A request does so if it says that it replaces the failed one, or one that says so; if it asked
    the same for the same subject, and if that is a suspension or its end, for the same cause of the
    same writer, and if the failed one is an outsider's, is theirs as well; or if it is the failed
    one's file, moved into staging by hand. It also does if it is that file, corrected
    (`_of_files`).
    """
    if not done or not bulk.rows(conn, _ANY, {}):
        return
    fixed: dict[RequestId, RequestId] = {}
    for part in chunks(done):
        fixing = conn.execute(_DONE.where(requests.c.id.in_(part))).all()
        causes = _causes(conn, fixing)
        named = _named(conn, {row.id: row.replaces for row in fixing if row.replaces})
        wanted: dict[tuple[str, ...], RequestId] = {("id", i): by for i, by in named.items()}
        for row in fixing:
            for key in (_asked(row, causes), _own(row, causes), _moved(row, row.name[:LENGTH])):
                wanted.setdefault(key, row.id)
        for column, values in (
            (requests.c.id, {*named, *(row.name[:LENGTH] for row in fixing)}),
            (requests.c.subject, {row.subject for row in fixing if row.subject}),
        ):
            failed = conn.execute(_UNFIXED.where(column.in_(values))).all()
            causes = _causes(conn, failed)
            for row in failed:
                keys = [("id", row.id), _moved(row, row.id)]
                if row.subject:
                    # Else outsiders would learn of others' requests, and the trail would grow.
                    keys.append((_own if row.left else _asked)(row, causes))
                by = min((wanted[key] for key in keys if key in wanted), default=row.id)
                if by > row.id:
                    fixed[row.id] = by
        names = {row.name for row in fixing}
        failed = conn.execute(_UNFIXED.where(requests.c.name.in_(names))).all()
        fixed = {**_of_files(conn, failed, fixing), **fixed}
    if not fixed:
        return
    conn.execute(_FIX, [{"b_id": failed, "b_by": by} for failed, by in fixed.items()])
    events = [audit.Event(failed, "fixed", f"by {by}") for failed, by in sorted(fixed.items())]
    audit.append(conn, events, now)


def _of_files(
    conn: Connection, failed: Sequence[Any], fixing: Sequence[Any]
) -> dict[RequestId, RequestId]:
    """Return which failed requests are put right by a corrected file: of their writer and name.

    They could not be read, or were tried again. Of several of one name, only those are put right
    whose file seems to be about what the corrected one is about.
    """
    corrected: dict[tuple[str, ...], list[RequestId]] = {}
    for by in sorted(fixing, key=lambda each: each.id):
        for root in ("", by.subject.partition("/")[0]):
            corrected.setdefault((*_file(by), root), []).append(by.id)
    vague = [
        row for row in failed if row.fixed_by or (not row.subject and row.name not in _EVERYBODYS)
    ]
    alike = Counter(map(_file, vague))
    vague = [row for row in vague if (*_file(row), "") in corrected]
    single = {row.id: "" for row in vague if alike[_file(row)] == 1}
    roots = {row.id: row.subject for row in vague if row.subject} | single
    unread = _newest([row for row in vague if row.id not in roots], _file)
    roots |= {row.id: glimpse(row.body or b"").subject for row in _texts(conn, unread)}
    fixed: dict[RequestId, RequestId] = {}
    for row in vague:
        about = (*_file(row), roots.get(row.id, "?").partition("/")[0])
        if (by := next((by for by in corrected.get(about, ()) if by > row.id), None)) is not None:
            fixed[row.id] = by
    return fixed


def _file(row: Any) -> tuple[str, ...]:
    return str(row.uid), row.writer, row.name


def _newest(rows: Sequence[Any], of: Callable[[Any], tuple[str, ...]]) -> list[RequestId]:
    """Return the newest few of each kind of requests: a writer may leave any number of them."""
    kept: dict[tuple[str, ...], list[RequestId]] = {}
    for row in sorted(rows, key=lambda each: each.id, reverse=True):
        some = kept.setdefault(of(row), [])
        if len(some) < _READ:
            some.append(row.id)
    return [request for some in kept.values() for request in some]


def _texts(conn: Connection, ids: Collection[RequestId]) -> Iterator[Any]:
    """Yield ids and bodies of requests, a few at once."""
    for part in chunks(ids):
        yield from conn.execute(_BODIES, {"b_ids": part})


def _causes(conn: Connection, rows: Sequence[Any]) -> dict[RequestId, str]:
    """Return the causes that suspensions and resumes name, those that can be read."""
    about = _newest([row for row in rows if row.action in _ACCESS], _about)
    return {row.id: cause_of(row) for row in _texts(conn, about)}


def _about(row: Any) -> tuple[str, ...]:
    return row.writer, row.action, row.subject


def _moved(row: Any, request: str) -> tuple[str, ...]:
    """Return what a failed request and its file, moved into staging by hand, have in common.

    A writer's name counts beside the uid, which may have had another user.
    """
    return "moved", str(row.uid), row.writer, request


def _asked(row: Any, causes: Mapping[RequestId, str]) -> tuple[str, ...]:
    """Return what a request asked for: two that asked the same put one another right."""
    if row.action not in _ACCESS:
        return "of", row.action, row.subject
    return "of", row.action, row.subject, row.writer, causes.get(row.id, f"of {row.id} alone")


def cause_of(row: Any) -> str:
    """Return the cause that a suspension or resume names; one of its own if it cannot be read."""
    try:
        return str(parse_request(row.body).values.get("cause") or "request")
    except InvalidDocument:
        return f"of {row.id} alone"


def _own(row: Any, causes: Mapping[RequestId, str]) -> tuple[str, ...]:
    """Return what a request asked for, as a thing of its writer."""
    return "own", str(row.uid), row.writer, *_asked(row, causes)


def refused_again(conn: Connection, new: Collection[RequestId], now: float) -> None:
    """Let earlier refusals of the same file of the same writer wait no more, each with an event.

    A file is the same if its bytes are, or if it is the earlier one's, moved into staging by hand.
    new: requests that were refused now; each says since when its file has been refused.
    """
    newest: dict[tuple[str, ...], Record] = {}
    for part in chunks(new):
        for row in conn.execute(_REFUSED.where(requests.c.id.in_(part))):
            record = Record.from_row(row)
            newest["bytes", record.writer, record.digest] = record
            newest[_moved(record, record.name[:LENGTH])] = record
    earlier: dict[RequestId, Record] = {}
    for column, values in (
        (requests.c.digest, {record.digest for record in newest.values()}),
        (requests.c.id, {record.name[:LENGTH] for record in newest.values()}),
    ):
        for some in chunks(values):
            rows = conn.execute(_REFUSED.where(UNFIXED, column.in_(some)))
            earlier |= {row.id: Record.from_row(row) for row in rows}
    first: dict[RequestId, float] = {}
    events = []
    for record in sorted(earlier.values(), key=lambda each: each.id):
        keys = ("bytes", record.writer, record.digest), _moved(record, record.id)
        later = [newest[key] for key in keys if key in newest and newest[key].id > record.id]
        if not later:
            continue
        by = later[0]
        start = min(since(record), first.get(record.id, now))
        first[by.id] = min(start, first.get(by.id, now))
        close(conn, record, by.id, REFUSED_AGAIN, f"the same file was refused again as {by.id}")
        events.append(audit.Event(record.id, REFUSED_AGAIN, f"as {by.id}"))
    for record in newest.values():
        if record.id in first and record.problems:
            problem = {**record.problems[0], _FIRST: _moment(first[record.id])}
            _write(conn, record.id, problems=[problem, *record.problems[1:]])
    audit.append(conn, events, now)


def since(record: Record) -> float:
    """Return when a request was accepted, or when its file was refused for the first time."""
    first = next(iter(record.problems or ()), {}).get(_FIRST)
    return record.accepted if first is None else datetime.fromisoformat(first).timestamp()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def close(conn: Connection, record: Record, by: RequestId, kind: str, why: str) -> None:
    """Write that a request waits for nobody any more. kind: `DISMISSED` or `REFUSED_AGAIN`."""
    note = {"line": None, "key": "", "message": why, "kind": kind}
    _write(conn, record.id, fixed_by=by, problems=[*(record.problems or ()), note])


def reopen(conn: Connection, record: Record) -> None:
    """Take back what `close` wrote."""
    if closed(record.problems):
        _write(conn, record.id, fixed_by=None, problems=(record.problems or [])[:-1] or None)


def closed(problems: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any]:
    """Return the note of `close`; an empty one if there is none."""
    last = problems[-1] if problems else {}
    return last if last.get("kind") in (DISMISSED, REFUSED_AGAIN) else {}


def closing(record: Record, by: str = "") -> str:
    """Return why a failed request waits for nobody any more, in words; '' if it waits.

    by: what to call the request that put it right, if not by its id.
    """
    if record.fixed_by is None:
        return ""
    if note := closed(record.problems):
        return str(note["message"])
    again = record.fixed_by == record.id
    return "its file was sent again" if again else f"{by or record.fixed_by} put it right"


def _write(conn: Connection, request: RequestId, **values: Any) -> None:
    conn.execute(update(requests).where(requests.c.id == request).values(**values))


def _named(conn: Connection, replaces: Mapping[RequestId, RequestId]) -> dict[RequestId, RequestId]:
    """Return what some requests replace, and what that replaced, with the request of each."""
    links = chains.read(conn, set(replaces.values()))
    named: dict[RequestId, RequestId] = {}
    for by, first in replaces.items():
        at: RequestId | None = first
        while at is not None and at not in named:
            named[at] = by
            at = links[at].replaces if at in links else None
    return named


def unfixed(conn: Connection, limit: int) -> Iterator[Record]:
    """Yield the requests that failed or were refused, and that nothing has put right; oldest first.

    Those whose file went through staging again are not among them: the new request counts.
    """
    statement = select(requests).where(UNFIXED, requests.c.fixed_by.is_(None))
    rows = conn.execute(statement.order_by(requests.c.id).limit(limit))
    yield from map(Record.from_row, rows)


_FIXED_BY = select(requests.c.id).where(
    requests.c.fixed_by.is_not(None), requests.c.fixed_by.in_(IDS)
)


def fixed_by(conn: Connection, ids: Collection[RequestId]) -> list[RequestId]:
    """List the requests that some others have put right."""
    return [failed for (failed,) in bulk.among(conn, _FIXED_BY, ids)]


def fixed_among(conn: Connection, ids: Collection[RequestId]) -> set[RequestId]:
    """Return those of some requests that were put right."""
    statement = select(requests.c.id).where(requests.c.fixed_by.is_not(None))
    parts = chunks(ids)
    return {i for part in parts for i in conn.scalars(statement.where(requests.c.id.in_(part)))}


_EVERYBODYS = frozenset({"request.yaml"})
"""Names of files that say nothing: `provisioner submit -` gives this one to everything."""

_ANY = select(requests.c.id).where(UNFIXED).limit(1)

_ACCESS = ("user.suspend", "user.resume", "allocation.suspend", "allocation.resume")
"""Actions that are about one of several suspensions: of a writer, for a cause."""

_READ = 50
"""The most requests of one writer about one thing whose texts are read, for one that is done."""

_BODIES = select(requests.c.id, requests.c.body).where(requests.c.id.in_(IDS))

_ASKED = (
    *(requests.c.id, requests.c.action, requests.c.subject, requests.c.writer),
    *(requests.c.uid, requests.c.name),
)

_DONE = select(*_ASKED, requests.c.replaces).where(
    requests.c.state == RequestState.DONE, requests.c.duplicate_of.is_(None)
)

_REFUSED = (
    select(requests)
    .where(unindexed(requests.c.state) == RequestState.REFUSED, requests.c.digest != "")
    .order_by(requests.c.id)
)

_UNFIXED = select(*_ASKED, requests.c.fixed_by, LEFT.label("left")).where(UNFIXED)

_FIX = update(requests).where(requests.c.id == bindparam("b_id")).values(fixed_by=bindparam("b_by"))


def writer_of(conn: Connection, request: RequestId) -> str:
    """Return a request's writer; '' if it is unknown."""
    return conn.scalar(_WRITER, {"b_id": request}) or ""


OTHERS = "another writer's request"
"""What a writer reads instead of a claimant of another writer."""


def names_for(conn: Connection, claimants: Mapping[str, RequestId], writer: str) -> dict[str, str]:
    """Return the names of claimants that a writer may read; others' are `OTHERS`.

    claimants: claimant -> the request of its claim.
    """
    writers = dict(bulk.among(conn, _WRITERS, set(claimants.values())))
    return {
        claimant: claimant if writers.get(request, "") == writer else OTHERS
        for claimant, request in claimants.items()
    }


def name_for(conn: Connection, record: Record) -> str:
    """Return what a request's writer reads of the one that ended its wait; '' for nothing.

    Another's dismissal concerns the request itself. That another's request put a refused one right
    would tell who may not ask for something that others got it.
    """
    if record.fixed_by is None:
        return ""
    if writer_of(conn, record.fixed_by) == record.writer:
        return record.fixed_by
    told = record.state != RequestState.REFUSED or closed(record.problems)
    return OTHERS if told else ""
