"""A name that something of another kind has is told before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from handlers.ldap import ad_account, ad_group
from provisioner.contract import Claim, Conflict, Fault, Handler
from provisioner.convergence.converge import converge, dry_run
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, make


@pytest.fixture(params=backends("ad"))
def active(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def accounts(directory: Backend) -> Handler:
    settings = directory.settings(mode="manage", domain=directory.domain, ids=directory.ids())
    return ad_account.build(directory.site("a"), settings)


def groups(directory: Backend, **more: object) -> Handler:
    settings = directory.settings("groups", ids=directory.ids(), **more)
    return ad_group.build(directory.site("g"), settings)


def items(handler: Handler, params: Mapping[str, object]) -> list[Item]:
    wants = handler.claims(params).items()
    return [Item(key, (Claim("by:one", want, False),), None) for key, want in wants]


def foretold(handler: Handler, params: Mapping[str, object]) -> Fault | None:
    """Return what the dry run says will go wrong."""
    [(_, _, outcome)] = dry_run(handler, items(handler, params))
    return outcome.fault


def bring(handler: Handler, params: Mapping[str, object]) -> Fault | None:
    [outcome] = converge(handler, items(handler, params), lambda _: None)
    return outcome.fault


def test_a_group_that_would_get_a_users_name_is_told_by_the_dry_run(active: Backend) -> None:
    name = active.name("jdoe")
    assert bring(accounts(active), {"name": name}) is None
    fault = foretold(groups(active), {"group": name})
    assert isinstance(fault, Conflict)
    assert f"the name is in use by a user (CN={name}," in fault.message.replace("cn=", "CN=")
    assert foretold(groups(active), {"group": active.name("other")}) is None
    again = bring(groups(active), {"group": name})
    assert again is not None and again.message == fault.message


def test_an_account_that_would_get_a_groups_name_is_told_by_the_dry_run(active: Backend) -> None:
    name = active.name("ocean")
    assert bring(groups(active), {"group": name}) is None
    fault = foretold(accounts(active), {"name": name})
    assert isinstance(fault, Conflict)
    assert "the name is in use by a group" in fault.message
    again = bring(accounts(active), {"name": name})
    assert again is not None and again.message == fault.message


def test_what_is_there_already_is_not_in_its_own_way(active: Backend) -> None:
    for handler, params in (
        (accounts(active), {"name": active.name("one")}),
        (groups(active), {"group": active.name("two")}),
    ):
        assert [bring(handler, params), foretold(handler, params)] == [None, None]
