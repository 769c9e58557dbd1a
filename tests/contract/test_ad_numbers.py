"""Numbers that requests name: nobody's but one's, and never changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from provisioner.contract import Claim, Conflict, Fault, Handler
from provisioner.contract.abilities import Allots
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


# Numbers that the ledger knows, and the directory does not: it was restored from an older copy.


def knowing(handler: Handler, kind: str, number: int, *keys: str) -> Handler:
    """Let the ledger know whose a number is."""
    counted = "gid" if kind == "group" else "uid"
    assert isinstance(handler, Allots)

    def bearers(asked: str, first: int, last: int) -> dict[int, Sequence[str]]:
        return {number: keys} if asked == counted and first <= number <= last else {}

    handler.heed(bearers)
    return handler


def lost(kind: str, name: str) -> str:
    return f"former/{'group' if kind == 'group' else 'account'}/{name}"


def test_a_number_that_the_ledger_knows_is_not_given_out(backend: Backend, kind: str) -> None:
    handler = knowing(handler_of(backend, kind), kind, 10_000, lost(kind, "gone"))
    assert number_of(bring(handler, kind, "alice"), kind) == 10_001


def test_a_number_of_the_former_bearer_of_a_name_is_not_given_out(
    backend: Backend, kind: str
) -> None:
    handler = knowing(handler_of(backend, kind), kind, 10_000, lost(kind, "alice"))
    assert number_of(bring(handler, kind, "alice"), kind) == 10_001


@pytest.mark.parametrize("gives", [True, False])
def test_a_named_number_that_the_ledger_knows_as_anothers_is_a_conflict_that_names_them(
    backend: Backend, kind: str, gives: bool
) -> None:
    owner = lost(kind, "gone")
    handler = knowing(handler_of(backend, kind, gives=gives), kind, 20_000, owner)
    for fault in (
        foretold(handler, kind, "alice", 20_000),
        bring(handler, kind, "alice", 20_000).fault,
    ):
        assert isinstance(fault, Conflict)
        assert owner in fault.message


def test_a_named_number_that_the_ledger_knows_as_the_own_is_written(
    backend: Backend, kind: str
) -> None:
    handler = knowing(handler_of(backend, kind), kind, 20_000, lost(kind, "alice"))
    assert number_of(bring(handler, kind, "alice", 20_000), kind) == 20_000


def test_a_gid_that_the_ledger_knows_is_no_new_accounts_own_gid(tmp_path: Path) -> None:
    backend = emulated(tmp_path, "ad")
    settings = backend.settings(mode="manage", domain=DOMAIN, gid="uid", ids=backend.ids())
    handler = ad_account.build(backend.site("ad"), settings)
    knowing(handler, "group", 10_000, "groups/group/gone")
    assert number_of(bring(handler, "ad", "alice"), "ad") == 10_001


def test_an_object_says_which_numbers_are_its_own(backend: Backend, kind: str) -> None:
    outcome = bring(handler_of(backend, kind), kind, "alice")
    kinds = ["gid"] if kind == "group" else ["gid", "uid"]
    assert outcome.numbers == dict.fromkeys(kinds, number_of(outcome, kind))


def test_a_primary_group_that_others_share_is_not_the_accounts_own(tmp_path: Path) -> None:
    backend = emulated(tmp_path, "ad")
    settings = backend.settings(mode="manage", domain=DOMAIN, gid=100, ids=backend.ids())
    outcome = bring(ad_account.build(backend.site("ad"), settings), "ad", "alice")
    assert outcome.numbers == {"uid": 10_000}
