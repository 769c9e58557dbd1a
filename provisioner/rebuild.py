"""A new journal from the newest whole copy and the redo log.

Promises: the journal that was there is kept beside; the new one takes its place in one rename, when
it is whole and flushed; it is observed only, so that no backend is written to, until an operator
has released it. Done again after a crash it comes to the same. Leaves out: what is in the spool
and not in the log, which is told.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update

from provisioner import agenda, audit, backup, marks, migrations, records, redolog, start
from provisioner.config import Config
from provisioner.contract import ConfigError
from provisioner.journal import Journal
from provisioner.redolog import RedoLog
from provisioner.spool import Spool
from provisioner.tables import lanes, requests

_PORTION = 1000
"""Transactions of the log that are done again in one."""

_ENDED = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to.

    base: the copy, None: an empty journal; damaged: copies that were of no use, and why;
    redone: transactions of the log; until: when the last one was, seconds since the epoch; lost:
    transactions that are in the log behind a gap; counts: requests by state; unknown: files of
    requests that ended, of which the new journal knows nothing; aside: the journal that was there.
    """

    base: Path | None
    damaged: tuple[str, ...]
    redone: int
    until: float | None
    lost: int
    counts: dict[str, int]
    unknown: tuple[Path, ...]
    aside: Path | None


def rebuild(config: Config, spool: Spool, *, copy: Path | None, empty: bool) -> Rebuilt:
    """Rebuild the journal of a spool that this process has locked.

    copy: instead of the newest whole one; empty: begin with nothing. Raises ConfigError where the
    journal is whole, or nothing is there to make one of.
    """
    journal, directory = config.journal, config.backup_directory
    identity = _identity(spool.root)
    _refuse_whole(journal, identity)
    made = journal.with_name(f"{journal.name}.rebuilding")
    _remove(made)
    damaged: list[str] = []
    base = None if empty else _base(directory, identity, copy, damaged)
    if base is None and not empty and not _from_the_start(directory, identity):
        raise ConfigError(
            f"{directory} has no whole copy of the journal of {spool.root}"
            + "".join(f"\n  {why}" for why in damaged),
            advice="name one: `provisioner journal rebuild --copy FILE`; where there is none, "
            "--empty begins with nothing: every request has then to be sent again",
        )
    redone, until = _redo(made, base, directory, identity, empty=empty)
    book = Journal.open(made)
    try:
        book.check()
        lost = 0 if empty else _behind(directory, book.identity, book.position)
        _mark(book, directory, base)
        with book.reading() as conn:
            counts = records.counts(conn)
            known = set(conn.scalars(select(requests.c.id)))
        start.name(spool.root, book.identity)
    finally:
        book.close()
    unknown = tuple(
        spool.root / place / ulid
        for place in _ENDED
        for ulid in spool.listed(place)
        if ulid not in known
    )
    migrations.flush(made)
    aside = _take_place(made, journal)
    backup.back_up(journal, directory, config.backup.keep)
    return Rebuilt(base, tuple(damaged), redone, until, lost, counts, unknown, aside)


def _identity(spool: Path) -> str | None:
    try:
        return (spool / start.NAMED).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _refuse_whole(journal: Path, identity: str | None) -> None:
    if not journal.exists() or not journal.stat().st_size:
        return
    try:
        with _opened(journal) as book:
            book.check()
            if book.identity != identity:
                return
    except ConfigError:
        return
    raise ConfigError(
        f"the journal {journal} is whole: there is nothing to rebuild",
        advice="provisioner doctor; to go back to a copy all the same, move the journal away first",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Journal]:
    book = Journal.open(path)
    try:
        yield book
    finally:
        book.close()


