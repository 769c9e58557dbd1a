"""Verbs that make and run a site: init, run, sandbox, doctor."""

from __future__ import annotations

import logging
import signal
from importlib.metadata import entry_points
from pathlib import Path

import typer

from provisioner.cli import site
from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError, Fault, Finding, Level


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(init)
    app.command()(run)
    app.command()(sandbox)
    app.command()(doctor)


def init() -> None:
    """Make the spool and the journal, with their owners and modes."""
    from provisioner.journal import Journal
    from provisioner.spool import Spool

    settings = site.config()
    Spool.create(settings.spool, settings.staging_group).close()
    settings.journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    Journal.open(settings.journal).close()
    print(f"spool   {settings.spool}\njournal {settings.journal}")


def run(
    drain: bool = typer.Option(False, "--drain", help="serve what is there, then end"),
    patience: float = typer.Option(
        60.0, help="with --drain: seconds without progress after which the rest is left"
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="say more"),
) -> None:
    """Serve requests until stopped; with --drain, until nothing is left to do."""
    from provisioner.service import Service

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    logging.getLogger("watchdog").setLevel(logging.WARNING)
    system = site.system()
    spool = site.spool(system.config)
    spool.lock()
    service = Service(system, spool)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    if not drain:
        service.run()
        return
    empty = service.drain(patience)
    counts = service.counts()
    print("  ".join(f"{state}: {number}" for state, number in sorted(counts.items())) or "nothing")
    if not empty:
        print("some requests still wait: `provisioner queue` says for what")
    raise typer.Exit(Exit.OK if empty else Exit.AWAY)


def sandbox(directory: Path = typer.Argument(..., help="a new directory")) -> None:
    """Make a whole site below a directory, with emulated backends, without root."""
    for point in entry_points(group="provisioner.sandbox"):
        print(point.load()(directory))
        return
    raise ConfigError("no sandbox is installed", advice="install the package with its handlers")


def doctor(as_json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """Check every backend, directory, permission and secret."""
    findings = _findings()
    if as_json:
        site.print_json([vars_of(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.level.value:8}{finding.subject}: {finding.message}")
            if finding.advice and finding.level is not Level.OK:
                print(f"        what to do: {finding.advice}")
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(Exit.FAILED)


def vars_of(finding: Finding) -> dict[str, str]:
    """Make a finding plain data."""
    return {
        "level": finding.level.value,
        "subject": finding.subject,
        "message": finding.message,
        "advice": finding.advice,
    }


def _findings() -> list[Finding]:
    from provisioner.journal import Journal
    from provisioner.wiring import build

    settings = site.config()
    found = []
    try:
        site.spool(settings).close()
        found.append(Finding(Level.OK, "spool", str(settings.spool)))
    except Fault as fault:
        found.append(Finding(Level.ERROR, "spool", fault.message, fault.advice))
    try:
        Journal.open(settings.journal).close()
        found.append(Finding(Level.OK, "journal", str(settings.journal)))
    except Fault as fault:
        found.append(Finding(Level.ERROR, "journal", fault.message, fault.advice))
    for name, path in settings.secrets.items():
        found.append(_secret(name, path))
    for name, handler in build(settings).handlers.items():
        for one in handler.check():
            subject = one.subject if one.subject.startswith(name) else f"{name}: {one.subject}"
            found.append(Finding(one.level, subject, one.message, one.advice))
    return found


def _secret(name: str, path: Path) -> Finding:
    subject = f"secret {name}"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        advice = f"put the secret into {path}, mode 0600"
        return Finding(Level.ERROR, subject, f"{path}: {error.strerror}", advice)
    if mode & 0o077:
        return Finding(Level.ERROR, subject, f"{path} is open to others", f"chmod 600 {path}")
    return Finding(Level.OK, subject, str(path))
