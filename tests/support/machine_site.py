"""A site on several machines: `provisioner run` on each, under rules of its unit, one journal, one
backend.

How to use it, as root (tests/fault/test_hosts_apart.py does):

    with lab("db1", "db2") as made, machine_site(made) as site:  # db2 is db1's standby
        site.start("portal", "--intake")                # a machine that takes requests
        near = site.start("near", "--lanes", "first,second")  # one that drains
        until(site.serves, "all to serve")
        site.drop({"u1": user("u1", uid=2001)})
        near.freeze()                                   # or near.lose_power(), or
        site.network.cut("near")                        # or .part("near", "db1"), or
        made.servers[0].kill()
        print(near.run(site.words("queue")))            # any verb, on any machine

Promises: each machine has the program's own command line, its configuration and spool in its
directory, and a log there. Leases are short, and so is what the unit says of restarts. It says what
became of requests, who wrote to the backend, and whether all serve. Leaves out: faults, which tests
make (`networks`, `machines`, `servers`).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from tests.support import remote_accounts, servers, supervisor
from tests.support.engine_site import CONFIG
from tests.support.machines import Machine
from tests.support.networks import Network, network
from tests.support.servers import Server
from tests.support.waiting import until

LEASE = 1.5
"""Seconds: a host of a busy machine is not taken for a frozen one."""

SCALE = LEASE / 10
"""Of the times that the unit says, as the lease is of the one that is the default."""

LANES = ("first", "second")

_ROOT = Path(__file__).parents[2]
_UNIT = _ROOT / "deploy/systemd/provisioner.service"
_PROGRAM = Path(sys.executable).parent / "provisioner"
_PORT = 7000

LOOK, WRITE = 0.002, 0.004
"""Seconds that the backend takes for each object, so that a burst lasts."""

_PATIENCE = "first: 0.05, most: 0.5, tries: 3, batch: 20"

_PRESENCE = (
    "SELECT coalesce((SELECT json_object_agg(name, extract(epoch FROM clock_timestamp()) - heard) "
    "FROM hosts), '{}'), coalesce((SELECT json_object_agg(lane, host) FROM holds), '{}')"
)


@dataclass
class Lab:
    """What sites share: a network, and its servers, of which the first is the primary."""

    network: Network
    servers: Sequence[Server]
    _numbers: Iterator[int] = field(default_factory=count)

    def schema(self) -> str:
        """Make a schema on the primary; return its name."""
        name = f"journal_{next(self._numbers)}"
        with psycopg.connect(self.servers[0].cluster.address) as conn:
            conn.execute(f"CREATE SCHEMA {name}".encode())
        return name


@contextmanager
def lab(*hosts: str) -> Iterator[Lab]:
    """Make a network, with a PostgreSQL on each of some hosts: the first is the primary."""
    with network() as made, _place() as top, ExitStack() as running:
        for host in hosts:
            made.add(host)
        first, *others = hosts
        started = [servers.primary(made, first, top / first)]
        running.callback(started[0].kill)
        for host in others:
            started.append(servers.standby(started[0], host, top / host))
            running.callback(started[-1].kill)
        yield Lab(made, started)


class MachineSite:
    """A site, and the machines of its own in a lab."""

    def __init__(self, lab: Lab, top: Path) -> None:
        """top: a directory, below which each machine has one. Use `machine_site`."""
        self.lab, self.network, self._top = lab, lab.network, top
        self.schema = lab.schema()
        self.address = servers.address(lab.servers, self.schema)
        self.machines: dict[str, Machine] = {}
        self.dropped: list[str] = []
        self._environment = remote_accounts.installed(top)
        where = self.add("backend")
        self._notes = where.directory / "notes"
        module = "tests.support.account_server"
        words = [sys.executable, "-m", module, self.network.address("backend"), str(_PORT)]
        where.start([*words, str(self._notes), str(LOOK), str(WRITE)])
        until(lambda: "serves" in where.said, "the backend to serve")

    def add(self, name: str, ahead: int = 0, up: int = 0) -> Machine:
        """Add a machine on which nothing runs yet. ahead, up: see `Machine`."""
        self.network.add(name)
        directory = self._top / name
        directory.mkdir()
        (directory / "provisioner.yaml").write_text(self._configuration())
        made = Machine(self.network, name, directory, self._environment, ahead, up)
        self.machines[name] = made
        return made

    def start(self, name: str, *role: str, ahead: int = 0, up: int = 0) -> Machine:
        """Start the service on a new machine. role: options of `provisioner run`."""
        made = self.add(name, ahead, up)
        if "--lanes" not in role:
            made.run(self.words("init"))
        self.serve(made, *role)
        return made

    def serve(self, machine: Machine, *role: str) -> None:
        """Start the service on a machine on which it does not run, as after a loss of power."""
        supervised = [sys.executable, "-m", supervisor.__name__, str(_UNIT), str(SCALE)]
        machine.start([*supervised, *self.words("run", *role)])

    def words(self, *verb: str) -> list[str]:
        """Return the words of the program with a verb, for any machine of the site."""
        return [str(_PROGRAM), "--config", "provisioner.yaml", *verb]

    def drop(self, texts: Mapping[str, str], at: str = "portal") -> None:
        """Drop requests at a machine, by names that no other has."""
        self.dropped += texts
        with closing(Spool.open(self._top / at / "spool")) as spool:
            for name, text in texts.items():
                drop(spool.staging, f"{name}.yaml", text.encode())

    def results(self, place: str = "done", at: str = "portal") -> list[str]:
        """List the names of requests whose results lie in a place of a machine."""
        found = (self._top / at / "spool" / place).glob("*.result.yaml")
        return sorted(file.name.split("-")[1].split(".")[0] for file in found)

    def writes(self) -> list[dict[str, Any]]:
        """Return what was written to the backend, in order."""
        whole = self._notes.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the journal, wherever it is now."""
        for server in reversed(self.lab.servers):  # a former primary may still run
            if server.runs:
                with psycopg.connect(f"{server.cluster.address}&{self._path}") as conn:
                    if conn.execute("SELECT pg_is_in_recovery()").fetchone() == (False,):
                        return conn.execute(statement.encode()).fetchall()
        raise AssertionError("no server takes writes")

    def holders(self) -> dict[str, str | None]:
        """Return which machine has each lane; None if it is nobody's."""
        return dict.fromkeys(LANES) | dict(self.ask("SELECT lane, host FROM holds"))

    def serves(self) -> bool:
        """Return True if all machines that run were heard a moment ago, and drain all lanes."""
        # As `provisioner.journal.hosts.presence` says it, but by no code that is tried.
        [(silent, holders)] = self.ask(_PRESENCE)
        heard = {name for name, seconds in silent.items() if seconds < 2 * LEASE}
        running = {name for name, machine in self.machines.items() if machine.runs}
        drained = {holders.get(lane) for lane in LANES}
        return heard >= running - {"backend"} and heard & running >= drained

    def end(self) -> None:
        """End all that runs on its machines; give the network back as it was."""
        self.network.whole()
        for machine in self.machines.values():
            machine.thaw()
        for machine in self.machines.values():
            machine.end()

    @property
    def _path(self) -> str:
        return f"options=-csearch_path%3D{self.schema}"

    def _configuration(self) -> str:
        text = CONFIG.replace("journal: journal.db", f"journal: {self.address}")
        text = text.replace("first: 0.01, most: 0.02, tries: 3", _PATIENCE)
        backend = f"host: {self.network.add('backend')}, port: {_PORT}"
        text = text.replace("{use: accounts}", f"{{use: {remote_accounts.KIND}, {backend}}}")
        return f"{text}roles: {{lease: {LEASE}}}\n"


@contextmanager
def machine_site(of: Lab) -> Iterator[MachineSite]:
    """Give a site on whose machines nothing runs yet but the backend."""
    with _place() as top:
        made = MachineSite(of, top)
        try:
            yield made
        finally:
            made.end()


@contextmanager
def _place() -> Iterator[Path]:
    """Give a directory that other users may pass through."""
    with tempfile.TemporaryDirectory(prefix="provisioner-machines.") as made:
        Path(made).chmod(0o755)
        yield Path(made)
