"""Verbs that make and run a site: init, run, sandbox, doctor."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from provisioner.cli import signals, site
from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError

if TYPE_CHECKING:
    from provisioner.wiring import System


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(init)
    app.command()(run)
    app.command()(sandbox)
    app.command()(doctor)


def init() -> None:
    """Make the spool and the journal, with their owners and modes."""
    from provisioner.journal import stored
    from provisioner.journal.journal import Journal
    from provisioner.recovery import backup, startup
    from provisioner.spool.spool import Spool

    settings = site.config()
    Spool.create(settings.spool, settings.staging_group).close()
    journal = stored.of(settings.journal)
    journal.make_way()
    startup.check_there(settings.spool, settings.journal)
    if not journal.exists():  # `run` migrates a journal of an earlier version
        Journal.open(settings.journal).close()
    site.say(f"spool   {settings.spool}\njournal {settings.journal}")
    if text := backup.sharing(settings.backup_directory, settings.journal):
        site.say(f"note    {text}")


def run(
    drain: bool = typer.Option(
        False, "--drain", help="serve the requests that are there, then end"
    ),
    patience: float = typer.Option(
        60.0, min=0, help="with --drain: give up after this many seconds without progress"
    ),
    verbose: bool | None = typer.Option(
        None, "--verbose/--quiet", "-v/-q", help="log more, or only problems"
    ),
    log: str = typer.Option(
        "plain",
        metavar="FORM",
        envvar="PROVISIONER_LOG",
        help="form of the log: plain, json (a line is an object), or journald (fields)",
    ),
    intake: bool | None = typer.Option(
        None,
        "--intake/--all",
        help="take requests, and leave lanes to other hosts; or do both, the default",
    ),
    lanes: str = typer.Option(
        "",
        metavar="NAME,...",
        help="write to the backends of some lanes, and leave all else to "
        "other hosts; `provisioner queue` lists them",
    ),
) -> None:
    """Serve requests until stopped; with --drain, until nothing is left to do."""
    if (intake is not None) + bool(lanes) + (drain and intake is not False) > 1:
        raise typer.BadParameter("--intake, --lanes, --all and --drain exclude each other")
    from provisioner.journal.records import request_rows

    least = logging.WARNING if drain or verbose is False else logging.INFO
    _begin_log(log, logging.DEBUG if verbose else least)
    system = site.system()
    for number in signals.ENDING:
        signal.signal(number, lambda *_: sys.exit(Exit.OK))  # no work has started yet
    if intake or lanes:
        from provisioner.cli import sharing

        if intake:
            sharing.intake(system)
        else:
            sharing.lanes(system, [name.strip() for name in lanes.split(",")])
        return
    empty = _serve_alone(system, drain=drain, patience=patience)
    if not drain:
        return
    with system.journal.reading() as conn:
        counts = request_rows.counts(conn)
    site.say("  ".join(f"{state}: {number}" for state, number in sorted(counts.items())) or "empty")
    if not empty:
        site.say("some requests still wait; to see for what: provisioner queue")
    raise typer.Exit(Exit.OK if empty else Exit.AWAY)


def _serve_alone(system: System, *, drain: bool, patience: float) -> bool:
    """Serve all, as the only process; with `drain`, return True if nothing is left."""
    from provisioner.cli.progress import following
    from provisioner.hosts.handing import handing
    from provisioner.journal import stored
    from provisioner.outcome import offer
    from provisioner.recovery import startup
    from provisioner.service import Service
    from provisioner.spool.layout import STAGING
    from provisioner.spool.spool import Spool
    from provisioner.system.sd_notify import Notifier

    config = system.config
    with closing(Spool.open(config.spool)) as spool, ExitStack() as locks:
        spool.lock()
        startup.check_there(config.spool, config.journal)
        locks.enter_context(stored.of(config.journal).reserved())
        startup.make_ready(config.spool, config.journal, config.backup_directory)
        offer.publish(config.spool / STAGING, config.resources)
        handing.settle(system.journal, spool)
        service = Service(system, spool)
        locks.enter_context(signals.stopping(service.stop))
        if not drain:
            gc.freeze()  # all threads wait while the collector looks, and this stays anyway
            service.run(Notifier())
            return True
        with following(config.journal):
            return service.drain(patience)


class _AboveTheBar(logging.Handler):
    """Writes each line to what is standard error then: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def _begin_log(form: str, level: int) -> None:
    """Begin the log. form: plain, json or journald."""
    from provisioner.monitoring import logs

    handler: logging.Handler = _AboveTheBar()
    # systemd adds the time itself.
    by_hand = form == "plain" and sys.stderr.isatty()
    line = logging.Formatter(f"{'%(asctime)s ' * by_hand}%(levelname)s %(message)s")
    if form == "json":
        line = logs.JsonLines()
    elif form == "journald":
        try:
            handler, line = logs.ToJournald(), logging.Formatter("%(message)s")
        except OSError as error:
            advice = "use --log json, or run it under systemd"
            raise ConfigError(f"{logs.JOURNAL}: {error.strerror}", advice=advice) from None
    elif form != "plain":
        raise typer.BadParameter(f"--log {form}: expected plain, json or journald")
    handler.setFormatter(line)
    logging.basicConfig(level=level, handlers=[handler])
    for library in ("watchdog", "procrastinate"):
        logging.getLogger(library).setLevel(logging.WARNING)


def sandbox(directory: Path = typer.Argument(..., metavar="DIR", help="a new directory")) -> None:
    """Make a complete site in a new directory, with emulated backends, without root."""
    from importlib.metadata import entry_points

    for point in entry_points(group="provisioner.sandbox"):
        site.say(point.load()(directory))
        return
    raise ConfigError("no sandbox is installed", advice="install the package with its handlers")


def doctor(as_json: bool = typer.Option(False, "--json", help="print JSON")) -> None:
    """Check every backend, directory, permission and secret."""
    from provisioner.cli import doctor as checks

    checks.run(as_json=as_json)
