"""`provisioner doctor`: checks every backend, directory, permission and secret.

Promises: every problem comes with advice, and no problem hides another. Leaves out: fixing
anything.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import typer

from provisioner.agent.client import Agent
from provisioner.cli import doctor_copies, doctor_hosts, doctor_mail, served, site
from provisioner.cli.doctor_hosts import Part
from provisioner.cli.exits import Exit
from provisioner.cli.trouble import full, releasing
from provisioner.cli.words import one_line
from provisioner.config.schema import Config
from provisioner.contract import ConfigError, Fault, Finding, Handler, Level, Unavailable
from provisioner.contract.abilities import Allots
from provisioner.journal import facts, stored
from provisioner.journal.figures import figures, idle
from provisioner.journal.hosts import spools
from provisioner.journal.records.object_rows import lane_rows
from provisioner.outcome.results import moment
from provisioner.recovery import clock, level
from provisioner.spool.layout import CLOSED, OPEN, RECEIPTS, STAGING
from provisioner.spool.scan import check_staging, covered, never_taken, passed_over
from provisioner.spool.spool import Spool
from provisioner.spool.submission import RESULT
from provisioner.system.ownership import check_chain, check_directory
from provisioner.system.users import user_name
from provisioner.wiring import build

_WEEK = 7 * 86400.0
"""Seconds for which doctor reports a jump of the clock."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}
_AWAY = "is it up, and can this host reach it? Requests that wait for it continue when it is back"


def run(*, as_json: bool) -> None:
    """Print all findings; exit with an error's code if there is one."""
    code = Exit.FAILED
    try:
        results = list(findings(site.config()))
    except ConfigError as error:
        results = [Finding(Level.ERROR, "configuration", error.message, error.advice)]
        code = Exit.CONFIG
    if as_json:
        site.print_json([_plain(finding) for finding in results])
    else:
        _show(results)
    if any(finding.level is Level.ERROR for finding in results):
        raise typer.Exit(code)


def findings(config: Config) -> Iterator[Finding]:
    """Yield the findings for everything that a configuration names."""
    together = doctor_hosts.read(config)
    part = doctor_hosts.part(config, together)
    used = doctor_hosts.used(config, part)
    yield _configuration(site.path())
    if part.intake:
        yield from _spool(config)
    yield from _journal(config, part)
    yield from doctor_hosts.findings(together, part)
    yield from doctor_hosts.unanswered(config, together)
    for name, path in config.secrets.items():
        if used is None or name in used:
            yield _secret(name, path)
    for word, address in config.agent_addresses.items():
        if used is None or word in used:
            yield _agent(word, address)
    if part.intake:
        yield from doctor_mail.findings(config)
    yield from _handlers(config, part)


def _configuration(path: Path) -> Finding:
    if path.stat().st_mode & _OTHERS_WRITE:
        advice = f"chmod go-w {shlex.quote(str(path))}"
        return Finding(Level.ERROR, "configuration", f"{path} is writable by others", advice)
    return Finding(Level.OK, "configuration", str(path))


def _spool(config: Config) -> Iterator[Finding]:
    root = config.spool
    try:
        owner = root.stat().st_uid
    except OSError as error:
        yield Finding(Level.ERROR, "spool", f"{root}: {error.strerror}", "provisioner init")
        return
    if owner != os.geteuid():
        # The other checks would be about this user, who does not run the service.
        yield Finding(
            Level.ERROR,
            "spool",
            f"{root} belongs to {user_name(owner)}, you are {user_name(os.geteuid())}",
            f"sudo -u {user_name(owner)} provisioner doctor: it checks what that user may do",
        )
        return
    wrong = list(_directories(root))
    yield from wrong
    if wrong:
        return
    try:
        Spool.open(root).close()
    except Fault as fault:
        yield Finding(Level.ERROR, "spool", fault.message, fault.advice)
        return
    yield Finding(Level.OK, "spool", str(root))
    yield _serving(root)
    if misnamed := passed_over(root):
        first = shlex.quote(misnamed[0])
        advice = f"look at {first}: if it is a request, mv it to such a name, else remove it"
        yield Finding(Level.WARNING, STAGING, never_taken(misnamed), advice)
    if mounts := covered(root):
        first = f"the first: {mounts[0]}" if len(mounts) > 1 else mounts[0]
        what = f"something is mounted on {_many(len(mounts), 'name')} in staging: {first}"
        advice = f"umount {shlex.quote(str(root / STAGING / mounts[0]))}"
        yield Finding(Level.WARNING, STAGING, what, advice)
    there = {path.name for path in (root / "quarantine").iterdir()}
    aside = sorted(there - {name + RESULT for name in there})
    if aside:
        yield Finding(
            Level.WARNING,
            "quarantine",
            f"{_many(len(aside), 'file')} that no honest writer makes, the first: {aside[0]}",
            "read the result beside each, then remove both",
        )


