"""A handler that dies between any two of its writes; another one goes on from what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from handlers.ldap.accounts.active_directory import PasswordMaker
from handlers.ldap.accounts.handler import Accounts
from handlers.ldap.directory.client import Directory
from provisioner.contract import Claim, Handler
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, make

SID = "S-1-5-21-1004336348-1177238915-682003330-1106"


class Died(BaseException):
    """The process was killed."""


@pytest.fixture(params=backends("ad"))
def ad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("adlds"))
def lds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def bring(handler: Handler, *params: dict[str, Any]) -> list[Outcome]:
    items = [
        Item(key, (Claim("user:x", want),))
        for one in params
        for key, want in handler.claims(one).items()
    ]
    return converge(handler, items, lambda _: None)


def dies_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a number of writes through to the directory, and none after them."""
    write, left = Directory._write, [writes]

    def counted(self: Directory, what: str, call: Any) -> None:
        if not left[0]:
            raise Died
        left[0] -= 1
        write(self, what, call)

    monkeypatch.setattr(Directory, "_write", counted)


def survives(make_handler: Any, params: list[dict[str, Any]], dead: int) -> list[Outcome]:
    """Kill a handler after some writes, then let a new one do all; gives what became of it."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Died):
        dies_after(dead, patched)
        bring(make_handler(), *params)
    done = bring(make_handler(), *params)
    assert [outcome.fault for outcome in done] == [None] * len(params)
    assert [outcome.changed for outcome in bring(make_handler(), *params)] == [()] * len(params)
    return done


def numbers(done: list[Outcome], field: str) -> list[Any]:
    return [outcome.state[field] for outcome in done if outcome.state]


@pytest.mark.parametrize("dead", range(4))
def test_accounts_made_in_one_add(ad: Backend, dead: int) -> None:
    def handler() -> Handler:
        own = {"mode": "manage", "domain": "campus.test", "ids": ad.ids()}
        return ad_account.build(ad.site("ad"), ad.settings("people", **own))

    done = survives(handler, [{"name": ad.name("a")}, {"name": ad.name("b")}], dead)
    assert numbers(done, "uid") == [10_000, 10_001]
    assert numbers(done, "enabled") == [True, True]


@pytest.mark.parametrize("dead", range(5))
def test_an_account_made_in_three_steps(ad: Backend, dead: int) -> None:
    def handler() -> Handler:
        own = {"mode": "manage", "domain": "campus.test", "ids": ad.ids()}
        made = ad_account.build(ad.site("ad"), ad.settings("people", **own))
        assert isinstance(made, Accounts) and isinstance(made.maker, PasswordMaker)
        made.maker.in_one_add = False
        return made

    done = survives(handler, [{"name": ad.name("a")}], dead)
    assert numbers(done, "uid") == [10_000]
    assert numbers(done, "enabled") == [True]


@pytest.mark.parametrize("dead", range(3))
def test_proxies(lds: Backend, dead: int) -> None:
    def handler() -> Handler:
        return adlds_account.build(lds.site("lds"), lds.settings("people", ids=lds.ids()))

    done = survives(handler, [{"name": "a", "sid": SID}, {"name": "b", "sid": SID + "1"}], dead)
    assert numbers(done, "uid") == [10_000, 10_001]


@pytest.mark.parametrize("dead", range(3))
def test_a_group(ad: Backend, dead: int) -> None:
    def handler() -> Handler:
        return ad_group.build(ad.site("g"), ad.settings("groups", ids=ad.ids()))

    assert numbers(survives(handler, [{"group": ad.name("g")}], dead), "gid") == [10_000]
