"""The journal's level: whether it has every transaction that its redo log and its copies have.

Promises: a journal that is behind them is refused with what to do before anything is written; the
one transaction that a crash kept from being committed, but not from the log, is done again, so that
what the log has is what is so. Leaves out: what is further behind (`rebuild`).
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal.database import REBUILD
from provisioner.recovery import backup, redo_log
from provisioner.recovery.lineage import File, Lineage, trace
from provisioner.recovery.redo_log import Transaction

log = logging.getLogger(__name__)

_BACK = (
    "put the newer one back, its `-wal` file included; if it is lost, provisioner journal rebuild"
)


def check(path: Path, directory: Path) -> Transaction | None:
    """Hold a journal that nobody serves against the log and the copies in a directory.

    Return the one transaction that it may lack. Raises ConfigError where it lacks more.
    """
    try:
        identity, position = backup.position_of(path)
    except (sqlite3.Error, KeyError, ValueError):
        return None  # it is damaged, or of before there was a log: opening it says which
    lineage = trace(redo_log.files(directory, identity))
    if lineage.branches:
        raise ConfigError(forked(directory, lineage), advice=REBUILD)
    if lineage.last > position + 1:
        raise _behind(path, position, lineage.line[-1].path, lineage.last)
    reach = max(position, lineage.last)
    for copy in reversed(backup.copies(directory)):
        if copy.position > reach and _is_of(copy.path, identity):
            raise _behind(path, position, copy.path, copy.position)
    if reach == position:
        return None
    lacks = next(redo_log.along(lineage, position), None)
    if lacks is None:  # it is behind a line that is spoilt
        raise _behind(path, position, lineage.line[-1].path, lineage.last)
    return lacks


def hold(path: Path, directory: Path) -> None:
    """Hold a journal against the log and the copies, and do again the transaction that it lacks.

    Nobody was told of that one. Raises ConfigError where it lacks more.
    """
    lacks = check(path, directory)
    if lacks is not None:
        _do_again(path, lacks)


def forked(directory: Path, lineage: Lineage) -> str:
    """Say of a log with branches what was done twice."""
    many = sum(file.last - file.after for branch in lineage.branches for file in branch)
    first: File = lineage.branches[0][0]
    return (
        f"the redo log in {directory} has two lines: the transactions {first.after + 1} to "
        f"{lineage.last} of {lineage.line[-1].path.name}, and {many} others from {first.path.name} "
        "on, where an older journal was served in place of this one"
    )


def _behind(path: Path, position: int, newer: Path, last: int) -> ConfigError:
    return ConfigError(
        f"the journal {path} is older than what lies beside it: its last transaction is number "
        f"{position}, {newer} has number {last}; it is an old copy, or its file {path.name}-wal "
        "was removed",
        advice=_BACK,
    )


def _is_of(copy: Path, identity: str) -> bool:
    try:
        return backup.position_of(copy)[0] == identity
    except (sqlite3.Error, KeyError, ValueError, OSError):
        return False


def _do_again(path: Path, one: Transaction) -> None:
    """Commit the transaction that only the log has. Raises ConfigError where that cannot be."""
    backup.check(path)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            redo_log.do_again(db, one)
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise ConfigError(
            f"the journal {path} does not fit its redo log: transaction {one.number} cannot be "
            f"done again: {error}",
            advice=REBUILD,
        ) from error
    log.info("transaction %d, which the redo log had and the journal not, is done", one.number)
