"""Databases: what a journal asks of the one that it is kept in.

Promises: all that differs between databases, beside SQL itself (`dialect`), is behind `Database`.
The folder of a database below this one has it, and alone knows its driver. It is loaded when a
journal is opened: it stands on the tables, and a site needs the driver of its own database alone.
Leaves out: transactions (`journal`), and a journal that nobody has opened (`recovery`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from provisioner.contract import ConfigError
from provisioner.journal.sums import Sum

REBUILD = "`provisioner journal rebuild` makes a new one from the newest copy and the redo log"

_FOLDERS = {True: "provisioner.journal.postgresql", False: "provisioner.journal.sqlite"}
"""Where a database is known; True: one on a server."""

Place = Path | str
"""A file, or the address of a database on a server, such as `postgresql:///provisioner`."""


class Trouble(Enum):
    """What an error of the driver says of the database, beside the statement that failed."""

    FULL = auto()
    """There is no room, and nothing was written."""

    BROKEN = auto()
    """The disk failed. Only reading again shows what is on it."""

    UNREADABLE = auto()
    """A cell cannot be read."""


class Database(Protocol):
    """An open database with the tables of a journal."""

    @property
    def place(self) -> Place:
        """Where it is, as messages name it."""

    @property
    def engine(self) -> Engine:
        """Begins transactions: of one writer at a time, and of readers, which see one state.

        A reader is a connection with the execution option `reading`. The driver's connection has
        `execute` and `executemany`, which return a cursor.
        """

    def damage(self, conn: Connection) -> str:
        """Read every page and index. Return what is damaged; '' if nothing is."""

    def wrong(self) -> str:
        """Read every cell. Return the first that is wrong; '' if none is.

        Raises ConfigError if the database cannot be read.
        """

    def unusable(self, error: Exception) -> ConfigError:
        """Return an error that says why the database cannot be used, and what to do."""

    def trouble(self, error: DBAPIError) -> Trouble | None:
        """Return what an error says of the database; None if it is the statement's own."""

    def displaced(self) -> str:
        """Return why what is open is no longer what its path leads to; '' if it is."""

    def claim(self, conn: Connection) -> None:
        """Hold the lock of who serves it with a connection that writes.

        Raises ConfigError if another process does.
        """

    def share(self, conn: Connection, roles: Sequence[str], rest: float) -> None:
        """Serve it together with others, on a connection that writes.

        roles: those of this process that one has, as messages name them; rest: the most seconds
        for which a transaction may do nothing while others wait for it. Raises ConfigError if
        another process has one of the roles, or serves it alone.
        """

    def now(self, conn: Connection) -> float:
        """Return the time of day where it is, in seconds since the epoch."""

    def announce(self, conn: Connection, news: str) -> None:
        """Tell other processes that serve it something at the commit."""

    def summed(self, conn: Connection) -> Sum | None:
        """Keep the sum of what is written on a connection from now on; None: there is none."""

    def total(self) -> int:
        """Return the sum of all rows, where there is one. Raises Spoilt."""


def connect(place: Place) -> Database:
    """Connect to the database of a journal; create it if it does not exist.

    Raises ConfigError if the directory or server is missing, or it is not a journal of the current
    version.
    """
    made: Database = loaded(place).connect(place)
    return made


def loaded(place: Place, name: str = "stored") -> Any:
    """Return a module of the folder of a place's database.

    Raises ConfigError if its driver is not installed.
    """
    try:
        return import_module(f"{_FOLDERS[isinstance(place, str)]}.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the journal needs the Python package {error.name}, which is not installed",
            advice="pip install 'hpc-provisioner[postgresql]'",
        ) from error