def _base(
    directory: Path, identity: str | None, copy: Path | None, damaged: list[str]
) -> Path | None:
    """Find the copy to begin with; those that are of no use are told."""
    for path in [copy] if copy else [one.path for one in reversed(backup.copies(directory))]:
        try:
            backup.check(path)
            whose, _ = backup.position_of(path)
        except (ConfigError, sqlite3.Error, KeyError, OSError) as error:
            said = error.message if isinstance(error, ConfigError) else f"{path}: {error}"
            damaged.append(said)
            continue
        if identity in (None, whose):
            return path
        damaged.append(f"{path} is a copy of another journal")
    if copy:
        raise ConfigError(damaged[0], advice="name another copy, or none: the newest is taken")
    return None


def _from_the_start(directory: Path, identity: str | None) -> bool:
    """Say whether the log has everything since there was a journal, in tables as of today."""
    found = redolog.files(directory, identity) if identity else []
    return bool(found) and found[0].after == 0 and found[0].version == migrations.VERSION


def _redo(
    made: Path, base: Path | None, directory: Path, identity: str | None, *, empty: bool
) -> tuple[int, float | None]:
    """Make the database of copy and log; return how many transactions were done again."""
    if base is None:
        with _opened(made) as book, book.transaction() as conn:
            if identity is not None and not empty:
                marks.put(conn, marks.JOURNAL, identity)
    else:
        with closing(sqlite3.connect(f"{base.absolute().as_uri()}?mode=ro", uri=True)) as db:
            migrations.copy(db, made)
    if empty:
        return 0, None
    whose, position = backup.position_of(made)
    redone, until = 0, None
    db = sqlite3.connect(made, isolation_level=None)
    try:
        # Flushed as a whole before it gets its name.
        db.execute("PRAGMA synchronous=OFF")
        version = migrations.version_of(db)
        db.execute("BEGIN")
        for one in redolog.read(directory, whose, position):
            if one.version != version:
                db.execute("COMMIT")
                db.close()
                migrations.migrate(made, migrations.STEPS[: one.version - 1])
                db, version = sqlite3.connect(made, isolation_level=None), one.version
                db.execute("BEGIN")
            for sql, rows in one.did:
                db.executemany(sql, rows)
            redone, until = redone + 1, one.at
            if redone % _PORTION == 0:
                db.execute("COMMIT")
                db.execute("BEGIN")
        db.execute("UPDATE marks SET value = ? WHERE name = 'position'", [str(position + redone)])
        db.execute("COMMIT")
    finally:
        db.close()
    migrations.migrate(made)
    return redone, until


def _behind(directory: Path, identity: str, position: int) -> int:
    """Count the transactions behind a gap in the log, which cannot be done again."""
    return sum(
        sum(1 for one in redolog.read(directory, identity, file.after) if one.number > position)
        for file in redolog.files(directory, identity)[-1:]
        if file.after > position
    )


def _mark(book: Journal, directory: Path, base: Path | None) -> None:
    """Have the new journal observed, and every object looked at; the log has it, too."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    book.record_into(RedoLog(directory, book.identity, migrations.VERSION))
    now = time.time()
    said = f"from {base.name if base else 'nothing'}"
    with book.transaction() as conn:
        marks.put(conn, marks.OBSERVING, f"the journal was rebuilt {said}")
        agenda.hasten(conn, agenda.all_keys(conn), now)
        conn.execute(update(lanes).values(breaker_until=None, breaker_reason=None))
        audit.append(conn, [audit.Event(None, "rebuilt", said)], now)


def _take_place(made: Path, journal: Path) -> Path | None:
    """Put the new journal where the service looks for it; return where the old one is now."""
    aside = None
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    # The old one's write-ahead log must not be taken for the new one's.
    for ending in ("-wal", "-shm", ""):
        old = journal.with_name(journal.name + ending)
        if old.exists():
            aside = journal.with_name(f"{journal.name}.damaged-{moment}{ending}")
            old.rename(aside)
    made.rename(journal)
    migrations.flush(journal.parent)
    return aside


def _remove(made: Path) -> None:
    """Remove what a rebuild left that was interrupted."""
    for path in made.parent.glob(f"{made.name}*"):
        path.unlink()
