"""The verb `queue`: who serves, what waits and for what, and the newest outcomes.

Promises: the verb writes nothing, and creates no missing journal or directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli import choosing, hosts, paint, site, trouble
from provisioner.cli.choosing import Filter
from provisioner.cli.options import flattened
from provisioner.cli.waiting import Waits, brief, holds, kept_by, moment, plain_waits, waits
from provisioner.objects.states import ENDED
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.inspection.failures import Cause
    from provisioner.inspection.worklist import Item, Wanted
    from provisioner.journal.hosts.together import Together
    from provisioner.journal.journal import Journal
    from provisioner.journal.queries.dates import End
    from provisioner.journal.records.request_rows import Record

_LANE = ("paused_by", "breaker_until", "breaker_reason")

_AGAIN = 2.0
"""Seconds between two looks of --watch."""

_ROWS = 20
"""The most requests of each state that are listed, without --limit."""

_MANY = 10
"""More failures than this stand by cause, unless a filter or --limit asks for each."""

_WAITS = 5
"""The most objects of one request that `queue` names; `show` names all."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(flattened(queue))


@dataclass(frozen=True, slots=True)
class Seen:
    """The content of journal and spool at one moment.

    now: seconds since the epoch; served_by: the process that serves the spool, or None; staged: the
    number of files not taken yet; misnamed: files that the service will never take; trouble: why
    the service takes no files, or ''; observing: why it writes to no backend, or ''; hosts: the
    processes that serve the journal together; requests, trouble_items: what waits, and what failed;
    causes: of what failed, if it stands by cause; held:
    for each held request, why it is held and who may release it; short: a short id of each; ends:
    when access ends soon, the next first; next_end: that one in words, '' if there is none.
    """

    now: float
    served_by: int | None
    staged: int
    misnamed: Sequence[str]
    trouble: str
    observing: str
    counts: Mapping[str, int]
    lanes: Mapping[str, Mapping[str, Any]]
    hosts: Together
    requests: Sequence[Item]
    trouble_items: Sequence[Item]
    causes: Sequence[Cause]
    waiting: Mapping[RequestId, Sequence[Mapping[str, Any]]]
    held: Mapping[RequestId, Mapping[str, Any]]
    ended: Sequence[Record]
    short: Mapping[RequestId, str]
    ends: Sequence[End]
    next_end: str
    showing: Showing


@dataclass(frozen=True, slots=True)
class Showing:
    """How much of the queue is shown, and how."""

    limit: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help=f"the most requests of each state to list ({_ROWS})"),
    ] = None
    ended: Annotated[
        int, typer.Option(min=0, max=1000, help="also list this many of the newest outcomes")
    ] = 0
    controls: Annotated[
        bool, typer.Option("--controls", help="also list requests that steer others, or lanes")
    ] = False

    @property
    def rows(self) -> int:
        """The most requests of each state to list."""
        return self.limit or _ROWS


SHOWING = Showing()


