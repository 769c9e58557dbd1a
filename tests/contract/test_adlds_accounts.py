"""Accounts in AD LDS and in RFC 2307 directories, over the emulated ones and over slapd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import adlds_account
from provisioner.contract import Claim, Conflict, Handler, InvalidRequest, KnownAfter, State
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, make

SID = "S-1-5-21-1004336348-1177238915-682003330-1106"
OTHER = "S-1-5-21-1004336348-1177238915-682003330-1107"

KINDS = ["user", "userProxy", "userProxyFull", "rfc2307"]


@pytest.fixture(params=backends("adlds"))
def lds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Give AD LDS, or a plain directory to a test of that kind of account."""
    place, kind = request.param
    is_plain = request.node.callspec.params.get("kind") == "rfc2307"
    yield from make((place, "rfc2307" if is_plain else kind), tmp_path)


@pytest.fixture(params=backends("rfc2307"))
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def handler_of(lds: Backend, kind: str, **more: object) -> Handler:
    which = {"profile": "rfc2307"} if kind == "rfc2307" else {"object_class": kind}
    given: dict[str, Any] = {"ids": lds.ids(), **which, **more}
    settings = lds.settings(**given)
    return adlds_account.build(lds.site("lds"), settings)


def bring(
    handler: Handler, *params: dict[str, Any], suspended: bool = False, prior: State | None = None
) -> list[Outcome]:
    """Converge what the parameters speak of; gives what became of each."""
    items = [
        Item(key, (Claim(f"user:{key}", want, suspended),), prior)
        for one in params
        for key, want in handler.claims(one).items()
    ]
    return converge(handler, items, lambda _: None)


def test_a_plain_directory_gets_no_mail_address_that_it_cannot_hold_and_it_is_told(
    plain: Backend,
) -> None:
    handler = handler_of(plain, "rfc2307", gid=100)
    jdoe = {"name": "casjdoe", "uid": 29871, "full_name": "J", "mail": "jürgen@uni.de"}
    assert "left out" in handler.adapted(jdoe)["mail"]  # type: ignore[attr-defined]
    assert state_of(bring(handler, jdoe)[0])["mail"] is None
    ascii_mail = {**jdoe, "mail": "juergen@uni.de"}
    assert handler.adapted(ascii_mail) == {}  # type: ignore[attr-defined]
    assert state_of(bring(handler, ascii_mail)[0])["mail"] == "juergen@uni.de"


def test_ad_lds_holds_a_mail_address_with_any_letters(tmp_path: Path) -> None:
    for lds in make(("emulated", "adlds"), tmp_path):
        jdoe = {"name": "jdoe", "uid": 29871, "mail": "jürgen@uni.de"}
        assert state_of(bring(handler_of(lds, "user"), jdoe)[0])["mail"] == "jürgen@uni.de"


def state_of(outcome: Outcome) -> State:
    """Give the state of an object that has converged."""
    assert outcome.fault is None
    assert outcome.state is not None
    return outcome.state


@pytest.mark.parametrize("kind", KINDS)
def test_an_account_bears_the_sid_and_numbers_of_active_directory(lds: Backend, kind: str) -> None:
    handler = handler_of(lds, kind)
    request = {"name": "jdoe", "sid": SID, "uid": 4711 + 10_000, "gid": 20_000, "mail": "j@x.test"}
    found = state_of(bring(handler, request)[0])
    assert (found["sid"], found["uid"], found["gid"]) == (SID, 14_711, 20_000)
    assert (found["home"], found["shell"], found["enabled"]) == ("/home/jdoe", "/bin/bash", True)
    assert bring(handler, request)[0].changed == ()


@pytest.mark.parametrize("kind", KINDS)
def test_an_account_follows_what_active_directory_says(lds: Backend, kind: str) -> None:
    handler = handler_of(lds, kind)
    bring(handler, {"name": "jdoe", "sid": SID, "home": "/home/a"})
    done = bring(handler, {"name": "jdoe", "sid": SID, "home": "/home/b"})
    assert "home /home/a -> /home/b" in done[0].changed[0]
    assert state_of(done[0])["home"] == "/home/b"


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_not_handed_to_another_person(lds: Backend, kind: str) -> None:
    handler = handler_of(lds, kind)
    bring(handler, {"name": "jdoe", "sid": SID})
    for request in ({"name": "jdoe", "sid": OTHER}, {"name": "jdoe", "sid": OTHER, "adopt": True}):
        fault = bring(handler, request)[0].fault
        assert isinstance(fault, Conflict)
        assert SID in fault.message


