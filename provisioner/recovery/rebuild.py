"""Rebuilding the journal from the newest intact copy and the redo log.

Promises: the old journal is kept beside the new one, which takes its place by one rename when it is
complete and flushed. Copies and log files that do not lead to it are set aside, so that the new one
has its own from then on; those of another journal stay. The new one is only observed, so that no
backend is written to, until an operator releases it. If the service ran on an older journal in
between, the log has two branches: the rebuild uses the earlier one, and keeps and reports the
other. After a crash it can be done again with the same result. Leaves out: requests that are in the
spool and not in the log; they are reported.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from provisioner.config.schema import Config
from provisioner.contract import ConfigError
from provisioner.journal import audit, facts
from provisioner.journal.journal import Journal
from provisioner.journal.records import object_rows, request_rows
from provisioner.journal.schema import VERSION
from provisioner.journal.sqlite import cells, copies, migrations
from provisioner.journal.sqlite.copies import Unreadable, position_of
from provisioner.recovery import backup, level, redo_log, startup
from provisioner.recovery.lineage import File, Lineage, trace
from provisioner.recovery.redo_log import RedoLog
from provisioner.spool.spool import Spool
from provisioner.system.disks import flush

_PORTION = 1000
"""How many log transactions are applied per transaction of the new database."""


@dataclass(frozen=True, slots=True)
class _Unused:
    """A copy that a rebuild does not begin with, and why. damaged: nobody can."""

    path: Path
    why: str
    damaged: bool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild.

    base: the copy, None for an empty journal; damaged: copies that could not be used, and why;
    redone: the number of transactions from the log; until: when the last one was, seconds since the
    epoch; lost: the number of transactions in the log after a gap; counts: requests by state;
    unknown: files of requests in the spool that the new journal does not know; aside: the old
    journal; forked: the report about two branches of the log, or ''; left: copies and files of the
    log that do not lead to the new journal, under their new names.
    """

    base: Path | None
    damaged: tuple[str, ...]
    redone: int
    until: float | None
    lost: int
    counts: dict[str, int]
    unknown: tuple[Path, ...]
    aside: Path | None
    forked: str = ""
    left: tuple[Path, ...] = ()


def rebuild(config: Config, spool: Spool, *, copy: Path | None, empty: bool) -> Rebuilt:
    """Rebuild the journal of a spool that this process has locked.

    copy: used instead of the newest intact one; empty: begin with nothing. Raises ConfigError if
    the journal is intact, or there is nothing to make one from.
    """
    journal, directory = config.journal, config.backup_directory
    named = _identity(spool.root)
    _refuse_whole(journal, named, directory, spool)
    made = journal.with_name(f"{journal.name}.rebuilding")
    _remove(made)
    unused: list[_Unused] = []
    identity = named if empty else named or _guessed(directory, copy, spool.root)
    lineage = Lineage(()) if empty else _lineage(directory, identity, copy)
    forked = level.forked(directory, lineage) if lineage.branches else ""
    base = None if empty else _base(directory, identity, copy, lineage, unused)
    if base is None and not empty and not _from_the_start(directory, identity):
        raise ConfigError(
            f"{directory} has no intact copy of the journal of {spool.root}"
            + "".join(f"\n  {why}" for why in _reasons(unused)),
            advice="name one: `provisioner journal rebuild --copy FILE`; if there is none, "
            "--empty begins with nothing, and every request has to be sent again",
        )
    redone, until = _redo(made, base, lineage, identity)
    book = Journal.open(made)
    try:
        book.check()
        position = book.position
        lost = sum(max(0, file.last - max(file.after, position)) for file in lineage.line)
        if empty:
            left = _leave_all(directory, identity)
        else:
            wrong = {one.path for one in unused if one.damaged}
            left = _leave(directory, book.identity, lineage, position, wrong)
        kept = [(ulid, place) for place in startup.KEPT for ulid in spool.listed(place)]
        _prepare(book, directory, base, max(kept, default=("", ""))[0])
        with book.reading() as conn:
            counts = request_rows.counts(conn)
            known = request_rows.all_ids(conn)
        startup.name(spool.root, book.identity)
    finally:
        book.close()
    unknown = tuple(spool.root / place / ulid for ulid, place in kept if ulid not in known)
    flush(made)
    aside = _take_place(made, journal)
    backup.back_up(journal, directory, config.backup.keep)
    why = _reasons(unused)
    return Rebuilt(base, why, redone, until, lost, counts, unknown, aside, forked, left)


