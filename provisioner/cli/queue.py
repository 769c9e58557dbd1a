"""The verb `queue`: who serves, what waits and for what, and the newest outcomes.

Promises: the verb writes nothing, and creates no missing journal or directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import site
from provisioner.contract import ConfigError
from provisioner.objects.states import ENDED, OPEN, RequestState
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.config.schema import Config
    from provisioner.journal.journal import Journal
    from provisioner.journal.records.request_rows import Record

_LANE = ("paused_by", "breaker_until", "breaker_reason")

_WAITS = 5
"""The most objects of one request that `queue` names; `show` names all."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(queue)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The content of journal and spool at one moment.

    now: seconds since the epoch; served_by: the process that serves the spool, or None; staged: the
    number of files not taken yet; misnamed: files that the service will never take; trouble: why
    the service takes no files, or ''; observing: why it writes to no backend, or ''; held: for each
    held request, why it is held and who may release it.
    """

    now: float
    served_by: int | None
    staged: int
    misnamed: Sequence[str]
    trouble: str
    observing: str
    counts: Mapping[str, int]
    lanes: Mapping[str, Mapping[str, Any]]
    requests: Sequence[Record]
    waiting: Mapping[RequestId, Sequence[Mapping[str, Any]]]
    held: Mapping[RequestId, Mapping[str, Any]]
    ended: Sequence[Record]


def queue(
    limit: int = typer.Option(
        100, min=1, max=1000, help="maximum number of requests to list, oldest first"
    ),
    ended: int = typer.Option(
        0, min=0, max=1000, help="also list this many of the newest outcomes"
    ),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """List lanes, and requests without an outcome, with what they wait for."""
    seen = _look(limit, ended)
    if as_json:
        site.print_json(_plain_seen(seen))
        return
    for line in _lines(seen):
        site.say(line)


def _look(limit: int, ended: int) -> _Seen:
    from provisioner.journal.records import object_rows, request_rows, step_rows

    settings = site.config()
    now = time.time()
    book = site.journal(settings)
    over = _newest_outcomes(book, ended)
    with book.reading() as conn:
        counts = request_rows.counts(conn)
        loaded = request_rows.in_states(conn, OPEN, limit)
        waiting = step_rows.waiting_for(conn, [record.id for record in loaded])
        due = object_rows.due_counts(conn, now)
        rows = object_rows.lane_rows(conn)
    lanes = {
        name: {
            "due": due.get(name, (0, 0))[0],
            "later": due.get(name, (0, 0))[1],
            **{fact: rows.get(name, {}).get(fact) for fact in _LANE},
        }
        for name in sorted({*due, *rows, *_configured_lanes()})
    }
    return _Seen(
        now=now,
        served_by=site.served_by(settings.spool),
        staged=_staged(settings.spool),
        misnamed=_misnamed(settings.spool),
        trouble=_trouble(settings),
        observing=observing(book),
        counts=counts,
        lanes=lanes,
        requests=loaded,
        waiting=waiting,
        held=holds(settings, book, loaded),
        ended=over,
    )


def _plain_seen(seen: _Seen) -> dict[str, Any]:
    return {
        "served_by": seen.served_by,
        "staging": seen.staged,
        "misnamed": seen.misnamed,
        "trouble": seen.trouble,
        "observing": seen.observing,
        "counts": seen.counts,
        "lanes": {
            name: {**row, "breaker_until": moment(row["breaker_until"])}
            for name, row in seen.lanes.items()
        },
        "requests": [
            {
                **_plain(record),
                "waiting_for": plain_waits(seen.waiting[record.id]),
                "held": seen.held.get(record.id),
            }
            for record in seen.requests
        ],
        "ended": [_plain(record) for record in seen.ended],
    }


def _lines(seen: _Seen) -> Iterator[str]:
    yield _served(seen.served_by, seen.staged, bool(seen.requests))
    known = "  ".join(f"{state}: {number}" for state, number in sorted(seen.counts.items()))
    yield known or "the service has taken no request yet"
    for name, row in seen.lanes.items():
        yield f"lane {name}: {row['due']} due, {row['later']} later{_lane_state(row, seen.now)}"
    for record in seen.requests:
        yield _line(record, seen.now)
        hold = seen.held.get(record.id)
        for text in waits(record, seen.waiting[record.id], seen.lanes, hold, seen.now)[:_WAITS]:
            yield f"    {text}"
    unlisted = sum(seen.counts.get(state, 0) for state in OPEN) - len(seen.requests)
    if unlisted > 0:
        yield f"and {unlisted} more: --limit"
    for record in seen.ended:
        yield _line(record, seen.now)
    because = seen.observing
    if because:
        yield f"the service writes to no backend: {because}; to end it: {releasing(because)}"
    if seen.misnamed:
        from provisioner.spool.scan import never_taken

        yield never_taken(seen.misnamed)
    if seen.trouble:
        yield f"the service takes nothing from staging: {seen.trouble}"


def _misnamed(spool: Path) -> list[str]:
    from provisioner.spool.scan import passed_over

    try:
        return passed_over(spool)
    except OSError:  # `_trouble` says so
        return []


def _staged(spool: Path) -> int:
    """Return the number of files in staging that the service has not taken yet."""
    from provisioner.spool.scan import is_request

    try:
        names = [path.name for path in (spool / "staging").iterdir()]
    except OSError:  # `_trouble` says so
        return 0
    return sum(map(is_request, names))


def _served(serving: int | None, staged: int, waiting: bool) -> str:
    """Return a line that says who serves the spool, and how many files are not taken yet."""
    files = f"; files not yet taken from staging: {staged}" if staged else ""
    if serving is not None:
        return f"served by process {serving}{files}"
    advice = ": `provisioner run`, or start the service" if staged or waiting else ""
    return f"no service on this host serves the spool{files}{advice}"


def observing(book: Journal) -> str:
    """Return why the service writes to no backend; '' if it does write."""
    from provisioner.journal import facts

    with book.reading() as conn:
        return facts.get(conn, facts.OBSERVING) or ""


def releasing(because: str) -> str:
    """Return how an operator lets the service write again. because: from `observing`."""
    from provisioner.journal import facts

    release = "run `provisioner drift`, review it, then run `provisioner journal release`"
    if because == facts.CONFIGURED:
        return f"set `mode: converge`, restart the service, {release}"
    return release


def full(settings: Config) -> str:
    """Return which of the journal's disks has no room for new work; '' if all have room."""
    from provisioner.recovery import reserve

    there = [path for path in settings.journal_places if path.is_dir()]
    return reserve.trouble(there)


