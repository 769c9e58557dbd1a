"""Crowds through the engine: whichever request takes something away, people are counted once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from sqlalchemy import Connection

from provisioner.config.schema import load
from provisioner.contract import Claim, Key
from provisioner.journal.records import ledger, request_rows
from tests.support.crowds import SMALL, each, members, people
from tests.support.engine_site import Site, allocation, control, membership, release, user
from tests.support.manifest_site import entry, reconcile
from tests.support.policy_site import OPERATOR, POLICY, PORTAL, now, put, send, why


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (allocation(1, verb="suspend"), "held"),
        (allocation(1, people(4)), "held"),
        (allocation(1, people(5)), "done"),
        (allocation(2, verb="suspend"), "done"),
        (user("u1", "suspend"), "done"),
        (membership(1, "u1", "remove"), "done"),
    ],
    ids=["suspend all", "drop 11", "drop 10", "suspend few", "suspend one", "remove one"],
)
def test_who_would_shut_out_a_crowd_has_to_find_a_second_person(
    tmp_path: Path, text: str, state: str
) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(1, people(15)))
    send(site, 0, allocation(2, "v0, v1"), "few.yaml")
    found = send(site, 0, text, "shut.yaml")
    assert found.state == state
    if state == "held":
        assert " users, more than 20 % of those who have anything" in why(found)
        assert "first/member/cf/u9" in site.first.rows
        send(site, OPERATOR, release(found), "release.yaml")
        assert now(site, found).state == "done"


def remove(site: Site, uid: int, count: int) -> dict[str, str]:
    """Let a user remove members one by one; return what becomes of each."""
    for number in range(count):
        put(site, uid, membership(1, f"u{number}", "remove"), f"{number:02}.yaml")
    site.take()
    site.drain()
    with site.system.journal.reading() as conn:
        found = [request_rows.newest(conn, f"{number:02}.yaml", "") for number in range(count)]
    return {record.name: record.state for record in found if record is not None}


def test_a_crowd_is_not_shut_out_one_by_one_either(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(1, people(15)))
    states = remove(site, PORTAL, 13)
    assert list(states.values()) == ["done"] * 10 + ["held"] * 3
    assert len([key for key in site.first.rows if "/member/" in key]) == 5
    text = release(site.open()[0])
    assert send(site, OPERATOR, text, "release.yaml").state == "done"
    assert len(site.open()) == 2


def test_suspensions_one_by_one_are_counted_for_users_that_only_an_allocation_has(
    tmp_path: Path,
) -> None:
    rules = "policy: {rules: [{who: [uid-4711], actions: ['*']}]}\n"
    site = Site(tmp_path, rules)
    send(site, 0, allocation(1, people(15)))
    for number in range(12):
        put(site, PORTAL, user(f"u{number}", "suspend"), f"{number:02}.yaml")
        put(site, PORTAL, user(f"nobody-knows-{number}", "suspend"), f"x{number:02}.yaml")
    site.take()
    site.drain()
    assert [record.name for record in site.open()] == ["10.yaml", "11.yaml"]


def test_a_crowd_that_leaves_slowly_is_none(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY + "  mass: {minutes: 0}\n")
    send(site, 0, allocation(1, people(15)))
    assert set(remove(site, PORTAL, 13).values()) == {"done"}


def test_what_root_does_one_by_one_is_counted_one_by_one(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(1, people(15)))
    assert set(remove(site, 0, 13).values()) == {"done"}


def two(text: str) -> str:
    """Ask for it on the other resource."""
    return text.replace("resource: one", "resource: two")


@pytest.fixture
def twelve(tmp_path: Path) -> Site:
    """Give a site where an allocation has twelve users, of whom no more than three may go."""
    site = Site(tmp_path, SMALL)
    assert send(site, PORTAL, allocation(1, people(12))).state == "done"
    return site


def test_members_who_are_added_on_another_resource_lose_the_first(twelve: Site) -> None:
    states = each(twelve, [two(membership(1, f"u{n}", "add")) for n in range(12)])
    assert states == ["done"] * 3 + ["held"] * 9
    assert members(twelve) == 9


def test_an_allocation_that_goes_to_another_resource_takes_all_its_users_away(
    twelve: Site,
) -> None:
    moved = send(twelve, PORTAL, two(allocation(1, people(12))), "move.yaml")
    assert (moved.state, members(twelve)) == ("held", 12)
    assert "away from 12 users" in why(moved)
    send(twelve, OPERATOR, release(moved), "release.yaml")
    assert (now(twelve, moved).state, members(twelve)) == ("done", 0)


def test_another_project_takes_the_former_ones_account_away(twelve: Site) -> None:
    assert send(twelve, PORTAL, allocation(1, people(12), code="cg"), "code.yaml").state == "held"


def test_names_that_nobody_bears_make_no_crowd_smaller(twelve: Site) -> None:
    invented = [f"x{number}" for number in range(90)]
    twelve.first.missing = set(invented)
    send(twelve, PORTAL, allocation(2, ", ".join(invented), code="junk"), "junk.yaml")
    emptied = send(twelve, PORTAL, allocation(1), "empty.yaml")
    assert emptied.state == "held"
    assert "away from 12 users" in why(emptied)
    assert send(twelve, PORTAL, allocation(2, code="junk"), "none.yaml").state != "held"


def test_what_waited_when_somebody_looked_again_is_still_nobodys(twelve: Site) -> None:
    twelve.first.missing = {"junk"}
    waits = send(twelve, PORTAL, allocation(2, ", ".join(f"x{n}" for n in range(90)), code="junk"))
    send(twelve, 0, "provisioner: 1\naction: reconcile\n", "look.yaml")
    assert now(twelve, waits).state in ("accepted", "deferred")
    assert send(twelve, PORTAL, allocation(1), "empty.yaml").state == "held"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (allocation(1, people(12), files=9), "done"),
        (allocation(1, people(14)), "done"),
        (allocation(1, people(9)), "done"),
        (allocation(1, people(8)), "held"),
        (allocation(1, verb="suspend"), "held"),
        (two(allocation(2, people(12))), "done"),
    ],
    ids=["another quota", "more users", "three fewer", "four fewer", "suspended", "elsewhere, too"],
)
def test_who_loses_nothing_is_not_counted(twelve: Site, text: str, state: str) -> None:
    assert send(twelve, PORTAL, text, "next.yaml").state == state


def test_what_another_allocation_gives_as_well_is_not_lost(twelve: Site) -> None:
    send(twelve, PORTAL, allocation(2, people(12)), "second.yaml")
    assert send(twelve, PORTAL, allocation(1), "first.yaml").state == "done"
    assert members(twelve) == 12
    assert send(twelve, PORTAL, allocation(2), "last.yaml").state == "held"


def test_what_two_allocations_give_is_not_taken_by_both_at_once(twelve: Site) -> None:
    send(twelve, PORTAL, allocation(2, people(12)), "second.yaml")
    assert each(twelve, [allocation(1), allocation(2)]) == ["done", "held"]


def test_two_requests_count_together_each_person_once(twelve: Site) -> None:
    send(twelve, PORTAL, two(allocation(2, people(12))), "elsewhere.yaml")
    fewer = [allocation(1, people(9)), two(allocation(2, people(9))), allocation(1, people(8))]
    assert each(twelve, fewer) == ["done", "done", "held"]


def test_who_has_nothing_any_more_is_not_shut_out_again(twelve: Site) -> None:
    held = send(twelve, PORTAL, allocation(1, verb="suspend"), "s.yaml")
    send(twelve, OPERATOR, release(held), "release.yaml")
    assert now(twelve, held).state == "done"
    assert send(twelve, 0, allocation(1, verb="suspend"), "again.yaml").state == "done"
    assert send(twelve, 0, allocation(1), "empty.yaml").state == "done"


# What stays open, and is of no use.


def test_a_limit_by_which_nobody_can_work_takes_it_away_from_all_who_share_it(
    twelve: Site,
) -> None:
    held = send(twelve, PORTAL, allocation(1, people(12), files=1), "none.yaml")
    assert held.state == "held"
    assert "away from 12 users" in why(held)
    send(twelve, OPERATOR, release(held), "release.yaml")
    assert now(twelve, held).state == "done"


def test_who_was_shut_out_before_is_not_shut_out_again(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    send(site, PORTAL, allocation(1, people(12), files=1))
    assert send(site, PORTAL, allocation(1, people(12), files=1), "same.yaml").state == "done"
    assert send(site, PORTAL, allocation(1, people(12), files=5), "more.yaml").state == "done"


def test_what_another_claim_keeps_of_use_shuts_nobody_out(twelve: Site) -> None:
    send(twelve, PORTAL, allocation(2, people(12), files=5), "second.yaml")
    few = [allocation(number, people(12), files=1) for number in (1, 2)]
    assert each(twelve, few) == ["done", "held"]


def test_a_claim_that_goes_leaves_what_is_of_no_use(twelve: Site) -> None:
    send(twelve, PORTAL, allocation(1, people(12), files=5), "first.yaml")
    send(twelve, PORTAL, allocation(2, people(12), files=1), "second.yaml")
    assert send(twelve, PORTAL, allocation(1), "empty.yaml").state == "done"
    assert send(twelve, PORTAL, allocation(1, verb="suspend"), "suspend.yaml").state == "held"


def test_users_who_are_shut_out_one_by_one_count_together(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL.replace('"request.*"]}', '"request.*"], numbers: true}'))
    each(site, [user(f"u{number}", uid=5) for number in range(12)])
    states = each(site, [user(f"u{number}", uid=1) for number in range(12)])
    assert states == ["done"] * 3 + ["held"] * 9


def quotas(site: Site, *limits: int, uid: int = PORTAL) -> list[str]:
    """Let a user ask for one quota after the other; return what becomes of each request."""
    texts = [allocation(1, people(12), files=limit) for limit in limits]
    return [send(site, uid, text, "quota.yaml").state for text in texts]


def test_a_limit_that_shrinks_in_steps_counts_from_where_it_was(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    assert quotas(site, 5000, 900, 300) == ["done", "done", "held"]
    assert site.limit("first/account/cf") == "900"


def test_steps_of_root_count_each_for_itself(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    assert quotas(site, 5000, 900, 300, uid=0) == ["done", "done", "done"]


def test_steps_count_from_what_a_second_person_has_released(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    assert quotas(site, 5000, 400) == ["done", "held"]
    send(site, OPERATOR, release(site.open()[0]), "release.yaml")
    assert site.limit("first/account/cf") == "400"
    assert quotas(site, 300) == ["done"]


def test_a_manifest_that_shuts_everybody_out_is_held(listed: Site) -> None:
    lines = [entry(n, *people(4).split(", "), files=1) for n in range(1, 10)]
    held = reconcile(listed, *lines, entry(10, "v1", files=1))
    assert held.state == "held"
    assert "away from 5 users" in why(held)


def test_a_limit_counts_though_its_step_waits_for_what_an_earlier_one_gives(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, SMALL)
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace(AT_ONCE, LATER, 1))
    site.config = load(path)
    site.start()
    assert send(site, PORTAL, allocation(1, people(12))).state == "done"
    assert send(site, PORTAL, allocation(1, people(12), files=1), "none.yaml").state == "held"


AT_ONCE = """\
    - name: account
      handler: accounts
      with: {account: "{{ project.code }}", limit: "{{ allocation.quota.files }}"}
