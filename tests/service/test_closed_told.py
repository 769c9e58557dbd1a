"""A receipt names the users of a request who have no access, as long as that is so."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.config import schema
from provisioner.journal.records import request_rows
from provisioner.outcome import receipts
from tests.support.engine_site import Site, allocation, control, user
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


@pytest.mark.parametrize("state", ["failed", "deferred"])
def test_a_receipt_of_what_is_not_done_names_who_is_closed(site: Site, state: str) -> None:
    (site.first.poison if state == "failed" else site.first.missing).add("bob")
    served(site)
    assert closed(site) is None
    receipt = yaml.safe_load((site.config.spool / "receipts/uid-4711/portal-1.yaml").read_text())
    assert (receipt["state"], receipt["steps"][1]["users"]["ann"]) == (state, "done")
    send(site, OTHER, user("ann", "suspend", cause="security"))
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


# Nobody is closed before that is done, however often the receipt is written meanwhile.


def is_paused(site: Site) -> None:
    send(site, 0, control("lane.pause", "first"), "pause.yaml")


def is_away(site: Site) -> None:
    site.first.away = True


def refuses(site: Site) -> None:
    site.first.poison.add("ann")


def observes(site: Site) -> None:
    path = site.root / "provisioner.yaml"
    path.write_text("mode: observe\n" + path.read_text())
    site.die()
    site.config = schema.load(path)
    site.start()


def written_again(site: Site) -> None:
    """Write the receipt again, as each look at quotas does."""
    with site.system.journal.reading() as conn:
        first = request_rows.newest(conn, "one.json", "")
    assert first is not None
    site.service.clerk.renew([first.id])


def is_open(site: Site) -> bool:
    return bool(site.first.rows["first/member/cf1/ann"]["limit"] != "0")


@pytest.mark.parametrize(
    ("why", "state"),
    [(is_paused, "accepted"), (is_away, "deferred"), (refuses, "failed"), (observes, "deferred")],
)
def test_a_receipt_names_nobody_whose_suspension_is_not_done(
    site: Site, why: Callable[[Site], None], state: str
) -> None:
    served(site)
    why(site)
    assert send(site, OTHER, user("ann", "suspend", cause="security")).state == state
    written_again(site)
    assert is_open(site)
    assert closed(site) is None


@pytest.mark.parametrize("how", ["tried again", "asked again"])
def test_a_receipt_names_them_once_it_is_done_however_it_came_to_that(site: Site, how: str) -> None:
    served(site)
    refuses(site)
    failed = send(site, OTHER, user("ann", "suspend", cause="security"))
    site.first.poison.clear()
    if how == "tried again":
        send(site, OTHER, control("request.retry", failed.id), "retry.yaml")
    else:
        send(site, OTHER, user("ann", "suspend", cause="security"), "again.yaml")
    assert not is_open(site)
    assert closed(site) == {"ann": "others"}
    written_again(site)
    assert closed(site) == {"ann": "others"}


def test_a_receipt_names_them_while_they_are_to_be_closed_once_more(site: Site) -> None:
    served(site)
    send(site, OTHER, user("ann", "suspend", cause="security"))
    is_away(site)
    send(site, OTHER, user("ann", "suspend", cause="security"), "again.yaml")
    written_again(site)
    assert closed(site) == {"ann": "others"}
