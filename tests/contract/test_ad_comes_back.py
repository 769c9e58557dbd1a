"""What was deleted behind the back comes back as it was, or says what it was; over all directories.

The ledger's part is played by `again`: it hands on what `converge` says an object was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from handlers.ldap.directory.client import connect
from handlers.ldap.directory.settings import DirectorySettings
from provisioner.contract import Claim, Conflict, Handler, State
from provisioner.convergence.converge import Outcome, converge, dry_run
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, make

SID = "S-1-5-21-1004336348-1177238915-682003330-1106"
Params = Mapping[str, Any]


@pytest.fixture(params=[*backends("ad"), *backends("adlds"), *backends("rfc2307")])
def any_kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("ad"))
def active(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("adlds"))
def lds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("rfc2307"))
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def groups(directory: Backend) -> Handler:
    given: dict[str, Any] = {"profile": directory.kind, "ids": directory.ids()}
    return ad_group.build(directory.site("g"), directory.settings("groups", **given))


def accounts(directory: Backend, **more: object) -> Handler:
    given: dict[str, Any] = {"ids": directory.ids(), **more}
    if directory.kind == "ad":
        managed: dict[str, Any] = {"mode": "manage", "domain": directory.domain, **given}
        return ad_account.build(directory.site("a"), directory.settings(**managed))
    profile: dict[str, Any] = (
        {"profile": "rfc2307"} if directory.kind == "rfc2307" else {"object_class": "user"}
    )
    return adlds_account.build(directory.site("a"), directory.settings(**profile, **given))


def item(handler: Handler, params: Params, before: Outcome | None = None) -> Item:
    """Want what the parameters say, of an object that was as an outcome before said."""
    [(key, want)] = handler.claims(params).items()
    identity = None if before is None else before.identity
    return Item(key, (Claim("user:x", want),), identity=identity)


def bring(handler: Handler, params: Params, before: Outcome | None = None) -> Outcome:
    [outcome] = converge(handler, [item(handler, params, before)], lambda _: None)
    return outcome


def state(outcome: Outcome) -> State:
    assert outcome.fault is None
    assert outcome.state is not None
    return outcome.state


def fault(outcome: Outcome) -> Conflict:
    assert isinstance(outcome.fault, Conflict)
    return outcome.fault


def delete(directory: Backend, dn: object) -> None:
    """Delete an entry as an administrator does who asks nobody."""
    settings = DirectorySettings.model_validate({**directory.connection, "base": directory.base})
    connection = connect(settings, settings.servers[0], directory.site("x").secret)
    assert connection.delete(str(dn)), connection.result


def set_number(directory: Backend, outcome: Outcome, attribute: str, number: int | None) -> None:
    values = [] if number is None else [number]
    directory.directory().modify(str(state(outcome)["dn"]), [("replace", attribute, values)])


def numbers_dn(directory: Backend, number: object) -> str:
    return f"cn={number},OU=ids,{directory.base}"


# Groups: a group's name is its project's, so it comes back by itself.


def test_a_group_comes_back_under_its_number(any_kind: Backend) -> None:
    handler, params = groups(any_kind), {"group": any_kind.name("cf")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    [(_, _, seen)] = dry_run(handler, [item(handler, params, before)])
    assert seen.fault is None
    after = bring(handler, params, before)
    assert state(after)["gid"] == state(before)["gid"]
    assert after.changed == (
        f"create group {params['group']} again, with its gid {state(before)['gid']}",
    )
    assert bring(handler, params, after).changed == ()


def test_a_group_comes_back_under_its_number_where_the_ledger_was_lost(any_kind: Backend) -> None:
    handler, params = groups(any_kind), {"group": any_kind.name("cf")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    assert state(bring(handler, params))["gid"] == state(before)["gid"]


def test_a_group_comes_back_under_its_number_where_the_numbers_entry_was_lost(
    any_kind: Backend,
) -> None:
    handler, params = groups(any_kind), {"group": any_kind.name("cf")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    delete(any_kind, numbers_dn(any_kind, state(before)["gid"]))
    assert state(bring(handler, params, before))["gid"] == state(before)["gid"]
    assert state(bring(handler, {"group": any_kind.name("other")}))["gid"] != state(before)["gid"]


@pytest.mark.parametrize("remembered", [True, False], ids=["by the ledger", "by its entry"])
def test_a_group_whose_number_another_bears_by_now_is_not_made(
    any_kind: Backend, remembered: bool
) -> None:
    handler, params = groups(any_kind), {"group": any_kind.name("cf")}
    before = bring(handler, params)
    other = bring(handler, {"group": any_kind.name("other")})
    delete(any_kind, state(before)["dn"])
    set_number(any_kind, other, "gidNumber", int(str(state(before)["gid"])))
    known = before if remembered else None
    [(_, _, seen)] = dry_run(handler, [item(handler, params, known)])
    for told in (fault(seen), fault(bring(handler, params, known))):
        assert str(state(before)["gid"]) in told.message
        assert any_kind.name("other") in told.message


@pytest.mark.parametrize("wanted", [None, "named"])
def test_a_group_under_another_number_is_told_until_a_request_names_that(
    any_kind: Backend, wanted: str | None
) -> None:
    handler, params = groups(any_kind), {"group": any_kind.name("cf")}
    before = bring(handler, params)
    set_number(any_kind, before, "gidNumber", 31_000)
    if wanted is None:
        told = fault(bring(handler, params, before))
        assert "31000" in told.message
        assert str(state(before)["gid"]) in told.message
        return
    after = bring(handler, {**params, "gid": 31_000}, before)
    assert state(after)["gid"] == 31_000
    assert state(bring(handler, params, after))["gid"] == 31_000


def test_a_group_that_lost_its_number_gets_it_back(active: Backend) -> None:
    handler, params = groups(active), {"group": active.name("cf")}
    before = bring(handler, params)
    set_number(active, before, "gidNumber", None)
    assert state(bring(handler, params, before))["gid"] == state(before)["gid"]


def test_a_group_that_had_several_numbers_says_which(any_kind: Backend) -> None:
    handler, params = groups(any_kind), {"group": any_kind.name("cf")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    bring(handler, {**params, "gid": 31_000})
    delete(any_kind, state(before)["dn"])
    told = fault(bring(handler, params))
    assert f"{state(before)['gid']}, 31000" in told.message
    assert state(bring(handler, {**params, "gid": 31_000}))["gid"] == 31_000


# Accounts: a name may be another person's by now.


def test_an_account_is_not_made_again_by_itself_and_says_what_it_was(any_kind: Backend) -> None:
    handler, params = accounts(any_kind), {"name": any_kind.name("jdoe")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    [(_, _, seen)] = dry_run(handler, [item(handler, params, before)])
    for told in (fault(seen), fault(bring(handler, params, before))):
        assert f"uid {state(before)['uid']}" in told.message
        assert f"uid: {state(before)['uid']}" in told.advice


def test_an_account_comes_back_when_a_request_names_its_number(any_kind: Backend) -> None:
    handler, params = accounts(any_kind), {"name": any_kind.name("jdoe")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    after = bring(handler, {**params, "uid": state(before)["uid"]}, before)
    assert state(after)["uid"] == state(before)["uid"]
    assert state(after)["gid"] == state(before)["gid"]


def test_the_next_person_of_a_name_inherits_nothing(any_kind: Backend) -> None:
    handler, params = accounts(any_kind), {"name": any_kind.name("jdoe")}
    before = bring(handler, params)
    delete(any_kind, state(before)["dn"])
    after = bring(handler, {**params, "uid": 31_000}, before)
    assert (state(after)["uid"], state(after)["gid"]) == (31_000, 31_000)


def test_an_account_of_the_same_person_by_the_sid_comes_back_under_its_number(lds: Backend) -> None:
    handler, params = accounts(lds), {"name": lds.name("jdoe"), "sid": SID}
    before = bring(handler, params)
    delete(lds, state(before)["dn"])
    assert state(bring(handler, params, before))["uid"] == state(before)["uid"]


def test_an_account_of_another_person_by_the_sid_gets_a_number_of_its_own(lds: Backend) -> None:
    handler, params = accounts(lds), {"name": lds.name("jdoe"), "sid": SID}
    before = bring(handler, params)
    delete(lds, state(before)["dn"])
    after = bring(handler, {**params, "sid": SID + "7"}, before)
    assert state(after)["uid"] != state(before)["uid"]


def test_an_account_under_another_number_is_told_until_a_request_names_that(
    any_kind: Backend,
) -> None:
    handler, params = accounts(any_kind), {"name": any_kind.name("jdoe")}
    before = bring(handler, params)
    set_number(any_kind, before, "uidNumber", 31_000)
    told = fault(bring(handler, params, before))
    assert "31000" in told.message
    assert str(state(before)["uid"]) in told.message
    assert state(bring(handler, {**params, "uid": 31_000}, before))["uid"] == 31_000


def test_an_account_that_was_restored_without_its_number_gets_it_back(active: Backend) -> None:
    handler, params = accounts(active), {"name": active.name("jdoe")}
    before = bring(handler, params)
    set_number(active, before, "uidNumber", None)
    assert state(bring(handler, params, before))["uid"] == state(before)["uid"]


def test_an_account_of_the_campus_under_another_number_is_told(active: Backend) -> None:
    lookup = ad_account.build(active.site("a"), active.settings(mode="lookup"))
    params = {"name": active.name("jdoe")}
    active.user(params["name"], uidNumber=20_000, gidNumber=20_000)
    before = bring(lookup, params)
    set_number(active, before, "uidNumber", 20_001)
    told = fault(bring(lookup, params, before))
    assert "20001" in told.message
    assert "20000" in told.message
    assert state(bring(lookup, {**params, "uid": 20_001}, before))["uid"] == 20_001


def test_what_nobody_claims_any_more_is_forgotten(any_kind: Backend) -> None:
    handler, params = accounts(any_kind), {"name": any_kind.name("jdoe")}
    before = bring(handler, params)
    one = item(handler, params, before)
    [gone] = converge(handler, [Item(one.key, (), identity=one.identity)], lambda _: None)
    assert gone.identity == {}


def test_a_group_whose_last_member_was_deleted_has_none(any_kind: Backend) -> None:
    if any_kind.kind == "rfc2307":
        return  # its members are names, which stay
    handler, user = groups(any_kind), any_kind.name("jdoe")
    bring(handler, {"group": any_kind.name("cf")})
    dn = any_kind.user(user)
    member = {"group": any_kind.name("cf"), "user": user}
    assert state(bring(handler, member))["present"]
    delete(any_kind, dn)
    assert "no user" in str(bring(handler, member).fault)
    assert [key for key, _ in handler.inventory() if key.split("/")[1] == "member"] == []


# Members: who has a member's name next is somebody else.


def left(directory: Backend, **numbers: object) -> tuple[Handler, Params, Outcome]:
    """Let a member of a group leave, with their account; give what the membership was."""
    handler, user = groups(directory), directory.name("jdoe")
    bring(handler, {"group": directory.name("cf")})
    dn = directory.user(user, **numbers)
    member = {"group": directory.name("cf"), "user": user}
    before = bring(handler, member)
    assert state(before)["present"]
    delete(directory, dn)
    return handler, member, before


@pytest.mark.parametrize(
    ("had", "has"),
    [({"uidNumber": 31_001}, {"uidNumber": 31_002}), ({}, {})],
    ids=["by the uid", "by the SID"],
)
def test_the_next_person_of_a_members_name_is_not_let_in(
    active: Backend, had: Mapping[str, object], has: Mapping[str, object]
) -> None:
    handler, member, before = left(active, **had)
    active.user(str(member["user"]), **has)
    told = fault(bring(handler, member, before))
    assert str((before.identity or {})["uid" if had else "sid"]) in told.message
    assert "another person" in told.message
    assert state(bring(handler, member))["present"]  # asked for anew, after they were removed


def test_a_member_whose_account_comes_back_under_its_number_is_in_again(active: Backend) -> None:
    handler, member, before = left(active, uidNumber=31_001)
    active.user(str(member["user"]), uidNumber=31_001)
    assert state(bring(handler, member, before))["present"]
