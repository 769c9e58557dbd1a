"""A reconcile of very many objects makes them due in short commits, with others' turns between.

One commit for half a million objects kept everybody out until it was done.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.controls import verbs
from provisioner.journal.records import object_rows, request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.manifests import everything
from provisioner.objects.states import RequestState
from tests.support.engine_site import Site, allocation, control
from tests.support.manifest_site import newest, told
from tests.support.policy_site import put, send
from tests.support.portions_site import restart

RECONCILE = "provisioner: 1\naction: reconcile\n"

PORTAL, OTHER = 4711, 4712

POLICY = """\
policy:
  rules:
  - {who: [uid-4711], actions: ["*"]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a site with six objects, of which two become due in a commit; one is too many to list
    more than three."""
    monkeypatch.setattr(verbs, "AWAITED", 3)
    monkeypatch.setattr(everything, "TOGETHER", 2)
    site = Site(tmp_path, POLICY)
    send(site, PORTAL, allocation(1, "ann, bob, eve", code="one"), "one.yaml")
    send(site, OTHER, allocation(2, "dan", code="two"), "two.yaml")
    return site


def due(site: Site) -> int:
    with site.system.journal.reading() as conn:
        return len(object_rows.due_keys(conn))


def portions(site: Site) -> Iterator[int]:
    """Let the service take what is in staging, a turn each; yield how much is due after each."""
    while site.service.take():
        yield due(site)


def reconcile(site: Site) -> Record:
    return newest(site, "all.yaml")


def test_each_portion_is_a_commit(site: Site) -> None:
    put(site, 0, RECONCILE, "all.yaml")
    assert list(portions(site)) == [2, 4, 6, 6]
    assert reconcile(site).state == RequestState.DONE
    assert "6 objects are looked at again" in told(reconcile(site))


def test_others_have_their_turn_between_two_of_them(site: Site) -> None:
    put(site, 0, RECONCILE, "all.yaml")
    site.service.take()
    put(site, OTHER, allocation(3, "zoe", code="three"), "three.yaml")
    site.service.take()
    assert reconcile(site).state == RequestState.ACCEPTED
    assert newest(site, "three.yaml").state == RequestState.ACCEPTED


def test_a_restart_between_two_of_them_goes_on(site: Site) -> None:
    put(site, 0, RECONCILE, "all.yaml")
    site.service.take()
    restart(site)
    assert list(portions(site))[-1] == 6
    assert reconcile(site).state == RequestState.DONE


def test_one_that_is_held_goes_no_further_until_it_is_released(site: Site) -> None:
    put(site, 0, RECONCILE, "all.yaml")
    site.service.take()
    put(site, 0, control("request.hold", reconcile(site).id), "hold.yaml")
    assert list(portions(site))[-1] == 2
    assert reconcile(site).state == RequestState.HELD
    put(site, 0, control("request.release", reconcile(site).id) + digest(site), "release.yaml")
    assert list(portions(site))[-1] == 6
    assert reconcile(site).state == RequestState.DONE


def digest(site: Site) -> str:
    return f"digest: {reconcile(site).digest}\n"


def test_a_newer_one_replaces_it(site: Site) -> None:
    put(site, 0, RECONCILE, "all.yaml")
    site.service.take()
    put(site, 0, RECONCILE, "newer.yaml")
    assert list(portions(site))[-1] == 6
    assert reconcile(site).state == RequestState.SUPERSEDED
    assert newest(site, "newer.yaml").state == RequestState.DONE


def test_who_knows_nothing_of_others_looks_at_their_own(site: Site) -> None:
    put(site, PORTAL, RECONCILE, "all.yaml")
    assert list(portions(site)) == [2, 4, 4]
    assert "4 objects are looked at again" in told(reconcile(site))


def test_it_needs_no_more_than_one_commit_if_they_are_few(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "AWAITED", 6)
    put(site, 0, RECONCILE, "all.yaml")
    site.service.take()
    with site.system.journal.reading() as conn:
        assert request_rows.counts(conn)[RequestState.ACCEPTED] == 1
    assert due(site) == 6
