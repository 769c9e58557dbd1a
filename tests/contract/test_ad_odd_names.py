"""People whose entries have a CN that a DN has to escape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group
from provisioner.contract import Claim, Handler
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.ad_backends import Backend, backends, make


@pytest.fixture(params=backends("ad"))
def active(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def bring(handler: Handler, params: dict[str, Any], *, suspended: bool = False) -> Outcome:
    wants = handler.claims(params).items()
    items = [Item(key, (Claim("project:cf3", want, suspended),)) for key, want in wants]
    return converge(handler, items, lambda _: None)[0]


@pytest.mark.parametrize("cn", ["Doe\\, John (ext)", "Doe \\+ Son*", "\\#1 \\\\ Doe"])
def test_whose_cn_is_escaped_is_looked_up_and_comes_into_a_group_and_goes(
    active: Backend, cn: str
) -> None:
    name, group = active.name("jdoe"), active.name("cf3")
    classes = ["top", "person", "organizationalPerson", "user"]
    entry = {"objectClass": classes, "sn": "Doe", "sAMAccountName": name}
    active.directory().add(f"CN={cn},OU=people,{active.base}", entry)
    accounts = ad_account.build(active.site("a"), active.settings(mode="lookup"))
    assert bring(accounts, {"name": name}).fault is None
    groups = ad_group.build(active.site("g"), active.settings("groups", ids=active.ids()))
    assert bring(groups, {"group": group}).fault is None
    member = {"group": group, "user": name}
    for suspended in (False, True):
        outcome = bring(groups, member, suspended=suspended)
        assert outcome.fault is None and outcome.state is not None
        assert outcome.state["present"] is not suspended
        assert bring(groups, member, suspended=suspended).changed == ()
