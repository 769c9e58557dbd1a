"""An approved allocation becomes active when what it asks for is done, and not before."""

from __future__ import annotations

import pytest
from coldfront.ras.flows import AllocationStatusFlow
from coldfront.ras.models import Allocation, ProjectUser
from coldfront.storage.models import StorageQuota

from provisioner.coldfront.models import OPEN, Request
from tests.coldfront2.site import Site
from tests.support import outbox


def status(allocation: Allocation) -> str:
    allocation.refresh_from_db()
    return str(allocation.status)


def test_what_is_done_becomes_active_by_the_flow(
    site: Site, allocation: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    others = {"active": [lambda one, *, source, target: reached.append(f"{source}-{target}")]}
    monkeypatch.setattr(AllocationStatusFlow, "_target_callbacks", others)
    site.move(allocation, "approve")
    assert "1 Active" in site.done()
    assert (status(allocation), reached) == ("active", ["approved-active"])


@pytest.mark.parametrize("state", ["accepted", "held", "deferred", "failed", "refused"])
def test_what_is_not_done_stays_approved(site: Site, allocation: Allocation, state: str) -> None:
    site.move(allocation, "approve")
    [row] = site.rows(action="allocation.provision")
    site.answer(row, state)
    outbox.sync()
    assert status(allocation) == "approved"


def test_a_change_that_is_not_done_yet_keeps_it_approved(
    site: Site, allocation: Allocation
) -> None:
    site.move(allocation, "approve")
    [row] = site.rows(action="allocation.provision")
    ProjectUser.objects.create(project=site.project, user=site.user("carl"))
    site.answer(row, "done")
    outbox.sync()
    assert status(allocation) == "approved"


def test_what_was_decided_otherwise_meanwhile_stays_so(site: Site, allocation: Allocation) -> None:
    site.move(allocation, "approve")
    site.quietly(allocation, status="denied")
    site.done()
    assert status(allocation) == "denied"


def test_what_was_closed_becomes_active_again_when_access_is_given_back(
    site: Site, active: Allocation
) -> None:
    site.move(active, "revoke")
    site.done()
    for transition in ("renew", "approve"):
        site.move(active, transition)
    [resume] = site.rows(action="allocation.resume")
    for row in Request.objects.filter(state__in=OPEN).exclude(pk=resume.pk):
        site.answer(row, "done")
    outbox.sync()
    assert status(active) == "approved"
    site.done()
    assert status(active) == "active"


def test_what_is_used_of_a_quota_is_shown_in_it_and_asks_for_nothing(site: Site) -> None:
    stored = site.on_storage(hard_limit_bytes=10**12)
    site.move(stored, "approve")
    [row] = site.rows(action="allocation.provision")
    before = Request.objects.count()
    for space in ("5", "7"):
        step = {"step": "fileset", "handler": "fs1", "state": "done"}
        site.answer(row, "done", {**step, "use": {"space": space, "files": "2"}})
        outbox.sync()
        quota = StorageQuota.objects.get()
        assert (quota.used, quota.used_files) == (int(space), 2)
    assert Request.objects.count() == before


def test_activation_asks_for_nothing_more(site: Site, allocation: Allocation) -> None:
    site.move(allocation, "approve")
    before = Request.objects.count()
    site.done()
    assert status(allocation) == "active"
    assert Request.objects.count() == before
