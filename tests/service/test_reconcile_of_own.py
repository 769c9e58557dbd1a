"""A reconcile of a writer who may ask for their own only: of others' objects it tells nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_site import Site, allocation
from tests.support.policy_site import OPERATOR, PORTAL, send, why

POLICY = """\
policy:
  rules:
  - {who: [uid-4711], actions: ["allocation.*", reconcile]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site where the portal has `cf` with ann, and somebody else `secret` with eve."""
    site = Site(tmp_path, POLICY)
    assert send(site, PORTAL, allocation(1, "ann"), "a.yaml").state == "done"
    assert send(site, OPERATOR, allocation(2, "eve", code="secret"), "b.yaml").state == "done"
    return site


def reconcile(*keys: str) -> str:
    named = f"objects: [{', '.join(keys)}]\n" if keys else ""
    return f"provisioner: 1\naction: reconcile\n{named}"


@pytest.mark.parametrize("key", ["first/account/{}", "first/member/{}/eve"])
def test_an_object_of_others_is_as_unknown_as_one_that_does_not_exist(site: Site, key: str) -> None:
    told = {}
    for name in ("secret", "nothing"):
        asked = send(site, PORTAL, reconcile(key.format(name)))
        told[name] = (asked.state, why(asked).replace(key.format(name), "KEY"))
    assert told["secret"] == told["nothing"]


def test_what_is_wrong_with_objects_of_others_is_not_told(site: Site) -> None:
    site.first.foreign.add("eve")
    asked = send(site, PORTAL, reconcile())
    assert (asked.state, why(asked)) == ("done", "")
    assert send(site, OPERATOR, reconcile()).state == "failed"


def test_their_own_objects_are_made_right(site: Site) -> None:
    for keys in ((), ("first/member/cf/ann",)):
        site.first.rows.pop("first/member/cf/ann")
        assert send(site, PORTAL, reconcile(*keys)).state == "done"
        assert "first/member/cf/ann" in site.first.rows
