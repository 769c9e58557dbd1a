"""Verbs that only read: show, status, handlers, config, schema.

Promises: the verbs write nothing, and create no missing journal or directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from provisioner.cli import files, finding, hosts, paint, site
from provisioner.cli.exits import Exit
from provisioner.cli.finding import find
from provisioner.cli.trouble import misnamed, observing
from provisioner.cli.waiting import holds, moment, plain_waits, waits
from provisioner.cli.words import span
from provisioner.contract import ConfigError
from provisioner.objects.states import OPEN, RequestState

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record
    from provisioner.journal.records.step_rows import StepRecord
    from provisioner.request.documents import Problem

JSON = typer.Option(False, "--json", help="for programs")
config_app = typer.Typer(
    no_args_is_help=True,
    help="Check the configuration, compare it with what is served, or print an example.",
)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(show)
    app.command()(status)
    app.command()(handlers)
    app.command()(schema)
    app.add_typer(config_app, name="config")


def show(
    name: str = typer.Argument(
        ...,
        metavar="ID",
        help="its id or the beginning of it, its writer's own id, or its file's name",
    ),
    as_json: bool = JSON,
) -> None:
    """Show one request: its file, its steps and its outcome."""
    from provisioner.journal.records import changes, event_rows, object_rows, step_rows
    from provisioner.outcome import outcomes, results
    from provisioner.request.documents import dump

    settings = site.config()
    book = site.journal(settings)
    record = find(book, name)
    with book.reading() as conn:
        listed = step_rows.steps_of(conn, [record.id])[record.id]
        events = event_rows.events_of(conn, record.id)
        waiting = step_rows.waiting_for(conn, [record.id])[record.id]
        lanes = object_rows.lane_rows(conn)
        shown = changes.shown(conn, record.id) if record.state == RequestState.HELD else None
    hold = holds(settings, book, [record]).get(record.id)
    together = hosts.read(book, settings)
    lanes = hosts.beside(lanes, together, hosts.lanes() if together.hosts else ())
    result = outcomes.result_of(record, listed)
    plain = results.plain(result)
    body = record.body.decode("utf-8", "backslashreplace")
    file = files.place(settings.spool, record)
    if record.state in OPEN:
        del plain["ended"]
    if as_json:
        history = [{"at": moment(at), "kind": kind, "text": text} for at, kind, text in events]
        site.print_json(
            {
                "id": record.id,
                "state": record.state,
                "digest": record.digest,
                "file": file or None,
                "body": body,
                "users": record.listed.split() if record.listed is not None else None,
                "result": plain,
                "waiting_for": plain_waits(waiting) if record.state in OPEN else [],
                "held": hold,
                "would": shown.lines() if shown is not None else [],
                "events": history,
            }
        )
        return
    site.say(body.rstrip() or "# the service did not read the file")
    if record.listed is not None:
        site.say(f"# for {site.many(len(record.listed.split()), 'user')}; --json lists them")
    site.say("---")
    reasons = waits(record, waiting, lanes, hold, time.time()) if record.state in OPEN else []
    would = shown.lines() if shown else []
    site.say("\n".join(_comment(record, results.render(result), reasons, would, file)))
    site.say(dump(plain).rstrip())
    _tell(events, listed)


def _comment(
    record: Record, rendered: str, reasons: Sequence[str], would: Iterable[str], file: str
) -> Iterator[str]:
    """Yield what is said above a result. rendered: the result as it is in its file."""
    yield from (line for line in rendered.splitlines() if line.startswith("#"))
    yield from (f"# Waits: {text}" for text in reasons)
    if record.state == RequestState.HELD:
        yield f"# Digest, for its release: {record.digest}"
    yield from (f"# When released: {line}" for line in would)
    if file:
        yield f"# Its file: {file}"


def _tell(events: Sequence[tuple[float, str, str]], listed: Sequence[StepRecord]) -> None:
    """Print what happened to a request, and the tracebacks of unexpected errors."""
    site.say("\n".join(_story(events)))
    for trace in _traces(listed):
        site.say(f"---\n{trace.rstrip()}")


def _story(events: Sequence[tuple[float, str, str]]) -> Iterator[str]:
    """Yield what happened, in the order of time."""
    yield "# What happened:" if events else "# Its events are no longer kept."
    for at, kind, text in events:
        yield f"# {moment(at)}  {kind:11} {' '.join(text.split())}".rstrip()


def _traces(listed: Sequence[StepRecord]) -> list[str]:
    """Return the tracebacks of unexpected errors, each once."""
    errors = [error for step in listed for error in (step.error, *(p.error for p in step.objects))]
    tracebacks = [error.traceback for error in errors if error and error.traceback]
    return list(dict.fromkeys(tracebacks))


def status(
    subject: str = typer.Argument(
        "",
        metavar="[SUBJECT]",
        help="user:NAME, project:CODE or allocation:ID, or the name alone; none: the site",
    ),
    every: bool = typer.Option(False, "--all", help="every fact of every object, side by side"),
    as_json: bool = JSON,
) -> None:
    """Show a subject on a card: who, access, what is wrong and what to type; or the whole site."""
    from provisioner.cards import card, objects
    from provisioner.cli import standing

    if not subject:
        _site_page(as_json)
        return
    system = site.reading()
    subject = finding.subject(subject)
    listed = objects.of(system, subject)
    with system.journal.reading() as conn:
        failed = card.failed(conn, subject)
    closed = objects.suspensions(system, subject, listed)
    if as_json:
        site.print_json([standing.plain(item, subject, closed) for item in listed])
    else:
        if every or not (closed or any(item.claims for item in listed)):
            standing.show(subject, listed, closed)
        else:
            standing.show_card(card.of(system, subject, listed, closed))
        if out := objects.left_out(system, subject):
            site.say(f"{subject}: {out}")
        standing.show_failed(subject, failed)
        if because := observing(system.journal):
            site.say(f"the service writes to no backend: {because}")
    if not listed and not closed:  # a user was looked up in the backends even without claims
        raise typer.Exit(Exit.INVALID)
    wrong = [item for item in listed if item.error or item.missing]
    if any(item.error is None or item.error.type != "Unavailable" for item in wrong):
        raise typer.Exit(Exit.FAILED)
    if wrong:
        raise typer.Exit(Exit.AWAY)


def _site_page(as_json: bool) -> None:
    from provisioner.cards import page as pages
    from provisioner.cli import standing
    from provisioner.spool.scan import never_taken

    system = site.reading()
    page = pages.of(system, time.time())
    serving, strays = site.served_by(system.config.spool), misnamed(system.config.spool)
    together = hosts.read(system.journal, system.config)
    if as_json:
        more = {"served_by": serving, "misnamed": strays, "hosts": hosts.plain(together)}
        site.print_json({**asdict(page), **more})
        return
    served = "no service on this host serves it" if serving is None else f"process {serving}"
    if serving is None and together.hosts:
        served = f"{hosts.names(together)}, together"
    standing.show_page(page, served, {"oldest": span(page.oldest or 0)})
    paint.show(hosts.lines(together, set(system.lanes.values())))
    if strays:
        site.say(never_taken(strays))
    if because := observing(system.journal):
        site.say(f"the service writes to no backend: {because}")


def handlers(as_json: bool = JSON) -> None:
    """List the installed kinds of handler, and the configured instances."""
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
    from provisioner.request.request import json_schema

    site.print_json(json_schema())


@config_app.command("check")
def config_check(as_json: bool = JSON) -> None:
    """Check the configuration: format, handlers, resources, routes and templates, all at once."""
    from provisioner.inspection import configuration

    problems = [*configuration.problems(site.path()), *_templates()]
    listed = "\n".join(f"  {problem}" for problem in problems)
    message = f"{site.path()} is wrong:\n{listed}" if problems else ""
    if as_json:
        site.print_json(
            {
                "right": not problems,
                "problem": message,
                "advice": "",
                "problems": [asdict(problem) for problem in problems],
            }
        )
    if problems and not as_json:
        raise ConfigError(message, advice="`provisioner config example` shows every setting")
    if problems:
        raise typer.Exit(Exit.CONFIG)
    if not as_json:
        site.say(f"{site.path()} is correct")


def _templates() -> list[Problem]:
    """Return what is wrong with the templates of mail, if the configuration can be read."""
    from provisioner.notify.courier import letters_of
    from provisioner.request.documents import Problem

    try:
        letters = letters_of(site.config())
    except ConfigError:
        return []
    return [Problem(None, "", text) for text in letters.wrong()]


@config_app.command("diff")
def config_diff(as_json: bool = JSON) -> None:
    """Compare the file with what the service serves, and say what a restart would change."""
    from provisioner.cli import served

    served.run(as_json=as_json)


@config_app.command("example")
def config_example() -> None:
    """Print every option with its description and its default or an example."""
    from provisioner.inspection.examples import example

    print(example(), end="")
