"""Whom a portal's manifest closed, the portal asked for once more, and its next manifest leaves out
again: that is the newest that it says of them, also after another portal has opened them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.cards import objects
from provisioner.journal.queries import dates
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site, control, user
from tests.support.manifest_site import ask, reconcile, told
from tests.support.policy_site import now, send
from tests.support.portals import POLICY, A, B, forget, is_open, left_out, person


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site whose first portal asked for a person and left them out."""
    site = Site(tmp_path, POLICY)
    ask(site, person(), A)
    left_out(site, A)
    return site


@pytest.mark.parametrize("how", ["asks", "lists"])
def test_who_was_left_out_again_is_closed_when_who_opened_them_leaves_them_out(
    site: Site, how: str
) -> None:
    ask(site, person(), A)
    assert "1 suspended" in left_out(site, A)
    assert "0 suspended" in left_out(site, A)
    if how == "asks":
        ask(site, person(), B)
    else:
        left_out(site, B, person())
    assert is_open(site)
    left_out(site, B)
    assert not is_open(site)


def test_who_was_not_left_out_again_stays_open_as_their_portal_asked_for_them(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    left_out(site, B)
    assert is_open(site)


def test_who_left_a_person_out_again_says_no_date_any_more(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    ask(site, {**person(), "ends": "2126-01-01T00:00:00Z"}, B)
    with site.system.journal.reading() as conn:
        assert [end.writer for end in dates.ends_until(conn, 1e10)] == ["uid-4712"]


def test_who_was_left_out_again_is_closed_however_old_that_is(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    forget(site)
    ask(site, person(), B)
    assert is_open(site)
    left_out(site, B)
    assert not is_open(site)


def test_a_manifest_that_was_read_before_its_portal_asked_leaves_nobody_out_again(
    site: Site,
) -> None:
    moment = datetime.now(UTC)
    ask(site, person(), A)
    assert "0 suspended" in told(reconcile(site, uid=A, kinds=["user"], as_of=moment))
    ask(site, person(), B)
    left_out(site, B)
    assert is_open(site)


def test_who_was_left_out_again_and_then_closed_by_hand_is_opened_by_no_other_portal(
    site: Site,
) -> None:
    ask(site, person(), A)
    left_out(site, A)
    send(site, A, user("ann", "suspend", cause="reconcile"), "hand.yaml")
    ask(site, person(), B)
    assert not is_open(site)


# One that is cancelled leaves the other.


def test_who_was_left_out_twice_stays_closed_if_the_second_time_is_cancelled(site: Site) -> None:
    ask(site, person(), A)
    cancel(site, leaving(site))
    assert not is_open(site)
    ask(site, person(), B)
    assert is_open(site)
    left_out(site, B)
    assert is_open(site)  # as the first portal has asked since it left them out


def test_who_was_left_out_twice_stays_closed_if_the_first_time_is_cancelled(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, POLICY)
    ask(site, person(), A)
    first = leaving(site)
    ask(site, person(), A)
    assert leaving(site) != first
    cancel(site, first)
    assert not is_open(site)
    ask(site, person(), B)
    assert is_open(site)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_who_was_left_out_twice_is_open_if_both_times_are_cancelled(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    site = Site(tmp_path, POLICY)
    ask(site, person(), A)
    twice = [leaving(site)]
    ask(site, person(), A)
    twice.append(leaving(site))
    for place in order:
        stop(site, twice[place])
        assert is_left_out(site) is (place == order[0])
    site.back(site.second)
    assert is_open(site)


def test_who_was_left_out_thrice_stays_closed_as_long_as_one_time_stands(site: Site) -> None:
    ask(site, person(), A)
    second = leaving(site)
    ask(site, person(), A)
    third = leaving(site)
    stop(site, second)
    cancel(site, third)
    assert not is_open(site)
    ask(site, person(), B)
    assert is_open(site)


def leaving(site: Site) -> Record:
    """Let the first portal leave the person out while a backend is away; return what follows."""
    site.second.away = True
    reconcile(site, uid=A, kinds=["user"])
    return [record for record in site.open() if record.action == "user.suspend"][-1]


def is_left_out(site: Site) -> bool:
    return bool(objects.suspensions(site.system, "user:ann", ()))


def stop(site: Site, request: Record) -> None:
    send(site, A, control("request.cancel", request.id), "cancel.yaml")
    assert now(site, request).state == "cancelled"


def cancel(site: Site, request: Record) -> None:
    """Cancel what still waits for a backend, and let that one come back."""
    stop(site, request)
    site.back(site.second)
