"""The verbs of monitoring: `health`, one line and an exit code for Nagios and Icinga; `metrics`.

Promises: `health` ends within its time limit, whatever hangs; what cannot be found out is 3
(unknown). Leaves out: asking backends, which `doctor` does.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from provisioner.cli import site
from provisioner.cli.trouble import full, misnamed

if TYPE_CHECKING:
    from provisioner.monitoring.health import Report

_UNKNOWN = 3
_HOUR = 3600.0


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(health)
    app.command()(metrics)


def metrics() -> None:
    """Print what every process of this journal says to Prometheus, whichever host you are on."""
    from provisioner.cli import hosts
    from provisioner.monitoring import exporter

    settings = site.config()
    site.journal(settings).close()
    print(exporter.text(settings, hosts.lanes()), end="")


def health(
    timeout: int = typer.Option(10, min=1, help="seconds after which the state is unknown"),
    age: str = typer.Option("24:72", metavar="W:C", help="hours that a request may be open"),
    failed: str = typer.Option("10:100", metavar="W:C", help="failed requests that need a person"),
    due: str = typer.Option("1000:10000", metavar="W:C", help="objects that are due now"),
    backup: str = typer.Option("3:24", metavar="W:C", help="hours since the newest copy"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Say in one line whether the service is well: exit code 0, 1, 2 or 3, as Nagios reads it."""
    ages = [_pair("--age", age, _HOUR), _pair("--backup", backup, _HOUR)]
    counts = [_pair("--failed", failed), _pair("--due", due)]
    try:
        with _limited(timeout):
            report = _report(ages, counts)
    except Exception as error:
        text = str(getattr(error, "message", "") or error) or type(error).__name__
        site.say(f"PROVISIONER UNKNOWN - {' '.join(text.replace('|', ' ').split())}")
        raise typer.Exit(_UNKNOWN) from None
    if as_json:
        site.print_json(
            {
                "status": report.status.name.lower(),
                "summary": report.summary,
                "findings": [
                    {"status": f.status.name.lower(), "text": f.text} for f in report.findings
                ],
            }
        )
    else:
        site.say(report.line())
    raise typer.Exit(int(report.status))


def _report(ages: list[tuple[float, float]], counts: list[tuple[float, float]]) -> Report:
    from provisioner.cli import hosts
    from provisioner.journal import facts
    from provisioner.journal.figures import figures, idle
    from provisioner.monitoring import health as judging
    from provisioner.recovery import backup as copying

    settings = site.config()
    now = time.time()
    book = site.journal(settings)
    try:
        with book.reading() as conn:
            read = figures.read(conn, now)
            observing = facts.get(conn, facts.OBSERVING) or ""
            identity = facts.get(conn, facts.JOURNAL) or ""
        found = hosts.read(book, settings)
    finally:
        book.close()
    newest = copying.newest_at(settings.backup_directory, identity)
    seen = judging.Seen(
        figures=read,
        served=bool(found.hosts) or site.served_by(settings.spool) is not None,
        backup=None if newest is None else now - newest,
        full=full(settings),
        observing=observing,
        misnamed=misnamed(settings.spool),
        idle=idle.doubt(read.idle.problems if settings.idle.after and read.idle else ()),
        together=found,
        lanes=hosts.lanes() if found.hosts else (),
    )
    failed, due = ((int(warning), int(critical)) for warning, critical in counts)
    return judging.report(seen, judging.Limits(ages[0], failed, due, ages[1]), now)


def _pair(option: str, text: str, unit: float = 1.0) -> tuple[float, float]:
    """Return both limits of WARNING:CRITICAL."""
    warning, _, critical = text.partition(":")
    try:
        low, high = float(warning) * unit, float(critical) * unit
    except ValueError:
        raise typer.BadParameter(f"{option} {text}: expected WARNING:CRITICAL") from None
    if low > high:
        raise typer.BadParameter(f"{option} {text}: the warning comes after the critical value")
    return low, high


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End the program with 3 if the block takes longer, also inside a system call that hangs."""

    def over() -> None:
        print(f"PROVISIONER UNKNOWN - not done after {seconds:g} s", flush=True)
        os._exit(_UNKNOWN)

    timer = threading.Timer(seconds, over)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
