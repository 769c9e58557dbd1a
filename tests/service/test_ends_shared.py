"""A person for whom several writers ask: access ends with the last of their dates."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from sqlalchemy import func, select

from provisioner.journal.queries import dates, history
from provisioner.journal.schema import requests
from tests.support.adopting import adopt, observing
from tests.support.clocks import Clocks
from tests.support.ends_site import DAY, ending, look
from tests.support.engine_site import Site, user
from tests.support.manifest_site import Line
from tests.support.policy_site import send
from tests.support.portals import POLICY, ROOT, A, B, C, forget, is_open, left_out, person

ANN = user("ann", uid=1001)


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    """Give a running site with three portals."""
    return Site(tmp_path, POLICY)


def ask(site: Site, portal: int, days: float | None) -> None:
    """Let a portal ask for ann, for some days or without an end."""
    text = ANN if days is None else ending(ANN, days)
    assert send(site, portal, text, "ann.yaml").state == "done"


def in_force(site: Site) -> list[str]:
    """List the writers whose dates are in force."""
    with site.system.journal.reading() as conn:
        return [end.writer for end in dates.ends_until(conn, time.time() + 99 * DAY)]


def ended(site: Site) -> int:
    """Count the requests that followed from a date."""
    with site.system.journal.reading() as conn:
        made = requests.c.name.startswith(history.DATED)
        return conn.scalar(select(func.count()).select_from(requests).where(made)) or 0


@pytest.mark.parametrize("last", [B, ROOT])
def test_a_date_closes_nobody_for_whom_another_writer_asks_without_one(
    site: Site, clocks: Clocks, last: int
) -> None:
    ask(site, A, None)
    ask(site, last, 10)
    assert in_force(site) == []
    clocks.go(11 * DAY)
    look(site)
    assert is_open(site)


@pytest.mark.parametrize("order", list(permutations([(A, 10), (B, 20), (C, 30)])))
def test_of_several_dates_the_last_one_closes_in_any_order(
    site: Site, clocks: Clocks, order: list[tuple[int, float]]
) -> None:
    for portal, days in order:
        ask(site, portal, days)
    assert in_force(site) == [f"uid-{C}"]
    clocks.go(21 * DAY)
    look(site)
    assert is_open(site)
    clocks.go(10 * DAY)
    look(site)
    assert not is_open(site)


def test_a_date_that_has_passed_closes_when_the_other_writer_leaves_the_person_out(
    site: Site, clocks: Clocks
) -> None:
    ask(site, A, None)
    ask(site, B, 10)
    clocks.go(11 * DAY)
    look(site)
    assert is_open(site)
    left_out(site, A)
    look(site)
    assert not is_open(site)


def lists(site: Site, portal: int, days: float | None) -> str:
    """Let a portal's manifest list ann, for some days or without an end."""
    return left_out(site, portal, dated(days))


