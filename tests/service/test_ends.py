"""Access that ends at a date: by a request of the service's own, if the date is still in force."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.journal.queries import dates
from provisioner.journal.records import ledger, request_rows
from provisioner.journal.records.request_rows import Record
from tests.support.clocks import Clocks
from tests.support.crowds import people
from tests.support.ends_site import ending, look
from tests.support.engine_site import Site, allocation, control, membership, release, user
from tests.support.mail_site import notify, project, tell
from tests.support.manifest_site import POLICY as MANIFESTS
from tests.support.manifest_site import entry, reconcile
from tests.support.policy_site import OPERATOR, POLICY, PORTAL, now, send
from tests.support.smtp_server import Mailbox

DAY = 86400.0


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    return Site(tmp_path)


def restart(site: Site) -> None:
    site.spool.close()
    site.system.journal.close()
    site.start()
    look(site)


def reasons(site: Site, subject: str) -> list[str]:
    with site.system.journal.reading() as conn:
        return ledger.reasons(conn, subject)


def newest(site: Site, name: str) -> Record:
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def test_access_ends_when_its_date_comes_and_not_before(site: Site, clocks: Clocks) -> None:
    site.request(ending(user("ann", uid=7), 30))
    clocks.go(29 * DAY)
    look(site)
    assert site.limit("first/account/ann") == "7"
    clocks.go(2 * DAY)
    look(site)
    assert site.limit("first/account/ann") == "0"
    assert reasons(site, "user:ann") == ["root: ended"]
    closing = newest(site, "ended-user-ann.json")
    assert (closing.state, closing.action) == ("done", "user.suspend")


def test_it_ends_once_and_stays_open_after_a_resume(site: Site, clocks: Clocks) -> None:
    site.request(ending(user("ann", uid=7), 1))
    clocks.go(2 * DAY)
    look(site)
    site.request(user("ann", "resume", cause="ended"), "back.yaml")
    restart(site)
    assert site.limit("first/account/ann") == "7"


def test_a_date_that_passed_while_the_service_was_down_is_followed_at_its_start(
    site: Site, clocks: Clocks
) -> None:
    site.request(ending(allocation(1, "ann, bob"), 1))
    clocks.go(9 * DAY)
    restart(site)
    assert site.limit("first/member/cf/ann") == "0"
    assert reasons(site, "allocation:1") == ["root: ended"]


@pytest.mark.parametrize(("days", "closed"), [(60, False), (None, False), (5, True)])
def test_a_newer_request_moves_or_removes_the_date(
    site: Site, clocks: Clocks, days: float | None, closed: bool
) -> None:
    site.request(ending(user("ann", uid=7), 30))
    again = user("ann", uid=8)
    site.request(again if days is None else ending(again, days), "later.yaml")
    clocks.go(31 * DAY)
    look(site)
    assert (site.limit("first/account/ann") == "0") is closed


def test_a_newer_request_that_is_cancelled_leaves_the_date_in_force(
    site: Site, clocks: Clocks
) -> None:
    site.request(ending(user("ann", uid=7), 30))
    site.first.away = True
    site.request(user("ann", uid=8), "later.yaml")
    site.request(control("request.cancel", newest(site, "later.yaml").id), "cancel.yaml")
    site.back(site.first)
    clocks.go(31 * DAY)
    look(site)
    assert site.limit("first/account/ann") == "0"


def test_a_later_date_opens_nothing_that_has_ended(site: Site, clocks: Clocks) -> None:
    site.request(ending(user("ann", uid=7), 1))
    clocks.go(2 * DAY)
    look(site)
    site.request(ending(user("ann", uid=7), 30), "later.yaml")
    assert site.limit("first/account/ann") == "0"
    site.request(user("ann", "resume", cause="ended"), "back.yaml")
    assert site.limit("first/account/ann") == "7"


def test_a_member_whose_date_comes_leaves_the_allocation_alone(site: Site, clocks: Clocks) -> None:
    site.request(allocation(1, "ann"))
    site.request(ending(membership(1, "bob", "add"), 1), "bob.yaml")
    clocks.go(2 * DAY)
    look(site)
    assert "first/member/cf/bob" not in site.first.rows
    assert "first/member/cf/ann" in site.first.rows


def test_a_course_ends_for_everybody_together_and_who_has_more_keeps_that(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, "policy: {mass: {users: 50}}\n")
    site.request(user("ann", uid=7), "ann.yaml")
    site.request(allocation(1, "ann", code="own"), "own.yaml")
    site.request(ending(allocation(2, people(20) + ", ann", code="course"), 90), "course.yaml")
    clocks.go(91 * DAY)
    look(site)
    course = {key: row for key, row in site.first.rows.items() if "/member/course/" in key}
    assert len(course) == 21
    assert {row["limit"] for row in course.values()} == {"0"}
    assert site.limit("first/member/own/ann") != "0"
    assert site.limit("first/account/ann") == "7"


@pytest.mark.parametrize("by", [3650 * DAY, 40 * DAY])
def test_a_clock_that_jumps_ahead_closes_nobody(site: Site, clocks: Clocks, by: float) -> None:
    site.request(ending(user("ann", uid=7), 30))
    clocks.jump(by)
    look(site)
    restart(site)
    clocks.go(DAY / 2)
    look(site)
    assert site.limit("first/account/ann") == "7"
    clocks.jump(-by)
    look(site)
    clocks.go(2 * DAY)
    look(site)
    assert site.limit("first/account/ann") == "7"


def test_soon_after_a_boot_nobody_is_closed(
    site: Site, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.request(ending(user("ann", uid=7), 30))
    clocks.go(30 * DAY - 3600)
    look(site)
    clocks.go(5400)
    real = time.clock_gettime
    since = real(time.CLOCK_BOOTTIME)
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) - since)
    monkeypatch.setattr("provisioner.recovery.clock._boot_id", ["another"])
    restart(site)
    assert site.limit("first/account/ann") == "7"
    clocks.go(700)
    look(site)
    assert site.limit("first/account/ann") == "0"


def test_a_date_that_has_passed_is_refused(site: Site) -> None:
    site.request(ending(user("ann"), -1))
    [result] = site.results("failed")
    assert result["outcome"] == "refused"
    [problem] = result["problems"]
    assert (problem["line"], problem["key"]) == (2, "ends")


def test_a_crowd_whose_dates_come_together_is_held_and_a_release_looks_again(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(9, people(20)), "all.yaml")
    for number in range(12):
        text = ending(membership(9, f"u{number}", "add"), 1)
        send(site, 0, text, f"{number:02}.yaml")
    send(site, 0, ending(membership(9, "u0", "add"), 60), "longer.yaml")
    clocks.go(2 * DAY)
    look(site)
    names = [f"ended-allocation-9-user-u{number}.json" for number in range(1, 12)]
    assert {newest(site, name).state for name in names} == {"held"}
    assert len([key for key in site.first.rows if "/member/" in key]) == 20
    send(site, OPERATOR, release(newest(site, names[0])), "yes.yaml")
    assert "first/member/cf/u1" not in site.first.rows
    send(site, 0, ending(membership(9, "u2", "add"), 60), "moved.yaml")
    overtaken = newest(site, names[1])
    send(site, OPERATOR, release(overtaken), "late.yaml")
    assert now(site, overtaken).state == "superseded"
    assert "first/member/cf/u2" in site.first.rows


def test_a_held_end_that_is_cancelled_is_not_asked_again(tmp_path: Path, clocks: Clocks) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, ending(allocation(1, people(20)), 1))
    clocks.go(2 * DAY)
    look(site)
    held = newest(site, "ended-allocation-1.json")
    assert held.state == "held"
    send(site, 0, control("request.cancel", held.id), "cancel.yaml")
    restart(site)
    assert newest(site, "ended-allocation-1.json").id == held.id
    assert reasons(site, "allocation:1") == []


def test_access_ends_although_its_writer_may_not_take_it_away_alone(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, POLICY)
    send(site, PORTAL, ending(user("ann"), 1))
    assert send(site, PORTAL, user("ann", "suspend"), "held.yaml").state == "held"
    clocks.go(2 * DAY)
    look(site)
    assert reasons(site, "user:ann") == ["uid-4711: ended"]


def test_a_manifest_that_lists_another_date_moves_it(tmp_path: Path, clocks: Clocks) -> None:
    site = Site(tmp_path, MANIFESTS)
    later = datetime.fromtimestamp(time.time() + 60 * DAY, UTC).isoformat()
    reconcile(site, entry(1, "ann"))
    reconcile(site, {**entry(1, "ann"), "ends": later})
    with site.system.journal.reading() as conn:
        assert len(dates.ends_until(conn, time.time() + 61 * DAY)) == 1
    said = reconcile(site, {**entry(1, "ann"), "ends": later})
    assert "0 requested" in str(said.problems)
    reconcile(site, entry(1, "ann"))
    with site.system.journal.reading() as conn:
        assert dates.ends_until(conn, time.time() + 61 * DAY) == []


def test_the_dates_in_force_are_those_of_the_newest_requests(site: Site) -> None:
    site.request(ending(allocation(1, "ann"), 30))
    site.request(ending(membership(1, "bob", "add"), 3), "bob.yaml")
    with site.system.journal.reading() as conn:
        ends = dates.ends_until(conn, time.time() + 60 * DAY)
    assert [end.subject for end in ends] == ["allocation:1/user:bob", "allocation:1"]


def mails(site: Site, mailbox: Mailbox, person: str) -> list[str]:
    """Let the courier work, and return the subjects of a person's warnings."""
    site.service.house.courier._warned = 0.0
    tell(site)
    return [one for one in mailbox.subjects(f"{person}@campus.test") if " ends on " in one]


