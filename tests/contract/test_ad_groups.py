"""Groups and members, over emulated directories, Samba and slapd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_group
from handlers.ldap.directory.dialects import GROUPS
from handlers.ldap.groups.membership import Membership
from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Handler,
    InvalidRequest,
    NotReady,
    State,
)
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, make


@pytest.fixture(params=[*backends("ad"), *backends("adlds")])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("ad"))
def active(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("rfc2307"))
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def handler_of(directory: Backend, profile: str = "", **more: object) -> Handler:
    given = {"profile": profile or directory.kind, "ids": directory.ids(), **more}
    return ad_group.build(directory.site("g"), directory.settings("groups", **given))


def bring(handler: Handler, *params: dict[str, Any], suspended: bool = False) -> list[Outcome]:
    """Converge what the parameters speak of; gives what became of each."""
    items = [
        Item(key, (Claim("project:cf3", want, suspended),))
        for one in params
        for key, want in handler.claims(one).items()
    ]
    return converge(handler, items, lambda _: None)


def state_of(outcome: Outcome) -> State:
    """Give the state of an object that has converged."""
    assert outcome.fault is None
    assert outcome.state is not None
    return outcome.state


def planned(handler: Handler, requests: list[dict[str, Any]], wanted: bool) -> list[Change]:
    """Plan what brings members in or out, as the engine would."""
    wants = {key: want for one in requests for key, want in handler.claims(one).items()}
    changes: list[Change] = []
    for key, state in handler.observe(wants).items():
        assert not isinstance(state, Fault)
        claims = [Claim("project:cf3", wants[key])] if wanted else []
        changes += handler.plan(key, handler.merge(key, claims, None), state)
    return changes


def present(handler: Handler, requests: list[dict[str, Any]]) -> list[bool]:
    """Say who of some users is a member."""
    keys = [key for one in requests for key in handler.claims(one)]
    states = handler.observe(keys)
    return [bool(state["present"]) for state in states.values() if not isinstance(state, Fault)]


def test_a_new_group_has_a_number_and_a_second_run_writes_nothing(directory: Backend) -> None:
    handler, request = handler_of(directory), {"group": directory.name("cf3"), "description": "CF3"}
    found = state_of(bring(handler, request)[0])
    assert (found["gid"], found["description"]) == (10_000, "CF3")
    assert bring(handler, request)[0].changed == ()


def test_a_description_changes_by_itself(directory: Backend) -> None:
    handler, name = handler_of(directory), directory.name("cf3")
    bring(handler, {"group": name, "description": "old"})
    done = bring(handler, {"group": name, "description": "new"})
    assert done[0].changed == ("description old -> new",)
    assert state_of(done[0])["mark"] == f"hpc1:g/group/{name}"


def test_members_come_and_go_one_by_one(directory: Backend) -> None:
    handler, group = handler_of(directory), directory.name("cf3")
    users = [directory.name(f"u{n}") for n in range(5)]
    for user in users:
        directory.user(user)
    bring(handler, {"group": group})
    added = bring(handler, *({"group": group, "user": user} for user in users))
    assert [state_of(outcome)["present"] for outcome in added] == [True] * 5
    gone = bring(handler, {"group": group, "user": users[0]}, suspended=True)
    assert state_of(gone[0])["present"] is False
    assert bring(handler, {"group": group, "user": users[1]})[0].changed == ()


@pytest.fixture
def members(directory: Backend) -> list[dict[str, Any]]:
    """Make a group and four users; gives the requests that make them members."""
    group = directory.name("cf3")
    users = [directory.name(f"u{n}") for n in range(4)]
    for user in users:
        directory.user(user)
    bring(handler_of(directory), {"group": group})
    return [{"group": group, "user": user} for user in users]


def test_one_that_came_meanwhile_does_not_spoil_the_batch(
    directory: Backend, members: list[dict[str, Any]]
) -> None:
    handler = handler_of(directory)
    changes = planned(handler, members, wanted=True)
    bring(handler, members[2])
    handler.apply(changes)
    handler.apply(changes)
    assert present(handler, members) == [True] * 4


def test_one_that_went_meanwhile_does_not_spoil_the_batch(
    directory: Backend, members: list[dict[str, Any]]
) -> None:
    handler = handler_of(directory)
    bring(handler, *members)
    changes = planned(handler, members, wanted=False)
    bring(handler, members[1], suspended=True)
    handler.apply(changes)
    handler.apply(changes)
    assert present(handler, members) == [False] * 4


def test_all_members_of_a_group_go_in_one_call(
    directory: Backend, members: list[dict[str, Any]]
) -> None:
    changes = planned(handler_of(directory), members, wanted=True)
    assert {change.group for change in changes} == {f"add-member:{members[0]['group']}"}


def test_a_member_waits_for_group_and_user(directory: Backend) -> None:
    handler, group, user = handler_of(directory), directory.name("cf3"), directory.name("jdoe")
    directory.user(user)
    assert isinstance(bring(handler, {"group": group, "user": user})[0].fault, NotReady)
    bring(handler, {"group": group})
    nobody = bring(handler, {"group": group, "user": directory.name("nobody")})
    assert isinstance(nobody[0].fault, NotReady)


@pytest.fixture
def primary(active: Backend) -> dict[str, Any]:
    """Give a member of a group that an administrator then made their primary one."""
    handler, member = handler_of(active), {"group": active.name("cf3"), "user": active.name("ann")}
    active.user(member["user"])
    bring(handler, {"group": member["group"]}, member)
    group = state_of(bring(handler, {"group": member["group"]})[0])
    number = str(group["sid"]).rpartition("-")[2]
    dn = str(state_of(bring(handler, member)[0])["value"])
    active.directory().replace(dn, {"primaryGroupID": number})
    return member


def test_who_has_a_group_as_their_primary_one_is_in_it(
    active: Backend, primary: dict[str, Any]
) -> None:
    handler = handler_of(active)
    found = state_of(bring(handler, primary)[0])
    assert (found["present"], found["primary"]) == (True, True)
    assert bring(handler, primary)[0].changed == ()
    assert handler.claims(primary).keys() <= dict(handler.inventory()).keys()


def test_who_is_to_leave_their_primary_group_is_still_in_it_and_that_is_told(
    active: Backend, primary: dict[str, Any]
) -> None:
    left = bring(handler_of(active), primary, suspended=True)[0]
    assert isinstance(left.fault, Conflict)
    assert "primary group" in left.fault.message
    assert "primaryGroupID" in left.fault.advice


def test_what_a_live_claim_wants_stays(directory: Backend) -> None:
    handler, group, user = handler_of(directory), directory.name("cf3"), directory.name("jdoe")
    directory.user(user)
    bring(handler, {"group": group})
    key, want = next(iter(handler.claims({"group": group, "user": user}).items()))
    claims = (Claim("allocation:1", want, suspended=True), Claim("allocation:2", want))
    assert state_of(converge(handler, [Item(key, claims)], lambda _: None)[0])["present"] is True
    assert state_of(converge(handler, [Item(key, ())], lambda _: None)[0])["present"] is False


def test_a_group_stays_when_nobody_claims_it(directory: Backend) -> None:
    handler = handler_of(directory)
    bring(handler, {"group": directory.name("cf3")})
    key = next(iter(handler.claims({"group": directory.name("cf3")})))
    outcome = converge(handler, [Item(key, ())], lambda _: None)[0]
    assert (outcome.changed, state_of(outcome)["present"]) == ((), True)


def test_a_group_of_others_is_not_touched_unless_told_so(directory: Backend) -> None:
    group = directory.name("cf3")
    named = {"sAMAccountName": group} if directory.kind == "ad" else {}
    directory.directory().add(
        f"cn={group},OU=groups,{directory.base}", {"objectClass": ["top", "group"], **named}
    )
    handler = handler_of(directory)
    assert isinstance(bring(handler, {"group": group, "gid": 20_000})[0].fault, Conflict)
    assert (
        state_of(bring(handler, {"group": group, "gid": 20_000, "adopt": True})[0])["gid"] == 20_000
    )


def test_a_hostile_or_protected_name_is_refused(directory: Backend) -> None:
    handler = handler_of(directory)
    for params in ({"group": "a*"}, {"group": "cf3", "user": "a)(x=*"}, {"group": "cf3", "gid": 0}):
        with pytest.raises(InvalidRequest):
            handler.claims(params)
    with pytest.raises(InvalidRequest):
        handler.claims({"group": "wheel"})


def test_the_inventory_lists_groups_and_members_as_they_are_observed(
    directory: Backend, members: list[dict[str, Any]]
) -> None:
    handler, empty = handler_of(directory), directory.name("empty")
    bring(handler, *members[:2], {"group": empty})
    listed = dict(handler.inventory())
    keys = [key for one in [*members[:2], {"group": empty}] for key in handler.claims(one)]
    assert set(listed) == {*keys, f"g/group/{members[0]['group']}"}
    assert handler.observe(list(listed)) == listed


def test_the_inventory_leaves_out_what_no_request_could_name(directory: Backend) -> None:
    handler, group = handler_of(directory), directory.name("cf3")
    dn = str(state_of(bring(handler, {"group": group})[0])["dn"])
    nested = str(state_of(bring(handler, {"group": directory.name("inner")})[0])["dn"])
    strange = directory.user(directory.name("j doe"))
    directory.directory().modify(dn, [("add", "member", [nested, strange])])
    named = {"sAMAccountName": directory.name("a b")} if directory.kind == "ad" else {}
    directory.directory().add(
        f"CN={directory.name('a b')},OU=groups,{directory.base}",
        {"objectClass": ["top", "group"], **named},
    )
    keys = {f"g/group/{group}", f"g/group/{directory.name('inner')}"}
    assert {key for key, _ in handler.inventory()} == keys


def test_a_plain_directory_keeps_names_as_members(plain: Backend) -> None:
    handler = handler_of(plain, "rfc2307")
    assert state_of(bring(handler, {"group": "p1", "description": "d"})[0])["gid"] == 10_000
    assert state_of(bring(handler, {"group": "p1", "user": "jdoe"})[0])["present"] is True
    listed = dict(handler.inventory())
    assert set(listed) == {"g/group/p1", "g/member/p1/jdoe"}
    assert handler.observe(list(listed)) == listed
    gone = bring(handler, {"group": "p1", "user": "jdoe"}, suspended=True)
    assert state_of(gone[0])["present"] is False


def test_a_group_of_three_thousand_is_read_in_ranges(active: Backend) -> None:
    handler, group = handler_of(active), active.name("big")
    dn = str(state_of(bring(handler, {"group": group})[0])["dn"])
    plain = active.directory()
    dns = [f"CN=m{n},OU=ids,{active.base}" for n in range(3000)]
    plain.each(lambda one: plain.add(one, {"objectClass": ["top", "container"]}), dns)
    for start in range(0, 3000, 1000):
        plain.modify(dn, [("add", "member", dns[start : start + 1000])])
    user = active.name("jdoe")
    active.user(user)
    done = bring(handler, {"group": group, "user": user})
    assert done[0].changed == (f"add {user} to {group}",)
    read = Membership(plain, GROUPS["ad"], active.base).read(dn)
    assert len(read) == 3001
    assert f"g/member/{group}/{user}" in dict(handler.inventory())
    first = plain.read(dn, ["member;range=0-1499"])
    assert first is not None
    assert first.ranged("member")[1] == 1500
