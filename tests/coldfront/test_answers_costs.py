"""What the service's answers for many users cost ColdFront, in queries."""

from __future__ import annotations

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationUser,
    AllocationUserStatusChoice,
)
from django.db import DatabaseError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from provisioner.coldfront.answering import sync
from provisioner.coldfront.asking import sending
from provisioner.coldfront.models import Request, Standing
from tests.coldfront.allocations import HPC
from tests.coldfront.many import fill, let_in
from tests.coldfront.site import Site

pytestmark = pytest.mark.database


@pytest.fixture
def full(site: Site) -> Allocation:
    """Give an active allocation that nobody has asked for."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "Active")
    return allocation


def answered(site: Site, allocation: Allocation, count: int) -> None:
    """Let so many members be asked for, and answered."""
    fill(allocation, count)
    let_in(allocation, 1)
    sending.flush()
    for row in site.rows(state="written"):
        site.answer(row, "done", {"step": "account", "handler": "ad", "state": "done"})


def queries_of(site: Site, said: str) -> list[str]:
    """Read the answers, and what that says of itself; return the queries it took."""
    with CaptureQueriesContext(connection) as captured:
        assert said in site.sync()
    return [str(one["sql"]) for one in captured]


def test_answers_for_many_users_take_hardly_more_than_a_statement_each(
    site: Site, full: Allocation
) -> None:
    costs = []
    for count in (20, 80):
        answered(site, full, count)
        costs.append(len(queries_of(site, f"{count} changes for users")))
        Request.objects.all().delete()
        Standing.objects.all().delete()
        for receipt in site.receipts.iterdir():
            receipt.unlink()
    assert costs[1] - costs[0] <= 1.2 * (80 - 20)


def test_news_of_all_users_of_an_allocation_is_recorded_together(
    site: Site, full: Allocation
) -> None:
    answered(site, full, 60)
    site.sync()
    [row] = site.rows(action="allocation.provision")
    wrong = {"step": "slurm", "handler": "s", "state": "failed", "problems": [{"message": "away"}]}
    Request.objects.filter(pk=row.pk).update(state="written")
    site.answer(row, "failed", wrong)
    assert len(queries_of(site, "60 changes for users")) <= 40


def test_many_become_active_and_their_allocation_is_read_once(site: Site, full: Allocation) -> None:
    with override_settings(PROVISIONER_PENDING=True):
        site.sync()
        answered(site, full, 60)
        site.sync()
        AllocationUser.objects.filter(allocation=full).update(
            status=AllocationUserStatusChoice.objects.get_or_create(name="Pending")[0]
        )
        queries = queries_of(site, "60 Active")
    # The statuses are read once, and once more for what is wanted now.
    of_users = [sql for sql in queries if "allocation_allocationuser" in sql and "is_active" in sql]
    assert len(of_users) <= 2


def test_an_answer_that_the_database_does_not_take_keeps_back_no_earlier_one(
    site: Site, full: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(site, full, 20)
    *_, last = site.rows(state="written")
    step = sync._step

    def fails(row: Request, part: object) -> object:
        if row.pk == last.pk:
            raise DatabaseError("too long")
        return step(row, part)  # type: ignore[arg-type]

    monkeypatch.setattr(sync, "_step", fails)
    with pytest.raises(DatabaseError):
        site.sync()
    assert [row.pk for row in site.rows(state="written")] == [last.pk]
