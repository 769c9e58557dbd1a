"""What a rebuild leaves: a journal that is only observed, and a directory that leads to it alone.

Promises: copies and log files that do not lead to the new journal are set aside, so that it has its
own from then on; those of another journal stay. Leaves out: making the journal (`rebuild`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.journal import audit, facts, stored
from provisioner.journal.database import Place
from provisioner.journal.hosts import spools
from provisioner.journal.journal import Journal
from provisioner.journal.records import object_rows, request_rows
from provisioner.journal.schema import VERSION
from provisioner.journal.stored import Unreadable
from provisioner.recovery import backup, level, redo_log, seen, startup
from provisioner.recovery.lineage import File, Lineage
from provisioner.recovery.redo_log import RedoLog
from provisioner.spool.spool import Spool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild.

    base: the copy, or the address of what was restored; None for an empty journal; damaged: copies
    that could not be used, and why; redone: the number of transactions from the log; until: when
    the last one was, seconds since the
    epoch; lost: the number of transactions in the log after a gap; counts: requests by state;
    unknown: files of requests in the spool that the new journal does not know; aside: the old
    journal; forked: the report about two branches of the log, or ''; left: copies and files of the
    log that do not lead to the new journal, under their new names; others: the hosts of intakes
    that may have requests that the new journal does not know, and where their spools are there.
    """

    base: Place | None
    damaged: tuple[str, ...]
    redone: int
    until: float | None
    lost: int
    counts: dict[str, int]
    unknown: tuple[Path, ...]
    aside: Path | None
    forked: str = ""
    left: tuple[Path, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Base:
    """What a new journal was made from. redone: how many transactions of the log, and until when;
    leave: sets aside what does not lead to it, from its id and its position."""

    base: Place | None
    redone: tuple[int, float | None]
    leave: Callable[[str, int], tuple[Path, ...]]


def settled(made: Place, spool: Spool, directory: Path, lineage: Lineage, on: Base) -> Rebuilt:
    """Let a new journal be observed only, and give it to its spool; return what became of it."""
    book = Journal.open(made)
    try:
        book.check()
        position = book.position
        lost = sum(max(0, file.last - max(file.after, position)) for file in lineage.line)
        left = on.leave(book.identity, position)
        _prepare(book, directory, on.base)
        unknown = seen.look(spool, book)
        with book.reading() as conn:
            counts = request_rows.counts(conn)
            others = {h: at for h, at in spools.awaited(conn).items() if not _is_own(spool, h, at)}
        startup.name(spool.root, book.identity)
    finally:
        book.close()
    forked = level.forked(directory, lineage) if lineage.branches else ""
    return Rebuilt(
        on.base, (), *on.redone, lost, counts, tuple(unknown), None, forked, left, others
    )


def _is_own(spool: Spool, host: str, place: str) -> bool:
    return (host, place) == (os.uname().nodename, str(spool.root))


def lies_beyond(copy: Path, lineage: Lineage) -> bool:
    """Return True if a copy was made after the place where the log forks."""
    return bool(lineage.branches) and stored.copied(copy).position()[1] > lineage.fork


def is_astray(copy: Path, lineage: Lineage) -> bool:
    """Return True if a copy was made on a branch of the log."""
    return lies_beyond(copy, lineage) and not is_in(copy, lineage.line)


def is_in(copy: Path, files: Iterable[File]) -> bool:
    """Return True if some files of the log contain the newest event of a copy."""
    newest = stored.copied(copy).newest_event()
    return newest is not None and redo_log.contains(files, newest)


def leave_all(directory: Path, identity: str | None, *_: object) -> tuple[Path, ...]:
    """Set aside all copies and log files of a journal that is lost; return their new paths.

    identity: None if nothing says which journal that is, so that nothing is its. The new journal's
    own id and position are not asked.
    """
    if identity is None:
        return ()
    left = [_aside(copy.path) for copy in backup.found(directory, identity)]
    left += [redo_log.leave(file, file.after) for file in redo_log.files(directory, identity)]
    return tuple(left)


def leave(
    directory: Path, lineage: Lineage, damaged: Collection[Path], identity: str, position: int
) -> tuple[Path, ...]:
    """Set aside copies and log files that go past the position, or lie on another branch.

    damaged: copies that go with them, as those do in which a look finds damage. Return the new
    paths.
    """
    left = []
    for copy in backup.found(directory, identity):
        wrong = not copy.whole or copy.path in damaged or copy.position > position
        with suppress(Unreadable):  # where it lies cannot be read any more
            wrong = wrong or is_astray(copy.path, lineage)
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


def _prepare(book: Journal, directory: Path, base: Place | None) -> None:
    """Put the new journal in observe-only mode, make every object due, and await all intakes.

    Record that in the redo log as well.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    kind = stored.of(book.place).kind
    book.record_into(RedoLog(directory, book.identity, VERSION, kind))
    now = time.time()
    origin = f"from {base.name if isinstance(base, Path) else base or 'nothing'}"
    with book.transaction() as conn:
        facts.put(conn, facts.OBSERVING, f"the journal was rebuilt {origin}")
        seen.begin(conn)
        spools.await_all(conn)
        object_rows.hasten(conn, object_rows.all_keys(conn), now)
        object_rows.close_breakers(conn)
        audit.append(conn, [audit.Event(None, "rebuilt", origin)], now)
