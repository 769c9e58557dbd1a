"""A receipt names the users of a request who have no access, as long as that is so."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.outcome import receipts
from tests.support.engine_site import Site, allocation, user
from tests.support.manifest_site import ask, entry, reconcile
from tests.support.policy_site import send

PORTAL, OTHER = 4711, 4712
POLICY = "policy: {rules: [{who: [uid-4711, uid-4712], actions: ['*'], numbers: true}]}\n"
ANN = {"action": "user.provision", "user": {"name": "ann", "uid": 1001}}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a portal, and another writer."""
    return Site(tmp_path, POLICY)


def closed(site: Site) -> Any:
    """Return what the receipt of the portal's allocation says of who is closed."""
    site.service.clerk.catch_up()
    receipt = site.config.spool / "receipts/uid-4711/portal-1.yaml"
    return yaml.safe_load(receipt.read_text()).get("closed")


def served(site: Site) -> None:
    ask(site, {**entry(1, "ann", "bob"), "id": "portal-1"}, PORTAL)


@pytest.mark.parametrize("first", ["the suspension", "the allocation"])
def test_a_receipt_names_whom_another_writer_has_suspended_until_they_are_resumed(
    site: Site, first: str
) -> None:
    if first == "the allocation":
        served(site)
        assert closed(site) is None
    send(site, OTHER, user("ann", "suspend", cause="security"))
    if first == "the suspension":
        served(site)
    assert closed(site) == {"ann": "others"}
    send(site, OTHER, user("ann", "resume", cause="security"))
    assert closed(site) is None


def test_the_receipts_of_who_is_closed_are_written_also_if_the_service_dies_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(site)
    assert closed(site) is None

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(receipts.Desk, "write", die)
        send(site, OTHER, user("ann", "suspend", cause="security"))
        site.service.clerk.catch_up()
    site.spool.close()
    site.system.journal.close()
    site.start()
    site.drain()
    assert closed(site) == {"ann": "others"}


def test_the_receipts_of_who_is_closed_are_written_when_the_disk_has_room_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(site)
    write = receipts.Desk.write

    def full(desk: receipts.Desk, writer: str, name: str, receipt: Any) -> None:
        if name.startswith("portal-1"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(desk, writer, name, receipt)

    with monkeypatch.context() as disk:
        disk.setattr(receipts.Desk, "write", full)
        send(site, OTHER, user("ann", "suspend", cause="security"))
        site.service.clerk.catch_up()
        assert list((site.config.spool / "active").iterdir()), "it is not over before"
    site.service.clerk.catch_up()
    assert closed(site) == {"ann": "others"}


def test_a_receipt_names_the_cause_if_it_is_its_writers(site: Site) -> None:
    served(site)
    send(site, PORTAL, user("ann", "suspend", cause="leave"))
    assert closed(site) == {"ann": "leave"}


def test_a_receipt_no_longer_names_whom_another_portal_opened(site: Site) -> None:
    ask(site, ANN, OTHER)
    reconcile(site, uid=OTHER, kinds=["user"])
    served(site)
    assert closed(site) == {"ann": "others"}
    ask(site, ANN, PORTAL)
    assert closed(site) is None


def test_what_a_writer_closed_of_its_own_allocation_is_not_said_of_its_users(site: Site) -> None:
    served(site)
    send(site, PORTAL, allocation(1, verb="suspend"))
    assert closed(site) is None
