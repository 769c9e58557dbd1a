"""The level of a journal: whether it has every transaction of its redo log and its copies.

Promises: a journal that is behind them is refused before anything is written, with what to do. A
crash can keep one transaction from being committed, but not from the log: it is applied, because
the log decides. Leaves out: a journal that is further behind (`rebuild`).
"""

from __future__ import annotations

import logging
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal import stored
from provisioner.journal.database import REBUILD, Place
from provisioner.journal.stored import Unreadable
from provisioner.recovery import backup, redo_log
from provisioner.recovery.lineage import File, Lineage, trace
from provisioner.recovery.redo_log import Transaction

log = logging.getLogger(__name__)

_BACK = (
    "put the newer one back, its `-wal` file included; if it is lost, provisioner journal rebuild"
)

_RESTORE = "restore a newer one, or have the rest from the redo log: provisioner journal rebuild"


def check(place: Place, directory: Path) -> Transaction | None:
    """Compare a journal that nobody serves with the log and the copies in a directory.

    Return the one transaction that it may lack. Raises ConfigError if it lacks more.
    """
    try:
        identity, position = stored.of(place).position()
    except (Unreadable, KeyError, ValueError):
        return None  # damaged, or older than its log: opening it says which
    lineage = trace(redo_log.files(directory, identity))
    _check_language(place, lineage)
    if lineage.branches:
        raise ConfigError(forked(directory, lineage), advice=REBUILD)
    if lineage.last > position + 1:
        raise _behind(place, position, lineage.line[-1].path, lineage.last)
    reach = max(position, lineage.last)
    # A damaged copy also says how far the journal was.
    for copy in reversed(backup.found(directory, identity)):
        if copy.position > reach:
            raise _behind(place, position, copy.path, copy.position)
    if reach == position:
        return None
    lacks = next(redo_log.along(lineage, position), None)
    if lacks is None:  # a damaged line of the log is in between
        raise _behind(place, position, lineage.line[-1].path, lineage.last)
    return lacks


def _check_language(place: Place, lineage: Lineage) -> None:
    """Raise ConfigError if a log has the statements of another kind of database."""
    kind = stored.of(place).kind
    other = next((file for file in lineage.line if file.database != kind), None)
    if other is not None:
        raise ConfigError(
            f"{other.path} is the redo log of a journal in {other.database}, and {place} is in "
            f"{kind}",
            advice="look at `journal` in the configuration: is it the right one?",
        )


def catch_up(place: Place, directory: Path) -> None:
    """Compare a journal with the log and the copies, and apply the transaction that it lacks.

    Nobody has been told of that one. Raises ConfigError if it lacks more.
    """
    lacks = check(place, directory)
    if lacks is not None:
        _apply(place, lacks)


def forked(directory: Path, lineage: Lineage) -> str:
    """Return what is wrong with a log that has branches, as text."""
    many = sum(file.last - file.after for branch in lineage.branches for file in branch)
    first: File = lineage.branches[0][0]
    return (
        f"the redo log in {directory} has two lines: the transactions {first.after + 1} to "
        f"{lineage.last} of {lineage.line[-1].path.name}, and {many} others from {first.path.name} "
        "on, where an older journal was served in place of this one"
    )


def _behind(place: Place, position: int, newer: Path, last: int) -> ConfigError:
    old, back = "it was restored from an old copy", _RESTORE
    if isinstance(place, Path):
        old, back = f"it is an old copy, or its file {place.name}-wal was removed", _BACK
    return ConfigError(
        f"the journal {place} is older than the files beside it: its last transaction is number "
        f"{position}, {newer} has number {last}; {old}",
        advice=back,
    )


def _apply(place: Place, transaction: Transaction) -> None:
    """Commit the transaction that only the log has. Raises ConfigError if that is impossible."""
    if isinstance(place, Path):  # a server checks its pages itself
        backup.check(place)
    try:
        stored.of(place).redo([(transaction.number, transaction.did)])
    except Unreadable as error:
        raise ConfigError(
            f"the journal {place} does not fit its redo log: transaction {transaction.number} "
            f"cannot be applied: {error}",
            advice=REBUILD,
        ) from error
    log.info("transaction %d of the redo log was missing in the journal; added", transaction.number)
