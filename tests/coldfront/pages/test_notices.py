"""What stands at the top of ColdFront's pages: what is missing, what failed, where it is."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation, AllocationStatusChoice
from django.contrib.auth.models import User
from django.utils import timezone

from provisioner.coldfront.models import Request, Sync
from provisioner.coldfront.pages.places import size
from tests.coldfront.pages.looking import (
    HOSTILE,
    PAGE,
    answered,
    asked,
    section,
    stands,
    step,
    text,
)
from tests.coldfront.site import Site

STORAGE = "Budgetstorage"
LACKS = "fill in the allocation attribute &#x27;Storage Quota (GB)&#x27;"
REQUESTS = "/allocation/request-list"


@pytest.fixture
def lacking(site: Site) -> Allocation:
    """Give an allocation that waits for approval, and has no quota."""
    site.says(STORAGE, provisioner_resource="store")
    allocation = site.allocation(STORAGE)
    site.quietly(allocation, "New")
    return allocation


def notice(page: str) -> str:
    """Return the notice on top of a page of ColdFront's."""
    assert page.index('id="provisioning-notice"') < page.index("Allocation Detail</h2>")
    return page.partition('id="provisioning-notice"')[2].partition("Allocation Detail</h2>")[0]


def colour(shown: str) -> set[str]:
    return set(re.findall(r"alert alert-(\w+)", shown))


def form(allocation: Allocation, name: str = "add") -> str:
    return f'href="/allocation/{allocation.pk}/allocationattribute/{name}"'


# What is missing.


def test_staff_read_what_is_missing_before_they_approve_with_a_link_to_the_form(
    site: Site, lacking: Allocation
) -> None:
    shown = notice(site.get(f"/allocation/{lacking.pk}/"))
    assert f"Before you approve this allocation: {LACKS} ( Fill it in )" in text(shown)
    assert form(lacking) in shown
    assert site.client().get(re.findall(r'alert-link" href="([^"]+)"', shown)[0]).status_code == 200


def test_what_was_approved_without_a_value_says_so_on_top(site: Site, lacking: Allocation) -> None:
    site.decide(lacking, "approve")
    shown = notice(site.get(f"/allocation/{lacking.pk}/"))
    assert "Nothing new is set up for this allocation until this is filled in:" in text(shown)
    assert shown.count(LACKS) == 1
    assert form(lacking) in shown
    site.fill_in(lacking, "Storage Quota (GB)", 5)
    assert LACKS not in site.get(f"/allocation/{lacking.pk}/")


def test_a_value_that_is_wrong_has_a_link_to_where_it_is_corrected(
    site: Site, active: Allocation
) -> None:
    site.fill_in(active, "slurm_account_name", "two words")
    assert form(active, "edit") in notice(site.get(f"/allocation/{active.pk}/"))


def test_the_list_of_allocation_requests_says_what_is_missing_before_and_after_its_button(
    site: Site, lacking: Allocation
) -> None:
    before = site.get(REQUESTS).partition("Allocation Requests</h2>")[0]
    assert f"{STORAGE}, allocation {lacking.pk} : {LACKS}" in text(before)
    assert "Before you approve:" in before
    status = AllocationStatusChoice.objects.get(name="Active").pk
    site.post(f"/allocation/{lacking.pk}/", {"action": "auto-approve", "status": status})
    after = site.get(REQUESTS).partition("Allocation Requests</h2>")[0]
    assert "Active, but nothing new is set up until this is filled in:" in after
    assert form(lacking) in after


@pytest.mark.parametrize("status", ["Denied", "Revoked", "Expired"])
def test_what_nobody_approves_any_more_misses_nothing(
    site: Site, lacking: Allocation, status: str
) -> None:
    site.decide(lacking, "approve")
    site.quietly(lacking, status)
    assert LACKS not in site.get(f"/allocation/{lacking.pk}/")
    assert LACKS not in site.get(REQUESTS)