def queue(
    chosen: Filter = choosing.ALL,
    cause: str = typer.Option("", help="only this cause, as `failed` and `--shape` print it"),
    showing: Showing = SHOWING,
    shape: bool = typer.Option(False, "--shape", help="count them by reason and age"),
    watch: bool = typer.Option(False, "--watch", help="show it again every 2 seconds"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """List what failed and what waits, each with its reason: trouble first; then the lanes."""
    wanted = choosing.wanted(chosen, cause)

    def lines() -> Iterator[paint.Line]:
        seen = look(wanted, showing)
        if shape:
            yield from board.shape(worklist.shape([*seen.trouble_items, *seen.requests], seen.now))
        else:
            yield from _lines(seen)
        if not (wanted.everything or seen.trouble_items or seen.requests):
            yield paint.line("nothing that failed or waits matches the filter")

    from provisioner.cli import board
    from provisioner.inspection import worklist

    if as_json:
        site.print_json(_plain_seen(look(wanted, showing)))
    elif watch:
        with suppress(KeyboardInterrupt):
            paint.watch(lines, _AGAIN)
    else:
        paint.show(lines())


def look(wanted: Wanted, showing: Showing) -> Seen:
    """Read journal and spool."""
    from provisioner.cards import ends
    from provisioner.inspection import failures, worklist
    from provisioner.journal.queries import lookup
    from provisioner.journal.records import object_rows, request_rows, step_rows

    settings = site.config()
    now = time.time()
    book = site.journal(settings)
    over = _newest_outcomes(book, showing)
    with book.reading() as conn:
        counts = request_rows.counts(conn)
        unfixed = failures.unfixed(conn)
        loaded = worklist.waiting(conn)
        counts |= {str(s): sum(f.record.state == s for f in unfixed) for s in worklist.TROUBLE}
        failed = list(filter(wanted.fits, map(worklist.item_of, reversed(unfixed))))
        loaded = [
            item
            for item in loaded
            if wanted.fits(item) and (showing.controls or not worklist.is_control(item.record))
        ]
        ids = [item.record.id for item in loaded]
        waiting = step_rows.waiting_for(conn, ids)
        due = object_rows.due_counts(conn, now)
        rows = object_rows.lane_rows(conn)
        listed = [item.record.id for item in (*failed, *loaded)]
        ending = ends.soon(conn, now)
        next_end = ends.words(conn, ending[0]) if ending else ""
        short = lookup.short(conn, [*listed, *(record.id for record in over)])
    by_cause = len(failed) > _MANY and wanted.everything and showing.limit is None
    configured, found = hosts.lanes(), hosts.read(book, settings)
    lanes = {
        name: _lane(due.get(name, (0, 0)), rows.get(name, {}))
        for name in {*due, *rows, *configured}
    }
    return Seen(
        now=now,
        served_by=site.served_by(settings.spool),
        staged=trouble.staged(settings.spool),
        misnamed=trouble.misnamed(settings.spool),
        trouble="" if site.apart(settings) else trouble.of_staging(settings),
        observing=trouble.observing(book),
        counts={state: number for state, number in counts.items() if number},
        lanes=hosts.beside(lanes, found, configured),
        hosts=found,
        requests=loaded,
        trouble_items=failed,
        causes=failures.causes(unfixed) if by_cause else (),
        waiting=waiting,
        held=holds(settings, book, [item.record for item in loaded]),
        ended=over,
        short=short,
        ends=ending,
        next_end=next_end,
        showing=showing,
    )


def _lane(due: tuple[int, int], row: Mapping[str, Any]) -> dict[str, Any]:
    return {"due": due[0], "later": due[1], **{fact: row.get(fact) for fact in _LANE}}


def _plain_seen(seen: Seen) -> dict[str, Any]:
    from provisioner.cli import board

    return {
        "served_by": seen.served_by,
        "staging": seen.staged,
        "misnamed": seen.misnamed,
        "trouble": seen.trouble,
        "observing": seen.observing,
        "counts": seen.counts,
        "lanes": {
            name: {
                **row,
                "breaker_until": moment(row["breaker_until"]),
                "host_since": moment(row["host_since"]),
            }
            for name, row in seen.lanes.items()
        },
        "hosts": hosts.plain(seen.hosts),
        "failed": [
            {
                **_plain(item.record, seen.short),
                "cause": item.cause,
                "where": item.where[0],
                "reason": item.reason,
                "advice": item.advice,
            }
            for part in board.shortened(seen.trouble_items, seen.showing.rows)
            for item in part
        ],
        "requests": [
            {
                **_plain(item.record, seen.short),
                "waiting_for": plain_waits(seen.waiting[item.record.id]),
                "held": seen.held.get(item.record.id),
            }
            for item in seen.requests[: seen.showing.rows]
        ],
        "ended": [_plain(record, seen.short) for record in seen.ended],
        "ends": [
            {
                "subject": end.subject,
                "ends": moment(end.at),
                "writer": end.writer,
                "request": end.request,
            }
            for end in seen.ends
        ],
    }


def head(seen: Seen) -> Iterator[paint.Line]:
    """Yield who serves, what is wrong with the whole, and how many requests there are."""
    yield paint.line(_served(seen))
    yield from hosts.lines(seen.hosts, [n for n, row in seen.lanes.items() if row["undrained"]])
    if seen.trouble:
        yield paint.line(f"the service takes nothing from staging: {seen.trouble}", "bold red")
    if because := seen.observing:
        text = (
            f"the service writes to no backend: {because}; to end it: {trouble.releasing(because)}"
        )
        yield paint.line(text, "yellow")
    if seen.misnamed:
        from provisioner.spool.scan import never_taken

        yield paint.line(never_taken(seen.misnamed), "yellow")
    known = "  ".join(f"{state}: {number}" for state, number in sorted(seen.counts.items()))
    yield paint.line(known or "the service has taken no request yet")


def _lines(seen: Seen) -> Iterator[paint.Line]:
    from provisioner.cards import ends
    from provisioner.cli import board, causes
    from provisioner.inspection import worklist

    yield from head(seen)
    if seen.causes:
        yield ()
        yield from causes.table(seen.causes, seen.short, seen.now)
        yield paint.line("each of them: provisioner queue --state failed,refused", "dim")
    yield from board.rows(
        [*(() if seen.causes else seen.trouble_items), *seen.requests],
        seen.short,
        reasons(seen, brief),
        seen.showing.rows,
        seen.now,
    )
    over = [r for r in seen.ended if seen.showing.controls or not worklist.is_control(r)]
    yield from board.ended(over, seen.short, seen.now)
    yield ()
    yield from board.lanes(seen.lanes, kept_by(seen.waiting, seen.lanes), seen.now)
    if seen.ends:
        yield paint.line(ends.sentence(len(seen.ends), seen.next_end), "dim")


def reasons(seen: Seen, told: Waits = waits) -> dict[RequestId, Sequence[str]]:
    """Return what each open request waits for, at most some lines each."""
    return {
        item.record.id: told(
            item.record,
            seen.waiting[item.record.id],
            seen.lanes,
            seen.held.get(item.record.id),
            seen.now,
        )[:_WAITS]
        for item in seen.requests
    }


def _served(seen: Seen) -> str:
    """Return a line that says who serves the spool, and how many files are not taken yet."""
    files = f"; files not yet taken from staging: {seen.staged}" if seen.staged else ""
    if seen.served_by is not None:
        return f"served by process {seen.served_by}{files}"
    if seen.hosts.hosts:
        return f"served together by {hosts.names(seen.hosts)}{files}"
    start = seen.staged or seen.requests
    advice = ": `provisioner run`, or start the service" if start else ""
    return f"no service on this host serves the spool{files}{advice}"


def _newest_outcomes(book: Journal, showing: Showing) -> list[Record]:
    """Return the requests that ended last, the newest last; one that is tried again may be open."""

    from provisioner.journal.records import event_rows, request_rows

    count = showing.ended
    if not count:
        return []
    with book.reading() as conn:
        ended = event_rows.newest_of_kinds(conn, ENDED, 10 * count)
        records = request_rows.load(conn, ended)
    over = [record for record in records.values() if record.state in ENDED]
    return sorted(over, key=lambda record: record.ended or 0)[-count:]


def _plain(record: Record, short: Mapping[RequestId, str]) -> dict[str, Any]:
    return {
        "id": record.id,
        "short": short[record.id],
        "file": record.name,
        "writer": record.writer,
        "on_behalf_of": record.on_behalf_of,
        "state": record.state,
        "outcome": record.outcome if record.state in ENDED else None,
        "action": record.action,
        "subject": record.subject,
        "accepted": moment(record.accepted),
        "ended": moment(record.ended),
    }
