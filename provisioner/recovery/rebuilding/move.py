"""Moving a journal into another database: from a file to a server, or back.

Promises: the new place has all rows or none, each read back before the commit, with a whole chain
of events. The old one is then set aside, so that it is not served by mistake. A move that was
interrupted goes on when it is asked for again. Leaves out: changing the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal import audit, facts, stored
from provisioner.journal.database import Place
from provisioner.journal.figures import rows
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.records import event_rows, request_rows
from provisioner.recovery import startup
from provisioner.recovery.rebuilding.rebuilt import leave_all


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved. rows: of all tables; kept: where the old journal is now, or its address;
    left: copies and log files that lead to the old one, under their new names."""

    requests: int
    rows: int
    tables: int
    events: int
    kept: Place
    left: tuple[Path, ...]


def move(source: Place, target: Place, spool: Path, copies: Path) -> Moved:
    """Move a journal that nobody serves. copies: the directory of its copies and redo log.

    Raises ConfigError if it is damaged, or the target has something else.
    """
    startup.make_ready(spool, source, copies)
    stored.of(target).make_way()
    old = Journal.open(source)
    try:
        identity, position = old.identity, old.position
        new = Journal.open(target)
        try:
            with old.reading() as reading:
                counted = rows.counted(reading)
                if _is_there(new, old):
                    with new.reading() as there:
                        _compare(counted, there)
                else:
                    with new.transaction() as writing:
                        _fill(reading, writing, position + 1)
                        _compare(counted, writing)
            new.check()
        finally:
            new.close()
    finally:
        old.close()
    stored.of(target).settle_again()
    left = leave_all(copies, identity)
    kept = stored.of(source).retire(target)  # the last: without it, all of this goes on
    number = {name: many for name, (many, _) in counted.items()}
    whole = sum(number.values())
    return Moved(number["requests"], whole, len(number), number["events"], kept, left)


def _is_there(new: Journal, old: Journal) -> bool:
    """Return True if a journal was moved already, and only the old one was not set aside.

    Raises ConfigError if the new place has anything but an empty journal, or an earlier one of the
    same that was moved away from there.
    """
    with new.reading() as conn:
        moved = facts.get(conn, facts.MOVED) is not None
        empty = not request_rows.counts(conn) and not event_rows.last_event(conn)
    same = new.identity == old.identity
    if empty or (same and moved):
        return False
    if same and new.position == old.position + 1:
        return True
    what = "this journal, at another position" if same else f"another journal, {new.identity}"
    raise ConfigError(
        f"{new.place} has {what}",
        advice="name an empty database (createdb), or a file that is not there",
    )


def _fill(reading: Connection, writing: Connection, position: int) -> None:
    rows.copy(reading, writing)
    facts.put(writing, facts.POSITION, str(position))


def _compare(wanted: rows.Counted, there: Connection) -> None:
    """Raise ConfigError unless all rows are there, and the chain of events is whole."""
    found = rows.counted(there)
    wrong = [name for name, counted in wanted.items() if found[name] != counted]
    if wrong:
        number, of = found[wrong[0]][0], wanted[wrong[0]][0]
        raise ConfigError(
            f"table {wrong[0]} is not what was written to it: {number} rows of {of}, or other "
            "ones; nothing was moved"
        )
    if problem := audit.verify(there).problem:
        raise ConfigError(f"the chain of events is broken: {problem}; nothing was moved")
