"""Stored: a journal that nobody has open yet, by its place, and its copies, which are files.

Promises: `recovery` and the verbs ask the same of each kind of database; the folder of one answers,
and raises `Unreadable` for whatever its driver does. Leaves out: an open journal (`database`),
which copy is whose, and when one is made (`recovery`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from provisioner.contract import Finding
from provisioner.journal.database import Place, loaded

Did = Sequence[tuple[str, list[list[Any]]]]
"""The statements of a transaction, each with its rows, as a redo log gives them back."""

Numbered = tuple[int, Did]

Check = Callable[[Path], None]
"""Raises an error to keep a copy from getting its name."""

_DUMP = b"PGDMP"
"""How a copy begins that `pg_dump` made."""


class Unreadable(Exception):
    """A journal or a copy cannot be read, or is not what it should be."""


class Copy(Protocol):
    """A copy, as a file."""

    def position(self) -> tuple[str, int]:
        """Return its journal's id, and its position.

        Raises Unreadable, OSError, KeyError or ValueError if it has none.
        """

    def newest_event(self) -> str | None:
        """Return the hash of the newest event; None if there is none. Raises Unreadable."""

    def damage(self) -> str:
        """Read it through. Return what is damaged; '' if nothing is. Raises Unreadable."""


class Stored(Protocol):
    """A journal at its place."""

    @property
    def kind(self) -> str:
        """Which database it is in: `sqlite` or `postgresql`."""

    def exists(self) -> bool:
        """Return True if it is there.

        Raises ConfigError if a server cannot be asked, PermissionError if this process may not
        look.
        """

    def make_way(self) -> None:
        """Make the directory of a new one, where it needs one."""

    def reserved(self) -> AbstractContextManager[None]:
        """Keep all other processes from serving it. Raises ConfigError that names who does."""

    def behind(self) -> bool:
        """Return True if it has an earlier version of the tables than this program.

        For a process that is to serve it with others. Raises ConfigError if it cannot be shared.
        """

    def unserved(self) -> AbstractContextManager[None]:
        """Have those that begin to serve it wait for the block, to change what all of them share.

        Waits for one that was just killed. Raises ConfigError that names who serves it, or if it
        cannot be shared.
        """

    def make_ready(self) -> None:
        """Bring it to the current version, and take the access of others to it.

        Raises ConfigError if it is newer than this program.
        """

    def position(self) -> tuple[str, int]:
        """Return its id, and its position. Raises Unreadable, KeyError or ValueError."""

    def was_restored(self) -> bool:
        """Return True if its rows are those of a copy, which nobody has rebuilt.

        What came after that copy may be missing.
        """

    def settle(self) -> None:
        """Note where its rows are, if that was never noted."""

    def settle_again(self) -> None:
        """Note where its rows are: what a copy lacks was looked for."""

    def redo(self, done: Iterable[Numbered]) -> None:
        """Commit transactions that only the redo log has: each one's number, and what it did.

        Raises Unreadable if one does not fit.
        """

    def size(self) -> int:
        """Return about how many bytes a copy has at most. Raises Unreadable, OSError."""

    def copy(self, target: Path, check: Check) -> None:
        """Copy it into a new file, even while it is written to, and flush that.

        Raises Unreadable, OSError.
        """

    def retire(self, to: Place) -> Place:
        """Set it aside, as it was moved to another place; return where it is kept."""

    def moved_to(self) -> str | None:
        """Return to where a journal was moved that is not here any more; None if none was."""

    def findings(self) -> Sequence[Finding]:
        """Return what `doctor` says of the place itself."""


def of(place: Place) -> Stored:
    """Return the journal at a place. Raises ConfigError if its driver is not installed."""
    made = loaded(place).Stored(place)
    return cast(Stored, made)


def copied(path: Path) -> Copy:
    """Return a copy, which says itself what made it. Raises OSError."""
    with path.open("rb") as file:
        dumped = file.read(len(_DUMP)) == _DUMP
    if dumped:
        return cast(Copy, loaded("", "dumps").Dump(path))
    return cast(Copy, of(path))


@contextmanager
def readable(*errors: type[Exception]) -> Iterator[None]:
    """Turn a driver's errors into Unreadable."""
    try:
        yield
    except errors as error:
        raise Unreadable(" ".join(str(error).split())) from error
