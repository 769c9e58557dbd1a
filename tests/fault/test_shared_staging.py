"""Two intakes on one shared staging: whoever takes files is killed, or frozen longer than the
lease, in the midst of a burst. Nothing is lost, nothing is done twice, one writer's requests are
accepted in the order in which they came, and the other intake goes on with all files.

Each host, and the writer's, has a mount of its own of the one directory, by FUSE: events of one do
not reach the others, and there is no rename that replaces nothing, as on NFS.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from provisioner.journal.hosts.presence import HOUSE
from provisioner.spool.submit import drop
from tests.support import databases
from tests.support.engine_site import user
from tests.support.host_site import LEASE, Hosts
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.root]

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"
PEOPLE, ROUNDS = (600, 6) if WHOLE else (90, 1)
INTAKES = ("north", "south")
SEED, PACE = 70, 0.02


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Give a site with two intakes on one staging, and a host for lanes."""
    made = Hosts(tmp_path, databases.cluster().make(), staging="shared")
    with ExitStack() as mounts:
        for host in (*INTAKES, "writer"):
            mounts.enter_context(mounted(made.config.spool, tmp_path / f"spool-{host}"))
        try:
            for host in INTAKES:
                made.own(host)
                made.serve(host, "intake")
            made.serve("near", "lanes", "first", "second")
            yield made
        finally:
            made.end()


@contextmanager
def mounted(directory: Path, at: Path) -> Iterator[None]:
    """Mount a directory once more, by a file system that has no events of others."""
    at.mkdir(mode=0o711)
    subprocess.run(["bindfs", directory, at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


class Writer(threading.Thread):
    """Drops requests, one after the other, for people with numbers."""

    def __init__(self, staging: Path, people: range) -> None:
        super().__init__()
        self.names: list[str] = []
        self._staging, self._people = staging, people

    def run(self) -> None:
        for person in self._people:
            text = user(f"u{person:04}", uid=2000 + person)
            body = text.replace("provisioner: 1\n", f"provisioner: 1\nid: i{person}\n").encode()
            self.names.append(drop(self._staging, f"u{person:04}.yaml", body))
            time.sleep(PACE)


def taker(hosts: Hosts) -> str:
    """Return the host that takes files; '' if none does."""
    with psycopg.connect(hosts.address) as conn:
        asked = "SELECT host FROM holds WHERE lane = %s AND host IS NOT NULL"
        found = [host for (host,) in conn.execute(asked, [HOUSE])]
    return str(found[0]) if found else ""


def accepted(hosts: Hosts) -> list[str]:
    """Return the names of the accepted requests' files, in the order of their acceptance."""
    with psycopg.connect(hosts.address) as conn:
        return [name for (name,) in conn.execute("SELECT name FROM requests ORDER BY id")]


def whole(hosts: Hosts, names: list[str]) -> None:
    """Wait until all is done; check that it was done once, in its order, and where its files
    are."""
    spool = hosts.config.spool
    people = [name[:5] for name in names]
    until(lambda: len(hosts.results()) >= len(people), "all results", every=0.1)
    assert sorted(hosts.results()) == people
    assert hosts.results("failed") == []
    assert [name[:5] for name in accepted(hosts)] == people
    with psycopg.connect(hosts.address) as conn:
        ends = conn.execute("SELECT request FROM events WHERE kind = 'done'").fetchall()
    assert len(ends) == len(set(ends)) == len(people)
    assert [write for write in hosts.writes() if write["again"]] == []
    for place in ("active", "deferred", "held", "failed", "quarantine"):
        assert list((spool / place).iterdir()) == [], place
    assert len(list((spool / "done").iterdir())) == 2 * len(people)
    receipts = [path.read_text() for path in (spool / "receipts/root").iterdir()]
    assert len(receipts) == len(people)
    assert all("\nstate: done\n" in text for text in receipts)


def kill(hosts: Hosts, host: str) -> None:
    """Kill an intake; systemd would start it again after the other one has gone on."""
    hosts.processes[host].send_signal(signal.SIGKILL)
    assert hosts.processes[host].wait(60) == -signal.SIGKILL


def freeze(hosts: Hosts, host: str) -> None:
    """Stop an intake where it stands."""
    hosts.processes[host].send_signal(signal.SIGSTOP)


def ended(hosts: Hosts, host: str) -> None:
    """Have an intake that was frozen go on; it has to end."""
    process = hosts.processes[host]
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 1


@pytest.mark.parametrize("fault", [kill, freeze])
def test_who_takes_files_fails_in_a_burst_and_the_other_one_goes_on(
    hosts: Hosts, fault: Callable[[Hosts, str], None]
) -> None:
    chance = random.Random(SEED)
    until(lambda: taker(hosts), "an intake to take files")
    writer = Writer(hosts.top / "spool-writer/staging", range(PEOPLE))
    writer.start()
    for _ in range(ROUNDS):
        time.sleep(chance.random() * PEOPLE * PACE / ROUNDS)
        host = taker(hosts)
        fault(hosts, host)
        until(lambda host=host: taker(hosts) not in ("", host), "the other one to go on")  # type: ignore[misc]
        time.sleep(chance.random() * LEASE)
        ended(hosts, host)
        hosts.serve(host, "intake")
    writer.join()
    whole(hosts, writer.names)
