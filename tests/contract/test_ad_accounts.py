"""Accounts in Active Directory, over the emulated directory and over Samba as domain controller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account
from handlers.ldap.accounts.active_directory import PasswordMaker
from handlers.ldap.accounts.handler import Accounts
from handlers.ldap.marks import mark_of
from provisioner.contract import (
    Claim,
    Conflict,
    Handler,
    InvalidRequest,
    NotReady,
    State,
    Unavailable,
)
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, emulated, make


@pytest.fixture(params=backends("ad"))
def ad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def managed(ad: Backend, **more: object) -> Handler:
    given: dict[str, Any] = {"mode": "manage", "domain": "campus.test", "ids": ad.ids(), **more}
    return ad_account.build(ad.site("ad"), ad.settings(**given))


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


def state_of(outcomes: Sequence[Outcome]) -> State:
    """Give the state of the one object that has converged."""
    assert [outcome.fault for outcome in outcomes] == [None]
    assert outcomes[0].state is not None
    return outcomes[0].state


def test_a_new_account_is_enabled_and_has_all_that_a_host_needs(ad: Backend) -> None:
    name = ad.name("jdoe")
    found = state_of(
        bring(managed(ad), {"name": name, "full_name": "J. Doe", "email": "j@campus.test"})
    )
    assert found["enabled"] is True
    assert str(found["sid"]).startswith("S-1-5-21-")
    assert (found["uid"], found["gid"]) == (10_000, 10_000)
    assert (found["home"], found["shell"]) == (f"/home/{name}", "/bin/bash")
    assert (found["full_name"], found["mail"]) == ("J. Doe", "j@campus.test")


def test_a_second_run_writes_nothing(ad: Backend) -> None:
    bring(managed(ad), {"name": ad.name("jdoe")})
    assert bring(managed(ad), {"name": ad.name("jdoe")})[0].changed == ()


def test_a_batch_gets_numbers_that_differ(ad: Backend) -> None:
    done = bring(managed(ad), *({"name": ad.name(f"u{n}")} for n in range(40)))
    assert {outcome.fault for outcome in done} == {None}
    assert {outcome.state["uid"] for outcome in done if outcome.state} == set(range(10_000, 10_040))


def test_the_numbers_of_a_request_win_over_the_range(ad: Backend) -> None:
    found = state_of(bring(managed(ad), {"name": ad.name("jdoe"), "uid": 20_001, "gid": 20_002}))
    assert (found["uid"], found["gid"]) == (20_001, 20_002)


def test_an_attribute_that_changed_is_the_only_thing_written(ad: Backend) -> None:
    bring(managed(ad), {"name": ad.name("jdoe"), "shell": "/bin/bash"})
    done = bring(managed(ad), {"name": ad.name("jdoe"), "shell": "/bin/zsh"})
    assert done[0].changed == ("shell /bin/bash -> /bin/zsh",)


def test_suspending_sets_one_bit_and_resuming_takes_it_back(ad: Backend) -> None:
    handler, name = managed(ad), ad.name("jdoe")
    dn = str(state_of(bring(handler, {"name": name}))["dn"])
    never_expires = 0x200 | 0x10000
    ad.directory().modify(dn, [("replace", "userAccountControl", [never_expires])])
    before = handler.prior("", state_of(bring(handler, {"name": name})))
    closed = state_of(bring(handler, {"name": name}, suspended=True))
    assert (closed["enabled"], closed["control"]) == (False, never_expires | 0x2)
    assert state_of(bring(handler, {"name": name}, prior=before))["control"] == never_expires


def test_an_account_left_without_password_is_finished(ad: Backend) -> None:
    name = ad.name("jdoe")
    handler = managed(ad)
    key = next(iter(handler.claims({"name": name})))
    mark = mark_of("hpc1", key)
    ad.user(name, userAccountControl=514, info=f"{mark}\r\nunfinished: has no password yet")
    done = bring(handler, {"name": name, "uid": 20_000})
    assert state_of(done)["enabled"] is True
    assert "set first password, enable" in done[0].changed
    assert state_of(done)["note"] == mark


def test_the_three_steps_end_where_one_add_does(ad: Backend) -> None:
    handler = managed(ad)
    assert isinstance(handler, Accounts) and isinstance(handler.maker, PasswordMaker)
    handler.maker.in_one_add = False
    assert state_of(bring(handler, {"name": ad.name("jdoe")}))["enabled"] is True


def test_an_account_of_others_is_not_touched(ad: Backend) -> None:
    ad.user(ad.name("jdoe"))
    done = bring(managed(ad), {"name": ad.name("jdoe"), "uid": 20_000})
    assert isinstance(done[0].fault, Conflict)
    assert "adopt" in done[0].fault.advice


def test_an_account_of_others_is_taken_over_when_told_so(ad: Backend) -> None:
    ad.user(ad.name("jdoe"), userAccountControl=514, info="Room 12")
    request = {"name": ad.name("jdoe"), "uid": 20_000, "adopt": True}
    handler = managed(ad)
    key = next(iter(handler.claims(request)))
    dn = handler.observe([key])[key]["dn"]  # type: ignore[index]
    ad.directory().modify(
        str(dn), [("replace", "unicodePwd", ['"aA1-long-enough"'.encode("utf-16-le")])]
    )
    found = state_of(bring(handler, request))
    assert (found["uid"], found["note"]) == (20_000, f"Room 12\r\nhpc1:{key}")


def test_anothers_mark_is_a_conflict(ad: Backend) -> None:
    ad.user(ad.name("jdoe"), info="hpc2:ad/account/jdoe")
    done = bring(managed(ad), {"name": ad.name("jdoe"), "adopt": True})
    assert isinstance(done[0].fault, Conflict)
    assert "hpc2:ad/account/jdoe" in done[0].fault.message


def test_a_name_that_a_group_has_fails_alone(ad: Backend) -> None:
    taken = ad.name("taken")
    ad.directory().add(
        f"CN={taken},OU=groups,{ad.base}",
        {"objectClass": ["top", "group"], "sAMAccountName": taken, "groupType": "-2147483646"},
    )
    names = [ad.name(f"u{n}") for n in range(9)]
    done = bring(managed(ad), *({"name": name} for name in [*names[:4], taken, *names[4:]]))
    assert [type(outcome.fault) for outcome in done if outcome.fault] == [Conflict]
    assert sum(outcome.fault is None for outcome in done) == 9


def test_what_is_withdrawn_is_closed_and_stays(ad: Backend) -> None:
    handler = managed(ad)
    bring(handler, {"name": ad.name("jdoe")})
    key = next(iter(handler.claims({"name": ad.name("jdoe")})))
    found = state_of(converge(handler, [Item(key, ())], lambda _: None))
    assert (found["present"], found["enabled"]) == (True, False)


def test_looking_up_waits_for_the_campus_and_writes_nothing(ad: Backend) -> None:
    handler = ad_account.build(ad.site("ad"), {**ad.connection, "base": ad.base})
    name = ad.name("jdoe")
    waiting = bring(handler, {"name": name})[0]
    assert isinstance(waiting.fault, NotReady)
    ad.user(name, uidNumber=4711, gidNumber=100, mail="j@campus.test")
    done = bring(handler, {"name": name})
    assert handler.outputs(state_of(done))["uid"] == 4711
    assert done[0].changed == ()
    assert bring(handler, {"name": name}, suspended=True)[0].changed == ()


def test_a_number_that_the_campus_does_not_say_is_a_conflict(ad: Backend) -> None:
    handler = ad_account.build(ad.site("ad"), {**ad.connection, "base": ad.base})
    ad.user(ad.name("jdoe"), uidNumber=4711)
    assert isinstance(bring(handler, {"name": ad.name("jdoe"), "uid": 4712})[0].fault, Conflict)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "a*",
        "a)(cn=*",
        "a,ou=b",
        "-a",
        "1a",
        "a b",
        "a\n",
        "a.",
        "jürgen",
        "a" * 21,
        "../x",
    ],
)
def test_a_hostile_name_is_refused(ad: Backend, name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        managed(ad).claims({"name": name})
    assert raised.value.field == "name"


@pytest.mark.parametrize("path", ["home", "/home/../etc", "/home/a b", "/home/j:x", "/", "/é"])
def test_a_hostile_home_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        managed(emulated(tmp_path, "ad")).claims({"name": "jdoe", "home": path})
    assert raised.value.field == "home"


@pytest.mark.parametrize("name", ["Administrator", "krbtgt", "root"])
def test_a_protected_name_is_refused(ad: Backend, name: str) -> None:
    with pytest.raises(InvalidRequest):
        managed(ad).claims({"name": name})


@pytest.mark.parametrize("field", ["uid", "gid"])
@pytest.mark.parametrize("number", [0, -1, 99, 4_294_967_295])
def test_a_number_outside_the_range_is_refused(ad: Backend, field: str, number: int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        managed(ad).claims({"name": "jdoe", field: number})
    assert raised.value.field == field


def test_the_inventory_lists_what_was_made(ad: Backend) -> None:
    handler = managed(ad)
    bring(handler, {"name": ad.name("jdoe")}, {"name": ad.name("asmith")})
    names = sorted(key.split("/")[2] for key, _ in handler.inventory())
    assert names == [ad.name("asmith"), ad.name("jdoe")]


def test_the_inventory_leaves_out_what_comes_with_a_domain(ad: Backend) -> None:
    """Of the whole domain: Administrator, Guest and krbtgt lie in CN=Users."""
    handler = managed(ad, container=ad.base)
    bring(handler, {"name": ad.name("jdoe")})
    names = {key.split("/")[2] for key, _ in handler.inventory()}
    assert ad.name("jdoe") in names
    assert names.isdisjoint({"administrator", "guest", "krbtgt"})


def test_where_we_only_look_up_nobody_has_to_explain_an_account(ad: Backend) -> None:
    handler = ad_account.build(ad.site("ad"), {**ad.connection, "base": ad.base})
    ad.user(ad.name("jdoe"))
    assert list(handler.inventory()) == []


def test_the_doctor_finds_a_container_that_is_not_there(ad: Backend) -> None:
    assert {finding.level for finding in managed(ad).check()} == {"ok"}
    bad = managed(ad, container=f"OU=nowhere,{ad.base}").check()
    assert any("does not exist" in finding.message for finding in bad)


def test_the_doctor_says_which_directory_answers_and_that_it_was_tried(ad: Backend) -> None:
    """The emulated one has no root DSE, as OpenLDAP's tells nothing."""
    emulated = ad.connection["servers"][0].startswith("emulated:")
    said = [one.message for one in managed(ad).check() if one.message.startswith("Samba ")]
    assert [text.endswith(": tested") for text in said] == ([] if emulated else [True])


def test_a_directory_that_is_away_is_unavailable(tmp_path: Path) -> None:
    ad = Backend("ad", {"servers": [f"emulated://{tmp_path}/none.json"]}, "DC=x", "t")
    assert isinstance(bring(managed(ad), {"name": "jdoe"})[0].fault, Unavailable)
    refused = Backend("ad", {"servers": ["ldap://127.0.0.1:1"], "tls": "none"}, "DC=x", "t")
    assert isinstance(bring(managed(refused), {"name": "jdoe"})[0].fault, Unavailable)
    assert {finding.level for finding in managed(refused).check()} == {"error"}
