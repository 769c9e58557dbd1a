"""Verbs that only read: queue, show, status, handlers, config, schema."""

from __future__ import annotations

import time
from typing import Any

import typer

from provisioner.cli import site
from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError, InvalidRequest

JSON = typer.Option(False, "--json", help="for programs")
config_app = typer.Typer(no_args_is_help=True, help="Check the configuration, or print one.")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(queue)
    app.command()(show)
    app.command()(status)
    app.command()(handlers)
    app.command()(schema)
    app.add_typer(config_app, name="config")


def queue(as_json: bool = JSON) -> None:
    """List lanes, and requests that have no outcome yet, with what they wait for."""
    from provisioner import journal

    settings = site.config()
    now = time.time()
    with journal.Journal.open(settings.journal).reading() as conn:
        counts = journal.counts(conn)
        records = journal.in_states(conn, journal.OPEN)
        waiting = journal.waiting_for(conn, [record.id for record in records])
        due = journal.due_counts(conn, now)
        lanes = journal.lane_rows(conn)
    if as_json:
        site.print_json(
            {
                "counts": counts,
                "lanes": {
                    name: {
                        **lanes.get(name, {}),
                        "due": due.get(name, (0, 0))[0],
                        "later": due.get(name, (0, 0))[1],
                    }
                    for name in sorted({*due, *lanes})
                },
                "requests": [
                    {
                        "id": r.id,
                        "file": r.name,
                        "writer": r.writer,
                        "state": r.state,
                        "action": r.action,
                        "subject": r.subject,
                        "accepted": r.accepted,
                        "waiting_for": waiting[r.id],
                    }
                    for r in records
                ],
            }
        )
        return
    print("  ".join(f"{state}: {number}" for state, number in sorted(counts.items())) or "empty")
    for name in sorted({*due, *lanes}):
        ready, later = due.get(name, (0, 0))
        print(f"lane {name}: {ready} due, {later} later{_lane_state(lanes.get(name, {}), now)}")
    for record in records:
        print(f"{record.id}  {record.state:9} {record.action} {record.subject}")
        for one in waiting[record.id][:5]:
            why = one["error"]["message"] if one["error"] else "its turn"
            print(f"    {one['object']}: {why}{_when(one['due'], now)}")


def _lane_state(row: dict[str, Any], now: float) -> str:
    paused = f", paused by {row['paused_by']}" if row.get("paused_by") else ""
    until = row.get("breaker_until")
    if until:
        wait = max(0, int(until - now))
        return f"{paused}, backend away: next try in {wait} s: {row['breaker_reason']}"
    return paused


def _when(due: float | None, now: float) -> str:
    return f" (again in {max(0, int(due - now))} s)" if due is not None else ""


def show(name: str = typer.Argument(..., metavar="ID"), as_json: bool = JSON) -> None:
    """Show one request: its file, its steps and its outcome."""
    from provisioner import finish, journal, results

    with journal.Journal.open(site.config().journal).reading() as conn:
        found = journal.find(conn, name)
        if not found:
            raise InvalidRequest(f"there is no request {name!r}", advice="see `provisioner queue`")
        record = found[-1]
        listed = journal.steps_of(conn, [record.id])[record.id]
        events = journal.events_of(conn, record.id)
    result = finish.result_of(record, listed)
    if as_json:
        site.print_json(
            {
                "id": record.id,
                "state": record.state,
                "body": record.body.decode("utf-8", "backslashreplace"),
                "result": results.plain(result),
                "events": [{"at": results.moment(at), "kind": k} for at, k, _ in events],
            }
        )
        return
    print(record.body.decode("utf-8", "backslashreplace").rstrip())
    print("---")
    print(results.render(result), end="")


def status(
    subject: str = typer.Argument(
        ..., metavar="SUBJECT", help="user:NAME, project:CODE or allocation:ID"
    ),
    as_json: bool = JSON,
) -> None:
    """Ask every backend what it has of a subject, side by side, with what is missing."""
    from provisioner.cli import standing

    found = standing.of(site.system(), subject)
    if as_json:
        site.print_json([standing.plain(one) for one in found])
    else:
        standing.show(subject, found)
    if any(one.error or one.missing for one in found):
        raise typer.Exit(Exit.FAILED)


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
    print(f"kinds: {', '.join(kinds)}")
    for row in rows:
        print(f"{row['instance']:16} {row['kind']:16} lane {row['lane']}")


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
        site.print_json({"right": True})
    else:
        print(f"{site.path()} is right")


@config_app.command("example")
def config_example() -> None:
    """Print an example of every option, with its description."""
    from provisioner.examples import example

    print(example(), end="")
