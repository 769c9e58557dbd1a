"""Servers: PostgreSQL on the hosts of a network, a primary and its synchronous standby.

Promises: a commit of the primary is on the standby, too. Hosts reach either by its address, the
test by a socket, whatever happens to the network. A server can be killed, started again, and
promoted. Leaves out: who has to do so, which is the site's; and disks, which are not flushed.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.clusters import USER, Cluster, command, initialized, own
from tests.support.networks import Network
from tests.support.waiting import until

_STREAMS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


@dataclass
class Server:
    """One server, on one host."""

    network: Network
    host: str
    directory: Path
    settings: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def cluster(self) -> Cluster:
        """The server, as the test reaches it."""
        return Cluster(self.directory)

    def start(self) -> None:
        """Start it, and wait until it lets clients in."""
        words = ["-D", str(self.directory / "data"), "-k", str(self.directory)]
        settings = ("fsync=off", f"listen_addresses={self.network.address(self.host)}")
        for setting in (*settings, *self.settings):
            words += ["-c", setting]
        with (self.directory / "log").open("ab") as said:
            self._process = subprocess.Popen(
                [*self.network.enter(self.host), *command("postgres", words)],
                stdin=subprocess.DEVNULL,
                stderr=said,
            )
        until(lambda: self._over() or self.cluster.answers(), f"{self.host} to answer")
        if self._over():
            raise RuntimeError((self.directory / "log").read_text())

    def kill(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does: its next start recovers."""
        if self._process is not None and self.runs:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def promote(self) -> None:
        """Make the primary of a standby."""
        with psycopg.connect(self.cluster.address) as conn:
            conn.execute("SELECT pg_promote()")

    @property
    def runs(self) -> bool:
        """Whether it was started, and is not over."""
        return self._process is not None and not self._over()

    def _over(self) -> bool:
        return self._process is not None and self._process.poll() is not None


def primary(network: Network, host: str, top: Path) -> Server:
    """Make a server in a directory that is not there, and serve it."""
    initialized(top)
    with (top / "data/pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet trust\nhost replication all samenet trust\n")
    made = Server(network, host, top)
    made.start()
    return made


def standby(of: Server, host: str, top: Path) -> Server:
    """Make a standby of a server, for which each of its commits waits from now on."""
    own(top)
    copy = ["--checkpoint=fast", "--no-sync", "--write-recovery-conf", "--wal-method=stream"]
    copy += [f"--host={of.directory}", f"--username={USER}", f"--pgdata={top / 'data'}"]
    subprocess.run(command("pg_basebackup", copy), check=True)
    source = f"host={of.network.address(of.host)} user={USER}"
    made = Server(
        of.network, host, top, (f"primary_conninfo={source}", "wal_retrieve_retry_interval=200ms")
    )
    made.start()
    with psycopg.connect(of.cluster.address, autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        conn.execute("SELECT pg_reload_conf()")
        until(lambda: conn.execute(_STREAMS).fetchone() == (1,), "the standby to follow")
    return made


def address(servers: Sequence[Server], schema: str) -> str:
    """Return the address of a schema on whichever of some servers takes writes.

    One that is silent costs each new connection some seconds: two, as a site should say.
    """
    hosts = ",".join(server.network.address(server.host) for server in servers)
    writes = "&target_session_attrs=read-write&connect_timeout=2" if len(servers) > 1 else ""
    options = f"options=-csearch_path%3D{schema}"
    return f"postgresql:///template1?host={hosts}&user={USER}{writes}&{options}"