def test_a_pi_does_not_read_what_staff_fill_in_before_they_approve(
    site: Site, lacking: Allocation
) -> None:
    assert "provisioning-notice" not in site.get(f"/allocation/{lacking.pk}/", "cgray")


def test_a_form_that_coldfront_keeps_for_superusers_has_no_link_for_others(
    site: Site, lacking: Allocation
) -> None:
    User.objects.filter(username="cgray").update(is_staff=True)
    shown = notice(site.get(f"/allocation/{lacking.pk}/", "cgray"))
    assert LACKS in shown
    assert "allocationattribute" not in shown


# What failed.


def test_a_failure_is_red_for_staff_with_its_reason_and_its_request(
    site: Site, active: Allocation
) -> None:
    answered(site)
    shown = notice(site.get(f"/allocation/{active.pk}/"))
    assert "danger" in colour(shown)
    assert "Failed for 1 of 2 users: cgray: home: /home/cgray is 4711&#x27;s." in text(shown)
    row = asked(site, "user.provision", user="cgray")
    assert f'href="{PAGE}{row.number}/"' in shown


def test_a_pi_is_told_that_something_failed_and_not_why(site: Site, active: Allocation) -> None:
    answered(site)
    shown = notice(site.get(f"/allocation/{active.pk}/", "cgray"))
    assert colour(shown) == {"warning", "info"}
    assert "Something failed, for 1 of 2 users" in text(shown)
    assert "4711" not in shown


def test_who_was_asked_for_a_second_ago_is_counted_and_is_no_failure(
    site: Site, active: Allocation
) -> None:
    for name in ("sfoster", "hnelson"):
        site.join(active.project, name)
        active.add_user(User.objects.get(username=name))
    shown = notice(site.get(f"/allocation/{active.pk}/"))
    assert "Not everything is ready yet, for 4 of 4 users" in text(shown)
    assert colour(shown) == {"info"}


# Where it is.


def made(step_name: str, **outputs: str) -> dict[str, Any]:
    return {**step(step_name, "done"), "outputs": outputs}


def ready(site: Site, *steps: dict[str, Any]) -> None:
    for row in site.rows(action="user.provision"):
        site.answer(row, "done")
    stands(site, asked(site), "done", *steps)


@pytest.mark.parametrize("user", ["admin", "cgray", "jjames"])
def test_ready_says_where_to_staff_the_pi_and_a_user(
    site: Site, active: Allocation, user: str
) -> None:
    ready(site, made("slurm_account", account="tides"))
    page = site.get(f"/allocation/{active.pk}/", user)
    assert colour(notice(page)) == {"success"}
    assert "Ready. Submit jobs with sbatch -A tides ." in text(notice(page))
    there = text(section(site.get(f"/project/{active.project_id}/", user)))
    assert "University HPC Submit jobs with sbatch -A tides ." in there


def test_ready_says_where_the_directory_is_its_quota_and_its_use(
    site: Site, lacking: Allocation
) -> None:
    site.fill_in(lacking, "Storage Quota (GB)", 4)
    site.decide(lacking, "approve")
    fileset = made("fileset", path="/gpfs/fs1/cf1", fileset="cf1")
    at = (timezone.now() - datetime.timedelta(hours=3)).isoformat()
    ready(site, {**fileset, "use": {"space": 1_000_000_000, "files": 7, "at": at}})
    told = (
        "The directory is /gpfs/fs1/cf1 , with a quota of 4 GB (1.0 GB, 25 %, used, 7 files, as of"
    )
    page = site.get(f"/allocation/{lacking.pk}/")
    assert told in text(notice(page))
    assert "3 hours ago)." in text(notice(page)).replace("\xa0", " ")
    assert 'value="25"' in section(page)


def test_who_is_not_ready_is_not_sent_anywhere(site: Site, active: Allocation) -> None:
    ready(site, made("slurm_account", account="tides"))
    row = asked(site, "user.provision", user="jjames")
    Request.objects.filter(pk=row.pk).update(state="failed")
    assert "sbatch" not in site.get(f"/project/{active.project_id}/", "jjames")
    assert "sbatch" in site.get(f"/project/{active.project_id}/", "cgray")


