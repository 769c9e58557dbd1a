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

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from provisioner.config.schema import Config
from provisioner.contract import ConfigError
from provisioner.journal import facts, stored
from provisioner.journal.database import Place
from provisioner.journal.hosts import spools
from provisioner.journal.journal import Journal
from provisioner.journal.schema import VERSION
from provisioner.journal.sqlite import cells, copies, migrations, steps
from provisioner.journal.stored import Unreadable
from provisioner.recovery import backup, level, redo_log, seen, startup
from provisioner.recovery.lineage import Lineage, trace
from provisioner.recovery.rebuilding.rebuilt import (
    Base,
    Rebuilt,
    is_astray,
    is_in,
    leave,
    leave_all,
    lies_beyond,
    settled,
)
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


def rebuild(config: Config, spool: Spool, *, copy: Path | None, empty: bool) -> Rebuilt:
    """Rebuild the journal of a spool that this process has locked.

    copy: used instead of the newest intact one; empty: begin with nothing. On a server, neither:
    the rebuild begins with the database as it was restored. Raises ConfigError if the journal is
    intact, or there is nothing to make one from.
    """
    journal, directory = config.journal, config.backup_directory
    named = _identity(spool.root)
    if isinstance(journal, str):
        _refuse_choice(journal, copy, empty)
        _refuse_whole(journal, named, directory, spool)
        return _continued(config, journal, named, spool)
    _refuse_whole(journal, named, directory, spool)
    made = journal.with_name(f"{journal.name}.rebuilding")
    _remove(made)
    unused: list[_Unused] = []
    identity = named if empty else named or _guessed(directory, copy, spool.root)
    lineage = Lineage(()) if empty else _lineage(directory, identity, copy)
    base = None if empty else _base(directory, identity, copy, lineage, unused)
    if base is None and not empty and not _from_the_start(directory, identity):
        raise ConfigError(
            f"{directory} has no intact copy of the journal of {spool.root}"
            + "".join(f"\n  {why}" for why in _reasons(unused)),
            advice="name one: `provisioner journal rebuild --copy FILE`; if there is none, "
            "--empty begins with nothing, and every request has to be sent again",
        )
    redone = _redo(made, base, lineage, identity)
    wrong = None if empty else {one.path for one in unused if one.damaged}
    left = partial(leave_all, directory, identity)
    if wrong is not None:
        left = partial(leave, directory, lineage, wrong)
    rebuilt = settled(made, spool, directory, lineage, Base(base, redone, left))
    flush(made)
    aside = _take_place(made, journal)
    backup.back_up(journal, directory, config.backup.keep)
    return replace(rebuilt, damaged=_reasons(unused), aside=aside)


def compared(config: Config, spool: Spool) -> tuple[Path, ...] | None:
    """Compare a spool with the journal, rebuilt with another spool, also while that is served.

    Return the files of requests that the journal does not know; None if it is to be rebuilt.
    """
    journal = config.journal
    there = stored.of(journal)
    if not isinstance(journal, str) or not there.exists() or there.was_restored():
        return None
    with suppress(ConfigError), _opened(journal) as book:
        if _identity(spool.root) in (None, book.identity) and seen.is_behind(spool, book):
            return tuple(seen.look(spool, book))
    return None


def _continued(config: Config, journal: str, named: str | None, spool: Spool) -> Rebuilt:
    """Add to a journal on a server what only its redo log has."""
    directory, there = config.backup_directory, stored.of(journal)
    identity, position = there.position()
    if named not in (None, identity):
        raise ConfigError(
            f"the journal {journal} is not the one that {spool.root} was served with",
            advice=_restoring(journal),
        )
    lineage = _lineage(directory, identity, None)
    there.make_ready()
    log = list(redo_log.along(lineage, position))
    try:
        there.redo((one.number, one.did) for one in log)
    except Unreadable as error:
        raise ConfigError(
            f"the redo log does not fit the journal {journal}: {error}", advice=_restoring(journal)
        ) from error
    redone = len(log), log[-1].at if log else None
    left = partial(leave, directory, lineage, ())
    rebuilt = settled(journal, spool, directory, lineage, Base(journal, redone, left))
    there.settle_again()
    backup.back_up(journal, directory, config.backup.keep)
    return rebuilt


def _refuse_choice(journal: str, copy: Path | None, empty: bool) -> None:
    """Raise ConfigError unless a rebuild on a server begins with what is there."""
    if copy is not None or empty or not stored.of(journal).exists():
        raise ConfigError(
            f"the journal {journal} is on a server: its rebuild begins with what was restored there"
            ", and adds the redo log",
            advice=_restoring(journal),
        )


def _restoring(journal: str) -> str:
    return (
        "restore the newest copy into an empty database, pg_restore --clean --if-exists "
        f"--single-transaction --dbname={journal!r} FILE, or the site's archive; then: provisioner "
        "journal rebuild"
    )


def _identity(spool: Path) -> str | None:
    try:
        return (spool / startup.NAMED).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _refuse_whole(journal: Place, identity: str | None, directory: Path, spool: Spool) -> None:
    if not stored.of(journal).exists():
        return
    if stored.of(journal).was_restored():
        return
    try:
        level.check(journal, directory)
        with _opened(journal) as book:
            book.check()
            if book.identity != identity:
                return
            seen.refuse_unknown(spool, book)
            startup.check_newest(spool, book)
            with book.reading() as conn:
                if spools.others(conn, os.uname().nodename, str(spool.root)):
                    return  # what theirs have is not seen from here
    except ConfigError:
        return
    raise ConfigError(
        f"the journal {journal} is intact: there is nothing to rebuild",
        advice="provisioner doctor; to go back to a copy anyway, move the journal away first",
    )


@contextmanager
def _opened(path: Place) -> Iterator[Journal]:
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
            return stored.copied(copy).position()[0]
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
        if copy is not None and lies_beyond(copy, lineage) and is_in(copy, branch):
            return lineage.along(branch)
    return lineage


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
            whose, _ = stored.copied(path).position()
            astray = is_astray(path, lineage)
        except (ConfigError, Unreadable, copies.Unreadable, KeyError, ValueError, OSError) as error:
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
    log = redo_log.along(lineage, copies.position_of(made)[1])
    for version, transactions in groupby(log, lambda transaction: transaction.version):
        migrations.migrate(made, steps.STEPS[: version - 1])
        with copies.redoing(made, _PORTION) as redo:
            for transaction in transactions:
                try:
                    redo(transaction.number, transaction.did)
                except copies.Unreadable as error:
                    raise ConfigError(
                        f"transaction {transaction.number} of the redo log does not fit the "
                        f"journal made from {base or 'nothing'}: {error}",
                        advice="name another copy: provisioner journal rebuild --copy FILE",
                    ) from error
                redone, until = redone + 1, transaction.at
    migrations.migrate(made)
    return redone, until


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