def _trouble(settings: Config) -> str:
    """Return why the service takes nothing from staging; '' if it does."""
    from provisioner.spool.scan import check_staging

    spool = settings.spool
    try:
        check_staging(spool)
        shortage = full(settings)
        return (
            f"{shortage}: free space on it; the service then continues by itself"
            if shortage
            else ""
        )
    except ConfigError as error:
        return f"{error.message}: {error.advice}"
    except OSError as error:
        return f"{spool}: {error.strerror}: provisioner doctor"


def holds(
    settings: Config, book: Journal, loaded: Sequence[Record]
) -> dict[RequestId, dict[str, Any]]:
    """Return, by id, why each held request is held, and who may release it.

    second: the person who sent it may not release it.
    """
    from provisioner.journal.records import event_rows
    from provisioner.wiring import policy_of

    held = [record for record in loaded if record.state == RequestState.HELD]
    with book.reading() as conn:
        why = event_rows.why_held(conn, [record.id for record in held])
    release = list(policy_of(settings).releasers) if held else []
    return {
        record.id: {
            "why": why.get(record.id, ""),
            "release": release,
            "second": record.held_by != record.writer,
        }
        for record in held
    }


def _configured_lanes() -> list[str]:
    """Return the lanes of the configuration; none if its handlers cannot be built."""
    try:
        return list(site.system().lanes.values())
    except ConfigError:
        return []


def _newest_outcomes(book: Journal, count: int) -> list[Record]:
    """Return the requests that ended last, the newest last, found among the last events."""

    from provisioner.journal.records import event_rows, request_rows

    if not count:
        return []
    with book.reading() as conn:
        since = event_rows.last_event(conn) - 10 * count
        ended = [
            request_id
            for _, request_id, kind, _ in event_rows.events_after(conn, since)
            if kind in ENDED
        ]
        records = request_rows.load(conn, ended)
    over = [record for record in records.values() if record.state in ENDED]
    return sorted(over, key=lambda record: record.ended or 0)[-count:]


def _plain(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
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


def plain_waits(waiting: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what an open request waits for, as plain data for `--json`."""
    return [{**waiting_object, "due": moment(waiting_object["due"])} for waiting_object in waiting]


def moment(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 for programs; None stays None."""
    from provisioner.outcome import results

    return None if seconds is None else results.moment(seconds)


def _line(record: Record, now: float) -> str:
    what = f"{record.action} {record.subject}".strip() or "unreadable"
    age = span(now - (record.ended or record.accepted))
    return f"{record.id}  {record.outcome:9} {what}  ({record.name} of {record.asker}, {age} ago)"


def waits(
    record: Record,
    waiting: Sequence[Mapping[str, Any]],
    lanes: Mapping[str, Mapping[str, Any]],
    hold: Mapping[str, Any] | None,
    now: float,
) -> list[str]:
    """Return what an open request waits for, one line each."""
    if hold is not None:
        by = ", ".join(hold["release"])
        but = f", but not {record.asker}, who sent it" if hold["second"] else ""
        return [
            f"held {hold['why']}",
            f"to release it: provisioner release {record.id}",
            f"may be released by: {by}{but}",
        ]
    if record.state == RequestState.SCHEDULED:
        left = span((record.not_before or now) - now)
        return [f"until its not_before, in {left}"]
    lines = []
    for waiting_object in waiting:
        lane = lanes.get(waiting_object["lane"], {})
        why = (
            waiting_object["error"]["message"]
            if waiting_object["error"]
            else "waiting for its turn"
        )
        why = why.removeprefix(f"{waiting_object['object']}: ")
        if lane.get("paused_by"):
            lane_name = waiting_object["lane"]
            when = f" (lane {lane_name} is paused: provisioner unpause {lane_name})"
        elif waiting_object["error"] and waiting_object["due"] is not None:
            # An object whose backend is away becomes due when the lane tries the backend again.
            away = waiting_object["error"]["type"] == "Unavailable"
            at = max(waiting_object["due"], (lane.get("breaker_until") or 0) if away else 0)
            when = f" (retry in {span(at - now)})"
        else:
            when = ""
        lines.append(f"{waiting_object['object']}: {why}{when}")
    return lines


def _lane_state(row: Mapping[str, Any], now: float) -> str:
    text = f", paused by {row['paused_by']}" if row["paused_by"] else ""
    if row["breaker_until"]:
        wait = span(row["breaker_until"] - now)
        text += f", backend away, next try in {wait}: {row['breaker_reason']}"
    return text


def span(seconds: float) -> str:
    """Return a duration for a person, in the largest unit of which it has at least two."""
    whole = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
