"""ColdFront's own pages: how users stand, for staff, PIs and users."""

from __future__ import annotations

import json

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.formats import date_format

from provisioner.coldfront.answering.answers import Part
from provisioner.coldfront.models import Request
from provisioner.coldfront.pages import words
from provisioner.contract import Conflict
from tests.coldfront.pages.looking import (
    PAGE,
    answered,
    asked,
    manager,
    section,
    stands,
    step,
    text,
)
from tests.coldfront.site import Site


def test_staff_see_every_step_of_every_user_of_an_allocation(
    site: Site, active: Allocation
) -> None:
    answered(site)
    said = text(section(site.get(f"/allocation/{active.pk}/", "admin")))
    assert "User State account (x-server) home (x-server) associations (slurm-a)" in said
    assert (
        "jjames Jane James Not ready yet account (x-server) Under way home (x-server) Waiting"
        in said
    )
    assert "cgray Carl Gray Failed account (x-server) Done home (x-server) Failed" in said
    assert "home: /home/cgray is 4711&#x27;s. What to do: look" in said


@pytest.mark.parametrize("page", ["allocation", "project"])
def test_a_pi_reads_in_plain_words_what_is_ready_and_what_is_not(
    site: Site, active: Allocation, page: str
) -> None:
    answered(site)
    about = active.pk if page == "allocation" else active.project_id
    whole = site.get(f"/{page}/{about}/", "cgray")
    said = text(section(whole))
    assert "Jane James" in said
    assert (
        "The access to compute time is ready; the account is waiting for another system, and"
        " continues by itself; the home directory is waiting for the account."
    ) in said
    assert "the home directory failed, and the centre&#x27;s staff can see why" in said
    for detail in ("x-server", "slurm-a", "4711", "dc1", "What to do", PAGE):
        assert detail not in whole


def test_a_manager_sees_what_the_pi_sees(site: Site, active: Allocation) -> None:
    answered(site)
    manager(site, "jjames")
    whole = section(site.get(f"/project/{active.project_id}/", "cgray"))
    assert section(site.get(f"/project/{active.project_id}/", "jjames")) == whole


@pytest.mark.parametrize("page", ["allocation", "project"])
def test_a_user_sees_themselves_alone(site: Site, active: Allocation, page: str) -> None:
    answered(site)
    about = active.pk if page == "allocation" else active.project_id
    said = text(section(site.get(f"/{page}/{about}/", "jjames")))
    assert "Jane James" in said
    assert "cgray" not in said.partition("Powered")[0]


def test_nobody_sees_another_projects_users(several: Site) -> None:
    page = several.get("/project/1/", "cgray")
    assert "sfoster" not in page
    for path in ("/project/2/", "/allocation/6/"):
        assert several.client("cgray").get(path).status_code == 403


def test_who_may_see_all_projects_of_coldfront_sees_no_more_here(
    site: Site, active: Allocation
) -> None:
    user = User.objects.get(username="dadams")
    user.user_permissions.add(Permission.objects.get(codename="can_view_all_projects"))
    assert section(site.get(f"/project/{active.project_id}/", "dadams")) == ""


def test_a_pi_is_told_that_something_is_to_be_filled_in_but_not_what(
    site: Site, active: Allocation
) -> None:
    site.fill_in(active, "slurm_account_name", "two words")
    page = site.get(f"/project/{active.project_id}/", "cgray")
    assert "University HPC: the centre&#x27;s staff still have to fill something in." in page
    assert "slurm_account_name&#x27; is refused" not in page
    assert "fix the allocation attribute" in site.get(f"/project/{active.project_id}/")


@pytest.mark.parametrize("page", ["allocation", "project"])
@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"CENTER_HELP_URL": "https://hpc.example/help"}, "https://hpc.example/help"),
        ({"EMAIL_TICKET_SYSTEM_ADDRESS": "help@hpc.example"}, "mailto:help@hpc.example"),
        ({}, ""),
    ],
)
def test_a_pi_reads_since_when_it_is_not_ready_and_where_to_ask(
    site: Site, active: Allocation, page: str, settings: dict[str, str], address: str
) -> None:
    answered(site)
    about = active.pk if page == "allocation" else active.project_id
    with override_settings(**settings):
        said = section(site.get(f"/{page}/{about}/", "cgray"))
        assert "Questions about" not in section(site.get(f"/{page}/{about}/"))
    assert (f'href="{address}"' in said, "Questions about" in said) == (bool(address),) * 2
    asked_on = date_format(timezone.localtime(asked(site, "user.provision").created))
    assert f"Asked for on {asked_on}." in said


