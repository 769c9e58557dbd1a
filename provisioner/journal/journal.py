"""The journal: one database for requests, claims and objects, and its transactions.

Promises: a transaction is on disk when it returns (SQLite: write-ahead log, synchronous=FULL), or
not at all. A redo log, if there is one, has it before the database. After a disk error the journal
writes nothing more: only reading the file again shows what is on it (`JournalBroken`). Leaves out:
the database itself (`database`), and the rows (`request_rows`, `ledger`, `object_rows`).
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from provisioner.contract import ConfigError, Fault
from provisioner.journal import bulk, database, facts, sums
from provisioner.journal.database import Database, Place, Trouble
from provisioner.journal.dialect import Spoilt, upsert
from provisioner.journal.kept import Kept, Lock
from provisioner.journal.schema import VERSION, marks

_WRITES = ("INSERT", "UPDATE", "DELETE")

_MARK = upsert(marks)
_PLACE = _MARK.on_conflict_do_update(index_elements=["name"], set_={"value": _MARK.excluded.value})

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class JournalFull(Fault):
    """There is no room for a transaction; nothing of it was written."""


class JournalBroken(Fault):
    """The disk failed: the service has to end, and reads what is on it at its next start."""


Connection = sqlalchemy.Connection
"""Every transaction is written on one of these."""

Statement = tuple[str, Any]
"""SQL that was run, and its values: a row, or a list of rows."""


class Log(Protocol):
    """Keeps transactions beside the database."""

    def append(self, number: int, did: Sequence[Statement]) -> None:
        """Make a transaction's statements durable. Raises OSError, and then keeps none of them."""

    def take_back(self) -> None:
        """Remove the transaction that was appended last. Raises OSError."""

    def rotate(self) -> None:
        """Close the current file; later transactions go into a new one."""


class Room(Protocol):
    """Keeps room on the disk for outcomes when there is none for new work."""

    def ease(self) -> None:
        """Free some of the reserve for a write that has to happen, if room is short."""

    def give_up(self) -> None:
        """Free the whole reserve."""


TELLING = 1.0
"""Seconds between two calls of what `Journal.tell` was given."""


class Notes:
    """What a transaction has run, for the redo log; None outside of those that it keeps.

    tell: called now and then as statements are run. The database knows these, and not the journal,
    which it would otherwise keep alive.
    """

    def __init__(self) -> None:
        self.did: list[Statement] | None = None
        self.tell: Callable[[], None] = lambda: None
        self._told = 0.0

    def note(self, sql: str, values: Any) -> None:
        """Note what was run."""
        if (now := time.monotonic()) >= self._told + TELLING:
            self._told = now
            self.tell()
        if self.did is not None and sql.lstrip()[:6].upper() in _WRITES:
            self.did.append((sql, values))

    def capture(
        self, _: object, __: object, sql: str, values: Any, ___: object, ____: bool
    ) -> None:
        """Note what SQLAlchemy is about to run."""
        self.note(sql, values)


