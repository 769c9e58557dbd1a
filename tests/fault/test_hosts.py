"""Lanes on several hosts: one dies, one is frozen longer than its lease; nothing is lost, nothing
done twice, and a backend has one writer at a time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import psycopg
import pytest

from tests.support import databases
from tests.support.host_site import AMID, FREEZE, FROZEN, KILL, Hosts
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.root]

PEOPLE = 120
LANES = ("first", "second")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Give a site whose intake is on the portal, and whose lanes are on `near`."""
    made = Hosts(tmp_path, databases.cluster().make())
    try:
        made.serve("portal", "intake")
        made.serve("near", "lanes", *LANES)
        made.start("far", "lanes", *LANES)
        yield made
    finally:
        made.end()


def whole(hosts: Hosts) -> None:
    """Wait until all are served; check that each was once, by one writer at a time."""
    until(lambda: len(hosts.results()) == PEOPLE, "all requests to be done")
    assert sorted(hosts.results()) == sorted(f"u{person}" for person in range(PEOPLE))
    assert hosts.results("failed") == []
    with psycopg.connect(hosts.address) as conn:
        ends = conn.execute("SELECT request, kind FROM events WHERE kind = 'done'").fetchall()
    assert len(ends) == len(set(ends)) == PEOPLE
    writes = hosts.writes()
    assert len({(write["key"], write["verb"]) for write in writes}) == 2 * len(LANES) * PEOPLE
    assert [write for write in writes if write["again"]] == []
    for lane in LANES:
        mine = [str(write["host"]) for write in writes if str(write["key"]).startswith(lane)]
        turns = [host for host, _ in groupby(mine)]
        assert turns == sorted(set(turns), reverse=True), "near, then far"
    assert {write["host"] for write in writes} == {"near", "far"}


def test_a_host_that_dies_is_replaced(hosts: Hosts) -> None:
    hosts.drop(PEOPLE)
    until(lambda: len(hosts.writes()) > PEOPLE // 4, "a part of the burst to be written")
    hosts.order(KILL, "near")
    assert hosts.processes["near"].wait(60) == -signal.SIGKILL
    whole(hosts)


@pytest.mark.parametrize("when", [AMID, FREEZE])
def test_a_host_that_freezes_between_two_writes_writes_and_records_nothing_more(
    hosts: Hosts, when: str
) -> None:
    near = hosts.processes["near"]
    hosts.drop(PEOPLE)
    until(lambda: len(hosts.writes()) > PEOPLE // 4, "a part of the burst to be written")
    hosts.order(when, "near")
    until((hosts.top / FROZEN).exists, "a host to freeze")
    until(lambda: hosts.writes()[-1]["host"] == "far", "another host to write")
    near.send_signal(signal.SIGCONT)
    assert near.wait(60) != 0
    whole(hosts)
