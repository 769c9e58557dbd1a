"""Accounts that the campus makes: what one has to have, and that no two have one number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account
from provisioner.contract import Claim, Conflict, Handler, NotReady, Permanent
from provisioner.contract.abilities import Allots
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support import ad_backends
from tests.support.ad_backends import Backend


@pytest.fixture(params=ad_backends.backends("ad"))
def ad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from ad_backends.make(request.param, tmp_path)


def looked_up(ad: Backend, **settings: Any) -> Handler:
    return ad_account.build(ad.site("ad"), ad.settings(mode="lookup", **settings))


def bring(handler: Handler, *params: Mapping[str, object]) -> list[Outcome]:
    wants = [pair for one in params for pair in handler.claims(one).items()]
    items = [Item(key, (Claim("user:x", want),)) for key, want in wants]
    return converge(handler, items, lambda _: None)


def test_two_accounts_with_one_uid_are_a_conflict_that_names_the_other(ad: Backend) -> None:
    one, other = ad.name("one"), ad.name("other")
    ad.user(one, uidNumber=20_001)
    ad.user(other, uidNumber=20_001)
    ad.user(ad.name("third"), uidNumber=20_002)
    handler = looked_up(ad)
    first, second, third = bring(
        handler, {"name": one}, {"name": other}, {"name": ad.name("third")}
    )
    assert isinstance(first.fault, Conflict)
    assert f"{other} also has uid 20001" in first.fault.message
    assert isinstance(second.fault, Conflict)
    assert third.fault is None


def test_the_other_need_not_be_one_of_ours(ad: Backend) -> None:
    ad.user(ad.name("one"), uidNumber=20_001)
    ad.user(ad.name("campus"), uidNumber=20_001)
    [done] = bring(looked_up(ad), {"name": ad.name("one")})
    assert isinstance(done.fault, Conflict)


def passed_on(ad: Backend) -> Handler:
    """Give a handler that knows from the ledger that uid 20001 was another account's."""
    handler = looked_up(ad)
    assert isinstance(handler, Allots)
    ledger = {20_001: ["ad/account/left", "ad/group/cf"]}
    handler.heed(lambda kind, first, last: ledger if kind == "uid" and first <= 20_001 else {})
    return handler


def test_a_number_that_was_anothers_is_a_conflict_until_a_request_names_it(ad: Backend) -> None:
    name, handler = ad.name("next"), passed_on(ad)
    ad.user(name, uidNumber=20_001)
    [told] = bring(handler, {"name": name})
    assert isinstance(told.fault, Conflict)
    assert "uid 20001 was left's here" in told.fault.message
    [named] = bring(handler, {"name": name, "uid": 20_001})
    assert named.fault is None
    [(key, want)] = handler.claims({"name": name}).items()
    served = Item(key, (Claim("user:x", want),), identity=named.identity)
    assert converge(handler, [served], lambda _: None)[0].fault is None


def test_accounts_without_numbers_are_no_namesakes(ad: Backend) -> None:
    ad.user(ad.name("one"))
    ad.user(ad.name("other"))
    done = bring(looked_up(ad), {"name": ad.name("one")}, {"name": ad.name("other")})
    assert {outcome.fault for outcome in done} == {None}


@pytest.mark.parametrize("field", ["uid", "gid"])
def test_what_a_site_requires_of_an_account_is_waited_for(ad: Backend, field: str) -> None:
    attribute = {"uid": "uidNumber", "gid": "gidNumber"}[field]
    name = ad.name("jdoe")
    dn = ad.user(name)
    handler = looked_up(ad, requires=[field])
    [done] = bring(handler, {"name": name})
    assert isinstance(done.fault, NotReady)
    assert f"has no {field} yet" in done.fault.message
    ad.directory().modify(dn, [("add", attribute, [20_001])])
    assert bring(handler, {"name": name})[0].fault is None


@pytest.mark.parametrize(
    ("attributes", "setting"), [({"uidNumber": 7}, "`ids`"), ({"gidNumber": 37}, "`gids`")]
)
def test_a_number_that_is_not_allowed_names_the_setting_that_says_so(
    ad: Backend, attributes: dict[str, Any], setting: str
) -> None:
    ad.user(ad.name("jdoe"), **attributes)
    [done] = bring(looked_up(ad), {"name": ad.name("jdoe")})
    assert isinstance(done.fault, Permanent)
    assert f"widen {setting}" in done.fault.advice


_LONG_AGO, _FAR_AHEAD, _NEVER = 133_000_000_000_000_000, 160_000_000_000_000_000, 2**63 - 1
"""`accountExpires`: in 2022, in 2108, and never."""

_OPEN = {"userAccountControl": 512, "unicodePwd": '"s3cret-Secret"'.encode("utf-16-le")}


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"userAccountControl": 514}, "is disabled in Active Directory"),
        ({"accountExpires": _LONG_AGO}, "has expired on 2022-06-18 (accountExpires)"),
        (
            {"userAccountControl": 514, "accountExpires": _LONG_AGO},
            "is disabled and has expired on 2022-06-18",
        ),
    ],
)
def test_whom_the_campus_has_shut_out_is_told(
    ad: Backend, attributes: dict[str, Any], said: str
) -> None:
    name = ad.name("gone")
    ad.user(name, **{**_OPEN, **attributes})
    [done] = bring(looked_up(ad), {"name": name})
    assert done.fault is None
    [note] = done.notes
    assert said in note


@pytest.mark.parametrize("expires", [0, _FAR_AHEAD, _NEVER])
def test_of_an_account_that_lets_its_person_in_nothing_is_said(ad: Backend, expires: int) -> None:
    name = ad.name("here")
    ad.user(name, accountExpires=expires, **_OPEN)
    [done] = bring(looked_up(ad), {"name": name})
    assert (done.fault, done.notes) == (None, ())


def test_an_account_of_ours_that_has_expired_is_told(ad: Backend) -> None:
    managed: dict[str, Any] = {"mode": "manage", "domain": ad.domain, "ids": ad.ids()}
    handler = ad_account.build(ad.site("ad"), ad.settings(**managed))
    name = ad.name("ours")
    assert bring(handler, {"name": name})[0].notes == ()
    ad.directory().replace(f"CN={name},OU=people,{ad.base}", {"accountExpires": _LONG_AGO})
    [done] = bring(handler, {"name": name})
    assert done.fault is None
    assert "has expired on 2022-06-18" in done.notes[0]