def dated(days: float | None) -> Line:
    """Return the line for ann, for some days or without an end."""
    if days is None:
        return person()
    end = datetime.fromtimestamp(time.time() + days * DAY, UTC)
    return {**person(), "ends": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


def leaves_out(site: Site, portal: int, days: float | None) -> None:
    """Let a portal's manifest leave ann out."""
    left_out(site, portal)


Said = Callable[[Site, int, float | None], object]


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ([(ask, B, 20), (ask, A, 10), (leaves_out, A, None)], 20),
        ([(ask, B, None), (ask, A, 10), (leaves_out, A, None)], None),
        ([(ask, B, 20), (ask, A, None), (leaves_out, A, None)], 20),
        ([(ask, A, None), (ask, B, 20), (leaves_out, A, None)], 20),
        ([(ask, B, 20), (lists, A, 10), (leaves_out, A, None)], 20),
        ([(ask, B, 20), (lists, A, None), (leaves_out, A, None)], 20),
        ([(ask, A, 10), (lists, B, 20)], 20),
        ([(ask, A, 20), (lists, B, 10)], 20),
        ([(ask, A, 10), (lists, B, None)], None),
        ([(ask, A, None), (lists, B, 10)], None),
        ([(ask, B, 10), (ask, A, 20), (lists, B, None)], None),
        ([(ask, B, 12), (ask, A, 10), (lists, B, 20)], 20),
        ([(ask, B, 30), (ask, A, 10), (lists, B, 20)], 20),
        ([(ask, A, 10), (lists, B, 20), (lists, B, 30)], 30),
        ([(ask, A, 10), (lists, B, 30), (lists, B, 20)], 20),
        ([(ask, A, 10), (lists, B, 20), (lists, B, None)], None),
        ([(ask, A, 10), (lists, B, None), (lists, B, 20)], 20),
        ([(ask, A, 10), (lists, B, 20), (lists, C, 30)], 30),
        ([(ask, A, 10), (lists, B, 20), (lists, C, 30), (leaves_out, C, None)], 20),
        ([(ask, A, 10), (lists, B, 20), (leaves_out, A, None)], 20),
        ([(ask, A, 10), (lists, B, 20), (leaves_out, A, None), (lists, B, 30)], 30),
        ([(ask, A, 10), (lists, B, 20), (leaves_out, B, None)], 10),
        ([(ask, A, 10), (lists, B, 20), (ask, B, 15)], 15),
        ([(ask, A, 10), (lists, B, 20), (ask, A, 25)], 25),
    ],
)
def test_who_asks_for_a_person_says_when_access_ends_by_request_or_by_manifest(
    site: Site, clocks: Clocks, said: list[tuple[Said, int, float | None]], last: float | None
) -> None:
    for say, portal, days in said:
        say(site, portal, days)
    clocks.go((last or 50) * DAY - DAY)
    look(site)
    assert is_open(site)
    clocks.go(2 * DAY)
    look(site)
    assert is_open(site) == (last is None)


def test_a_date_that_a_manifest_said_is_followed_once_and_anew_when_it_is_moved(
    site: Site, clocks: Clocks
) -> None:
    ask(site, A, 1)
    lists(site, B, 2)
    clocks.go(3 * DAY)
    look(site)
    assert not is_open(site)
    assert in_force(site) == []
    look(site)
    assert ended(site) == 1
    lists(site, B, 5)
    assert in_force(site) == [f"uid-{B}"]
    assert not is_open(site)  # a date opens nothing
    clocks.go(6 * DAY)
    look(site)
    assert ended(site) == 2


def test_what_a_manifest_said_of_a_date_outlives_retention_and_a_restart(
    site: Site, clocks: Clocks
) -> None:
    ask(site, A, 10)
    lists(site, B, 20)
    forget(site)
    site.die()
    site = Site(site.root, POLICY)
    assert in_force(site) == [f"uid-{B}"]
    clocks.go(21 * DAY)
    look(site)
    assert not is_open(site)


@pytest.mark.parametrize(("days", "writers"), [(20, [B]), (5, [A]), (None, [])])
def test_who_adopts_a_person_of_another_writer_says_when_access_ends_too(
    tmp_path: Path, days: float | None, writers: list[int]
) -> None:
    site = observing(tmp_path)
    for portal, some in ((A, 10), (B, days)):
        adopt(site, dated(some), writer=f"uid-{portal}")
    assert in_force(site) == [f"uid-{portal}" for portal in writers]


def test_a_manifest_that_names_the_same_date_again_asks_for_nothing(site: Site) -> None:
    ask(site, A, None)
    end = "2127-01-31T18:00:00Z"
    send(site, B, ANN.replace("action:", f"ends: {end}\naction:", 1), "ann.yaml")
    assert in_force(site) == []
    assert "0 requested, 0 suspended, 0 resumed, 1 as listed" in left_out(
        site, B, {**person(), "ends": end}
    )
