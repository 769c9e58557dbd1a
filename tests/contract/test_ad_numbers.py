"""Numbers that requests name: nobody's but one's, and never changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from provisioner.contract import Claim, Conflict, Fault, Handler
from provisioner.convergence.converge import Outcome, converge, dry_run
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, emulated

DOMAIN = "campus.test"
KINDS = ["ad", "lds", "plain", "group"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(kind: str, tmp_path: Path) -> Iterator[Backend]:
    yield emulated(tmp_path, {"ad": "ad", "group": "ad", "lds": "adlds", "plain": "rfc2307"}[kind])  # type: ignore[arg-type]


def handler_of(backend: Backend, kind: str, *, gives: bool = True) -> Handler:
    ids: dict[str, Any] = {"ids": backend.ids() if gives else {"from": 10_000, "to": 60_000}}
    if kind == "ad":
        settings = backend.settings(mode="manage", domain=DOMAIN, **ids)
        return ad_account.build(backend.site("ad"), settings)
    if kind == "group":
        return ad_group.build(backend.site("group"), backend.settings("groups", **ids))
    which = {"profile": "rfc2307"} if kind == "plain" else {"object_class": "user"}
    return adlds_account.build(backend.site("lds"), backend.settings(**ids, **which))


def item_of(handler: Handler, kind: str, name: str, number: int | None = None) -> Item:
    """Want one account or group with the number that a request names."""
    bearer, field = ("group", "gid") if kind == "group" else ("name", "uid")
    given: dict[str, Any] = {bearer: name} if number is None else {bearer: name, field: number}
    (item,) = (
        Item(key, (Claim(f"by:{name}", want, False),), None)
        for key, want in handler.claims(given).items()
    )
    return item


def bring(handler: Handler, kind: str, name: str, number: int | None = None) -> Outcome:
    """Converge one account or group with the number that a request names."""
    return converge(handler, [item_of(handler, kind, name, number)], lambda _: None)[0]


def foretold(handler: Handler, kind: str, name: str, number: int) -> Fault | None:
    """Return what the dry run says will go wrong."""
    [(_, _, outcome)] = dry_run(handler, [item_of(handler, kind, name, number)])
    return outcome.fault


def number_of(outcome: Outcome, kind: str) -> object:
    assert outcome.fault is None
    assert outcome.state is not None
    return outcome.state["gid" if kind == "group" else "uid"]


@pytest.mark.parametrize("gives", [True, False])
def test_a_number_that_another_bears_is_told_by_the_dry_run(
    backend: Backend, kind: str, gives: bool
) -> None:
    handler = handler_of(backend, kind, gives=gives)
    bring(handler, kind, "alice", 20_000)
    fault = foretold(handler, kind, "bob", 20_000)
    assert isinstance(fault, Conflict)
    assert "alice" in fault.message
    assert foretold(handler, kind, "bob", 20_001) is None
    assert foretold(handler, kind, "alice", 20_000) is None


def test_two_of_one_batch_that_name_one_number_are_told_by_the_dry_run(
    backend: Backend, kind: str
) -> None:
    handler = handler_of(backend, kind)
    items = [item_of(handler, kind, name, 20_000) for name in ("alice", "bob")]
    faults = [outcome.fault for _, _, outcome in dry_run(handler, items)]
    assert faults[0] is None
    assert isinstance(faults[1], Conflict)


@pytest.mark.parametrize("gives", [True, False])
def test_a_number_that_another_bears_is_a_conflict_that_names_them(
    backend: Backend, kind: str, gives: bool
) -> None:
    handler = handler_of(backend, kind, gives=gives)
    assert number_of(bring(handler, kind, "alice", 20_000), kind) == 20_000
    fault = bring(handler, kind, "bob", 20_000).fault
    assert isinstance(fault, Conflict)
    assert "alice" in fault.message
    assert number_of(bring(handler, kind, "bob", 20_001), kind) == 20_001


def test_a_number_that_the_range_gave_to_another_is_a_conflict(backend: Backend, kind: str) -> None:
    handler = handler_of(backend, kind)
    given = number_of(bring(handler, kind, "alice"), kind)
    assert isinstance(given, int)
    assert isinstance(bring(handler, kind, "bob", given).fault, Conflict)


def test_a_number_that_was_named_is_not_given_out_and_ends_no_range(
    backend: Backend, kind: str
) -> None:
    bring(handler_of(backend, kind), kind, "alice", 10_000)
    bring(handler_of(backend, kind), kind, "last", 60_000)
    assert number_of(bring(handler_of(backend, kind), kind, "bob"), kind) == 10_001


def test_a_number_is_never_changed(backend: Backend, kind: str) -> None:
    handler = handler_of(backend, kind)
    bring(handler, kind, "alice", 20_000)
    fault = bring(handler, kind, "alice", 20_001).fault
    assert isinstance(fault, Conflict)
    assert "20000" in fault.message
    assert number_of(bring(handler, kind, "alice", 20_000), kind) == 20_000
    assert number_of(bring(handler, kind, "bob", 20_001), kind) == 20_001
