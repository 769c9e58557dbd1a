"""The checks before a journal is served: it exists, is intact, and belongs to this spool.

Whether it is only observed is decided here, too, and what is served is recorded.

Promises: a service never continues with an empty journal in place of a lost one, with another
spool's, with a damaged one, or with one that is older than its spool. Each refusal names the
command that fixes it. The spool names its journal in the file `journal`. Leaves out: repairs
(`rebuild`), and what a spool has that a rebuilt journal lacks (`seen`).
"""

from __future__ import annotations

import logging
import os
import time
from importlib.metadata import version
from pathlib import Path

from provisioner.config.schema import Config
from provisioner.config.served import Served, values
from provisioner.contract import ConfigError, Level
from provisioner.journal import audit, facts, stored
from provisioner.journal.database import REBUILD, Place
from provisioner.journal.hosts import spools
from provisioner.journal.journal import Connection, Journal, JournalFull
from provisioner.journal.records import request_rows
from provisioner.recovery import level, seen
from provisioner.spool.spool import Spool
from provisioner.system import disks

log = logging.getLogger(__name__)

NAMED = "journal"
"""The file of a spool that contains its journal's id."""


def check_there(spool: Path, place: Place) -> None:
    """Raise ConfigError if a spool was served with a journal that no longer exists."""
    if (spool / NAMED).exists() and not stored.of(place).exists():
        _refuse_moved(place, stored.of(place).moved_to())
        where = f"findmnt -T {place.parent}" if isinstance(place, Path) else "is it that database?"
        raise ConfigError(
            f"the journal {place} does not exist, but {spool} was served with one: it is lost, or "
            "its disk is not mounted",
            advice=f"{where}; if it is lost, {REBUILD}",
        )


def make_ready(spool: Path, place: Place, copies: Path) -> None:
    """Check and migrate the journal for the one service that will open it.

    copies: the directory of its copies and redo log. Raises ConfigError.
    """
    check_there(spool, place)
    journal = stored.of(place)
    if journal.exists():
        level.catch_up(place, copies)
        journal.make_ready()
    book = Journal.open(place)
    try:
        refuse_another(book)
        book.check()
    finally:
        book.close()
    tell_unsafe(place)


def tell_unsafe(place: Place) -> None:
    """Log what the place of a journal does not keep, and what to do."""
    for finding in stored.of(place).findings():
        if finding.level is not Level.OK:
            grave = logging.ERROR if finding.level is Level.ERROR else logging.WARNING
            log.log(grave, "%s; what to do: %s", finding.message, finding.advice)


def refuse_another(book: Journal) -> None:
    """Raise ConfigError if a journal is what another one was: it was moved, or restored on a server
    from a copy."""
    with book.reading() as conn:
        _refuse_moved(book.place, facts.get(conn, facts.MOVED))
    there = stored.of(book.place)
    if there.was_restored():
        raise ConfigError(
            f"the journal {book.place} was restored from a copy, and lacks what came after that",
            advice=f"on the host that takes requests: {REBUILD}",
        )
    there.settle()


def _refuse_moved(place: Place, to: str | None) -> None:
    if to is not None:
        raise ConfigError(
            f"the journal {place} was moved to {to}: what is here is as it was before",
            advice=f"set `journal: {to}` in the configuration",
        )


def bind(spool: Spool, book: Journal, service: str) -> None:
    """Check that a journal belongs to the spool; record its id if the spool has none yet.

    service: whose spool it is. Raises ConfigError if the spool has another journal, or the journal
    another service.
    """
    named, identity = spool.root / NAMED, book.identity
    try:
        known = named.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        with book.reading() as conn:
            empty = not request_rows.counts(conn)
            served = facts.get(conn, facts.SERVED)
            hosts = sorted({spool.host for spool in spools.listed(conn)})
        whose = service if served is None else Served.parse(served).values.get("service", service)
        if whose != service:
            where = f", which {' and '.join(hosts)} serves" if hosts else ""
            raise ConfigError(
                f"the journal {book.place} is the one of service {whose}{where}, and this is "
                f"{service} on {os.uname().nodename}",
                advice="each service has a journal of its own: change `journal` in the "
                "configuration; a server can have several, in databases or schemas of their own",
            ) from None
        if empty and seen.kept(spool):
            raise ConfigError(
                f"the journal {book.place} is new, and {spool.root} holds requests of another",
                advice=f"put that one back; if it is lost, {REBUILD}",
            ) from None
        name(spool.root, identity)
        seen.check(spool, book)
        return
    if known != identity:
        raise ConfigError(
            f"the journal {book.place} is not the one that {spool.root} was served with",
            advice=f"put that one back; if it is lost, {REBUILD}",
        )
    seen.check(spool, book)
    check_newest(spool, book)


