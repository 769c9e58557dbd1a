"""What a manifest says for the first time, or otherwise than before, gets an answer of its own."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation, AllocationAttribute
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from provisioner.coldfront.answering import stands
from provisioner.coldfront.asking.manifest import KEY
from provisioner.coldfront.models import Request, Standing
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database


@pytest.fixture
def silent(site: Site) -> Allocation:
    """Give an allocation that became what it is before anybody listened."""
    site.says(HPC, slurm_cluster="a")
    return site.allocation(HPC)


def reconcile(site: Site) -> dict[str, dict[str, Any]]:
    """Reconcile; give the lines that have an id, by it."""
    site.clear()
    call_command("provisioner_reconcile")
    [path] = site.staging.glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["id"]: line for line in lines if "id" in line}


def of(allocation: Allocation) -> list[Request]:
    rows = Request.objects.filter(key=f"allocation-{allocation.pk}")
    return list(rows.order_by("number"))


def test_it_is_a_row_whose_number_is_the_line_s_id_and_order(
    site: Site, silent: Allocation
) -> None:
    lines = reconcile(site)
    [row] = of(silent)
    line = lines[f"cf-{row.number}"]
    assert line["order"] == {"key": row.key, "number": row.number}
    assert json.loads(row.body) == {"provisioner": 1, **line}
    assert (row.state, row.project) == ("written", silent.project.pk)
    assert row.written is not None


def test_people_and_projects_are_rows_too(site: Site, silent: Allocation) -> None:
    reconcile(site)
    assert site.rows(action="user.provision", user="cgray", state="written")
    assert site.rows(action="project.provision", project=silent.project.pk, state="written")


def test_the_answer_is_brought_home(site: Site, silent: Allocation) -> None:
    reconcile(site)
    site.sync()
    assert set(Standing.objects.values_list("state", flat=True)) == {"waiting"}
    for row in site.rows(state="written"):
        site.answer(row, "done")
    site.sync()
    assert set(Standing.objects.values_list("state", flat=True)) == {"ready"}


def test_what_was_said_so_before_is_a_line_and_no_row(site: Site, silent: Allocation) -> None:
    reconcile(site)
    before = Request.objects.count()
    assert reconcile(site) == {}
    assert Request.objects.count() == before + 1


def test_what_an_event_said_is_no_news(site: Site, silent: Allocation) -> None:
    site.quietly(silent, "New")
    site.decide(silent, "approve")
    reconcile(site)
    assert len(of(silent)) == 1


def test_what_changed_in_silence_is_one_new_row(site: Site, silent: Allocation) -> None:
    reconcile(site)
    AllocationAttribute.objects.filter(
        allocation=silent, allocation_attribute_type__name="slurm_specs"
    ).update(value="Fairshare=3")
    [line] = reconcile(site).values()
    assert line["allocation"]["slurm"]["specs"] == "Fairshare=3"
    assert len(of(silent)) == 2


def test_what_lacks_something_is_shown_as_incomplete(site: Site, silent: Allocation) -> None:
    AllocationAttribute.objects.filter(
        allocation=silent, allocation_attribute_type__name="slurm_account_name"
    ).delete()
    reconcile(site)
    [row] = of(silent)
    assert row.state == "incomplete"
    assert "slurm_account_name" in row.problems[0]


def went_wrong(site: Site, allocation: Allocation, state: str = "failed") -> None:
    """Let all that was said become true but of one allocation."""
    for row in site.rows(state="written"):
        site.answer(row, state if row in of(allocation) else "done")
    site.sync()


@pytest.mark.parametrize("state", ["failed", "refused", "cancelled"])
def test_what_went_wrong_again_is_said_again_in_the_place_of_that(
    site: Site, silent: Allocation, state: str
) -> None:
    reconcile(site)
    [first] = of(silent)
    for _ in range(2):
        went_wrong(site, silent, state)
        [line] = reconcile(site).values()
    [kept, again] = of(silent)
    assert kept.number == first.number
    assert line["id"] == f"cf-{again.number}"
    assert again.state == "written"


def test_what_went_wrong_before_it_was_done_is_not_kept(site: Site, silent: Allocation) -> None:
    row = site.fill_in(silent, "slurm_specs", "GrpJobs=0")
    Request.objects.filter(key=f"allocation-{silent.pk}").delete()
    for number, state in enumerate(("failed", "done", "failed")):
        AllocationAttribute.objects.filter(pk=row.pk).update(value=f"GrpJobs={number}")
        reconcile(site)
        went_wrong(site, silent, state)
    reconcile(site)
    assert [row.state for row in of(silent)] == ["done", "failed", "written"]


def test_what_an_event_asked_for_is_kept_when_it_went_wrong(site: Site, silent: Allocation) -> None:
    site.quietly(silent, "New")
    site.decide(silent, "approve")
    went_wrong(site, silent)
    reconcile(site)
    assert [row.state for row in of(silent)] == ["failed", "written"]


def test_what_somebody_steered_is_kept_when_it_went_wrong(site: Site, silent: Allocation) -> None:
    reconcile(site)
    went_wrong(site, silent)
    [row] = of(silent)
    site.post(f"/provisioning/{row.number}/retry/", {"reason": ""})
    reconcile(site)
    assert [row.state for row in of(silent)] == ["failed", "written"]


def how_it_stands(allocation: Allocation) -> str:
    found = stands.read(stands.of([f"allocation-{allocation.pk}"]))
    return found[allocation.pk, "cgray"].stand.state


@pytest.mark.parametrize("state", ["refused", "superseded", "cancelled"])
def test_what_a_manifest_said_that_nobody_followed_is_said_again(
    site: Site, silent: Allocation, state: str
) -> None:
    before = reconcile(site)
    [asked] = site.rows(action="reconcile")
    site.answer(asked, state)
    site.sync()
    assert of(silent) == []
    again = reconcile(site)
    assert {line["order"]["key"] for line in again.values()} == {
        line["order"]["key"] for line in before.values()
    }
    assert [row.state for row in of(silent)] == ["written"]


def test_what_an_event_said_again_meanwhile_is_said_again_too(
    site: Site, silent: Allocation
) -> None:
    reconcile(site)
    site.decide(silent)
    [row] = of(silent)
    assert row.event.startswith("provisioner_reconcile cf-") and ", " in row.event
    site.answer(site.rows(action="reconcile")[0], "refused")
    site.sync()
    assert of(silent) == []


@pytest.mark.parametrize("manifests", ["done", "failed", "refused", "held"])
@pytest.mark.parametrize(
    ("state", "stands"),
    [("accepted", "waiting"), ("held", "waiting"), ("refused", "failed"), ("done", "closed")],
)
def test_who_is_left_out_is_closed_when_the_suspension_is_done_whatever_became_of_the_manifest(
    site: Site, silent: Allocation, manifests: str, state: str, stands: str
) -> None:
    reconcile(site)
    site.followed()
    site.quietly(silent, "Expired")
    reconcile(site)
    site.answer(site.rows(action="reconcile")[-1], manifests)
    site.sync()
    assert how_it_stands(silent) == "waiting"
    [row] = site.rows(action="allocation.suspend")
    site.answer(row, state)
    site.sync()
    assert how_it_stands(silent) == stands


@pytest.mark.parametrize(("state", "asked"), [("held", 1), ("done", 1), ("refused", 3)])
def test_a_suspension_in_silence_is_asked_for_once_and_again_if_it_went_wrong(
    site: Site, silent: Allocation, state: str, asked: int
) -> None:
    reconcile(site)
    site.followed()
    site.quietly(silent, "Expired")
    for _ in range(3):
        reconcile(site)
        site.answer(site.rows(action="allocation.suspend")[-1], state)
        site.followed()
    assert len(site.rows(action="allocation.suspend")) == asked


def test_who_comes_back_while_a_manifest_that_shuts_them_out_is_held_is_let_in(
    site: Site, silent: Allocation
) -> None:
    reconcile(site)
    site.followed()
    site.quietly(silent, "Expired")
    reconcile(site)
    site.clear()
    site.decide(silent, status="Active")
    assert [one["action"] for one in site.files()] == ["allocation.resume"]


def test_nothing_is_left_where_staging_takes_nothing(site: Site, silent: Allocation) -> None:
    site.staging.rmdir()
    with pytest.raises(CommandError, match="cannot write to staging"):
        call_command("provisioner_reconcile")
    assert site.rows() == []


def test_what_is_no_news_when_it_is_read_with_its_number_is_no_row(
    site: Site, silent: Allocation
) -> None:
    def meanwhile(run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        done = run(sql, *rest)
        if sql.startswith("INSERT INTO") and "provisioner_coldfront_request" in sql:
            site.quietly(silent, "Revoked")
        return done

    with connection.execute_wrapper(meanwhile):
        lines = reconcile(site)
    assert of(silent) == []
    assert f"allocation-{silent.pk}" not in {line["order"]["key"] for line in lines.values()}
    assert not Request.objects.filter(state="new").exists()


def test_what_a_killed_command_reserved_is_said_by_itself(site: Site, silent: Allocation) -> None:
    key = f"allocation-{silent.pk}"
    row = Request.objects.create(event="x", key=key, allocation=silent.pk)
    Request.objects.filter(pk=row.pk).update(created="2026-01-01T00:00:00Z")
    call_command("provisioner_flush")
    assert [one.action for one in of(silent)] == ["allocation.provision"]


@pytest.mark.parametrize(("minutes", "left"), [(50, 1), (70, 0)])
def test_a_manifest_that_takes_long_to_read_keeps_its_row_and_a_killed_one_does_not(
    site: Site, minutes: int, left: int
) -> None:
    row = Request.objects.create(event="x", key=KEY, subject="site:", action="reconcile")
    began = timezone.now() - datetime.timedelta(minutes=minutes)
    Request.objects.filter(pk=row.pk).update(created=began)
    call_command("provisioner_flush")
    assert Request.objects.filter(pk=row.pk).count() == left


def test_access_that_goes_and_comes_in_silence_is_seen_on_the_pages(
    site: Site, silent: Allocation
) -> None:
    reconcile(site)
    site.quietly(silent, "Expired")
    reconcile(site)
    site.answer(site.rows(action="allocation.suspend")[-1], "done")
    site.followed()
    assert how_it_stands(silent) == "closed"
    site.quietly(silent, "Active")
    reconcile(site)
    site.followed()
    assert how_it_stands(silent) == "waiting"
    assert [row.state for row in site.rows(action="allocation.resume")] == ["written"]


def test_who_is_barred_has_no_line(site: Site, silent: Allocation) -> None:
    User.objects.filter(username="cgray").update(is_active=False)
    assert "user-cgray" not in {line["order"]["key"] for line in reconcile(site).values()}
