"""What has to be so before a journal is served: it is there, whole, and this spool's own.

Whether it is only observed is settled here, too.

Promises: a service never goes on with an empty journal in place of one that was lost, nor with
another spool's, nor with a damaged one or one that is older than its spool; what is refused is told
with the command that mends it. The spool names its journal in the file `journal`. Leaves out:
mending (`rebuild`).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal import audit, facts, migrations
from provisioner.journal.database import REBUILD
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from provisioner.recovery import level
from provisioner.spool.spool import Spool
from provisioner.system import disks

log = logging.getLogger(__name__)

NAMED = "journal"
"""The file of a spool that holds its journal's id."""

KEPT = ("deferred", "held", "done", "failed")
"""Where files lie that some journal has known."""


def check_there(spool: Path, path: Path) -> None:
    """Raise ConfigError where a spool was served with a journal, and none is there now."""
    if (spool / NAMED).exists() and not (path.exists() and path.stat().st_size):
        raise ConfigError(
            f"the journal {path} is not there, and {spool} was served with one: it is lost, or "
            "its disk is not mounted",
            advice=f"findmnt -T {path.parent}; if it is lost, {REBUILD}",
        )


def make_ready(spool: Path, path: Path, copies: Path) -> None:
    """Check and migrate the journal, for the one service that will have it open.

    copies: the directory of its copies and redo log. Raises ConfigError.
    """
    check_there(spool, path)
    if path.exists() and path.stat().st_size:
        level.hold(path, copies)
        try:
            kept = migrations.migrate(path)
        except sqlite3.Error:
            kept = None  # `open` says what is wrong
        except ConfigError as error:
            raise ConfigError(f"the journal {path}: {error.message}", advice=error.advice) from None
        if kept is not None:
            log.info("the journal has a new version; as it was it is kept in %s", kept)
    close(path)
    book = Journal.open(path)
    try:
        book.check()
    finally:
        book.close()


def close(path: Path) -> None:
    """Close the journal and what lies beside it to others: it holds all requests."""
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and file.stat().st_mode & 0o077:
            file.chmod(0o600)
            log.warning("%s was open to others; now it is the service's alone", file)


def bind(spool: Spool, book: Journal) -> None:
    """Check that a journal belongs to the spool; name it there if the spool has none yet.

    Raises ConfigError where the spool has another one.
    """
    named, identity = spool.root / NAMED, book.identity
    try:
        known = named.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        with book.reading() as conn:
            empty = not request_rows.counts(conn)
        if empty and any(spool.listed(place) for place in KEPT):
            raise ConfigError(
                f"the journal {book.path} is new, and {spool.root} holds requests of another",
                advice=f"put that one back; if it is lost, {REBUILD}",
            ) from None
        name(spool.root, identity)
        return
    if known != identity:
        raise ConfigError(
            f"the journal {book.path} is not the one that {spool.root} was served with",
            advice=f"put that one back; if it is lost, {REBUILD}",
        )
    check_newest(spool, book)


def check_newest(spool: Spool, book: Journal) -> None:
    """Raise ConfigError if the spool keeps requests that came after the journal's last one.

    So it is if journal, copies and redo log are all older than the spool.
    """
    with book.reading() as conn:
        last = max(request_rows.last_id(conn), facts.get(conn, facts.NEWEST) or "")
    later = sorted((ulid, place) for place in KEPT for ulid in spool.listed(place) if ulid > last)
    if later:
        ulid, place = later[0]
        raise ConfigError(
            f"the journal {book.path} is older than {spool.root}: {len(later)} requests lie there "
            f"that came after its last one, the first: {place}/{ulid}",
            advice=f"put the newer journal back; if it is lost, {REBUILD}",
        )


def begin(book: Journal, mode: str) -> bool:
    """Return True if a journal is only observed, as its mark and the configured mode have it.

    `observe` sets the mark. `converge` takes none away: that is a person's who has seen the drift.
    """
    with book.reading() as conn:
        why = facts.get(conn, facts.OBSERVING)
    if (mode == "observe") == (why == facts.CONFIGURED):
        return why is not None
    now = time.time()
    with book.transaction() as conn:
        if mode == "observe":
            facts.put(conn, facts.OBSERVING, facts.CONFIGURED)
            audit.append(conn, [audit.Event(None, "observing", facts.CONFIGURED)], now)
        else:
            since = "it was observed so far, and nobody has released it"
            facts.put(conn, facts.OBSERVING, since)
    return True


def name(spool: Path, identity: str) -> None:
    """Say durably which journal a spool has."""
    made = spool / f".{NAMED}"
    with disks.named(made):
        made.write_text(f"{identity}\n", encoding="ascii")
        made.chmod(0o600)
        migrations.flush(made)
    made.replace(spool / NAMED)
    migrations.flush(spool)