def _directories(root: Path) -> Iterator[Finding]:
    """Check each directory by itself, because `Spool.open` stops at the first fault."""
    try:
        check_chain(root)
    except Fault as fault:
        yield Finding(Level.ERROR, "spool", fault.message, fault.advice)
    try:
        check_staging(root)
    except Fault as fault:
        message = f"the service takes no requests from it: {fault.message}"
        yield Finding(Level.ERROR, STAGING, message, fault.advice)
    for place in ("", RECEIPTS, *OPEN, *CLOSED):
        path = root / place
        try:
            check_directory(path, path.lstat(), door=False)
        except OSError as error:
            yield Finding(Level.ERROR, "spool", f"{path}: {error.strerror}", "provisioner init")
        except Fault as fault:
            yield Finding(Level.ERROR, "spool", fault.message, fault.advice)


def _serving(root: Path) -> Finding:
    pid = site.served_by(root)
    if pid is None:
        message = "no service on this host serves the spool"
        advice = "systemctl start provisioner, or `provisioner run`"
        return Finding(Level.WARNING, "service", message, advice)
    return Finding(Level.OK, "service", f"process {pid} serves the spool")


def _journal(config: Config, part: Part) -> Iterator[Finding]:
    try:
        book = site.journal(config)
    except Fault as fault:
        yield Finding(Level.ERROR, "journal", fault.message, fault.advice)
        return
    with book.reading() as conn:
        lanes = lane_rows(conn)
        observing, awaited = facts.get(conn, facts.OBSERVING), sorted(spools.awaited(conn))
        identity = facts.get(conn, facts.JOURNAL) or ""
        jump, doubted = clock.last_jump(conn), clock.doubted(conn, clock.look())
        stuck = list(doctor_mail.stuck(conn, time.time()))
        refused = figures.failing(conn)
        changed = list(served.finding(config, conn))
        last = idle.last(conn) if config.idle.after is not None else None
    book.close()
    yield from changed
    if last is not None and last.problems:
        yield Finding(Level.WARNING, "idle", idle.doubt(last.problems), "provisioner idle")
    yield from stuck
    yield from refusing(refused)
    yield from stored.of(config.journal).findings()
    if observing is not None:
        message = f"the service only observes, and writes to no backend: {observing}"
        yield Finding(Level.WARNING, "journal", message, releasing(observing))
    for host in awaited:
        message = f"the intake on {host} has not begun since the journal was rebuilt"
        advice = f"provisioner journal rebuild on {host}, which names what only its spool has"
        yield Finding(Level.WARNING, "journal", message, f"{advice}; then start it")
    message = full(config)
    if message:
        advice = "free space on it: until then the service takes no requests from staging"
        yield Finding(Level.ERROR, "journal", message, advice)
    if jump is not None and 0 <= time.time() - jump.at < _WEEK:
        message = f"{jump}, to {moment(jump.at)}; waits were corrected"
        yield Finding(
            Level.WARNING, "clock", message, "chronyc tracking, or timedatectl: who set it?"
        )
    if doubted is not None:
        yield Finding(Level.WARNING, "clock", str(doubted), clock.ADVICE)
    if part.intake:  # who keeps house makes the copies
        yield from doctor_copies.findings(config, identity)
    yield from _level(config)
    for name, row in sorted(lanes.items()):
        if row["paused_by"]:
            advice = f"provisioner unpause {name}"
            message = f"paused by {row['paused_by']}"
            yield Finding(Level.WARNING, f"lane {name}", message, advice)
        if (row["breaker_until"] or 0) > time.time():
            message = f"its backend is away: {row['breaker_reason']}"
            yield Finding(
                Level.WARNING, f"lane {name}", message, "it continues when the backend is back"
            )


def refusing(failing: Mapping[str, figures.Failing]) -> Iterator[Finding]:
    """Report backends that answer, and refuse what they are asked for."""
    for name, each in failing.items():
        message = (
            f"its backend refused {_many(each.number, 'object')} when last asked, and has "
            f"{each.right or 'none'} as wanted: {each.error}"
        )
        level = Level.WARNING if each.right else Level.ERROR
        yield Finding(level, name, message, f"provisioner failed --handler {name}")


def _level(config: Config) -> Iterator[Finding]:
    """Compare the journal with its redo log, if no service writes to them meanwhile."""
    if site.served_by(config.spool) is not None:
        return
    try:
        level.check(config.journal, config.backup_directory)
    except Fault as fault:
        yield Finding(Level.ERROR, "journal", fault.message, fault.advice)


