"""`provisioner doctor`: every backend, directory, permission and secret, and how to mend it.

Promises: one thing that is wrong hides no other. Leaves out: mending.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import typer

from provisioner.cli import site
from provisioner.cli.exits import Exit
from provisioner.config import Config
from provisioner.contract import Fault, Finding, Level
from provisioner.journal import Journal, lane_rows
from provisioner.wiring import build

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def run(*, as_json: bool) -> None:
    """Print all findings; ends with an error's exit code where one is an error."""
    found = list(findings(site.config()))
    if as_json:
        site.print_json([_plain(finding) for finding in found])
    else:
        _show(found)
    if any(finding.level is Level.ERROR for finding in found):
        raise typer.Exit(Exit.FAILED)


def findings(config: Config) -> Iterator[Finding]:
    """Check everything that a configuration names."""
    yield _configuration(site.path())
    yield from _spool(config)
    yield from _journal(config)
    for name, path in config.secrets.items():
        yield _secret(name, path)
    yield from _handlers(config)


def _configuration(path: Path) -> Finding:
    if path.stat().st_mode & _OTHERS_WRITE:
        advice = f"chmod go-w {path}"
        return Finding(Level.ERROR, "configuration", f"{path} is writable by others", advice)
    return Finding(Level.OK, "configuration", str(path))


def _spool(config: Config) -> Iterator[Finding]:
    try:
        site.spool(config).close()
    except Fault as fault:
        yield Finding(Level.ERROR, "spool", fault.message, fault.advice)
        return
    yield Finding(Level.OK, "spool", str(config.spool))
    aside = sorted((config.spool / "quarantine").iterdir())
    if aside:
        yield Finding(
            Level.WARNING,
            "quarantine",
            f"{len(aside)} files that nobody may have put there, the first: {aside[0].name}",
            "read the result beside each, then remove both",
        )


def _journal(config: Config) -> Iterator[Finding]:
    try:
        if config.journal.exists() and config.journal.stat().st_mode & stat.S_IWOTH:
            advice = f"chmod 600 {config.journal}"
            yield Finding(Level.ERROR, "journal", f"{config.journal} is open to others", advice)
        book = Journal.open(config.journal)
    except Fault as fault:
        yield Finding(Level.ERROR, "journal", fault.message, fault.advice)
        return
    with book.reading() as conn:
        lanes = lane_rows(conn)
    book.close()
    yield Finding(Level.OK, "journal", str(config.journal))
    for name, row in sorted(lanes.items()):
        if row["paused_by"]:
            advice = f"provisioner unpause {name}"
            said = f"paused by {row['paused_by']}"
            yield Finding(Level.WARNING, f"lane {name}", said, advice)
        if (row["breaker_until"] or 0) > time.time():
            said = f"its backend is away: {row['breaker_reason']}"
            yield Finding(
                Level.WARNING, f"lane {name}", said, "it goes on when the backend is back"
            )


def _secret(name: str, path: Path) -> Finding:
    subject = f"secret {name}"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        advice = f"put the secret into {path}, mode 0600"
        return Finding(Level.ERROR, subject, f"{path}: {error.strerror}", advice)
    if mode & _OTHERS:
        return Finding(Level.ERROR, subject, f"{path} is open to others", f"chmod 600 {path}")
    return Finding(Level.OK, subject, str(path))


def _handlers(config: Config) -> Iterator[Finding]:
    try:
        system = build(config)
    except Fault as fault:
        yield Finding(Level.ERROR, "handlers", fault.message, fault.advice)
        return
    for name, handler in system.handlers.items():
        for one in handler.check():
            subject = one.subject if one.subject.startswith(name) else f"{name}: {one.subject}"
            yield Finding(one.level, subject, one.message, one.advice)


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "subject": finding.subject,
        "message": finding.message,
        "advice": finding.advice,
    }


def _show(found: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    for one in found:
        level = (f"{one.level.value:8}", _COLOURS[one.level])
        console.print(Text.assemble(level, f"{one.subject}: {one.message}"))
        if one.advice and one.level is not Level.OK:
            console.print(Text(f"        what to do: {one.advice}"))
    errors = sum(one.level is Level.ERROR for one in found)
    warnings = sum(one.level is Level.WARNING for one in found)
    console.print(Text(f"{errors} errors, {warnings} warnings, {len(found)} findings"))