def _identity(spool: Path) -> str | None:
    try:
        return (spool / startup.NAMED).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _refuse_whole(journal: Path, identity: str | None, directory: Path, spool: Spool) -> None:
    if not journal.exists() or not journal.stat().st_size:
        return
    try:
        level.check(journal, directory)
        with _opened(journal) as book:
            book.check()
            if book.identity != identity:
                return
            startup.check_newest(spool, book)
    except ConfigError:
        return
    raise ConfigError(
        f"the journal {journal} is intact: there is nothing to rebuild",
        advice="provisioner doctor; to go back to a copy anyway, move the journal away first",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Journal]:
    book = Journal.open(path)
    try:
        yield book
    finally:
        book.close()


def _guessed(directory: Path, copy: Path | None, spool: Path) -> str | None:
    """Return whose journal is rebuilt, if the spool does not say; None if nothing does.

    Raises ConfigError if the directory has copies of several.
    """
    if copy is not None:
        with suppress(Unreadable, KeyError, ValueError):
            return position_of(copy)[0]
        return None
    journals = sorted({made.journal for made in backup.found(directory) if made.journal})
    if len(journals) > 1:
        raise ConfigError(
            f"{directory} has copies of several journals, {', '.join(journals)}, and {spool} does "
            "not say which one is its own",
            advice="name a copy: provisioner journal rebuild --copy FILE",
        )
    return journals[0] if journals else None


def _lineage(directory: Path, identity: str | None, copy: Path | None) -> Lineage:
    """Return the branch of the log to apply: the earlier one, or that of a chosen copy."""
    if identity is None:
        return Lineage(())
    lineage = trace(redo_log.files(directory, identity))
    for branch in lineage.branches:
        if copy is not None and _lies_beyond(copy, lineage) and _is_in(copy, branch):
            return lineage.along(branch)
    return lineage


def _lies_beyond(copy: Path, lineage: Lineage) -> bool:
    """Return True if a copy was made after the place where the log forks."""
    return bool(lineage.branches) and position_of(copy)[1] > lineage.fork


def _is_astray(copy: Path, lineage: Lineage) -> bool:
    """Return True if a copy was made on a branch of the log."""
    return _lies_beyond(copy, lineage) and not _is_in(copy, lineage.line)


def _is_in(copy: Path, files: Iterable[File]) -> bool:
    """Return True if some files of the log contain the newest event of a copy."""
    newest = copies.newest_event(copy)
    return newest is not None and redo_log.contains(files, newest)


def _base(
    directory: Path,
    identity: str | None,
    copy: Path | None,
    lineage: Lineage,
    unused: list[_Unused],
) -> Path | None:
    """Return the copy to begin with; record why others cannot be used."""
    newest_first = backup.found(directory)[::-1]
    own_first = sorted(newest_first, key=lambda made: made.journal != identity)
    for path in [copy] if copy else [made.path for made in own_first]:
        try:
            backup.check(path)
            _check_cells(path)
            whose, _ = position_of(path)
            astray = _is_astray(path, lineage)
        except (ConfigError, Unreadable, KeyError, ValueError, OSError) as error:
            problem = error.message if isinstance(error, ConfigError) else f"{path}: {error}"
            unused.append(_Unused(path, problem, damaged=True))
            continue
        if identity in (None, whose) and not astray:
            return path
        of = "the older journal that was served" if astray else "another journal"
        unused.append(_Unused(path, f"{path} is a copy of {of}", damaged=False))
    if copy:
        raise ConfigError(
            unused[0].why, advice="name another copy, or omit --copy to use the newest intact one"
        )
    return None


def _reasons(unused: Iterable[_Unused]) -> tuple[str, ...]:
    return tuple(one.why for one in unused)


def _check_cells(copy: Path) -> None:
    """Raise ConfigError if a copy of the current version has a cell that nobody wrote."""
    version = migrations.version_at(copy)
    problem = cells.wrong(copy, version) if version == VERSION else ""
    if problem:
        raise ConfigError(f"{copy} is damaged: {problem}")


