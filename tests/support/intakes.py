"""Intakes of several hosts in one process: each has a spool, a journal's connection and a service.

Promises: nothing runs by itself. A test lets each take files, hear news, and do what is due.
Leaves out: processes that die (`host_site`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from provisioner.cli import sharing
from provisioner.config import schema as configuration
from provisioner.hosts import ground
from provisioner.hosts.elsewhere import Elsewhere
from provisioner.hosts.jobs import Jobs
from provisioner.hosts.lease import Held
from provisioner.hosts.member import Member
from provisioner.house.keeping import Keeping
from provisioner.journal.hosts import holds, spools
from provisioner.journal.hosts.presence import HOUSE, INTAKE
from provisioner.journal.records import request_rows
from provisioner.outcome import receipts
from provisioner.routing.router import Router
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from provisioner.wiring import System
from tests.support.engine_site import CONFIG, Accounts, Backend, user

LEASE = 60

SHARED = f"roles: {{lease: {LEASE}, staging: shared}}\n"
"""Of the configuration of intakes that share their staging."""


def asked(number: int = 1) -> str:
    """Write a request with an own id."""
    text = user(f"u{number}", uid=2000 + number)
    return text.replace("provisioner: 1\n", "provisioner: 1\nid: one\n")


@dataclass
class Intake:
    """One intake."""

    host: str
    root: Path
    system: System
    spool: Spool
    member: Member
    service: Service
    keeping: Keeping
    ended: bool = False

    def drop(self, text: str, name: str = "r.yaml") -> str:
        """Drop a request; return its name."""
        return drop(self.spool.staging, name, text.encode())

    def take(self) -> None:
        """Take files, and put what is known of into its place."""
        while self.service.take():
            self.service.clerk.catch_up()
        self.service.clerk.catch_up()

    def hear(self) -> None:
        """Hear what others have told."""
        self.member.hear(0.1)
        self.service.clerk.catch_up()

    def drain(self, *lanes: str) -> None:
        """Drain lanes as a host does that has them."""
        for name in lanes or tuple(self.service.lanes):
            lane = self.service.lanes[name]
            lane.hold = Told(self.member)
            lane.drain()

    def end(self) -> None:
        """End in order."""
        self.ended = True
        self.member.leave()
        self.member.stop()
        self.keeping._system.journal.close()
        self.system.journal.close()
        self.spool.close()

    def files(self, place: str) -> list[str]:
        """List the files of requests in a place, by the names that their writers gave."""
        found = (self.spool.root / place).iterdir()
        return sorted(
            p.name.split("-", 1)[-1] for p in found if not p.name.endswith(".result.yaml")
        )

    def results(self, place: str) -> list[dict[str, Any]]:
        """Return the results in a place, oldest first."""
        found = sorted((self.spool.root / place).glob("*.result.yaml"))
        return [yaml.safe_load(path.read_text()) for path in found]

    def receipt(self, name: str, writer: str = "root") -> dict[str, Any]:
        """Return the receipt of an own id."""
        path = receipts.path(self.spool.receipts, writer, name)
        read: dict[str, Any] = yaml.safe_load(path.read_text())
        return read

    def requests(self) -> list[request_rows.Record]:
        """Return all requests of the journal, in the order of their ids."""
        with self.system.journal.reading() as conn:
            found = request_rows.load(conn, sorted(request_rows.all_ids(conn)))
        return [found[name] for name in sorted(found)]

    @contextmanager
    def house(self) -> Iterator[Keeping]:
        """Take up the house, and begin; nothing of it runs by itself."""
        book = self.keeping._system.journal
        with book.transaction() as conn:
            holder = holds.take_up(conn, HOUSE, self.host, time.time())
        self.member.lease.renew()
        hold = Held(HOUSE, holder.epoch, self.member.lease, self.member.tell_changed)
        self.keeping.hold = hold
        self.keeping.enter()
        yield self.keeping


class Told:
    """The hold of a lane that tells intakes what it ends."""

    def __init__(self, member: Member) -> None:
        self.tell = member.tell_changed

    def sure(self) -> None:
        """Do nothing."""

    def check(self, conn: Any) -> None:
        """Do nothing."""


@dataclass
class Intakes:
    """The intakes of one journal, and the backends of all."""

    top: Path
    address: str
    first: Backend = field(default_factory=Backend)
    second: Backend = field(default_factory=Backend)
    running: ExitStack = field(default_factory=ExitStack)
    made: list[Intake] = field(default_factory=list)

    def make(
        self, host: str, *, spool: str = "", more: str = "", lead: str = CONFIG, join: bool = True
    ) -> Intake:
        """Return an intake that has begun. spool: its directory; more: of the configuration."""
        root = self.top / host
        root.mkdir(exist_ok=True)
        text = lead.replace("journal: journal.db", f"journal: {self.address}")
        text = text.replace("spool: spool", f"spool: {spool or root / 'spool'}")
        file = root / "provisioner.yaml"
        file.write_text(text + (more or f"roles: {{lease: {LEASE}}}\n"))
        config = configuration.load(file)
        Spool.create(config.spool).close()
        handlers = {n: Accounts(n, getattr(self, n)) for n in ("first", "second")}
        kinds = dict.fromkeys(handlers, "accounts")
        system = System(config, handlers, kinds, Router(config, handlers, kinds))
        member = Member(system.journal, INTAKE, config.roles.lease)
        member.name = host
        opened = ground.open_spool(config.spool, config.roles, host)
        service = sharing.among(system, opened, member, Jobs(system.journal, self.address, member))
        for close in (opened.close, system.journal.close, member.stop):
            self.running.callback(close)
        placement = service.placement
        assert isinstance(placement, Elsewhere)
        keeping = placement.works[HOUSE]
        assert isinstance(keeping, Keeping)
        self.running.callback(keeping._system.journal.close)
        for other in self.made:
            if not other.ended:
                other.member.lease.renew()  # it is heard
        service.recover()
        self.made.append(Intake(host, root, system, opened, member, service, keeping))
        return self.made[-1]


def spool_of(intake: Intake) -> spools.Spool:
    """Return how the journal has an intake's spool."""
    with intake.system.journal.reading() as conn:
        [found] = [one for one in spools.listed(conn) if one.host == intake.host]
    return found