def test_a_place_that_a_service_invents_is_escaped(site: Site, active: Allocation) -> None:
    ready(site, made("fileset", path=HOSTILE, account=HOSTILE))
    for page in (f"/allocation/{active.pk}/", f"/project/{active.project_id}/"):
        assert "<script>alert" not in site.get(page)


@pytest.mark.parametrize(
    ("count", "like", "said"),
    [
        (0, "", "0 B"),
        (999, "5 GB", "999 B"),
        (1536, "5 GiB", "1.5 KiB"),
        (1000**3, "", "954 MiB"),
        (1000**3, "4 TB", "1.0 GB"),
        (412_300_000_000, "2000 GB", "412 GB"),
        (2**42, "9 TiB", "4.0 TiB"),
    ],
)
def test_a_use_is_said_in_few_digits_and_in_units_like_the_quotas(
    count: int, like: str, said: str
) -> None:
    assert size(count, like) == said


# What is closed.


def test_a_closed_allocation_says_who_closed_it_and_since_when(
    site: Site, active: Allocation
) -> None:
    ready(site, step("associations", "done"))
    User.objects.filter(username="admin").update(first_name="Ada", last_name="Admin")
    site.decide(active, status="Revoked")
    stands(site, asked(site, "allocation.suspend"), "done")
    for user in ("admin", "cgray"):
        said = text(section(site.get(f"/allocation/{active.pk}/", user)))
        assert re.search(
            r"Access is closed: the allocation is Revoked, since [^.]+\.? [^.]+ by Ada Admin"
            r" \(admin\)\. Nothing was deleted\.",
            said,
        )
        cells = re.findall(r"(?:associations \(x-server\)|Access to compute time) Closed", said)
        assert len(cells) == 2, "what the allocation gave is not shown as done"
    own = text(section(site.get(f"/project/{active.project_id}/", "jjames")))
    assert "the allocation is Revoked, since" in own
    assert "Ada" not in own.partition("Powered")[0]


# How old it is.


def test_a_page_says_how_old_its_news_is_and_renews_itself(site: Site, active: Allocation) -> None:
    site.sync()
    then = timezone.now() - datetime.timedelta(minutes=3)
    Sync.objects.update(at=then)
    paths = (
        PAGE, f"{PAGE}{asked(site).number}/", f"/allocation/{active.pk}/",
        f"/project/{active.project_id}/",
    )  # fmt: skip
    for path in paths:
        page = site.get(path)
        assert f"As of {timezone.localtime(then):%Y-%m-%d %H:%M:%S}, 3\xa0minutes ago." in page
        assert "The news is old" not in page
        assert page.count("setInterval(renew") == 1
        renewed = re.findall(r'id="([^"]+)" data-provisioning-renew', page)
        assert renewed
        assert len(renewed) == page.count(" data-provisioning-renew>")


@pytest.mark.parametrize(("user", "told"), [("admin", True), ("cgray", False)])
def test_staff_are_told_when_the_timer_has_stopped(
    site: Site, active: Allocation, user: str, told: bool
) -> None:
    site.sync()
    Sync.objects.update(at=timezone.now() - datetime.timedelta(minutes=6))
    page = site.get(f"/allocation/{active.pk}/", user)
    assert ("check that the timer of provisioner_sync runs" in page) == told


def test_answers_that_cannot_be_read_make_the_news_old(site: Site, active: Allocation) -> None:
    site.sync()
    for path in site.receipts.iterdir():
        path.unlink()
    row = asked(site)
    (site.receipts / f"cf-{row.number}.yaml").mkdir()
    with pytest.raises(Exception, match="cannot read the receipts"):
        site.sync()
    assert "the answers cannot be read: " in site.get(PAGE)