@pytest.mark.parametrize("kind", KINDS)
def test_suspending_closes_and_resuming_restores(lds: Backend, kind: str) -> None:
    handler = handler_of(lds, kind)
    request = {"name": "jdoe", "sid": SID}
    opened = state_of(bring(handler, {**request, "shell": "/bin/zsh"})[0])
    closed = state_of(bring(handler, request, suspended=True)[0])
    assert closed["enabled"] is False
    assert closed["uid"] == opened["uid"]
    assert closed["shell"] == ("/bin/zsh" if kind == "user" else "/sbin/nologin")
    resumed = state_of(bring(handler, request, prior=handler.prior("", opened))[0])
    assert resumed == opened


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_the_range_differ_and_a_retry_keeps_them(lds: Backend, kind: str) -> None:
    handler = handler_of(lds, kind)
    requests = [{"name": f"u{n}", "sid": f"{SID}{n}"} for n in range(30)]
    first = [state_of(outcome)["uid"] for outcome in bring(handler, *requests)]
    assert set(first) == set(range(10_000, 10_030))
    again = handler_of(lds, kind)
    assert [state_of(outcome)["uid"] for outcome in bring(again, *requests)] == first


def test_the_next_bearer_of_a_name_gets_another_number(lds: Backend) -> None:
    handler = handler_of(lds, "userProxy")
    dn = str(state_of(bring(handler, {"name": "jdoe", "sid": SID})[0])["dn"])
    with lds.directory()._connection() as connection:
        connection.delete(dn)
    assert state_of(bring(handler, {"name": "jdoe", "sid": OTHER})[0])["uid"] == 10_001


def test_the_next_bearer_of_a_name_without_sid_gets_another_number(plain: Backend) -> None:
    handler = handler_of(plain, "rfc2307")
    dn = str(state_of(bring(handler, {"name": "jdoe"})[0])["dn"])
    with plain.directory()._connection() as connection:
        connection.delete(dn)
    assert state_of(bring(handler, {"name": "jdoe"})[0])["uid"] == 10_001


def test_a_sid_that_was_missing_is_bound(plain: Backend) -> None:
    handler = handler_of(plain, "rfc2307")
    bring(handler, {"name": "jdoe"})
    assert state_of(bring(handler, {"name": "jdoe", "sid": SID})[0])["sid"] == SID


def test_an_account_of_others_is_not_touched_unless_told_so(lds: Backend) -> None:
    lds.user("jdoe", uidNumber=20_000, gidNumber=100)
    handler = handler_of(lds, "user")
    assert isinstance(bring(handler, {"name": "jdoe", "uid": 20_000})[0].fault, Conflict)
    found = state_of(bring(handler, {"name": "jdoe", "uid": 20_000, "adopt": True})[0])
    assert (found["uid"], found["mark"]) == (20_000, "hpc1:lds/account/jdoe")


def test_an_entry_of_another_class_is_a_conflict(lds: Backend) -> None:
    lds.user("jdoe")
    fault = bring(handler_of(lds, "userProxy"), {"name": "jdoe", "sid": SID})[0].fault
    assert isinstance(fault, Conflict)
    assert "is not a userProxy" in fault.message


def test_what_is_known_later_is_checked_later(lds: Backend) -> None:
    handler = handler_of(lds, "userProxy")
    later = KnownAfter("account")
    assert list(handler.claims({"name": "jdoe", "sid": later, "uid": later})) == [
        "lds/account/jdoe"
    ]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"name": "j*"}, "name"),
        ({"name": "jdoe", "sid": "S-1-x"}, "sid"),
        ({"name": "jdoe"}, "sid"),
        ({"name": "jdoe", "sid": SID, "uid": 0}, "uid"),
        ({"name": "jdoe", "sid": SID, "uid": "many"}, "uid"),
        ({"name": "jdoe", "sid": SID, "home": "home"}, "home"),
        ({"name": "jdoe", "sid": SID, "shell": "/bin/sh\nx"}, "shell"),
        ({"name": "jdoe", "sid": SID, "nmae": "x"}, "nmae"),
        ({"name": "jdoe", "sid": SID, "attributes": {"memberOf": "x"}}, "attributes.memberOf"),
    ],
)
def test_a_wrong_parameter_is_named(lds: Backend, params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        handler_of(lds, "userProxy").claims(params)
    assert raised.value.field.startswith(field)


def test_the_inventory_lists_what_was_made(lds: Backend) -> None:
    handler = handler_of(lds, "userProxy")
    bring(handler, {"name": "jdoe", "sid": SID})
    assert [key for key, _ in handler.inventory()] == ["lds/account/jdoe"]


def test_the_doctor_finds_nothing_wrong(lds: Backend) -> None:
    assert {finding.level for finding in handler_of(lds, "userProxy").check()} == {"ok"}