def test_people_are_told_before_their_access_ends_once_at_each_time(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port))
    site.request(ending(project(7, "ann", "bob"), 40))
    assert mails(site, mailbox, "ann") == []
    for days, count in ((11, 1), (1, 1), (22, 2), (1, 2), (4.5, 3), (1, 3)):
        clocks.go(days * DAY)
        assert len(mails(site, mailbox, "ann")) == count
    assert len(mails(site, mailbox, "pi")) == 3
    assert mails(site, mailbox, "bob")[0].startswith("Your access to cf7 on one ends on 20")


def test_who_loses_access_because_its_date_came_is_told_so(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port))
    site.request(ending(project(7, "ann"), 2))
    clocks.go(3 * DAY)
    look(site)
    tell(site)
    for person in ("ann", "pi"):
        assert "Your access to cf7 on one is suspended" in mailbox.subjects(f"{person}@campus.test")


def test_a_date_that_is_moved_is_told_anew_and_one_that_is_removed_not_at_all(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port))
    site.request(ending(user("ann", uid=7), 5))
    assert len(mails(site, mailbox, "ann")) == 1
    site.request(ending(user("ann", uid=7), 6), "later.yaml")
    assert len(mails(site, mailbox, "ann")) == 2
    site.request(user("ann", uid=7), "never.yaml")
    clocks.go(5.5 * DAY)
    assert len(mails(site, mailbox, "ann")) == 2


def test_a_clock_that_jumps_ahead_warns_nobody(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port))
    site.request(ending(user("ann", uid=7), 100))
    clocks.jump(99.5 * DAY)
    assert mails(site, mailbox, "ann") == []


@pytest.mark.parametrize("days", ["[7, 30]", "[7, 7]", "[0]", "[400, 7]"])
def test_times_out_of_order_are_an_error_of_the_configuration(
    tmp_path: Path, port: int, days: str
) -> None:
    with pytest.raises(ConfigError, match="before_end"):
        Site(tmp_path, notify(port, f"  before_end: {days}\n"))