def _from_the_start(directory: Path, identity: str | None) -> bool:
    """Return True if the log has everything from the beginning, in the current tables."""
    files = redo_log.files(directory, identity) if identity else []
    return bool(files) and files[0].after == 0 and files[0].version == VERSION


def _redo(
    made: Path, base: Path | None, lineage: Lineage, identity: str | None
) -> tuple[int, float | None]:
    """Make the database from copy and log; return the number of transactions from the log."""
    if base is None:
        with _opened(made) as book, book.transaction() as conn:
            if identity is not None and lineage.line:
                facts.put(conn, facts.JOURNAL, identity)
    else:
        copies.copy(base, made)
    redone, until = 0, None
    log = redo_log.along(lineage, position_of(made)[1])
    for version, transactions in groupby(log, lambda transaction: transaction.version):
        migrations.migrate(made, migrations.STEPS[: version - 1])
        with copies.redoing(made, _PORTION) as redo:
            for transaction in transactions:
                try:
                    redo(transaction.number, transaction.did)
                except Unreadable as error:
                    raise ConfigError(
                        f"transaction {transaction.number} of the redo log does not fit the "
                        f"journal made from {base or 'nothing'}: {error}",
                        advice="name another copy: provisioner journal rebuild --copy FILE",
                    ) from error
                redone, until = redone + 1, transaction.at
    migrations.migrate(made)
    return redone, until


def _leave_all(directory: Path, identity: str | None) -> tuple[Path, ...]:
    """Set aside all copies and log files of a journal that is lost; return their new paths.

    identity: None if nothing says which journal that is, so that nothing is its.
    """
    if identity is None:
        return ()
    left = [_aside(copy.path) for copy in backup.found(directory, identity)]
    left += [redo_log.leave(file, file.after) for file in redo_log.files(directory, identity)]
    return tuple(left)


def _leave(
    directory: Path, identity: str, lineage: Lineage, position: int, damaged: Collection[Path]
) -> tuple[Path, ...]:
    """Set aside copies and log files that go past the position, or lie on another branch.

    damaged: copies that go with them, as those do in which a look finds damage. Return the new
    paths.
    """
    left = []
    for copy in backup.found(directory, identity):
        wrong = not copy.whole or copy.path in damaged or copy.position > position
        with suppress(Unreadable):  # where it lies cannot be read any more
            wrong = wrong or _is_astray(copy.path, lineage)
        if wrong:
            left.append(_aside(copy.path))
    left += [redo_log.leave(file, file.after) for branch in lineage.branches for file in branch]
    for file, limit in zip(lineage.line, lineage.limits(), strict=True):
        through = min(limit, position)
        # A file may have one more that was never committed, if a later file begins there.
        if file.last > through + (limit < lineage.last):
            left.append(redo_log.leave(file, through))
    return tuple(left)


def _aside(copy: Path) -> Path:
    return copy.rename(copy.with_name(f"{copy.name}{redo_log.LEFT}"))


def _prepare(book: Journal, directory: Path, base: Path | None, newest: str) -> None:
    """Put the new journal in observe-only mode, and make every object due.

    Record that in the redo log as well.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    book.record_into(RedoLog(directory, book.identity, VERSION))
    now = time.time()
    origin = f"from {base.name if base else 'nothing'}"
    with book.transaction() as conn:
        facts.put(conn, facts.OBSERVING, f"the journal was rebuilt {origin}")
        facts.put(conn, facts.NEWEST, newest)
        object_rows.hasten(conn, object_rows.all_keys(conn), now)
        object_rows.close_breakers(conn)
        audit.append(conn, [audit.Event(None, "rebuilt", origin)], now)


def _take_place(made: Path, journal: Path) -> Path | None:
    """Move the new journal to where the service looks for it; return where the old one is now."""
    aside = None
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    # The new journal must not get the old one's write-ahead log.
    for ending in ("-wal", "-shm", ""):
        old = journal.with_name(journal.name + ending)
        if old.exists():
            aside = journal.with_name(f"{journal.name}.damaged-{moment}{ending}")
            old.rename(aside)
    made.rename(journal)
    flush(journal.parent)
    return aside


def _remove(made: Path) -> None:
    """Remove what an interrupted rebuild left."""
    for path in made.parent.glob(f"{made.name}*"):
        path.unlink()