def check_newest(spool: Spool, book: Journal) -> None:
    """Raise ConfigError if the spool has requests that are newer than the journal's last one.

    This happens if journal, copies and redo log are all older than the spool.
    """
    # First: another process that serves the journal may accept more meanwhile.
    there = seen.kept(spool)
    with book.reading() as conn:
        last = max(request_rows.last_id(conn), facts.get(conn, facts.NEWEST) or "")
    later = sorted((ulid, place) for ulid, place in there if ulid > last)
    if later:
        ulid, place = later[0]
        raise ConfigError(
            f"the journal {book.place} is older than {spool.root}: {len(later)} requests in it "
            f"came after its last one, the first is {place}/{ulid}",
            advice=f"put the newer journal back; if it is lost, {REBUILD}",
        )


def begin(book: Journal, config: Config) -> bool:
    """Record what is served. Return True if the service may only observe.

    That is decided by the journal and the configured mode. `observe` makes the journal say so.
    `converge` does not undo that: only a person who has seen the drift may.
    """
    _record(book, config)
    mode = config.mode
    with book.reading() as conn:
        why = facts.get(conn, facts.OBSERVING)
    if (mode == "observe") == (why == facts.CONFIGURED):
        return why is not None
    with book.transaction() as conn:
        if mode == "observe":
            _observe(conn)
        else:
            since = "it was only observed so far, and nobody has released it"
            facts.put(conn, facts.OBSERVING, since)
    return True


def observes(book: Journal, config: Config) -> bool:
    """Return True if a process may only observe; have the journal say so if its configuration does.

    For each process of several: whoever keeps house may have another configuration, or be away.
    """
    with book.reading() as conn:
        why = facts.get(conn, facts.OBSERVING)
    if why is None and config.mode == "observe":
        with book.transaction() as conn:
            _observe(conn)
        return True
    return why is not None


def introduce(book: Journal, config: Config) -> None:
    """Record what is served if nobody has yet, beside the process that records it."""
    with book.reading() as conn:
        if facts.get(conn, facts.SERVED) is not None:
            return
    _record(book, config)


def _observe(conn: Connection) -> None:
    """Say that the configuration wants it, if that is not said."""
    if facts.get(conn, facts.OBSERVING) != facts.CONFIGURED:
        facts.put(conn, facts.OBSERVING, facts.CONFIGURED)
        audit.append(conn, [audit.Event(None, "observing", facts.CONFIGURED)], time.time())


def _record(book: Journal, config: Config) -> None:
    """Give the journal the configuration, with which operators compare the file later.

    A start with the same one writes nothing.
    """
    served = Served(time.time(), version("hpc-provisioner"), values(config))
    with book.reading() as conn:
        text = facts.get(conn, facts.SERVED)
    if text is not None and Served.parse(text).is_same(served):
        return
    try:
        with book.transaction() as conn:
            facts.put(conn, facts.SERVED, str(served))
    except JournalFull as error:
        log.error("`provisioner config diff` compares with what was served before: %s", error)


def name(spool: Path, identity: str) -> None:
    """Write durably which journal a spool has."""
    made = spool / f".{NAMED}"
    with disks.named(made):
        made.write_text(f"{identity}\n", encoding="ascii")
        made.chmod(0o600)
        disks.flush(made)
    made.replace(spool / NAMED)
    disks.flush(spool)
