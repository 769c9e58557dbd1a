"""Two intakes take the same requests, and one dies, or is frozen, in the midst of it: each request
is done once, nothing is lost, and results are where files were taken."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import yaml

from provisioner.journal.hosts.presence import HOUSE
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from tests.support import databases
from tests.support.engine_site import user
from tests.support.host_site import Hosts
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.root]

PEOPLE = 60
INTAKES = ("north", "south")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Give a site with two intakes, each with a spool of its own, and a host for lanes."""
    made = Hosts(tmp_path, databases.cluster().make())
    try:
        for host in INTAKES:
            made.own(host)
            made.serve(host, "intake")
        made.serve("near", "lanes", "first", "second")
        yield made
    finally:
        made.end()


def dropped(hosts: Hosts, people: range) -> None:
    """Drop the same requests at both, person by person."""
    for person in people:
        text = user(f"u{person}", uid=2000 + person)
        body = text.replace("provisioner: 1\n", f"provisioner: 1\nid: i{person}\n").encode()
        for host in INTAKES:
            with closing(Spool.open(hosts.own(host))) as spool:
                drop(spool.staging, f"u{person}.yaml", body)


def keeps_house(hosts: Hosts) -> str:
    """Return the host that has the house, once one has."""
    with psycopg.connect(hosts.address) as conn:
        asked = "SELECT host FROM holds WHERE lane = %s AND host IS NOT NULL"
        found = [host for (host,) in conn.execute(asked, [HOUSE])]
    return str(found[0]) if found else ""


def whole(hosts: Hosts) -> None:
    """Wait until both have all results; check that each request was one, and was done once."""
    names = sorted(f"u{person}" for person in range(PEOPLE))
    for host in INTAKES:
        spool = hosts.own(host)
        until(lambda s=spool: len(hosts.results("done", s)) == PEOPLE, f"all results at {host}")  # type: ignore[misc]
        assert sorted(hosts.results("done", spool)) == names
        assert hosts.results("failed", spool) == []
        for person in range(PEOPLE):
            receipt = spool / "receipts/root" / f"i{person}.yaml"
            until(lambda r=receipt: state(r) == "done", f"the receipt i{person} at {host}")  # type: ignore[misc]
    with psycopg.connect(hosts.address) as conn:
        first = conn.execute(
            "SELECT writer_id, count(*) FROM requests WHERE duplicate_of IS NULL GROUP BY 1"
        ).fetchall()
        ends = conn.execute(
            "SELECT request FROM events WHERE kind = 'done' AND request IN "
            "(SELECT id FROM requests WHERE duplicate_of IS NULL)"
        ).fetchall()
        spools = conn.execute("SELECT spool, count(*) FROM requests GROUP BY 1").fetchall()
    assert sorted(first) == sorted((f"i{person}", 1) for person in range(PEOPLE))
    assert len(ends) == len(set(ends)) == PEOPLE
    assert [count for _, count in spools] == [PEOPLE, PEOPLE]
    assert [write for write in hosts.writes() if write["again"]] == []


def state(receipt: Path) -> str:
    return str(yaml.safe_load(receipt.read_text())["state"]) if receipt.exists() else ""


def test_of_two_intakes_one_that_dies_loses_nothing_and_the_other_one_keeps_house(
    hosts: Hosts,
) -> None:
    until(lambda: keeps_house(hosts) != "", "the house to be kept")
    host = keeps_house(hosts)
    other = next(each for each in INTAKES if each != host)
    dropped(hosts, range(PEOPLE // 2))
    hosts.processes[host].send_signal(signal.SIGKILL)
    assert hosts.processes[host].wait(60) == -signal.SIGKILL
    dropped(hosts, range(PEOPLE // 2, PEOPLE))
    until(lambda: keeps_house(hosts) == other, "the other one to take the house up")
    hosts.serve(host, "intake")
    whole(hosts)
    assert keeps_house(hosts) == other


def test_of_two_intakes_one_that_freezes_does_nothing_twice(hosts: Hosts) -> None:
    until(lambda: keeps_house(hosts) != "", "the house to be kept")
    host = keeps_house(hosts)
    other = next(each for each in INTAKES if each != host)
    frozen = hosts.processes[host]
    dropped(hosts, range(PEOPLE // 2))
    frozen.send_signal(signal.SIGSTOP)
    dropped(hosts, range(PEOPLE // 2, PEOPLE))
    until(lambda: keeps_house(hosts) == other, "the other one to take the house up")
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(60) != 0  # it lost the house, and systemd starts it again
    hosts.serve(host, "intake")
    whole(hosts)