@pytest.mark.parametrize("state", ["failed", "refused", "cancelled"])
def test_who_has_no_step_of_their_own_in_a_request_that_failed_is_shown_as_failed(
    site: Site, active: Allocation, state: str
) -> None:
    for row in site.rows(action="user.provision"):
        site.answer(row, "done", step("account", "done"))
    stands(site, asked(site), state, step("slurm_account", "skipped"))
    said = text(section(site.get(f"/allocation/{active.pk}/")))
    for user in ("jjames Jane James", "cgray Carl Gray"):
        assert f"{user} Failed account (x-server) Done" in said
    assert "waiting" not in said.lower()


def test_staff_read_how_to_have_something_taken_over_from_coldfront(
    site: Site, active: Allocation
) -> None:
    advice = Conflict("").advice
    wrong = step("slurm_account", "failed", message="below other", advice=advice)
    stands(site, asked(site), "failed", wrong)
    for page in (
        f"{PAGE}{asked(site).number}/", PAGE, f"/allocation/{active.pk}/",
        f"/project/{active.project_id}/",
    ):  # fmt: skip
        said = text(site.get(page))
        assert "adds `&quot;adopt&quot;: true`, and runs `provisioner submit` with the file" in said
        assert "if the service may take it over" not in said


def test_what_is_not_provisioned_shows_nothing(site: Site) -> None:
    allocation = site.allocation("University Cloud")
    assert section(site.get(f"/allocation/{allocation.pk}/")) == ""


def test_a_centres_own_words_are_used(site: Site, active: Allocation) -> None:
    answered(site)
    with override_settings(PROVISIONER_WORDS={"home": "the place for files"}):
        assert "the place for files" in site.get(f"/project/{active.project_id}/", "cgray")


def test_a_centre_may_leave_coldfronts_pages_as_they_are(site: Site, active: Allocation) -> None:
    with override_settings(PROVISIONER_PAGES=False):
        assert section(site.get(f"/project/{active.project_id}/", "cgray")) == ""


def test_a_project_of_many_shows_those_first_who_are_not_ready(
    site: Site, active: Allocation
) -> None:
    row = asked(site)
    document = json.loads(row.body)
    names = [f"u{number:03}" for number in range(300)]
    document["allocation"]["users"] = names
    users = {name: "failed" if name == "u299" else "done" for name in names}
    Request.objects.filter(pk=row.pk).update(body=json.dumps(document))
    row.refresh_from_db()
    with CaptureQueriesContext(connection) as few:
        site.get(f"/project/{active.project_id}/", "cgray")
    stands(site, row, "failed", {**step("associations", "failed"), "users": users})
    with CaptureQueriesContext(connection) as many:
        said = text(section(site.get(f"/project/{active.project_id}/", "cgray")))
    assert len(many) <= len(few) + 4
    assert said.index("u299") < said.index("u000")
    assert "100 more are not shown" in said


def made(name: str, state: str, *needs: str, kind: str = "", message: str = "") -> Part:
    return Part(name, "h", state, message=message, kind=kind, needs=needs)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], ""),
        ([made("account", "done")], "The account is ready."),
        (
            [made("account", "done"), made("home", "done"), made("fileset", "done")],
            "The account, the home directory and the storage are ready.",
        ),
        (
            [made("account", "done"), made("lds", "due"), made("home", "waiting", "lds")],
            "The account is in progress; the home directory is waiting for the account.",
        ),
        (
            [made("resolves", "due", kind="NotReady", message="jdoe: no such user at dc1")],
            "The account is waiting for another system, and continues by itself.",
        ),
        (
            [made("fileset", "due", kind="Unavailable", message="fs1: mmlsfileset: timed out")],
            "The storage is waiting for a system that is down, and continues by itself.",
        ),
        ([made("home", "waiting", "account")], "The home directory is waiting for the account."),
        ([made("home", "waiting")], "The home directory has not started yet."),
        (
            [made("home", "failed", message="/home/jdoe is 4711's")],
            "The home directory failed, and the centre's staff can see why.",
        ),
        ([made("home", "cancelled")], "The home directory was stopped by the centre's staff."),
        ([made("scratch_dir", "puzzled")], "Scratch dir is in progress."),
        ([made("site", "done")], "The place is ready."),
        ([made("withdraw from slurm-a", "due")], "The end of former access is in progress."),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_steps_are_said_in_words_that_name_no_server(parts: list[Part], said: str) -> None:
    assert words.sentence(parts, {"site": "the place"}) == said
