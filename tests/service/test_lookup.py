"""Which request a name means: one's own first, and never one that another made it mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.contract import InvalidRequest
from provisioner.journal.queries import lookup
from provisioner.journal.queries.replaced import OTHERS
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site, allocation, control, membership, release, user
from tests.support.manifest_site import entry, reconcile
from tests.support.policy_site import OPERATOR, PORTAL, SECOND, STRANGER, now, put, send, why

POLICY = """\
policy:
  rules:
  - {who: [uid-4711, uid-4713], actions: [allocation.*], files: 10}
  - {who: [uid-4711, uid-4713], actions: [allocation.*], review: true}
  - {who: [uid-4711, uid-4713], actions: ["request.*", user.*]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""
LATER = "not_before: 2126-01-01T00:00:00Z\n"
B = SECOND
"""A writer who may ask for something, and steer their own requests."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two writers and an operator."""
    return Site(tmp_path, POLICY)


def large(number: int, own: str) -> str:
    """Write a request that is to be reviewed, with its writer's own id."""
    return allocation(number, f"u{number}", files=50, head=f"id: {own}\n")


def by(name: str, seen: Record) -> str:
    """Write a release of a request by a name, with the digest of the one that was looked at."""
    return release(seen).replace(seen.id, name)


# Another's own id.


def test_an_own_id_of_two_writers_is_refused_naming_both(site: Site) -> None:
    portals = send(site, PORTAL, large(1, "cf-1-77"), "one.yaml")
    theirs = send(site, B, large(2, "cf-1-77"), "two.yaml")
    asked = send(site, OPERATOR, by("cf-1-77", portals), "release.yaml")
    assert (asked.state, why(asked)) == ("failed", "'cf-1-77' is 2 writers' own id")
    [problem] = asked.problems or [{}]
    assert problem["expected"] == (
        f"one of {portals.id} (allocation.provision allocation:1 of uid-4711), "
        f"{theirs.id} (allocation.provision allocation:2 of uid-4713)"
    )
    assert (now(site, portals).state, now(site, theirs).state) == ("held", "held")
    assert send(site, OPERATOR, release(portals), "release.yaml").state == "done"
    assert (now(site, portals).state, now(site, theirs).state) == ("done", "held")


def test_an_own_id_that_is_the_beginning_of_anothers_id_does_not_go_before_it(site: Site) -> None:
    portals = send(site, PORTAL, large(1, "cf-1"), "one.yaml")
    theirs = send(site, B, large(2, portals.id[:25]), "two.yaml")
    assert theirs.writer_id == portals.id[:25]
    send(site, OPERATOR, by(portals.id[:25], portals), "release.yaml")
    assert (now(site, portals).state, now(site, theirs).state) == ("done", "held")


@pytest.mark.parametrize("case", [str.upper, str.lower], ids=["as it is", "in small letters"])
def test_an_own_id_that_is_anothers_whole_id_does_not_go_before_it(
    site: Site, case: Callable[[str], str]
) -> None:
    portals = send(site, PORTAL, large(1, "cf-1"), "one.yaml")
    theirs = send(site, B, large(2, case(portals.id)), "two.yaml")
    send(site, OPERATOR, by(case(portals.id), portals), "release.yaml")
    assert (now(site, portals).state, now(site, theirs).state) == ("done", "held")


@pytest.mark.parametrize("uid", [STRANGER, B], ids=["may ask for nothing", "may ask for something"])
@pytest.mark.parametrize("verb", ["cancel", "hold", "retry"])
def test_another_who_uses_an_own_id_switches_off_no_button(site: Site, uid: int, verb: str) -> None:
    text = allocation(1, "ann", head=f"id: cf-1-77\n{LATER}")
    portals = send(site, PORTAL, text, "one.yaml")
    if verb == "retry":
        send(site, PORTAL, control("request.cancel", portals.id), "c.yaml")
    send(site, uid, large(2, "cf-1-77"), "two.yaml")
    button = send(site, PORTAL, control(f"request.{verb}", "cf-1-77"), "button.yaml")
    assert button.state == "done"
    expected = {"cancel": "cancelled", "hold": "held", "retry": "scheduled"}
    assert now(site, portals).state == expected[verb]


def test_what_was_refused_reserves_no_id_for_an_operator_either(site: Site) -> None:
    portals = send(site, PORTAL, large(1, "cf-1-77"), "one.yaml")
    assert send(site, STRANGER, large(2, "cf-1-77"), "two.yaml").state == "refused"
    assert send(site, OPERATOR, by("cf-1-77", portals), "release.yaml").state == "done"
    assert now(site, portals).state == "done"


def test_an_own_id_of_one_other_writer_is_theirs(site: Site) -> None:
    portals = send(site, PORTAL, large(1, "cf-1-77"), "one.yaml")
    assert send(site, OPERATOR, by("cf-1-77", portals), "release.yaml").state == "done"


def test_ones_own_goes_before_anothers(site: Site) -> None:
    own = send(site, OPERATOR, allocation(3, "ann", head=f"id: cf-1-77\n{LATER}"), "own.yaml")
    portals = send(site, PORTAL, large(1, "cf-1-77"), "one.yaml")
    assert send(site, OPERATOR, control("request.cancel", "cf-1-77"), "c.yaml").state == "done"
    assert (now(site, own).state, now(site, portals).state) == ("cancelled", "held")


def test_of_ones_own_what_is_open_goes_before_what_is_over(site: Site) -> None:
    held = send(site, PORTAL, large(1, "cf-1-77"), "one.yaml")
    over = send(site, PORTAL, large(2, "cf-1-77"), "two.yaml")
    assert (held.state, over.state) == ("held", "refused")
    assert send(site, PORTAL, control("request.cancel", "cf-1-77"), "c.yaml").state == "done"
    assert now(site, held).state == "cancelled"
    again = send(site, PORTAL, control("request.cancel", "cf-1-77"), "d.yaml")
    assert why(again) == f"{held.id} is cancelled"


# The beginning of an id.


def test_a_beginning_of_two_ids_is_refused_naming_writers_and_subjects(site: Site) -> None:
    for uid, number in ((PORTAL, 1), (B, 2)):
        put(site, uid, large(number, f"own-{number}"), f"{number}.yaml")
    site.take()
    [one, two] = site.open()
    begin = one.id[:4]
    asked = send(site, OPERATOR, by(begin, one), "release.yaml")
    assert why(asked) == f"{begin!r} begins 2 ids"
    [problem] = asked.problems or [{}]
    for record in (one, two):
        assert f"{record.id} ({record.action} {record.subject} of {record.writer})" in str(problem)


# What people type.


def typed(site: Site, name: str) -> Record | None:
    """Return the request that a name means to the operator at the command line."""
    with site.system.journal.reading() as conn:
        return lookup.typed(conn, name, lookup.Seeker(OPERATOR, f"uid-{OPERATOR}", others=True))


def test_a_short_id_stays_what_it_was_whatever_others_call_theirs(site: Site) -> None:
    portals = send(site, PORTAL, large(1, "cf-1"), "one.yaml")
    short = portals.id[-6:].lower()
    assert send(site, B, large(2, short), "two.yaml").writer_id == short
    assert typed(site, short) == portals


def test_the_name_of_a_file_is_the_newest_of_its_only_writer(site: Site) -> None:
    send(site, PORTAL, large(1, "cf-1"), "one.yaml")
    newest = send(site, PORTAL, large(2, "cf-2"), "one.yaml")
    assert send(site, STRANGER, large(3, "x"), "one.yaml").state == "refused"
    assert typed(site, "one.yaml") == newest


def test_the_name_of_files_of_two_writers_is_refused_naming_both(site: Site) -> None:
    both = [send(site, uid, large(uid, "own"), "one.yaml") for uid in (PORTAL, B)]
    with pytest.raises(InvalidRequest, match="is the name of 2 writers' file") as refused:
        typed(site, "one.yaml")
    assert all(record.id in str(refused.value.expected) for record in both)


def test_the_name_of_ones_own_file_goes_before_that_of_others(site: Site) -> None:
    own = send(site, OPERATOR, large(1, "own"), "one.yaml")
    send(site, B, large(2, "own"), "one.yaml")
    assert typed(site, "one.yaml") == own


# What is told to whom.


@pytest.mark.parametrize("uid", [B, STRANGER])
def test_who_may_not_steer_others_learns_of_none(site: Site, uid: int) -> None:
    for number in (1, 2):
        put(site, PORTAL, large(number, f"cf-{number}"), f"{number}.yaml")
    site.take()
    one = site.open()[0]
    for name in (one.id[:4], one.id[:25], one.id, one.id.lower(), "cf-1", "nosuch"):
        asked = send(site, uid, control("request.cancel", name), "c.yaml")
        assert asked.state in ("failed", "refused")
        told = str(asked.problems)
        if uid == B:
            assert why(asked) == f"there is no request {name!r}"
        assert one.id not in told.replace(repr(name), "") and "uid-4711" not in told


def test_a_beginning_of_own_ids_is_looked_for_among_ones_own(site: Site) -> None:
    theirs = send(site, PORTAL, large(1, "cf-1"), "one.yaml")
    own = send(site, B, large(2, "own-1"), "two.yaml")
    assert theirs.id[:4] == own.id[:4]
    assert send(site, B, control("request.cancel", own.id[:4]), "c.yaml").state == "done"
    assert (now(site, theirs).state, now(site, own).state) == ("held", "cancelled")


def suspend(verb: str, cause: str) -> str:
    """Write a request that suspends or resumes ann for a cause."""
    return f"provisioner: 1\naction: user.{verb}\nuser: {{name: ann}}\ncause: {cause}\n"


@pytest.mark.parametrize(
    ("uid", "told"),
    [
        (B, "user:ann is still suspended by uid-4713: course, others"),
        (OPERATOR, "user:ann is still suspended by root: dismissed, uid-4713: course"),
    ],
)
def test_who_else_suspended_somebody_and_why_is_told_to_whom_a_rule_says_others(
    site: Site, uid: int, told: str
) -> None:
    send(site, 0, suspend("suspend", "dismissed"), "s.yaml")
    send(site, B, suspend("suspend", "course"), "t.yaml")
    send(site, uid, suspend("suspend", "x"), "u.yaml")
    assert told in why(send(site, uid, suspend("resume", "x"), "v.yaml"))


def test_that_somebody_stays_suspended_is_told_in_any_case(site: Site) -> None:
    send(site, 0, suspend("suspend", "dismissed"), "s.yaml")
    told = why(send(site, B, suspend("resume", "x"), "v.yaml"))
    assert "it is suspended by others" in told
    assert "root" not in told and "dismissed" not in told


def test_who_suspended_somebody_and_why_is_told_to_no_other_who_provides_for_them(
    site: Site,
) -> None:
    send(site, B, allocation(1, "ann"), "a.yaml")
    send(site, 0, suspend("suspend", "dismissed"), "s.yaml")
    told = why(send(site, B, allocation(1, "ann, bob"), "b.yaml"))
    assert told.startswith("user:ann is suspended by others, kept closed")


def test_anothers_newer_request_keeps_an_old_one_from_being_tried_again_and_is_not_named(
    site: Site,
) -> None:
    old = send(site, B, allocation(1, "ann", head=LATER), "one.yaml")
    send(site, B, control("request.cancel", old.id), "c.yaml")
    newer = send(site, PORTAL, allocation(1, "bob"), "two.yaml")
    told = why(send(site, B, control("request.retry", old.id), "r.yaml"))
    assert "another request was accepted for allocation:1 since" in told
    assert newer.id not in told


def test_anothers_request_that_overtook_a_failed_removal_is_not_named(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY.replace("user.*", "user.*, membership.*"))
    send(site, B, allocation(1, "ann, bob"), "one.yaml")
    site.first.poison = {"bob"}
    old = send(site, B, membership(1, "bob", "remove"), "two.yaml")
    site.first.poison = set()
    newer = send(site, OPERATOR, membership(1, "bob", "add"), "three.yaml")
    told = why(send(site, B, control("request.retry", old.id), "r.yaml"))
    assert "another request asked for it again: first/member/cf/bob since" in told
    assert newer.id not in told


def test_anothers_request_that_overtook_a_waiting_removal_is_not_named(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY.replace("user.*", "user.*, membership.*"))
    send(site, B, allocation(1, "ann, bob"), "one.yaml")
    site.first.away = True
    old = send(site, B, membership(1, "bob", "remove"), "two.yaml")
    newer = send(site, OPERATOR, membership(1, "bob", "add"), "three.yaml")
    site.back(site.first)
    told = why(now(site, old))
    assert (now(site, old).state, now(site, newer).state) == ("superseded", "done")
    assert told.startswith("another writer's request asked for it again")


def test_whose_a_subject_is_is_told_to_who_asks_for_it_and_nothing_of_its_request(
    site: Site,
) -> None:
    theirs = send(site, PORTAL, allocation(1, "ann", head="id: cf-1\n"), "one.yaml")
    asked = send(site, B, allocation(1, "bob"), "two.yaml")
    assert asked.state == "refused"
    assert "it is uid-4711's" in why(asked)
    told = str(asked.problems)
    assert not any(secret in told for secret in (theirs.id, "cf-1", "ann", theirs.state))


def test_a_manifest_is_told_how_many_subjects_are_others_and_not_whose(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY.replace("user.*]", "user.*, reconcile]"))
    theirs = [send(site, PORTAL, allocation(n, "ann"), f"{n}.yaml") for n in (1, 2)]
    asked = reconcile(site, entry(1, "bob"), entry(2, "bob"), uid=B)
    assert "2 of other writers" in why(asked)
    told = str(asked.problems)
    assert not any(secret in told for secret in ("uid-4711", "ann", *(one.id for one in theirs)))


# What put one's own request right.

PAST = "expires: 2001-01-01T00:00:00Z\n"
"""A line that has a request refused, whoever sends it."""


def told_by_receipt(site: Site, record: Record) -> tuple[dict[str, Any], int]:
    """Return a request's receipt, and when it was written."""
    path = site.config.spool / "receipts" / record.writer / f"{record.id}.yaml"
    return dict(yaml.safe_load(path.read_text())), path.stat().st_mtime_ns


def failing(site: Site, uid: int) -> Record:
    """Send a request of a user's that fails in a backend."""
    site.first.poison = {"ann"}
    record = send(site, uid, user("ann"), "failing.yaml")
    site.first.poison = set()
    assert record.state == "failed"
    return record


@pytest.mark.parametrize("uid", [PORTAL, OPERATOR], ids=["by oneself", "by another"])
def test_a_receipt_names_what_put_a_failure_right_only_if_that_is_ones_own(
    site: Site, uid: int
) -> None:
    mine = failing(site, PORTAL)
    by = send(site, uid, user("ann"), "again.yaml")
    assert now(site, mine).fixed_by == by.id
    own = uid == PORTAL
    assert told_by_receipt(site, mine)[0]["fixed_by"] == (by.id if own else OTHERS)


def test_that_anothers_request_put_a_refused_one_right_is_not_told(site: Site) -> None:
    """Or whoever writes a wrong file for each name would see who gets what, and when."""
    mine = send(site, PORTAL, user("bob") + PAST, "mine.yaml")
    before = told_by_receipt(site, mine)
    by = send(site, OPERATOR, user("bob"), "theirs.yaml")
    assert now(site, mine).fixed_by == by.id
    assert told_by_receipt(site, mine) == before


@pytest.mark.parametrize("uid", [PORTAL, OPERATOR], ids=["by oneself", "by another"])
@pytest.mark.parametrize("state", ["failed", "refused"])
def test_a_receipt_names_a_dismissal_only_if_that_is_ones_own(
    site: Site, uid: int, state: str
) -> None:
    if state == "failed":
        mine = failing(site, PORTAL)
    else:
        mine = send(site, PORTAL, user("bob") + PAST, "mine.yaml")
    by = send(site, uid, control("request.dismiss", mine.id), "dismiss.yaml")
    own = uid == PORTAL
    assert told_by_receipt(site, mine)[0]["dismissed_by"] == (by.id if own else OTHERS)


@pytest.mark.parametrize("uid", [PORTAL, OPERATOR], ids=["the writer", "an operator"])
def test_who_dismisses_what_is_put_right_reads_by_what_only_if_they_may_see_it(
    site: Site, uid: int
) -> None:
    mine = failing(site, PORTAL)
    by = send(site, OPERATOR, user("ann"), "theirs.yaml")
    told = why(send(site, uid, control("request.dismiss", mine.id), "dismiss.yaml"))
    named = by.id if uid == OPERATOR else OTHERS
    assert told == f"{mine.id} needs nothing any more: {named} put it right"


def test_that_anothers_request_put_a_refused_one_right_is_not_told_by_a_dismissal(
    site: Site,
) -> None:
    mine = send(site, PORTAL, user("bob") + PAST, "mine.yaml")
    send(site, OPERATOR, user("bob"), "theirs.yaml")
    asked = send(site, PORTAL, control("request.dismiss", mine.id), "dismiss.yaml")
    assert asked.state == "done"
    assert now(site, mine).fixed_by == asked.id