"""
LATER = """\
    - {name: number, handler: second, with: {account: number, limit: 7}}
    - name: account
      handler: accounts
      with:
        account: "{{ project.code }}"
        limit: "{{ allocation.quota.files }}"
        note: "{{ steps.number.output.limit }}"
"""


def test_data_that_are_closed_are_lost_to_all_who_share_the_project(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace("    - name: members\n", DATA, 1))
    site.config = load(path)
    site.start()
    send(site, PORTAL, two(allocation(1, people(12))), "compute.yaml")
    assert send(site, PORTAL, allocation(2, "u0"), "storage.yaml").state == "done"
    asked = send(site, PORTAL, allocation(2, verb="suspend"), "suspend.yaml")
    assert asked.state == "held"
    assert "away from 12 users" in why(asked)


DATA = """\
    - {name: group, handler: second, with: {account: "{{ project.code }}"}}
    - {name: data, handler: first, when: "resource.name == 'one'", with: {account: data}}
    - name: members
"""

MEMBERS = """\
project.provision:
    - name: members
      handler: first
      each: user
      with: {account: "{{ project.code }}", user: "{{ user }}"}
"""


def test_a_project_that_is_archived_takes_away_what_it_gave(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace("project.provision: []\n", MEMBERS))
    site.config = load(path)
    site.start()
    text = "provisioner: 1\naction: project.provision\nproject: {code: cf, users: [%s]}\n"
    assert send(site, PORTAL, text % people(12)).state == "done"
    archive = "provisioner: 1\naction: project.archive\nproject: {code: cf}\n"
    assert send(site, PORTAL, archive, "archive.yaml").state == "held"
    assert members(site) == 12


def test_what_was_shut_out_is_judged_anew_when_an_old_request_is_tried_again(
    twelve: Site,
) -> None:
    held = send(twelve, PORTAL, allocation(1), "empty.yaml")
    send(twelve, PORTAL, control("request.cancel", held.id), "cancel.yaml")
    send(twelve, PORTAL, control("request.retry", held.id), "retry.yaml")
    assert (now(twelve, held).state, members(twelve)) == ("held", 12)


EVERYBODY = "policy:\n  rules: [{who: ['*'], actions: ['*']}]\n"


@pytest.fixture
def listed(tmp_path: Path) -> Site:
    """Give a site where nine allocations have the same four users, and a tenth another one."""
    site = Site(tmp_path, EVERYBODY + "  mass: {users: 3}\n")
    reconcile(site, *(entry(n, *people(4).split(", ")) for n in range(1, 10)), entry(10, "v1"))
    return site


def test_a_manifest_counts_each_person_once(listed: Site) -> None:
    lines = [entry(number, "u0") for number in range(1, 10)]
    assert reconcile(listed, *lines, entry(10, "v1")).state == "done"


def test_a_manifest_counts_who_loses_something_wherever_it_is_taken(listed: Site) -> None:
    lines = [entry(number, f"u{number}") for number in range(4)]
    held = reconcile(listed, *lines, entry(10))
    assert held.state == "held"
    assert "away from 5 users" in why(held)


def test_a_manifest_that_moves_everybody_counts_everybody(listed: Site) -> None:
    lines = [entry(n, *people(4).split(", ")) for n in range(1, 10)]
    for line in lines:
        line["allocation"]["resource"] = "two"
    assert reconcile(listed, *lines, entry(10, "v1")).state == "held"


def test_no_manifest_takes_more_than_everything(tmp_path: Path) -> None:
    site = Site(tmp_path, EVERYBODY + "  mass: {users: 1, share: 100}\n")
    reconcile(site, *(entry(number, "u1", "u2", "u3") for number in range(1, 9)))
    assert reconcile(site, entry(1, "u1")).state == "done"


def test_what_many_requests_of_a_project_share_is_read_once_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 2,000 allocations of one project, each read the claims of all before it, for 18 s."""
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(0, "ann"), "first.yaml")
    for number in range(1, 6):
        put(site, 0, allocation(number, "ann"), f"{number}.yaml")
    asked: list[str] = []
    read = ledger.claims_of

    def reads(conn: Connection, keys: Collection[Key]) -> dict[Key, tuple[Claim, ...]]:
        asked.extend(keys)
        return read(conn, keys)

    monkeypatch.setattr(ledger, "claims_of", reads)
    site.take()
    # Once for what policy asks, and once for what several want differently.
    assert asked.count("first/account/cf") == 2
