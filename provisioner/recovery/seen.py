"""Seen: whether a spool was compared with its journal since that was rebuilt.

Promises: a rebuild has an id, and each spool notes it, in the file `rebuilt`, when it was compared
with the journal. Until then nothing is served from a spool that has requests that the journal does
not know; `look` names them. A spool that noted another rebuild, or a journal that was set back to
before one, is compared again. Leaves out: rebuilding (`rebuilding`).
"""

from __future__ import annotations

from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal import audit, facts
from provisioner.journal.database import REBUILD
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.records import request_rows
from provisioner.spool.spool import Spool
from provisioner.system import disks, ulid
from provisioner.system.ulid import RequestId

KEPT = ("deferred", "held", "done", "failed")
"""The directories of files that a journal has known."""

_FILE = "rebuilt"


def kept(spool: Spool) -> list[tuple[RequestId, str]]:
    """Return the requests whose files a journal has known, and where each lies."""
    return [(ulid, place) for place in KEPT for ulid in spool.listed(place)]


def unknown(spool: Spool, book: Journal) -> list[Path]:
    """Return the files that the journal should know and does not, without their names; the oldest
    first."""
    there = kept(spool)  # first: another process that serves the journal may accept more meanwhile
    with book.reading() as conn:
        known = request_rows.states_of(conn, {ulid for ulid, _ in there})
    return [spool.root / place / ulid for ulid, place in sorted(there) if ulid not in known]


def is_due(spool: Spool, book: Journal) -> bool:
    """Return True if a spool was not compared since its journal was rebuilt."""
    return _noted(spool) != _rebuilt(book)


def is_behind(spool: Spool, book: Journal) -> bool:
    """Return True if a journal was rebuilt since a spool was compared: else it was set back."""
    return _noted(spool) < _rebuilt(book)


def check(spool: Spool, book: Journal) -> None:
    """Compare a spool that was not. Raises ConfigError if it has what the journal does not know."""
    if not is_due(spool, book):
        return
    refuse_unknown(spool, book)
    note(spool, book)


def refuse_unknown(spool: Spool, book: Journal) -> None:
    """Raise ConfigError if a spool was not compared, and has what the journal does not know."""
    late = unknown(spool, book) if is_due(spool, book) else []
    if late:
        raise ConfigError(
            f"the journal {book.place} was rebuilt or set back, and does not know {len(late)} "
            f"requests in {spool.root}; the last is {late[-1].parent.name}/{late[-1].name}",
            advice=f"on this host: {REBUILD}, which names each",
        )


def look(spool: Spool, book: Journal) -> list[Path]:
    """Return what the journal does not know of a spool, which counts as compared from then on."""
    found = unknown(spool, book)
    newest = max((ulid for ulid, _ in kept(spool)), default="")
    with book.transaction() as conn:
        if newest > (facts.get(conn, facts.NEWEST) or ""):
            facts.put(conn, facts.NEWEST, newest)
        text = f"{spool.root}: {len(found)} requests that the journal does not know"
        audit.append(conn, [audit.Event(None, "spool compared", text)], book.now(conn))
    note(spool, book)
    return found


def begin(conn: Connection) -> None:
    """Give a rebuild its id, so that every spool is compared."""
    facts.put(conn, facts.REBUILT, ulid.new())


def note(spool: Spool, book: Journal) -> None:
    """Note durably in a spool that it was compared."""
    made = spool.root / f".{_FILE}"
    with disks.named(made):
        made.write_text(f"{_rebuilt(book)}\n", encoding="ascii")
        made.chmod(0o600)
        disks.flush(made)
    made.replace(spool.root / _FILE)
    disks.flush(spool.root)


def _rebuilt(book: Journal) -> str:
    with book.reading() as conn:
        return facts.get(conn, facts.REBUILT) or ""


def _noted(spool: Spool) -> str:
    try:
        return (spool.root / _FILE).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
