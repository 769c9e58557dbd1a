"""Faults between hosts: each is a machine with its own network, and PostgreSQL and the backend are
others. Whatever parts them, nothing is lost, nothing ends twice, a backend has one writer at a
time, and all serve again.

The machines' times of day differ by minutes, their times since boot by days. One site goes from one
fault to the next. In CI with small bursts; PROVISIONER_FAULT=whole (`make fault`) takes large ones,
and waits until hosts give a silent one up.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import groupby

import pytest

from tests.support.engine_site import allocation, user
from tests.support.machine_site import LANES, LEASE, MachineSite, lab, machine_site
from tests.support.machines import Machine
from tests.support.supervisor import AGAIN, OVER
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.root]

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"
SOME, MANY = (400, 2000) if WHOLE else (100, 200)
BOTH = ("--lanes", ",".join(LANES))

SILENT = 45.0
"""Seconds after which hosts and servers have given each other up: `_PATIENCE` of the product."""

LONG = [3 * LEASE, SILENT] if WHOLE else [3 * LEASE]


BUG = re.compile(r"^(?!.*ConnectorException|The above|During).+\n+Traceback", re.MULTILINE)
"""An error that nobody expected. That the server is away, procrastinate logs with a traceback."""


FIVE_MINUTES_AHEAD = (
    "UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat + interval '5 minutes' "
    "WHERE id IN (SELECT worker_id FROM procrastinate_jobs WHERE status = 'doing') RETURNING id"
)
"""As the server finds it whose clock is behind that of its predecessor, or was set."""


class Running:
    """The site of these tests, which goes from one to the next unless one has left it in ruins."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._site: MachineSite | None = None

    def take(self) -> MachineSite:
        """Return it; a new one after one that was not given back."""
        if self._site is None:
            self._stack.close()
            made = self._stack.enter_context(lab("db1", "db2"))
            self._site = self._stack.enter_context(machine_site(made))
            begin(self._site)
        taken, self._site = self._site, None
        return taken

    def give_back(self, site: MachineSite) -> None:
        """Let the next test have it."""
        self._site = site

    def end(self) -> None:
        """End it."""
        self._stack.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Give what keeps the site of these tests."""
    made = Running()
    yield made
    made.end()


@pytest.fixture
def site(running: Running) -> MachineSite:
    """Give an intake, `portal`, and two machines for both lanes, `near` and `far`."""
    return running.take()


def begin(site: MachineSite) -> None:
    """Start the service on all machines, each with clocks of its own."""
    # Behind: files have the kernel's time, and one that seems old may be taken for a leftover.
    site.start("portal", "--intake", ahead=-150)
    site.start("near", *BOTH, ahead=-300, up=86_400)
    site.start("far", *BOTH, ahead=300, up=864_000)
    until(site.serves, "all to serve", every=0.3)


def burst(site: MachineSite, number: int = SOME) -> list[str]:
    """Drop requests for some people; return their names when a part of them is done."""
    first = len(site.dropped)
    people = {f"u{uid}": user(f"u{uid}", uid=2000 + uid) for uid in range(first, first + number)}
    before = len(site.writes())
    site.drop(people)
    until(lambda: len(site.writes()) > before + number // 4, "a part to be written", every=0.05)
    return list(people)


def pair(site: MachineSite) -> tuple[Machine, Machine]:
    """Return the machine that has the first lane, and the one that may have it instead."""
    near, far = site.machines["near"], site.machines["far"]
    return (near, far) if site.holders()["first"] == "near" else (far, near)


def overtaken(site: MachineSite, by: Machine) -> None:
    """Wait until a machine writes for the first lane."""

    def writes() -> bool:
        *_, last = (write for write in site.writes() if write["instance"] == "first")
        return bool(last["host"] == by.name)

    until(writes, f"{by.name} to write", every=0.1)


def more(site: MachineSite, than: int) -> bool:
    """Return True if more requests than some are done."""
    return len(site.results()) > than


def restarts(site: MachineSite) -> list[int]:
    """Return how often the service was started again on each machine."""
    return [machine.said.count(AGAIN) for machine in site.machines.values()]


def whole(site: MachineSite) -> None:
    """Wait until all requests are done and all machines serve; check that each was done once, by
    one writer at a time."""
    names = site.dropped
    while (before := len(site.results())) < len(names):
        until(partial(more, site, before), "another request to be done", every=0.3)
    until(site.serves, "all machines to serve", every=0.5)
    assert (site.results(), site.results("failed")) == (sorted(names), [])
    ends = site.ask("SELECT request FROM events WHERE kind = 'done'")
    assert len(ends) == len(set(ends)) == len(names)
    assert site.ask("SELECT state, count(*) FROM requests GROUP BY state") == [("done", len(names))]
    writes = site.writes()
    assert [write for write in writes if write["beside"] or write["again"]] == []
    for lane in LANES:
        turns = [w for w, _ in groupby(w["writer"] for w in writes if w["instance"] == lane)]
        assert len(turns) == len(set(turns)), "nobody writes after another one has begun"
    for machine in site.machines.values():
        assert OVER not in machine.said
        assert BUG.findall(machine.said) == []


def test_clocks_that_differ_by_minutes_delay_nothing(site: MachineSite, running: Running) -> None:
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    times = [float(machine.run(asked)) for machine in site.machines.values()]
    assert max(times) - min(times) > 590
    before = restarts(site)
    burst(site)
    whole(site)
    assert restarts(site) == before
    running.give_back(site)


@pytest.mark.parametrize("long", LONG)
def test_a_host_that_is_cut_off_from_the_server_is_replaced(
    site: MachineSite, running: Running, long: float
) -> None:
    cut, other = pair(site)
    runs = cut.said.count(AGAIN)
    burst(site)
    site.network.part(cut.name, "db1")
    overtaken(site, by=other)
    time.sleep(long - 3 * LEASE)
    site.network.rejoin(cut.name, "db1")
    until(lambda: cut.said.count(AGAIN) > runs, f"{cut.name} to start again", every=0.3)
    whole(site)
    running.give_back(site)


@pytest.mark.parametrize("long", LONG)
def test_an_intake_that_is_cut_off_goes_on_when_its_link_is_back(
    site: MachineSite, running: Running, long: float
) -> None:
    burst(site)
    site.network.cut("portal")
    time.sleep(long)
    site.network.mend("portal")
    whole(site)
    running.give_back(site)


def test_a_host_that_is_frozen_while_it_is_cut_off_writes_nothing_more(
    site: MachineSite, running: Running
) -> None:
    cut, other = pair(site)
    runs = cut.said.count(AGAIN)
    burst(site)
    site.network.cut(cut.name)
    cut.freeze()
    overtaken(site, by=other)
    site.network.mend(cut.name)
    cut.thaw()
    until(lambda: cut.said.count(AGAIN) > runs, f"{cut.name} to start again", every=0.3)
    whole(site)
    running.give_back(site)


def test_a_host_that_loses_its_power_is_replaced_whatever_time_the_server_has(
    site: MachineSite, running: Running
) -> None:
    dead, other = pair(site)
    burst(site)
    dead.lose_power()
    site.ask(FIVE_MINUTES_AHEAD)
    overtaken(site, by=other)
    whole(site)
    site.network.mend(dead.name)
    site.serve(dead, *BOTH)
    whole(site)
    running.give_back(site)


def test_a_server_that_crashes_and_is_started_again_loses_nothing(
    site: MachineSite, running: Running
) -> None:
    burst(site)
    server = site.lab.servers[0]
    server.kill()
    server.start()
    whole(site)
    running.give_back(site)


def dies(site: MachineSite) -> None:
    """Let the primary end."""
    site.lab.servers[0].kill()


def loses_its_link(site: MachineSite) -> None:
    """Let the primary be silent."""
    site.network.cut("db1")


def is_left_with_one_host(site: MachineSite) -> None:
    """Let the primary go on with the host that has the first lane, away from all others."""
    [_, other] = pair(site)
    for name in ("db2", "portal", other.name):
        site.network.part("db1", name)


@pytest.mark.parametrize("lose", [dies, loses_its_link, is_left_with_one_host] if WHOLE else [dies])
def test_a_standby_takes_over_in_a_burst(
    site: MachineSite, lose: Callable[[MachineSite], None]
) -> None:
    burst(site, MANY)
    former, standby = site.lab.servers
    lose(site)
    standby.promote()
    until(partial(more, site, len(site.results())), "another request to be done", every=0.3)
    former.kill()  # as the site sees to
    whole(site)


@pytest.fixture
def apart() -> Iterator[MachineSite]:
    """Give a site of which each machine has its own lane."""
    with lab("db") as made, machine_site(made) as site:
        site.start("portal", "--intake")
        site.start("near", "--lanes", "first")
        site.start("far", "--lanes", "second")
        until(site.serves, "all to serve", every=0.3)
        yield site


def test_a_backend_that_one_host_does_not_reach_delays_nobody_elses(apart: MachineSite) -> None:
    near, holders = apart.machines["near"], holds(apart)
    people = burst(apart)
    apart.network.part("near", "backend")
    others = {f"a{number}": elsewhere(number) for number in range(20)}
    apart.drop(others)
    until(lambda: others.keys() <= {*apart.results()}, "the others' to be done", every=0.1)
    until(lambda: "the backend of first is away" in near.said, "the breaker to open")
    assert {*people} - {*apart.results()}
    apart.network.rejoin("near", "backend")
    whole(apart)
    assert holds(apart) == holders


def holds(site: MachineSite) -> list[tuple[object, ...]]:
    """Return who has each lane, by which number, since when; the house is no lane."""
    return [row for row in site.ask("SELECT * FROM holds ORDER BY lane") if row[0] in LANES]


def elsewhere(number: int) -> str:
    """Ask for what has objects of the second lane alone."""
    return allocation(number, "x, y", code=f"cf{number}").replace("resource: one", "resource: two")
