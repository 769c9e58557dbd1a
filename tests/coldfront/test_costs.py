"""What the app adds to a page of ColdFront's, in queries, and that nothing of it is lost."""

from __future__ import annotations

import pytest
from coldfront.core.allocation import signals as of_allocations
from coldfront.core.allocation.models import Allocation, AllocationUser
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from provisioner.coldfront.asking import earlier, outbox, sending
from provisioner.coldfront.asking.heard import AT_ONCE, PACE
from provisioner.coldfront.models import Request
from tests.coldfront.many import fill, let_in, without_the_app
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database


@pytest.fixture
def new(site: Site) -> Allocation:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    return allocation


def queries(site: Site, allocation: Allocation, status: str) -> int:
    """Count the queries of a decision."""
    with CaptureQueriesContext(connection) as captured:
        if status == "Active":
            site.decide(allocation, "approve")
        else:
            site.decide(allocation, status=status)
    return len(captured)


def test_a_decision_costs_at_most_twice_and_hardly_more_for_more_users(
    site: Site, new: Allocation
) -> None:
    own: dict[str, list[int]] = {"Active": [], "Revoked": []}
    for count in (20, 100, 400):
        fill(new, count)
        for status, costs in own.items():
            site.quietly(new, "New" if status == "Active" else "Active")
            with without_the_app():
                off = queries(site, new, status)
            site.quietly(new, "New" if status == "Active" else "Active")
            on = queries(site, new, status)
            assert on <= 2 * off
            costs.append(on - off)
        site.sync()
        assert len(site.last("allocation.provision")["allocation"]["users"]) == count
    for twenty, hundred, most in own.values():
        # A page writes fifty files at most; rows are made as many at once as one statement takes.
        assert hundred - twenty <= (100 - 20) / 2
        assert most - hundred <= (400 - 100) / 20


def test_who_is_let_in_while_a_page_is_served_is_said_once(site: Site, new: Allocation) -> None:
    fill(new, 30)
    site.decide(new, "approve")
    [row] = site.rows(action="allocation.provision")
    assert "allocation_activate, allocation_activate_user" in row.event
    assert Request.objects.filter(state="new", body="").count() == 0


def test_a_change_is_noted_in_the_pages_own_transaction_for_a_process_that_is_killed(
    site: Site, new: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "allocation", die)
        with pytest.raises(Killed):
            site.decide(new, "approve")
    assert site.files() == []
    Request.objects.filter(state="new").update(created="2026-01-01T00:00:00Z")
    sending.flush()
    [asked] = [one for one in site.files() if one["action"] == "allocation.provision"]
    assert asked["on_behalf_of"] == "admin"


def test_what_many_signals_of_one_transaction_tell_is_said_once(
    site: Site, new: Allocation
) -> None:
    site.quietly(new, "Active")
    fill(new, 30)
    rows = list(AllocationUser.objects.filter(allocation=new))
    with CaptureQueriesContext(connection) as one, transaction.atomic():
        of_allocations.allocation_activate_user.send(sender=None, allocation_user_pk=rows[0].pk)
    Request.objects.all().delete()
    site.clear()
    with CaptureQueriesContext(connection) as many, transaction.atomic():
        for row in rows:
            of_allocations.allocation_activate_user.send(sender=None, allocation_user_pk=row.pk)
    assert len(many) <= len(one) + len(rows)
    assert len(site.rows(action="allocation.provision")) == 1


@pytest.fixture
def full(site: Site, new: Allocation, monkeypatch: pytest.MonkeyPatch) -> Allocation:
    """Give an active allocation with sixty people that nobody has asked for, and one spell."""
    monkeypatch.setattr(PACE, "clock", lambda: PACE.began)
    site.quietly(new, "Active")
    fill(new, 60)
    return new


def queries_of_letting_in(allocation: Allocation, count: int) -> int:
    """Say of members that they are let in; return the queries it took."""
    with CaptureQueriesContext(connection) as captured:
        let_in(allocation, count)
    return len(captured)


def grow_late() -> None:
    Request.objects.filter(state="new", body="").update(created="2026-01-01T00:00:00Z")


def test_a_script_that_changes_one_thing_again_and_again_costs_a_note_each(
    site: Site, full: Allocation
) -> None:
    let_in(full, AT_ONCE)
    # Whose member it is, the note, and its savepoint.
    assert queries_of_letting_in(full, 40) <= 5 * 40
    assert len(site.rows(action="allocation.provision")) == 1


def test_what_a_script_changed_is_asked_for_once_when_its_notes_are_late(
    site: Site, full: Allocation
) -> None:
    let_in(full, AT_ONCE)
    AllocationUser.objects.filter(allocation=full, user__username="u0030").delete()
    let_in(full, 40)
    assert "u0030" in site.last("allocation.provision")["allocation"]["users"]
    sending.flush()
    assert len(site.rows(action="allocation.provision")) == 1
    grow_late()
    with CaptureQueriesContext(connection) as captured:
        sending.flush()
    assert len(captured) <= 60
    assert "u0030" not in site.last("allocation.provision")["allocation"]["users"]
    assert len(site.rows(action="allocation.provision")) == 2
    assert site.rows(state="new", body="") == []


def test_transactions_of_a_script_count_as_its_changes_do(site: Site, full: Allocation) -> None:
    for row in AllocationUser.objects.filter(allocation=full)[: AT_ONCE + 5]:
        with transaction.atomic():
            of_allocations.allocation_activate_user.send(sender=None, allocation_user_pk=row.pk)
    assert len(site.rows(state="new", body="")) == 5


def test_a_note_that_cannot_be_made_keeps_no_change_back(
    site: Site, full: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(full, AT_ONCE)

    def fails(*_: object) -> int:
        raise DatabaseError

    AllocationUser.objects.filter(allocation=full, user__username="u0030").delete()
    monkeypatch.setattr(outbox, "note", fails)
    let_in(full, 1)
    assert "u0030" not in site.last("allocation.provision")["allocation"]["users"]


def test_a_late_note_whose_request_cannot_be_made_holds_no_other_back(
    site: Site, full: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = outbox.note("allocation", full.pk, "told", "ann")
    outbox.note("project", full.project.pk, "told", "ann")
    grow_late()
    monkeypatch.setattr(outbox, "allocation", lambda *_, **__: 1 / 0)
    sending.flush()
    assert [row.number for row in site.rows(state="new", body="")] == [left]


def test_late_notes_of_one_thing_are_one_for_each_person(site: Site, full: Allocation) -> None:
    numbers = [outbox.note("allocation", full.pk, "told", by) for by in ("ann", "bob", "ann")]
    grow_late()
    young = outbox.note("allocation", full.pk, "told again", "ann")
    assert [(late.by, list(late.numbers)) for late in earlier.late()] == [
        ("ann", [numbers[0], numbers[2]]),
        ("bob", [numbers[1]]),
    ]
    sending.flush()
    assert [row.number for row in site.rows(state="new", body="")] == [young]


def test_what_a_savepoint_takes_back_keeps_nothing_else_back(site: Site, new: Allocation) -> None:
    site.quietly(new, "Active")
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            of_allocations.allocation_activate.send(sender=None, allocation_pk=new.pk)
            raise ZeroDivisionError
        of_allocations.allocation_activate.send(sender=None, allocation_pk=new.pk)
    assert len(site.rows(action="allocation.provision")) == 1
