"""Verbs that only read: queue, show, status, handlers, config, schema.

Promises: nothing is written, and nothing is made that is not there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import site
from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from provisioner.config import Config
    from provisioner.journal import Journal
    from provisioner.records import Record

JSON = typer.Option(False, "--json", help="for programs")
config_app = typer.Typer(no_args_is_help=True, help="Check the configuration, or print one.")

_LANE = ("paused_by", "breaker_until", "breaker_reason")

_WAITS = 5
"""Objects of one request that `queue` names; `show` names all."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(queue)
    app.command()(show)
    app.command()(status)
    app.command()(handlers)
    app.command()(schema)
    app.add_typer(config_app, name="config")


def queue(
    limit: int = typer.Option(100, min=1, max=1000, help="most requests to list, oldest first"),
    ended: int = typer.Option(0, min=0, max=1000, help="list this many of the newest outcomes too"),
    as_json: bool = JSON,
) -> None:
    """List lanes, and requests that have no outcome yet, with what they wait for."""

    from provisioner import agenda, records, stepbook

    settings = site.config()
    now = time.time()
    book = site.journal(settings)
    over = _newest_outcomes(book, ended)
    with book.reading() as conn:
        counts = records.counts(conn)
        loaded = records.in_states(conn, records.OPEN, limit)
        waiting = stepbook.waiting_for(conn, [record.id for record in loaded])
        due = agenda.due_counts(conn, now)
        rows = agenda.lane_rows(conn)
    held = _holds(settings, book, loaded)
    lanes = {
        name: {
            "due": due.get(name, (0, 0))[0],
            "later": due.get(name, (0, 0))[1],
            **{fact: rows.get(name, {}).get(fact) for fact in _LANE},
        }
        for name in sorted({*due, *rows, *_configured_lanes()})
    }
    serving = site.served_by(settings.spool)
    trouble = _trouble(settings.spool)
    observing = _observing(book)
    if as_json:
        site.print_json(
            {
                "served_by": serving,
                "trouble": trouble,
                "observing": observing,
                "counts": counts,
                "lanes": {
                    name: {**row, "breaker_until": _moment(row["breaker_until"])}
                    for name, row in lanes.items()
                },
                "requests": [
                    {
                        **_plain(record),
                        "waiting_for": _plain_waits(waiting[record.id]),
                        "held": held.get(record.id),
                    }
                    for record in loaded
                ],
                "ended": [_plain(record) for record in over],
            }
        )
        return
    site.say("  ".join(f"{state}: {number}" for state, number in sorted(counts.items())) or "empty")
    for name, row in lanes.items():
        site.say(f"lane {name}: {row['due']} due, {row['later']} later{_lane_state(row, now)}")
    for record in loaded:
        site.say(_line(record, now))
        hold = held.get(record.id)
        for text in _waits(record, waiting[record.id], lanes, hold, now)[:_WAITS]:
            site.say(f"    {text}")
    unlisted = sum(counts.get(state, 0) for state in records.OPEN) - len(loaded)
    if unlisted > 0:
        site.say(f"and {unlisted} more: --limit")
    for record in over:
        site.say(_line(record, now))
    if observing:
        advice = "provisioner drift, then provisioner journal release"
        site.say(f"nothing is written to any backend: {observing}: {advice}")
    if trouble:
        site.say(f"nothing is taken from staging: {trouble}")
    if loaded and serving is None:
        site.say("nobody on this host serves them: `provisioner run`, or start the service")


def _observing(book: Journal) -> str:
    """Say why nothing is written to any backend; '' when it is."""
    from provisioner import marks

    with book.reading() as conn:
        return marks.get(conn, marks.OBSERVING) or ""


def _trouble(spool: Path) -> str:
    """Say why nothing is taken from staging; '' when all is well."""
    from provisioner.sweep import check_staging

    try:
        check_staging(spool)
    except ConfigError as error:
        return f"{error.message}: {error.advice}"
    except OSError as error:
        return f"{spool}: {error.strerror}: provisioner doctor"
    return ""