def _secret(name: str, path: Path) -> Finding:
    subject, quoted = f"secret {name}", shlex.quote(str(path))
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and Path(credentials, name).exists():
        return Finding(Level.OK, subject, "a credential of the service manager")
    try:
        status = path.stat()
    except OSError as error:
        advice = f"install -m 0600 /dev/null {quoted}, then write the secret into it, in one line"
        return Finding(Level.ERROR, subject, f"{path}: {error.strerror}", advice)
    if status.st_mode & _OTHERS:
        return Finding(Level.ERROR, subject, f"{path} is open to others", f"chmod 600 {quoted}")
    if not status.st_size:
        return Finding(Level.ERROR, subject, f"{path} is empty", "write the secret into it")
    return Finding(Level.OK, subject, str(path))


def _agent(word: str, address: str) -> Finding:
    agent = Agent(address)
    try:
        greeting = agent.hello()
    except Fault as fault:
        return Finding(Level.ERROR, word, fault.message, fault.advice)
    finally:
        agent.close()
    known = ", ".join([*greeting.roots, *greeting.tools]) or "nothing: see its configuration"
    return Finding(Level.OK, word, f"{address}, as uid {greeting.uid}, for {known}")


def _handlers(config: Config, part: Part) -> Iterator[Finding]:
    """Build each handler by itself, check those that this host serves, then build all."""
    for name, instance in config.handlers.items():
        alone = {"handlers": {name: instance}, "resources": {}, "routes": {}}
        try:
            handler = build(config.model_copy(update=alone)).handlers[name]
        except Fault as fault:
            message = fault.message.removeprefix(f"handlers.{name}: ")
            advice = fault.advice or f"fix `handlers.{name}` in the configuration"
            yield Finding(Level.ERROR, name, message, advice)
            continue
        if part.has(handler.lane):
            yield from _checked(name, handler)
    try:
        whole = build(config)
    except Fault as fault:
        if not fault.message.startswith("handlers."):  # those are reported already
            yield Finding(Level.ERROR, "configuration", fault.message, fault.advice)
    else:
        yield from _given_twice(whole.handlers)


def _given_twice(handlers: Mapping[str, Handler]) -> Iterator[Finding]:
    """Report handlers of two directories that give out the same numbers, each knowing its own."""
    allotting = [
        (name, handler) for name, handler in handlers.items() if isinstance(handler, Allots)
    ]
    for (name, one), (other, two) in combinations(allotting, 2):
        if one.lane == two.lane:
            continue
        mine, theirs = one.allotted(), two.allotted()
        for kind in sorted(mine.keys() & theirs.keys()):
            first = max(mine[kind].start, theirs[kind].start)
            last = min(mine[kind].stop, theirs[kind].stop) - 1
            if first <= last:
                yield Finding(
                    Level.WARNING,
                    name,
                    f"{name} and {other}, of two directories, both give out {kind}s from {first} "
                    f"to {last}: two users, or a user and a project's group, would get one number",
                    f"set `ids: {{from: ..., to: ...}}` of {name} or {other} so that they have "
                    "none in common, before more numbers are given",
                )


def _checked(name: str, handler: Handler) -> Iterator[Finding]:
    try:
        results = list(handler.check())
    except Exception as error:  # a third party's handler may break its promise; check the others
        yield Finding(
            Level.ERROR, name, f"its check failed: {error!r}", "report this to its authors"
        )
        return
    for finding in results:
        own = finding.subject == name or finding.subject.startswith(f"{name}:")
        subject = finding.subject if own else f"{name}: {finding.subject}"
        # The general advice for a backend that is away is to run doctor.
        advice = _AWAY if finding.advice == Unavailable.advice else finding.advice
        yield Finding(finding.level, subject, finding.message, advice)


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "subject": finding.subject,
        "message": finding.message,
        "advice": finding.advice,
    }


def _show(results: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    for finding in results:
        level = (f"{finding.level.value:8}", _COLOURS[finding.level])
        # Each mistake of a configuration has a line; what others report is one.
        wrong = finding.subject == "configuration"
        message = finding.message if wrong else one_line(finding.message)
        text = site.printable(f"{finding.subject}: {message}").replace("\n", "\n        ")
        console.print(Text.assemble(level, text))
        if finding.advice and finding.level is not Level.OK:
            console.print(Text(site.printable(f"        what to do: {one_line(finding.advice)}")))
    counts = Counter(finding.level for finding in results)
    errors, warnings = _many(counts[Level.ERROR], "error"), _many(counts[Level.WARNING], "warning")
    console.print(Text(f"{errors}, {warnings}, {counts[Level.OK]} ok"))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
