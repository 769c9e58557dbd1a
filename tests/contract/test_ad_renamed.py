"""Accounts and groups that an admin renames: what they give is closed under the new name, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from provisioner.contract import Conflict, Fault, Handler, Key
from provisioner.contract.abilities import Seeks
from provisioner.contract.handler import Claim
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, emulated, make


@pytest.fixture(params=backends("ad"))
def ad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def accounts(ad: Backend) -> Handler:
    own = {"mode": "manage", "domain": "campus.test", "ids": ad.ids()}
    return ad_account.build(ad.site("ad"), ad.settings("people", **own))


def groups(ad: Backend) -> Handler:
    return ad_group.build(ad.site("g"), ad.settings("groups", ids=ad.ids(30_000, 40_000)))


def bring(handler: Handler, *items: Item) -> list[Outcome]:
    return converge(handler, items, lambda _: None)


def made(handler: Handler, *params: dict[str, Any]) -> list[Item]:
    """Make objects; return them with what the ledger then knows of them."""
    items = [
        Item(key, (Claim("user:x", want, False),))
        for one in params
        for key, want in handler.claims(one).items()
    ]
    outcomes = bring(handler, *items)
    assert [outcome.fault for outcome in outcomes] == [None] * len(items)
    return [replace(one.item, prior=None, identity=one.identity) for one in outcomes]


def suspended(item: Item) -> Item:
    return replace(item, claims=tuple(replace(claim, suspended=True) for claim in item.claims))


def withdrawn(item: Item) -> Item:
    return replace(item, claims=())


def rename(ad: Backend, name: str, new: str) -> None:
    """Rename a login or a group, as an admin does: the entry stays what it was."""
    [entry] = ad.directory().find("sAMAccountName", [name], ["userPrincipalName"])
    login = {"userPrincipalName": f"{new}@campus.test"} if entry.text("userPrincipalName") else {}
    ad.directory().replace(entry.dn, {"sAMAccountName": new, **login})


def unmark(ad: Backend, name: str) -> None:
    """Take our mark out of an entry, as an admin does who keeps a new name."""
    [entry] = ad.directory().find("sAMAccountName", [name], ["cn"])
    ad.directory().replace(entry.dn, {"info": None})


def claims(handler: Handler, *keys: Key) -> None:
    """Let somebody claim objects."""
    assert isinstance(handler, Seeks)
    handler.ask(lambda asked: [key for key in asked if key in keys])


def control(ad: Backend, name: str) -> int | None:
    [entry] = ad.directory().find("sAMAccountName", [name], ["userAccountControl"])
    return entry.number("userAccountControl")


def members(ad: Backend, group: str) -> Sequence[str]:
    [entry] = ad.directory().find("sAMAccountName", [group], ["member"])
    return entry.texts("member")


@pytest.mark.parametrize("closing", [suspended, withdrawn])
def test_a_renamed_account_is_disabled_under_its_new_name(ad: Backend, closing: Any) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    [outcome] = bring(handler, closing(item))
    assert outcome.changed == (f"disable the account (now called {new})",)
    assert control(ad, new) == 514
    assert [one.changed for one in bring(handler, closing(item))] == [()]


def test_a_renamed_account_that_is_wanted_open_is_a_conflict_with_its_new_name(
    ad: Backend,
) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    [outcome] = bring(handler, item)
    assert isinstance(outcome.fault, Conflict)
    assert f"it is {new} (CN={name}," in outcome.fault.message


def test_an_account_that_somebody_claims_by_its_new_name_stays_open(ad: Backend) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    claims(handler, f"ad/account/{new}")
    unmark(ad, new)
    [outcome] = bring(handler, withdrawn(item))
    assert (outcome.fault, outcome.changed, control(ad, new)) == (None, (), 512)


def test_an_account_with_our_mark_is_closed_though_a_request_waits_for_its_new_name(
    ad: Backend,
) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    claims(handler, f"ad/account/{new}")
    bring(handler, suspended(item))
    assert control(ad, new) == 514


def test_the_advice_for_a_renamed_account_works(ad: Backend) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    fault = bring(handler, item)[0].fault
    assert fault is not None and f"mark, which ends in ad/account/{name}" in fault.advice
    unmark(ad, new)
    [(key, want)] = handler.claims({"name": new, "adopt": True}).items()
    [outcome] = bring(handler, Item(key, (Claim("user:x", want, False),)))
    assert outcome.fault is None and outcome.changed[0] == "adopt: mark as ours"


def test_another_account_with_a_former_name_is_not_that_account(ad: Backend) -> None:
    handler, name = accounts(ad), ad.name("ann")
    [item, other] = made(handler, {"name": name}, {"name": ad.name("bob")})
    gone = replace(item, key=f"ad/account/{ad.name('gone')}", identity={"uid": 59_999})
    [outcome] = bring(handler, withdrawn(gone))
    assert (outcome.fault, outcome.changed, control(ad, ad.name("bob"))) == (None, (), 512)
    assert other.identity is not None


def newcomer(ad: Backend, name: str) -> None:
    """Let somebody else have a login, as the campus gives it again."""
    given = {"cn": f"{name}-new", "sn": name, "sAMAccountName": name, "uidNumber": "45000"}
    classes = ["top", "person", "organizationalPerson", "user"]
    dn = f"CN={name}-new,OU=people,{ad.base}"
    ad.directory().add(dn, {"objectClass": classes, **given})


def test_who_has_the_former_name_is_left_alone_and_the_renamed_account_is_disabled(
    ad: Backend,
) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    newcomer(ad, name)
    before = control(ad, name)
    [outcome] = bring(handler, withdrawn(item))
    assert outcome.changed == (f"disable the account (now called {new})",)
    assert (control(ad, new), control(ad, name)) == (514, before)


def joined(ad: Backend) -> tuple[Handler, Item, str, str]:
    """Put a user into a group; return who and where."""
    user, group = ad.name("ann"), ad.name("g1")
    made(accounts(ad), {"name": user})
    handler = groups(ad)
    made(handler, {"group": group})
    [member] = made(handler, {"group": group, "user": user})
    assert len(members(ad, group)) == 1
    return handler, member, group, user


def renumber(ad: Backend, name: str) -> None:
    """Give a login another number, as a campus does that counts anew."""
    [entry] = ad.directory().find("sAMAccountName", [name], ["cn"])
    ad.directory().replace(entry.dn, {"uidNumber": "47000"})


def test_the_sid_says_who_it_is_also_where_the_number_is_another(ad: Backend) -> None:
    handler, name, new = accounts(ad), ad.name("ann"), ad.name("ann-m")
    [item] = made(handler, {"name": name})
    rename(ad, name, new)
    renumber(ad, new)
    [outcome] = bring(handler, suspended(item))
    assert (outcome.fault, control(ad, new)) == (None, 514)


def test_a_renamed_member_with_another_number_is_removed(ad: Backend) -> None:
    handler, member, group, user = joined(ad)
    rename(ad, user, ad.name("ann-m"))
    renumber(ad, ad.name("ann-m"))
    [outcome] = bring(handler, withdrawn(member))
    assert (outcome.fault, members(ad, group)) == (None, ())


@pytest.mark.parametrize("closing", [suspended, withdrawn])
def test_a_member_of_a_renamed_group_is_removed_where_another_has_its_name(
    ad: Backend, closing: Any
) -> None:
    handler, member, group, _ = joined(ad)
    now = ad.name("g1-old")
    rename(ad, group, now)
    given = {"sAMAccountName": group, "cn": f"{group}-new", "gidNumber": "39000"}
    dn = f"CN={group}-new,OU=groups,{ad.base}"
    ad.directory().add(dn, {"objectClass": ["top", "group"], **given})
    [outcome] = bring(handler, closing(member))
    assert (outcome.fault, members(ad, now)) == (None, ())


@pytest.mark.parametrize("closing", [suspended, withdrawn])
@pytest.mark.parametrize("profile", ["user", "rfc2307"])
def test_who_has_another_number_since_is_closed_and_not_who_was_given_theirs(
    tmp_path: Path, profile: str, closing: Any
) -> None:
    """Without a SID a number says who somebody is only together with our mark."""
    plain = profile == "rfc2307"
    lds = emulated(tmp_path, "rfc2307" if plain else "adlds")
    which = {"profile": profile} if plain else {"object_class": profile}
    settings = lds.settings("people", ids=lds.ids(), gid=100, **which)
    handler = adlds_account.build(lds.site("lds"), settings)
    ann, bob = made(handler, {"name": "ann"}, {"name": "bob"})
    assert ann.identity and bob.identity
    for name, number in (("ann", 47_000), ("bob", ann.identity["uid"])):
        [entry] = lds.directory().find("uid" if plain else "cn", [name], ["uidNumber"])
        lds.directory().replace(entry.dn, {"uidNumber": str(number)})
    [outcome] = bring(handler, closing(ann))
    assert (outcome.fault, outcome.changed) == (None, ("disable the account",))
    state = handler.observe([bob.key])[bob.key]
    assert not isinstance(state, Fault) and state["enabled"]


@pytest.mark.parametrize("closing", [suspended, withdrawn])
@pytest.mark.parametrize("what", ["user", "group", "both"])
def test_a_member_is_removed_whatever_was_renamed(ad: Backend, what: str, closing: Any) -> None:
    handler, member, group, user = joined(ad)
    now, whose = group, user
    if what != "group":
        whose = ad.name("ann-m")
        rename(ad, user, whose)
    if what != "user":
        now = ad.name("g1-old")
        rename(ad, group, now)
    [outcome] = bring(handler, closing(member))
    text = f"remove {user} from {group} (now called {now}/{whose})"
    assert (outcome.fault, outcome.changed) == (None, (text,))
    assert members(ad, now) == ()


def test_a_renamed_member_is_removed_also_where_another_has_the_former_name(ad: Backend) -> None:
    handler, member, group, user = joined(ad)
    new = ad.name("ann-m")
    rename(ad, user, new)
    newcomer(ad, user)
    [outcome] = bring(handler, withdrawn(member))
    assert outcome.changed == (f"remove {user} from {group} (now called {group}/{new})",)
    assert members(ad, group) == ()


def test_a_member_whom_somebody_claims_by_the_new_name_stays(ad: Backend) -> None:
    handler, member, group, user = joined(ad)
    new = ad.name("ann-m")
    rename(ad, user, new)
    claims(handler, f"g/member/{group}/{new}")
    [outcome] = bring(handler, withdrawn(member))
    assert (outcome.fault, outcome.changed, len(members(ad, group))) == (None, (), 1)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_renamed_group_is_not_made_a_second_time(ad: Backend, numbered: bool) -> None:
    more = {"ids": ad.ids(30_000, 40_000)} if numbered else {}
    handler = ad_group.build(ad.site("g"), ad.settings("groups", **more))
    [item] = made(handler, {"group": ad.name("g1")})
    rename(ad, ad.name("g1"), ad.name("g1-old"))
    [outcome] = bring(handler, item)
    assert isinstance(outcome.fault, Conflict)
    assert f"it is {ad.name('g1-old')} (" in outcome.fault.message
    assert ad.directory().find("sAMAccountName", [ad.name("g1")], ["cn"]) == []


def test_a_wanted_member_who_was_renamed_is_a_conflict_with_the_new_name(ad: Backend) -> None:
    handler, member, group, user = joined(ad)
    rename(ad, user, ad.name("ann-m"))
    fault: Fault | None = bring(handler, member)[0].fault
    assert isinstance(fault, Conflict)
    assert f"it is {group}/{ad.name('ann-m')} now" in fault.message