def _holds(settings: Config, book: Journal, loaded: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Say of requests that are held why, and who may release them.

    second: it has to be somebody else than who sent it.
    """
    from provisioner import records
    from provisioner.wiring import policy_of

    held = [record for record in loaded if record.state == "held"]
    with book.reading() as conn:
        why = records.why_held(conn, [record.id for record in held])
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
    """List the lanes of the configuration; none where its handlers cannot be built."""
    try:
        return list(site.system().lanes.values())
    except ConfigError:
        return []


def _newest_outcomes(book: Journal, count: int) -> list[Record]:
    """Find the requests that ended last, newest last, among the last events."""

    from provisioner import records

    if not count:
        return []
    with book.reading() as conn:
        since = records.last_event(conn) - 10 * count
        ended = [
            who for _, who, kind, _ in records.events_after(conn, since) if kind in records.ENDED
        ]
        found = records.load(conn, ended)
    over = [record for record in found.values() if record.state in records.ENDED]
    return sorted(over, key=lambda record: record.ended or 0)[-count:]


def _plain(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "file": record.name,
        "writer": record.writer,
        "on_behalf_of": record.on_behalf_of,
        "state": record.state,
        "action": record.action,
        "subject": record.subject,
        "accepted": _moment(record.accepted),
        "ended": _moment(record.ended),
    }


def _plain_waits(waiting: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "due": _moment(one["due"])} for one in waiting]


def _moment(seconds: float | None) -> str | None:
    from provisioner.results import moment

    return None if seconds is None else moment(seconds)


def _line(record: Record, now: float) -> str:
    what = f"{record.action} {record.subject}".strip() or "unreadable"
    age = _span(now - (record.ended or record.accepted))
    return f"{record.id}  {record.state:9} {what}  ({record.name} of {record.asker}, {age} ago)"


def _waits(
    record: Record,
    waiting: Sequence[Mapping[str, Any]],
    lanes: Mapping[str, Mapping[str, Any]],
    hold: Mapping[str, Any] | None,
    now: float,
) -> list[str]:
    """Say what an open request waits for, a line each."""
    if hold is not None:
        by = ", ".join(hold["release"])
        but = f", but not {record.writer}, whose it is" if hold["second"] else ""
        return [
            f"held {hold['why']}",
            f"until it is released: provisioner release {record.id}",
            f"who may: {by}{but}",
        ]
    if record.state == "scheduled":
        left = _span((record.not_before or now) - now)
        return [f"until its not_before, in {left}"]
    lines = []
    for one in waiting:
        lane = lanes.get(one["lane"], {})
        why = one["error"]["message"] if one["error"] else "its turn"
        why = why.removeprefix(f"{one['object']}: ")
        if lane.get("paused_by"):
            when = f" (lane {one['lane']} is paused: provisioner unpause {one['lane']})"
        elif one["error"] and one["due"] is not None:
            # An object of a backend that is away is due when the lane asks again.
            at = max(one["due"], lane.get("breaker_until") or 0)
            when = f" (again in {_span(at - now)})"
        else:
            when = ""
        lines.append(f"{one['object']}: {why}{when}")
    return lines


def _lane_state(row: Mapping[str, Any], now: float) -> str:
    said = f", paused by {row['paused_by']}" if row["paused_by"] else ""
    if row["breaker_until"]:
        wait = _span(row["breaker_until"] - now)
        said += f", backend away, next try in {wait}: {row['breaker_reason']}"
    return said


def _span(seconds: float) -> str:
    """Write a time for a person, in the largest unit that has two of it."""
    whole = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def show(
    name: str = typer.Argument(
        ..., metavar="ID", help="its id, the beginning of one, its writer's own, or its file's name"
    ),
    as_json: bool = JSON,
) -> None:
    """Show one request: its file, its steps and its outcome."""
    from provisioner import agenda, finish, records, results, stepbook
    from provisioner.documents import dump

    settings = site.config()
    book = site.journal(settings)
    record = _find(book, name)
    with book.reading() as conn:
        listed = stepbook.steps_of(conn, [record.id])[record.id]
        events = records.events_of(conn, record.id)
        waiting = stepbook.waiting_for(conn, [record.id])[record.id]
        lanes = agenda.lane_rows(conn)
    hold = _holds(settings, book, [record]).get(record.id)
    result = finish.result_of(record, listed)
    plain = results.plain(result)
    body = record.body.decode("utf-8", "backslashreplace")
    if record.state in records.OPEN:
        del plain["ended"]
    if as_json:
        site.print_json(
            {
                "id": record.id,
                "state": record.state,
                "body": body,
                "result": plain,
                "waiting_for": _plain_waits(waiting) if record.state in records.OPEN else [],
                "held": hold,
                "events": [
                    {"at": _moment(at), "kind": kind, "text": text} for at, kind, text in events
                ],
            }
        )
        return
    site.say(body.rstrip() or "# the file was not read")
    site.say("---")
    comment = [line for line in results.render(result).splitlines() if line.startswith("#")]
    if record.state in records.OPEN:
        waits = _waits(record, waiting, lanes, hold, time.time())
        comment += [f"# Waits: {text}" for text in waits]
    site.say("\n".join(comment))
    site.say(dump(plain).rstrip())


def _find(book: Journal, name: str) -> Record:
    """Find the one request that a name names, the newest where a writer used it again."""

    from provisioner import records

    with book.reading() as conn:
        found = records.find(conn, name)
        by_file = records.newest(conn, name, "")
    own = [record for record in found if name in (record.id, record.writer_id)]
    if not own and len(found) > 1:
        ids = ", ".join(record.id for record in found[-10:])
        raise InvalidRequest(f"{name!r} begins {len(found)} ids", expected=f"one of {ids}")
    record = own[-1] if own else found[0] if found else by_file
    if record is None:
        raise InvalidRequest(
            f"there is no request {name!r}",
            advice="`provisioner queue --ended 20` lists the newest; one that nobody has taken "
            "yet still lies in staging",
        )
    return record


def status(
    subject: str = typer.Argument(
        ..., metavar="SUBJECT", help="user:NAME, project:CODE or allocation:ID"
    ),
    as_json: bool = JSON,
) -> None:
    """Ask every backend what it has of a subject, side by side, with what is missing."""
    from provisioner.cli import standing

    system = site.reading()
    found = standing.of(system, subject)
    closed = standing.suspensions(system, subject, found)
    if as_json:
        site.print_json([standing.plain(one, subject, closed) for one in found])
    else:
        standing.show(subject, found, closed)
        if observing := _observing(system.journal):
            site.say(f"nothing is written to any backend: {observing}")
    if not found and not closed:  # of a person it asks the backends
        raise typer.Exit(Exit.INVALID)
    wrong = [one for one in found if one.error or one.missing]
    if any(one.error is None or one.error["type"] != "Unavailable" for one in wrong):
        raise typer.Exit(Exit.FAILED)
    if wrong:
        raise typer.Exit(Exit.AWAY)


def handlers(as_json: bool = JSON) -> None:
    """List the kinds of handler that are installed, and the configured instances."""
    from importlib.metadata import entry_points

    from provisioner.wiring import HANDLERS

    kinds = sorted(point.name for point in entry_points(group=HANDLERS))
    system = site.system()
    rows = [
        {"instance": name, "kind": system.kinds[name], "lane": handler.lane}
        for name, handler in system.handlers.items()
    ]
    if as_json:
        site.print_json({"kinds": kinds, "instances": rows})
        return
    site.say(f"kinds: {', '.join(kinds)}")
    for row in rows:
        site.say(f"{row['instance']:16} {row['kind']:16} lane {row['lane']}")


def schema() -> None:
    """Print the JSON Schema of requests, for editors."""
    from provisioner.request import json_schema

    site.print_json(json_schema())


@config_app.command("check")
def config_check(as_json: bool = JSON) -> None:
    """Check the configuration: format, handlers' settings, resources and routes."""
    try:
        site.system()
    except ConfigError as error:
        if not as_json:
            raise
        site.print_json({"right": False, "problem": error.message, "advice": error.advice})
        raise typer.Exit(Exit.CONFIG) from None
    if as_json:
        site.print_json({"right": True, "problem": "", "advice": ""})
    else:
        site.say(f"{site.path()} is right")


@config_app.command("example")
def config_example() -> None:
    """Print an example of every option, with its description."""
    from provisioner.examples import example

    print(example(), end="")
