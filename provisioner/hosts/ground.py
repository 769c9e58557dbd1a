"""Ground: the spool of one of several intakes: its id, and whether its staging is shared.

Promises: a spool keeps its id, which lies in it, in the file `intake`; so does what is a host's own
in one that several share. An intake writes a mark into its staging, under a name that is never a
request's, and the journal has it, too: so each start sees whether intakes share their staging, and
is refused unless they say so. Leaves out: taking files.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from provisioner.config.keeping import RolesConfig
from provisioner.contract import ConfigError
from provisioner.hosts.member import Member
from provisioner.journal.hosts import presence, spools
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries import expiry
from provisioner.journal.records import request_rows
from provisioner.spool import layout
from provisioner.spool.spool import Spool
from provisioner.system import disks, entry, ulid

log = logging.getLogger(__name__)

_FILE = "intake"
_FIRST = "first"
"""What the file says of the spool that the journal had first."""

_PLACES = (*layout.OPEN, *layout.CLOSED)

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_PATIENCE = 5.0
"""Seconds in which what one host writes is seen by another one."""

NOTED = 3600.0
"""Seconds after which the journal learns again that a spool is served."""


def open_spool(root: Path, roles: RolesConfig, host: str) -> Spool:
    """Open the spool of an intake. Raises ConfigError if it is not safe."""
    return Spool.open(root, layout.own(root, host) if roles.staging == "shared" else None)


class Ground:
    """The spool of an intake, as the journal has it."""

    def __init__(self, spool: Spool, book: Journal, member: Member, *, shared: bool) -> None:
        """shared: the configuration says that other intakes take files from its staging, too."""
        self._spool = spool
        self._journal = book
        self._member = member
        self._shared = shared
        self._file = spool.own / _FILE
        self._noted = 0.0
        self._mine = ""
        """The id of what is this host's own."""
        self.since = 0.0
        """When the spool was certainly served last, in seconds since the epoch."""

    def settle(self) -> None:
        """Take the spool, mark its staging, and look at those of other intakes.

        Raises ConfigError if another one has this spool, or staging is not as they say.
        """
        self._mine = found = self._identity()
        self._journal.share((f"an intake with spool {found or _FIRST}",), self._member.rest)
        self._mark()
        for other in self._others():
            self._compare(other)
        self._spool.identity = self._common() if self._shared else found

    def _identity(self) -> str:
        try:
            return _read_id(self._file)
        except FileNotFoundError:
            return self._new()

    def _common(self) -> str:
        """Return the id of a spool that several share."""
        file, place, host = self._spool.root / _FILE, str(self._spool.root), self._member.name
        with self._journal.transaction() as conn:  # one host after the other
            try:
                found = _read_id(file)
            except FileNotFoundError:
                found = spools.identity(conn, host, place, first=self._is_first(conn))
                _write_id(file, found)
            spools.put(conn, spools.Spool(found, host, place, "", self._member.now()))
        return found

    def _is_first(self, conn: Connection) -> bool:
        """Return True if the spool may be the one that the journal had first.

        Nothing was taken yet, or its own files were, before spools had ids. That it names the
        journal says nothing: a start that was refused has named it, too.
        """
        if not request_rows.last_id(conn):
            return True
        there = {ulid for place in _PLACES for ulid in self._spool.listed(place)}
        return bool(expiry.of_spools(conn, there, [spools.FIRST]))

    def _mark(self) -> None:
        self._noted = time.monotonic()
        mark = f"{ulid.new()}{spools.SHARED if self._shared else ''}"
        place = self._spool.staging / self._name(mark)
        fresh = place.with_name(f".{ulid.new()}.tmp")
        try:
            fresh.touch(0o600, exist_ok=False)
            fresh.write_text(f"{mark}\n", encoding="ascii")
            fresh.replace(place)
        except OSError as error:
            raise ConfigError(
                f"{place}, by which intakes see whether they share staging, cannot be written: "
                f"{error.strerror}",
                advice=f"ls -ld {place.parent}; df {place.parent}",
            ) from error
        with self._journal.transaction() as conn:
            former = [one.mark for one in spools.listed(conn) if one.id == self._mine and one.mark]
            self._put(conn, mark)
            spools.begun(conn, self._member.name)
        for name in map(self._name, former):
            with suppress(OSError):
                (self._spool.staging / name).unlink()

    def note(self) -> None:
        """Write now and then that the spool is served."""
        if time.monotonic() - self._noted >= NOTED:
            self._noted = time.monotonic()
            with self._journal.transaction() as conn:
                for one in {self._mine, self._spool.identity}:
                    spools.note(conn, one, self._member.now())

    def _new(self) -> str:
        place, host = str(self._spool.own), self._member.name
        with self._journal.transaction() as conn:
            first = not self._shared and self._is_first(conn)
            self._mine = made = spools.identity(conn, host, place, first=first)
            self._put(conn, "")
        _write_id(self._file, made)
        return made

    def _put(self, conn: Connection, mark: str) -> None:
        last = [spool.served for spool in spools.listed(conn) if spool.id == self._mine]
        self.since = max([self.since, *last])
        now, place = self._member.now(), str(self._spool.own)
        spools.put(conn, spools.Spool(self._mine, self._member.name, place, mark, now))

    def _others(self) -> Iterator[spools.Spool]:
        """Yield the spools of the other intakes that are there."""
        with self._journal.reading() as conn:
            seen = presence.seen(conn, self._journal.now(conn), self._member.seconds)
            known = {spool.host: spool for spool in spools.listed(conn) if spool.mark}
        for each in seen:
            host = each.host
            here = host.roles == presence.INTAKE and host.name != self._member.name
            if here and not each.missing and host.name in known:
                yield known[host.name]

    def _compare(self, other: spools.Spool) -> None:
        """Raise ConfigError unless both intakes say how it is."""
        theirs = spools.is_shared(other.mark)
        both, hosts = self._shared and theirs, f"{self._member.name} and {other.host}"
        sees = self._sees(other, _PATIENCE if both else 0.0)
        staging = self._spool.staging
        if both and not sees and Path(other.place).parent == self._spool.own.parent:
            raise ConfigError(
                f"{hosts} both say that they share {staging}, and what {other.host} has written "
                f"there is not seen on {self._member.name}: it is another directory",
                advice=f"mount the shared file system on both (findmnt -T {staging}), or set "
                "`roles.staging: own` on both",
            )
        if sees and not both:
            raise ConfigError(
                f"{hosts} take files from one staging, {staging}, and not both say so",
                advice="set `roles.staging: shared` on both, or give each a spool of its own",
            )

    def _sees(self, other: spools.Spool, patience: float) -> bool:
        """Return True if another intake's mark is in this staging. patience: seconds."""
        until = time.monotonic() + patience
        while True:
            with suppress(OSError):
                if other.mark and self._read(self._name(other.mark)) == other.mark.encode():
                    return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.1)

    def _read(self, name: str) -> bytes:
        """Return the mark in a file of the service's own, whatever else others put there."""
        staging = os.open(self._spool.staging, layout.DIRECTORY)
        try:
            file = entry.open_at(staging, name, _READ)
        finally:
            os.close(staging)
        try:
            own = os.fstat(file).st_uid == os.geteuid()
            return os.read(file, 200).strip() if own else b""
        finally:
            os.close(file)

    @staticmethod
    def _name(mark: str) -> str:
        """Return the name of the file with a mark, which nobody can take before."""
        return f".intake-{mark.partition(' ')[0]}"


def _read_id(file: Path) -> str:
    """Return what a file says. Raises FileNotFoundError, also for one that says nothing."""
    text = file.read_text(encoding="ascii").strip()
    if not text:
        raise FileNotFoundError(file)
    return spools.FIRST if text == _FIRST else text


def _write_id(file: Path, made: str) -> None:
    """Write a file, whole or not at all."""
    fresh = file.with_name(f".{file.name}")
    with disks.named(fresh):
        fresh.write_text(f"{made or _FIRST}\n", encoding="ascii")
        disks.flush(fresh)
    fresh.replace(file)
    disks.flush(file.parent)
