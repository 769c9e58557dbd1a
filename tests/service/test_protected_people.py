"""Who has something and is protected then keeps it, whatever requests list."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.config import schema as configuration
from tests.support import manifest_site
from tests.support.engine_site import Site, allocation, membership
from tests.support.policy_site import OPERATOR, PORTAL, send, why

POLICY = """\
policy:
  portals: [uid-4711]
  mass: {users: 0, share: 0}
  protected: {users: [nobody-yet]}
  rules:
  - {who: [uid-4711], actions: ["allocation.*", "membership.*", reconcile], others: true}
  - {who: [uid-4712], actions: ["*"], others: true}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site where boss is in an allocation, and is protected since."""
    site = Site(tmp_path, POLICY)
    assert send(site, PORTAL, allocation(1, "boss, ann")).state == "done"
    protect(site, "nobody-yet", "boss")
    return site


def protect(site: Site, former: str, name: str) -> None:
    file = site.root / "provisioner.yaml"
    file.write_text(file.read_text().replace(former, name))
    site.config = configuration.load(file)
    site.start()


def members(site: Site) -> set[str]:
    return {key.rpartition("/")[2] for key in site.first.rows if "/member/" in key}


@pytest.mark.parametrize(
    ("uid", "users"),
    [(PORTAL, "boss, ann, bob"), (PORTAL, "ann, bob"), (OPERATOR, "ann, bob"), (0, "ann, bob")],
    ids=["listed by a portal", "not listed", "not listed by another", "not listed by root"],
)
def test_who_is_protected_stays_whoever_a_request_lists(site: Site, uid: int, users: str) -> None:
    asked = send(site, uid, allocation(1, users))
    assert asked.state == "done", "nobody loses anything, and so no crowd does"
    assert "no request touches it: first/member/cf/boss" in why(asked)
    assert members(site) == {"ann", "bob", "boss"}


def test_a_request_that_names_who_is_protected_is_refused_as_before(site: Site) -> None:
    assert send(site, OPERATOR, membership(1, "boss", "remove")).state == "refused"
    assert send(site, OPERATOR, allocation(1, "boss, ann")).state == "refused"
    assert members(site) == {"ann", "boss"}


def test_a_manifest_does_not_ask_again_for_who_stays(site: Site) -> None:
    line = manifest_site.entry(1, "ann", code="c")
    line["allocation"]["project"]["code"] = "cf"
    told = [why(manifest_site.reconcile(site, line)) for _ in range(2)]
    assert "1 as listed" in told[1]
    assert members(site) == {"ann", "boss"}


def test_who_is_no_longer_protected_goes_with_the_next_request(site: Site) -> None:
    send(site, PORTAL, allocation(1, "ann"))
    protect(site, "[boss]", "[nobody-yet]")
    file = site.root / "provisioner.yaml"
    file.write_text(file.read_text().replace("mass: {users: 0, share: 0}", "mass: {users: 9}"))
    site.config = configuration.load(file)
    site.start()
    assert send(site, PORTAL, allocation(1, "ann", files=6)).state == "done"
    assert members(site) == {"ann"}
