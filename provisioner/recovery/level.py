"""The level of a journal: whether it has every transaction of its redo log and its copies.

Promises: a journal that is behind them is refused before anything is written, with what to do. A
crash can keep one transaction from being committed, but not from the log: it is applied, because
the log decides. Leaves out: a journal that is further behind (`rebuild`).
"""

from __future__ import annotations

import logging
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal.database import REBUILD
from provisioner.journal.sqlite import copies
from provisioner.recovery import backup, redo_log
from provisioner.recovery.lineage import File, Lineage, trace
from provisioner.recovery.redo_log import Transaction

log = logging.getLogger(__name__)

_BACK = (
    "put the newer one back, its `-wal` file included; if it is lost, provisioner journal rebuild"
)


def check(path: Path, directory: Path) -> Transaction | None:
    """Compare a journal that nobody serves with the log and the copies in a directory.

    Return the one transaction that it may lack. Raises ConfigError if it lacks more.
    """
    try:
        identity, position = copies.position_of(path)
    except (copies.Unreadable, KeyError, ValueError):
        return None  # damaged, or older than its log: opening it says which
    lineage = trace(redo_log.files(directory, identity))
    if lineage.branches:
        raise ConfigError(forked(directory, lineage), advice=REBUILD)
    if lineage.last > position + 1:
        raise _behind(path, position, lineage.line[-1].path, lineage.last)
    reach = max(position, lineage.last)
    # A damaged copy also says how far the journal was.
    for copy in reversed(backup.found(directory, identity)):
        if copy.position > reach:
            raise _behind(path, position, copy.path, copy.position)
    if reach == position:
        return None
    lacks = next(redo_log.along(lineage, position), None)
    if lacks is None:  # a damaged line of the log is in between
        raise _behind(path, position, lineage.line[-1].path, lineage.last)
    return lacks


def catch_up(path: Path, directory: Path) -> None:
    """Compare a journal with the log and the copies, and apply the transaction that it lacks.

    Nobody has been told of that one. Raises ConfigError if it lacks more.
    """
    lacks = check(path, directory)
    if lacks is not None:
        _apply(path, lacks)


def forked(directory: Path, lineage: Lineage) -> str:
    """Return what is wrong with a log that has branches, as text."""
    many = sum(file.last - file.after for branch in lineage.branches for file in branch)
    first: File = lineage.branches[0][0]
    return (
        f"the redo log in {directory} has two lines: the transactions {first.after + 1} to "
        f"{lineage.last} of {lineage.line[-1].path.name}, and {many} others from {first.path.name} "
        "on, where an older journal was served in place of this one"
    )


def _behind(path: Path, position: int, newer: Path, last: int) -> ConfigError:
    return ConfigError(
        f"the journal {path} is older than the files beside it: its last transaction is number "
        f"{position}, {newer} has number {last}; it is an old copy, or its file {path.name}-wal "
        "was removed",
        advice=_BACK,
    )


def _apply(path: Path, transaction: Transaction) -> None:
    """Commit the transaction that only the log has. Raises ConfigError if that is impossible."""
    backup.check(path)
    try:
        copies.redo(path, transaction.number, transaction.did)
    except copies.Unreadable as error:
        raise ConfigError(
            f"the journal {path} does not fit its redo log: transaction {transaction.number} "
            f"cannot be applied: {error}",
            advice=REBUILD,
        ) from error
    log.info("transaction %d of the redo log was missing in the journal; added", transaction.number)
