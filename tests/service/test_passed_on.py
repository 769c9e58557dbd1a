"""A uid that passed to another person: what its former user asked for is not theirs."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.contract import InvalidRequest
from provisioner.journal.queries import lookup
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.system import users
from tests.support.clocks import Clocks
from tests.support.crowds import people
from tests.support.ends_site import DAY, ending, look
from tests.support.engine_site import Site, allocation, control, release, user
from tests.support.policy_site import OPERATOR, PORTAL, now, send, why

POLICY = """\
policy:
  rules:
  - {who: [alice], actions: ["*"], others: true}
  - {who: [bob], actions: [allocation.*, user.provision, "request.*"]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""
LATER = "not_before: 2126-01-01T00:00:00Z\n"
OWN = f"id: incident-7\n{LATER}"
SUSPENSION = (
    f"provisioner: 1\naction: user.suspend\n{OWN}cause: incident\nuser: {{name: mallory}}\n"
)

Pass = Callable[[str], None]
"""Gives the uid of the portal to another user."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site."""
    return Site(tmp_path, POLICY)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pass]:
    """Let the name service know one user under the uid; what was remembered is forgotten."""
    others, by_name = pwd.getpwuid, pwd.getpwnam

    def to(name: str) -> None:
        person = pwd.struct_passwd((name, "x", PORTAL, PORTAL, "", "/", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwuid", lambda u: person if u == PORTAL else others(u))
        monkeypatch.setattr(pwd, "getpwnam", lambda n: person if n == name else by_name(n))
        forget()

    def forget() -> None:
        for known in (users._users, users._submitters):
            known.pop(PORTAL, None)

    monkeypatch.setattr(os, "getgrouplist", lambda name, group: [group])
    to("alice")
    yield to
    forget()


def by(verb: str, name: str) -> str:
    """Write a request that steers another one."""
    return control(f"request.{verb}", name)


@pytest.mark.parametrize(
    "name",
    [lambda r: r.id, lambda r: r.id[:25], lambda r: "incident-7"],
    ids=["whole id", "beginning", "own id"],
)
@pytest.mark.parametrize("verb", ["cancel", "hold", "retry"])
def test_who_gets_a_uid_steers_no_request_of_its_former_user(
    site: Site, passed: Pass, verb: str, name: Callable[[Record], str]
) -> None:
    theirs = send(site, PORTAL, SUSPENSION, "s.yaml")
    assert (theirs.writer, theirs.state) == ("alice", "scheduled")
    passed("bob")
    asked = send(site, PORTAL, by(verb, name(theirs)), "c.yaml")
    assert (asked.writer, asked.state) == ("bob", "failed")
    assert why(asked) == f"there is no request {name(theirs)!r}"
    assert now(site, theirs).state == "scheduled"


def test_what_failed_of_a_former_user_goes_on_for_nobody_else(site: Site, passed: Pass) -> None:
    site.first.poison.add("eve")
    failed = send(site, PORTAL, user("eve"), "u.yaml")
    assert failed.state == "failed"
    site.first.poison.clear()
    passed("bob")
    for verb in ("retry", "dismiss"):
        assert send(site, PORTAL, by(verb, failed.id), "c.yaml").state == "failed"
    assert now(site, failed) == failed


def test_a_former_users_request_is_replaced_by_nobody_elses(site: Site, passed: Pass) -> None:
    site.first.poison.add("cf")
    failed = send(site, PORTAL, allocation(1, "ann"), "a.yaml")
    assert failed.state == "failed"
    passed("bob")
    again = allocation(2, "ann", code="cg", head=f"replaces: {failed.id}\n")
    told = send(site, PORTAL, again, "b.yaml")
    assert (told.state, why(told)) == ("refused", f"replaces: there is no request {failed.id!r}")


def test_a_corrected_file_puts_right_no_former_users_of_the_same_name(
    site: Site, passed: Pass
) -> None:
    broken = send(site, PORTAL, "provisioner: 1\naction: nothing\n", "a.yaml")
    assert broken.state == "refused"
    passed("bob")
    assert send(site, PORTAL, allocation(1, "ann"), "a.yaml").state == "done"
    assert now(site, broken).fixed_by is None


def test_a_file_called_like_a_former_users_puts_it_right_for_nobody(
    site: Site, passed: Pass
) -> None:
    broken = send(site, PORTAL, "provisioner: 1\naction: nothing\n", "a.yaml")
    passed("bob")
    send(site, PORTAL, allocation(1, "ann"), f"{broken.id}-a.yaml")
    send(site, PORTAL, "provisioner: 1\naction: none\n", f"{broken.id}-a.yaml")
    assert now(site, broken).fixed_by is None


def test_who_gets_the_uid_back_under_the_same_name_has_their_requests_back(
    site: Site, passed: Pass
) -> None:
    theirs = send(site, PORTAL, SUSPENSION, "s.yaml")
    passed("bob")
    passed("alice")
    assert send(site, PORTAL, by("cancel", "incident-7"), "c.yaml").state == "done"
    assert now(site, theirs).state == "cancelled"


def test_ones_own_of_an_id_is_never_the_former_users(site: Site, passed: Pass) -> None:
    passed("bob")
    own = send(site, PORTAL, allocation(1, "ann", head=OWN), "a.yaml")
    passed("alice")
    theirs = send(site, PORTAL, SUSPENSION, "s.yaml")
    passed("bob")
    assert send(site, PORTAL, by("cancel", "incident-7"), "c.yaml").state == "done"
    assert (now(site, own).state, now(site, theirs).state) == ("cancelled", "scheduled")


def test_two_users_of_a_uid_are_two_writers_to_who_steers_others(site: Site, passed: Pass) -> None:
    both = [send(site, PORTAL, SUSPENSION, "s.yaml")]
    passed("bob")
    both += [send(site, PORTAL, allocation(1, "ann", head=OWN), "s.yaml")]
    asked = send(site, OPERATOR, by("cancel", "incident-7"), "c.yaml")
    assert why(asked) == "'incident-7' is 2 writers' own id"
    seeker = lookup.Seeker(OPERATOR, f"uid-{OPERATOR}", others=True)
    with site.system.journal.reading() as conn, pytest.raises(InvalidRequest, match="2 writers'"):
        lookup.typed(conn, "s.yaml", seeker)
    assert [now(site, one).state for one in both] == ["scheduled", "scheduled"]


def test_the_own_file_of_who_types_its_name_is_not_the_former_users(
    site: Site, passed: Pass
) -> None:
    own = send(site, PORTAL, SUSPENSION, "s.yaml")
    passed("bob")
    send(site, PORTAL, allocation(1, "ann"), "s.yaml")
    with site.system.journal.reading() as conn:
        assert lookup.typed(conn, "s.yaml", lookup.Seeker(PORTAL, "alice", others=True)) == own


def test_an_operator_still_steers_a_former_users_request(site: Site, passed: Pass) -> None:
    theirs = send(site, PORTAL, SUSPENSION, "s.yaml")
    passed("bob")
    assert send(site, OPERATOR, by("hold", theirs.id), "h.yaml").state == "done"
    assert send(site, OPERATOR, by("cancel", "incident-7"), "c.yaml").state == "done"
    assert now(site, theirs).state == "cancelled"


# What is judged again.


def again(site: Site, held: Record) -> Record:
    """Let the operator release a request that waits, so that policy judges it again."""
    assert held.state == "held"
    assert send(site, OPERATOR, release(held), "yes.yaml").state == "done"
    return now(site, held)


def held(site: Site) -> Record:
    """Let the user of the portal's uid ask for something, and the operator hold it."""
    asked = send(site, PORTAL, allocation(1, "ann", head=LATER), "a.yaml")
    send(site, OPERATOR, by("hold", asked.id), "h.yaml")
    return now(site, asked)


def test_what_waits_of_a_former_user_is_judged_by_nobody_elses_rights(
    site: Site, passed: Pass
) -> None:
    waits = held(site)
    passed("bob")
    judged = again(site, waits)
    assert judged.state == "refused"
    assert (
        why(judged) == f"alice asked for it, and has no longer, or not on this host, uid {PORTAL}"
    )


def test_a_refused_file_of_a_former_user_does_not_come_again_as_somebody_elses(
    site: Site, passed: Pass
) -> None:
    broken = send(site, PORTAL, "provisioner: 1\naction: nothing\n", "a.yaml")
    passed("bob")
    asked = send(site, OPERATOR, by("retry", broken.id), "r.yaml")
    assert asked.state == "failed"
    assert "alice no longer has its owner's uid" in why(asked)
    passed("alice")
    assert send(site, OPERATOR, by("retry", broken.id), "r.yaml").state == "done"


def test_what_waits_of_a_uid_without_a_name_is_not_who_gets_a_name_for_it(
    tmp_path: Path, passed: Pass
) -> None:
    site = Site(tmp_path, POLICY.replace("[bob]", "[bob, uid-4711]"))
    passed(f"uid-{PORTAL}")
    waits = held(site)
    passed("bob")
    assert again(site, waits).state == "refused"


def test_what_waits_of_who_still_has_the_uid_is_judged_by_their_rights(
    site: Site, passed: Pass
) -> None:
    waits = held(site)
    passed("bob")
    passed("alice")
    assert again(site, waits).state == "scheduled"


@pytest.mark.parametrize("name", ["bob", "uid-4711"], ids=["renamed", "left"])
def test_access_that_who_has_left_let_end_ends_when_another_person_releases_it(
    tmp_path: Path, passed: Pass, clocks: Clocks, name: str
) -> None:
    site = Site(tmp_path, POLICY + "  mass: {users: 3, share: 20}\n")
    send(site, PORTAL, ending(allocation(1, people(8)), 1))
    clocks.go(2 * DAY)
    look(site)
    with site.system.journal.reading() as conn:
        held = request_rows.newest(conn, "ended-allocation-1.json", "")
    assert held is not None and held.state == "held"
    passed(name)
    send(site, PORTAL, release(held), "mine.yaml")
    assert now(site, held).state == "held"
    send(site, OPERATOR, release(held), "release.yaml")
    assert now(site, held).state == "done"
    assert site.limit("first/member/cf/u1") == "0"