class Journal:
    """One open database.

    A service has one writer at a time: `transaction` takes turns. Readers on the command line open
    the same file themselves.
    """

    def __init__(self, opened: Database) -> None:
        """Use `open` instead."""
        self.place = opened.place
        self._database = opened
        self._engine = opened.engine
        self._kept = Kept(opened.engine)
        self._turn = Lock()
        self._log: Log | None = None
        self._room: Room | None = None
        self._notes = Notes()
        self._read_on: Connection | None = None
        self._position = 0
        self._sum: sums.Sum | None = None
        self._total = 0
        self._broken: JournalBroken | None = None
        self._on_break: Callable[[], None] = lambda: None
        self.guard: Callable[[Connection], None] = lambda conn: None
        """Called first in each transaction that writes; raises if that is not this one's any
        more."""

    @classmethod
    def open(cls, place: Place) -> Journal:
        """Open the journal; create it if it does not exist.

        place: a file, or the address of a database on a server. Raises ConfigError if the directory
        or server is missing, or it is not a journal of the current version.
        """
        return cls(database.connect(place))

    def check(self) -> None:
        """Read every page, index and cell. Raises ConfigError if it is damaged."""
        try:
            with self.reading() as conn:
                problem = self._database.damage(conn)
        except DBAPIError as error:
            raise self._database.unusable(error) from error
        except JournalBroken as error:
            raise ConfigError(error.message, advice=error.advice) from error
        problem = problem or self._database.wrong()
        if problem:
            raise ConfigError(
                f"the journal {self.place} is damaged: {problem}", advice=database.REBUILD
            )

    @contextmanager
    def transaction(self, *, new_work: bool = False) -> Iterator[Connection]:
        """Give a connection. What the block writes on it is durable after the block.

        new_work: the write can wait until there is room, and may not use the reserve. Raises
        JournalFull if there is no room, JournalBroken if the disk failed.
        """
        with self._turn, self._guarded(), self._eased(new_work):
            number, total = self._position, self._total
            try:
                with self._kept.transaction(reading=False) as conn:
                    if self._sum is not None:
                        self._sum.moved = 0
                    self._notes.did = [] if self._log is not None else None
                    self.guard(conn)
                    yield conn
                    number, total = self._keep(conn)
            except DBAPIError as error:
                if number > self._position:
                    self._take_back(error)
                raise
            finally:
                self._notes.did = None
            self._position, self._total = number, total

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database and blocks no writer.

        A thread that reads already gets the same connection.
        """
        with self._turn, self._guarded():
            if self._read_on is not None:
                yield self._read_on
                return
            with self._kept.transaction(reading=True) as conn:
                self._read_on = conn
                try:
                    yield conn
                finally:
                    self._read_on = None

    @contextmanager
    def rehearsal(self, conn: Connection) -> Iterator[None]:
        """Roll back what the block writes inside a transaction: the caller only sees its effect."""
        did = len(self._notes.did or ())
        moved = self._sum.moved if self._sum is not None else 0
        trial = conn.begin_nested()
        try:
            yield
        finally:
            trial.rollback()
            if self._notes.did is not None:
                del self._notes.did[did:]
            if self._sum is not None:
                self._sum.moved = moved

    @property
    def identity(self) -> str:
        """The journal's own id, which its copies share."""
        with self.reading() as conn:
            return facts.get(conn, facts.JOURNAL) or ""

    @property
    def position(self) -> int:
        """The number of transactions that the redo log has seen."""
        with self.reading() as conn:
            return int(facts.get(conn, facts.POSITION) or 0)

    def record_into(self, log: Log, room: Room | None = None) -> None:
        """Write every later transaction to a redo log as well."""
        self._position = self.position
        if self._log is None:
            with self._bare() as conn:
                self._database.claim(conn)
                self._sum = self._database.summed(conn)
                bulk.watch(conn, self._notes.note)
            event.listen(self._engine, "before_cursor_execute", self._notes.capture)
        self._total = 0 if self._sum is None else self._sum_up()
        self._log, self._room = log, room

    def tell(self, alive: Callable[[], None]) -> None:
        """Call a function as statements are run while this thread is in the journal, or waits for
        its turn: long work is no standstill."""
        here, me = self._turn.here, threading.get_ident()
        self._notes.tell = lambda: alive() if here[me] else None

    def share(self, roles: Sequence[str], rest: float) -> None:
        """Serve it together with other processes; see `Database.share`. Raises ConfigError."""
        with self._bare() as conn:
            self._database.share(conn, roles, rest)

    def now(self, conn: Connection) -> float:
        """Return the time of day where the database is, in seconds since the epoch."""
        return self._database.now(conn)

    def announce(self, conn: Connection, news: str) -> None:
        """Tell other processes that serve it something, at the commit of a transaction."""
        self._database.announce(conn, news)

    def when_broken(self, callback: Callable[[], None]) -> None:
        """Call a function when the disk fails."""
        self._on_break = callback

    def raise_broken(self) -> None:
        """Raise JournalBroken if the disk has failed."""
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """Close the database, and the redo log's file."""
        self._kept.close()
        self._engine.dispose()
        if self._log is not None:
            self._log.rotate()

    # Private.

    @contextmanager
    def _bare(self) -> Iterator[Connection]:
        """Give the connection in no transaction, and to nobody else."""
        with self._turn:
            self._kept.close()
            with self._engine.connect() as conn:
                yield conn

    def _keep(self, conn: Connection) -> tuple[int, int]:
        """Write a transaction to the redo log, just before its commit; return its number and sum.

        The log decides: after a crash before the commit, the next start applies the transaction.
        """
        did, self._notes.did = self._notes.did, None
        if not did or self._log is None:
            return self._position, self._total
        displaced = self._database.displaced()
        if displaced:
            raise self._break(displaced)
        number = self._position + 1
        place, total = {facts.POSITION: str(number)}, self._total
        if self._sum is not None:
            total = (total + self._sum.moved) % sums.MODULUS
            place[facts.SUM] = sums.encode(VERSION, number, total)
        rows = [{"name": name, "value": value} for name, value in place.items()]
        bulk.count(conn, _PLACE, rows)  # now: the log gets what the database has taken
        try:
            self._log.append(number, did)
        except OSError as error:
            raise self._fault_of(error, "the redo log") from error
        return number, total

    def _sum_up(self) -> int:
        """Return the stored sum of all rows, or compute it. Raises ConfigError if damaged."""
        try:
            with self.reading() as conn:
                kept = sums.read(facts.get(conn, facts.SUM), VERSION, self._position)
            if kept is not None:
                return kept
            return self._database.total()
        except (Spoilt, ValueError) as error:
            raise ConfigError(
                f"the journal {self.place} is damaged: {error}", advice=database.REBUILD
            ) from error

    def _take_back(self, error: DBAPIError) -> None:
        """Remove a transaction whose commit failed from the log, unless the database may have it.

        The caller gets the error, and so learns that it was not written.
        """
        if self._log is None or self._database.trouble(error) is Trouble.BROKEN:
            return
        try:
            self._log.take_back()
        except OSError as failed:
            raise self._break(
                f"the redo log {failed.filename or ''}: {failed.strerror}"
            ) from failed

    @contextmanager
    def _eased(self, new_work: bool) -> Iterator[None]:
        room = None if new_work else self._room
        if room is not None:
            room.ease()
        try:
            yield
        except (JournalFull, DBAPIError) as error:
            if room is not None and (
                isinstance(error, JournalFull) or self._database.trouble(error) is Trouble.FULL
            ):
                room.give_up()  # the next try has that room
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        self.raise_broken()
        try:
            yield
        except JournalBroken as error:  # of `guard`
            self._broken = error
            self._on_break()
            raise
        except Spoilt as error:
            raise self._break(f"the journal {self.place} is damaged: {error}") from error
        except DBAPIError as error:
            match self._database.trouble(error):
                case Trouble.UNREADABLE:
                    reason = f"the journal {self.place} is damaged: {error.orig}"
                    raise self._break(reason) from error
                case Trouble.FULL:
                    raise _full(self.place, error.orig) from error
                case Trouble.BROKEN:
                    raise self._break(f"the journal {self.place}: {error.orig}") from error
            raise

    def _fault_of(self, error: OSError, what: str) -> Fault:
        if error.errno in _NO_ROOM:
            return _full(error.filename or what, error.strerror)
        return self._break(f"{what} {error.filename or ''}: {error.strerror}")

    def _break(self, reason: str) -> JournalBroken:
        look = "look at the disk and at the kernel's log (dmesg), then"
        if isinstance(self.place, str):
            look = "see whether the server answers, psql with the same address;"
        self._broken = JournalBroken(
            f"{reason}: nothing more is written",
            advice=f"{look} start the service again; if it says that the journal is damaged, "
            f"{database.REBUILD}",
        )
        self._on_break()
        return self._broken


def is_of_rows(error: Exception) -> bool:
    """Return True if a write failed by what was to be written: it would fail again."""
    kinds = StatementError, ValueError, TypeError, LookupError, AttributeError, AssertionError
    return isinstance(error, kinds) and not isinstance(error, OperationalError)


def _full(what: object, reason: object) -> JournalFull:
    return JournalFull(
        f"{what}: {reason}", advice="make room on that disk; what waits then continues"
    )
