"""The pages of ColdFront 2 show what was asked for, and what came of it."""

from __future__ import annotations

import pytest
from coldfront.core.models import ObjectType
from coldfront.ras.models import Allocation
from coldfront.users.models import ObjectPermission

from provisioner.coldfront.answering import stands
from tests.coldfront2.site import Site
from tests.support import outbox

LIST = "/plugins/provisioning/"


def page_of(site: Site, allocation: Allocation, name: str = "boss") -> str:
    return site.get(f"/ras/allocations/{allocation.pk}/", name)


def may_view_allocations(site: Site, *names: str) -> None:
    permission = ObjectPermission.objects.create(name="view allocations", actions=["view"])
    permission.object_types.add(ObjectType.objects.get_for_model(Allocation))
    permission.users.set([site.user(name) for name in names])


@pytest.fixture
def failed(site: Site, allocation: Allocation) -> Allocation:
    site.move(allocation, "approve")
    [row] = site.rows(action="allocation.provision")
    step = {
        "step": "associations", "handler": "slurm-lab", "state": "failed",
        "problems": [{"message": "slurmdbd is full of bees", "advice": "call the beekeeper"}],
    }  # fmt: skip
    site.answer(row, "failed", step)
    outbox.sync()
    return allocation


def test_staff_read_on_the_list_what_failed_and_find_it_in_the_menu(
    site: Site, failed: Allocation
) -> None:
    shown = site.get(LIST)
    assert "associations: slurmdbd is full of bees" in shown and "Call the beekeeper" in shown
    assert f'href="{LIST}"' in site.get("/")
    [row] = site.rows(action="allocation.provision")
    assert "slurmdbd is full of bees" in site.get(f"{LIST}{row.number}/")


def test_only_staff_see_the_list(site: Site, failed: Allocation) -> None:
    assert site.client("pi").get(LIST).status_code == 403


def test_an_allocations_page_tells_staff_what_failed_and_what_to_do(
    site: Site, failed: Allocation
) -> None:
    shown = page_of(site, failed)
    assert "slurmdbd is full of bees" in shown and "call the beekeeper" in shown


def test_an_allocations_page_says_where_it_is_when_it_is_done(
    site: Site, active: Allocation
) -> None:
    assert "sbatch -A folding" in page_of(site, active)


def test_the_owner_reads_plain_words_and_a_member_only_their_own_line(
    site: Site, failed: Allocation
) -> None:
    may_view_allocations(site, "pi", "anna", "carl")
    of_owner, of_member = page_of(site, failed, "pi"), page_of(site, failed, "anna")
    assert "bees" not in of_owner + of_member
    assert '<th scope="row" class="d-block d-md-table-cell border-0">anna' in of_owner
    assert '<th scope="row" class="d-block d-md-table-cell border-0">pi' not in of_member
    assert 'id="provisioning"' not in page_of(site, failed, "carl")


def test_staff_read_what_is_missing_before_they_approve(site: Site) -> None:
    shown = page_of(site, site.on_storage())
    assert "fill in the hard limit of the allocation&#x27;s storage quota" in shown


def test_an_error_here_leaves_coldfronts_page_whole(
    site: Site, active: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stands, "of", None)
    assert "cannot show the provisioning state now" in page_of(site, active)
