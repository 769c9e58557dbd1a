"""Where people look: the staff's pages with their buttons, and what ColdFront's own pages show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import Project, ProjectUserRoleChoice
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from provisioner.coldfront import words
from provisioner.coldfront.answers import Part
from provisioner.coldfront.models import Request, Standing, Step
from provisioner.request import parse_request
from tests.coldfront.site import Site

HPC = "University HPC"
PAGE = "/provisioning/"
HOSTILE = '<script>alert("x")</script>'
ULID = "01JGT0V9Q3M4R5S6T7V8W9X0Y1"


@pytest.fixture
def active(site: Site) -> Allocation:
    """Give an active allocation of cgray's project, that jjames is in, too."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.join(allocation.project, "jjames")
    allocation.add_user(User.objects.get(username="jjames"))
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    User.objects.filter(username="jjames").update(first_name="Jane", last_name="James")
    User.objects.filter(username="hnelson").update(is_staff=True)
    return allocation


def manager(site: Site, name: str) -> None:
    site.project().add_user(
        User.objects.get(username=name), ProjectUserRoleChoice.objects.get(name="Manager")
    )


def asked(site: Site, action: str = "allocation.provision", **about: Any) -> Request:
    return site.rows(action=action, **about)[-1]


def stands(site: Site, row: Request, state: str, *steps: dict[str, Any], **more: Any) -> None:
    """Let a request stand as the service says."""
    site.answer(row, state, *steps, **more)
    site.sync()


def step(name: str, state: str, user: str = "", **wrong: str) -> dict[str, Any]:
    problems = [{"user": user, **wrong}] if wrong else []
    return {
        "step": name,
        "handler": "x-server",
        "state": state,
        "needs": [],
        "users": {user: state} if user else {},
        "problems": problems,
    }


def text(page: str) -> str:
    """Return what a page says, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def section(page: str) -> str:
    """Return what this app added to a page of ColdFront."""
    _, found, rest = page.partition('id="provisioning"')
    return rest if found else ""


def press(site: Site, row: Request, verb: str, user: str = "admin", **form: str) -> Any:
    return site.client(user).post(f"{PAGE}{row.number}/{verb}/", form, follow=True)


def controls(site: Site) -> list[dict[str, Any]]:
    return [one for one in site.files() if one["action"].startswith("request.")]


# Who sees what.


@pytest.mark.parametrize(
    ("user", "status"),
    [
        ("", 302),
        ("dadams", 403),
        ("sfoster", 403),
        ("cgray", 403),
        ("jjames", 403),
        ("hnelson", 200),
        ("admin", 200),
    ],
    ids=["anonymous", "user", "PI of another", "PI", "manager", "staff", "superuser"],
)
def test_the_staffs_pages_are_for_staff_alone(
    site: Site, active: Allocation, user: str, status: int
) -> None:
    manager(site, "jjames")
    client = site.client(user) if user else Client()
    row = asked(site)
    stands(site, row, "held")
    assert client.get(PAGE).status_code == status
    assert client.get(f"{PAGE}{row.number}/").status_code == status
    before = len(controls(site))
    pressed = client.post(f"{PAGE}{row.number}/release/").status_code
    assert pressed == (302 if status == 200 else status)
    assert len(controls(site)) - before == (status == 200)


@pytest.mark.parametrize(
    ("permission", "sees", "presses"),
    [("view_request", 200, 403), ("change_request", 403, 302)],
)
def test_a_centre_lets_others_see_and_press_by_permission(
    site: Site, active: Allocation, permission: str, sees: int, presses: int
) -> None:
    user = User.objects.get(username="dadams")
    user.user_permissions.add(
        Permission.objects.get(content_type__app_label="provisioner_coldfront", codename=permission)
    )
    row = asked(site)
    stands(site, row, "failed")
    assert site.client("dadams").get(PAGE).status_code == sees
    assert site.client("dadams").post(f"{PAGE}{row.number}/retry/").status_code == presses


def test_who_may_see_only_has_no_buttons(site: Site, active: Allocation) -> None:
    user = User.objects.get(username="dadams")
    user.user_permissions.add(Permission.objects.get(codename="view_request"))
    row = asked(site)
    stands(site, row, "failed")
    for page in (PAGE, f"{PAGE}{row.number}/"):
        assert "Try again" not in site.get(page, "dadams")
        assert "Try again" in site.get(page)


@pytest.mark.parametrize(("user", "linked"), [("hnelson", True), ("cgray", False)])
def test_the_navigation_has_an_entry_for_staff(
    site: Site, active: Allocation, user: str, linked: bool
) -> None:
    page = site.get("/", user)
    assert (f'href="{PAGE}"' in page) is linked
    assert "User Profile" in page


def test_a_button_needs_a_token_and_a_post(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(
        User.objects.get(username="admin"), "django.contrib.auth.backends.ModelBackend"
    )
    assert strict.post(f"{PAGE}{row.number}/retry/").status_code == 403
    assert site.client().get(f"{PAGE}{row.number}/retry/").status_code == 405
    assert controls(site) == []


# The list.


def test_a_row_says_what_failed_why_and_what_to_do(site: Site, active: Allocation) -> None:
    wrong = step("associations", "failed", "jjames", message="no uid", advice="make the account")
    stands(site, asked(site), "failed", step("slurm_account", "done"), wrong)
    said = text(site.get(PAGE))
    assert "associations (x-server, jjames): no uid What to do: make the account" in said


@pytest.mark.parametrize(
    ("state", "word", "buttons"),
    [
        ("written", "asked", []),
        ("accepted", "accepted", ["Hold", "Cancel"]),
        ("deferred", "waiting", ["Try again", "Hold", "Cancel"]),
        ("scheduled", "waiting for its time", ["Hold", "Cancel"]),
        ("held", "held", ["Release", "Cancel"]),
        ("failed", "failed", ["Try again"]),
        ("refused", "refused", ["Try again"]),
        ("cancelled", "cancelled", ["Try again"]),
        ("done", "done", []),
        ("superseded", "replaced by a newer one", []),
        ("puzzled", "puzzled", []),
    ],
)
def test_a_row_has_its_state_in_words_and_the_buttons_that_make_sense(
    site: Site, active: Allocation, state: str, word: str, buttons: list[str]
) -> None:
    row = asked(site)
    Request.objects.exclude(pk=row.pk).delete()
    Request.objects.filter(pk=row.pk).update(state=state)
    page = site.get(PAGE)
    assert re.findall(r'class="badge text-bg-\w+">([^<]+)</span></td>', page) == [word]
    assert re.findall(r'<button type="submit" class="btn btn-sm [^>]*>([^<]+)<', page) == buttons


def test_what_is_incomplete_says_what_to_fill_in_and_links_to_it(site: Site) -> None:
    site.says("Budgetstorage", provisioner_resource="store")
    allocation = site.allocation("Budgetstorage")
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    page = site.get(f"{PAGE}?state=attention")
    assert "fill in the allocation attribute &#x27;Storage Quota (GB)&#x27;" in page
    assert f'href="/allocation/{allocation.pk}/"' in page


@pytest.fixture
def several(site: Site, active: Allocation) -> Site:
    """Give requests of two projects, each in another state."""
    other = site.allocation("University Cloud Storage")
    site.says("University Cloud Storage", provisioner_resource="store")
    site.fill_in(other, "Storage Quota (GB)", 10)
    stands(site, asked(site, allocation=active.pk), "failed")
    stands(site, asked(site, allocation=other.pk), "held")
    return site


@pytest.mark.database
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=failed", {"allocation:2"}),
        ("state=held", {"allocation:6"}),
        ("state=attention", {"allocation:2", "allocation:6"}),
        ("state=done", set()),
        ("project=QGP+holography&state=attention", {"allocation:2"}),
        ("project=%232&state=attention", {"allocation:6"}),
        ("project=2&state=held", {"allocation:6"}),
        ("project=nothing+like+it", set()),
        ("user=jjames&state=attention", {"allocation:2"}),
        ("user=JJ&state=asked", {"user:jjames"}),
        ("user=%25", set()),
        ("user=sfoster&state=attention", {"allocation:6"}),
    ],
)
def test_the_list_is_filtered(several: Site, query: str, expected: set[str]) -> None:
    page = several.get(f"{PAGE}?{query}")
    assert set(re.findall(r"(?:allocation|user|project):\w+", text(page))) == expected


@pytest.mark.database
@pytest.mark.parametrize(
    "query",
    ["state=" + "x" * 300, "project=" + "9" * 400, "project=%F0%9F%92%A9", "user=%00", "page=-7"],
    ids=["state", "long number", "emoji", "null", "page"],
)
def test_a_strange_filter_breaks_nothing(several: Site, query: str) -> None:
    several.get(f"{PAGE}?{query}")


@pytest.mark.database
def test_earlier_requests_are_shown_when_they_are_wanted(site: Site, active: Allocation) -> None:
    first = asked(site)
    active.remove_user(User.objects.get(username="jjames"))
    newest = asked(site)
    assert f"{PAGE}{first.number}/" not in site.get(PAGE)
    assert f"{PAGE}{newest.number}/" in site.get(PAGE)
    assert f"{PAGE}{first.number}/" in site.get(f"{PAGE}?earlier=on")
    assert f"{PAGE}{first.number}/" in site.get(f"{PAGE}{newest.number}/")


def test_500_requests_need_no_more_queries_than_a_few(site: Site, active: Allocation) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            site.get(PAGE)
        return len(caught)

    few = queries()
    rows = [
        Request(
            event="e",
            key=f"allocation-{n}",
            action="allocation.provision",
            subject=f"allocation:{n}",
            allocation=n,
            project=active.project_id,
            body="{}",
            digest="d",
            state="failed",
        )
        for n in range(1000, 1500)
    ]
    Request.objects.bulk_create(rows)
    made = Request.objects.filter(allocation__gte=1000)
    Step.objects.bulk_create(
        Step(request=row, name="fileset", state="failed", message="full") for row in made
    )
    assert queries() <= few + 2
    page = site.get(f"{PAGE}?state=failed&page=2")
    assert "500 requests, page 2 of 10" in text(page)
    assert page.count("fileset") == 50


# One request.


def test_a_requests_page_lists_its_steps_and_what_was_asked(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "deferred", step("home", "due", message="away", advice="wait"))
    page = site.get(f"{PAGE}{row.number}/")
    for said in ("home", "x-server", "under way", "away", "wait", row.event):
        assert said in page
    assert "&quot;action&quot;: &quot;allocation.provision&quot;" in page


@pytest.mark.parametrize("path", ["999999/", "x/", "1/explode/"])
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    assert site.client().get(PAGE + path).status_code in (404, 405)


# Buttons.


@pytest.mark.parametrize(
    ("state", "verb"),
    [("failed", "retry"), ("deferred", "hold"), ("held", "release"), ("held", "cancel")],
)
def test_a_button_writes_a_control_request_in_the_name_of_who_pressed_it(
    site: Site, active: Allocation, state: str, verb: str
) -> None:
    row = asked(site)
    stands(site, row, state, ulid=ULID)
    page = press(site, row, verb, "hnelson", reason="ticket\n9")
    [control] = controls(site)
    assert control["action"] == f"request.{verb}"
    assert (control["on_behalf_of"], control["reason"]) == ("hnelson", "ticket 9")
    assert control["request"] == ULID
    written = site.rows(action=f"request.{verb}")[0]
    assert (written.state, written.by, control["id"]) == (
        "written",
        "hnelson",
        f"cf-{written.number}",
    )
    assert "was asked for" in text(page.content.decode())


def test_a_request_is_steered_by_its_own_id_until_the_services_is_known(
    site: Site, active: Allocation
) -> None:
    row = asked(site)
    stands(site, row, "failed", ulid="no ULID")
    press(site, row, "retry")
    assert controls(site)[0]["request"] == f"cf-{row.number}"


def test_from_the_list_one_comes_back_to_the_list_as_it_was(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    address = re.search(r'action="([^"]+/retry/[^"]*)"', site.get(f"{PAGE}?state=failed&user=j"))
    assert address is not None
    pressed = site.client().post(address[1].replace("&amp;", "&"), {"listed": "1"})
    assert pressed.headers["location"] == f"{PAGE}?state=failed&user=j"


def test_what_was_asked_and_what_the_policy_said_is_shown(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "held")
    press(site, row, "release")
    assert "release, asked by admin: asked" in text(site.get(PAGE))
    assert "Release</button>" not in site.get(PAGE)
    problem = {"message": "cf-1 is admin's own", "expected": "ask another of root"}
    stands(site, site.rows(action="request.release")[0], "refused", problems=[problem])
    said = text(site.get(PAGE))
    assert "refused: cf-1 is admin&#x27;s own. What to do: ask another of root" in said
    assert "Release</button>" in site.get(PAGE)


@pytest.mark.parametrize(("state", "verb"), [("done", "retry"), ("failed", "release")])
def test_a_button_that_came_too_late_says_so_and_writes_nothing(
    site: Site, active: Allocation, state: str, verb: str
) -> None:
    row = asked(site)
    stands(site, row, state)
    assert f"cannot be told to {verb} now" in press(site, row, verb).content.decode()
    assert controls(site) == []


def test_a_press_that_comes_twice_is_one_request(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    press(site, row, "retry")
    press(site, row, "retry")
    assert len(controls(site)) == 1


def test_what_a_newer_request_replaced_is_not_tried_again(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    active.remove_user(User.objects.get(username="jjames"))
    press(site, row, "retry")
    assert controls(site) == []


def test_a_button_is_heard_with_atomic_requests_too(
    site: Site, active: Allocation, atomic_requests: bool
) -> None:
    row = asked(site)
    stands(site, row, "failed")
    with site.atomic_requests(atomic_requests):
        press(site, row, "retry")
    assert len(controls(site)) == 1


def test_a_staging_that_takes_nothing_is_told_to_who_presses_and_on_the_list(
    site: Site, active: Allocation, tmp_path: Path
) -> None:
    row = asked(site)
    stands(site, row, "failed")
    with override_settings(PROVISIONER_STAGING=str(tmp_path / "gone")):
        said = press(site, row, "retry").content.decode()
        assert "staging takes nothing now" in said
        active.remove_user(User.objects.get(username="jjames"))
        unsent = text(site.get(f"{PAGE}?state=attention"))
    assert "asked, cannot be sent" in unsent
    assert "coldfront provisioner_flush" in unsent
    site.sync()
    assert len(controls(site)) == 1


def test_somebody_whose_name_no_request_may_bear_is_told_so(site: Site, active: Allocation) -> None:
    User.objects.create_user("zoé staff", is_staff=True)
    row = asked(site)
    stands(site, row, "failed")
    said = press(site, row, "retry", "zoé staff").content.decode()
    assert "cannot stand in a request" in said
    assert controls(site) == []


# Who caused a request.


def test_a_request_names_the_person_whose_page_caused_it(site: Site, active: Allocation) -> None:
    site.decide(active, status="Revoked")
    assert site.last("allocation.suspend")["on_behalf_of"] == "admin"
    assert ", by admin" in site.get(f"{PAGE}{asked(site, 'allocation.suspend').number}/")


def test_what_no_person_caused_names_nobody(site: Site, active: Allocation) -> None:
    active.remove_user(User.objects.get(username="jjames"))
    assert "on_behalf_of" not in site.last("allocation.provision")


# ColdFront's own pages.


def answered(site: Site) -> None:
    """Let everything be done but jjames's home, which waits, and cgray's, which failed."""
    for row in site.rows(action="user.provision"):
        if row.user == "jjames":
            home = {**step("home", "waiting"), "needs": ["account"]}
            site.answer(row, "deferred", step("account", "due", message="dc1 is away"), home)
        else:
            wrong = step("home", "failed", message="/home/cgray is 4711's", advice="look")
            site.answer(row, "failed", step("account", "done"), wrong)
    site.answer(
        asked(site), "done", {"step": "associations", "handler": "slurm-a", "state": "done"}
    )
    site.sync()


def test_staff_see_every_step_of_every_user_of_an_allocation(
    site: Site, active: Allocation
) -> None:
    answered(site)
    said = text(section(site.get(f"/allocation/{active.pk}/", "admin")))
    assert "User State account (x-server) home (x-server) associations (slurm-a)" in said
    assert "jjames Jane James Not ready yet under way waiting done" in said
    assert "cgray Carl Gray Failed done failed done" in said
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
        "The access to compute time is ready; the account is waiting for another system, and goes"
        " on by itself; the home directory is waiting for the account."
    ) in said
    assert "the home directory could not be made, and the centre&#x27;s staff see why" in said
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
    assert "mend the allocation attribute" in site.get(f"/project/{active.project_id}/")


def test_an_allocation_that_is_closed_says_so(site: Site, active: Allocation) -> None:
    site.decide(active, status="Revoked")
    said = text(section(site.get(f"/project/{active.project_id}/", "cgray")))
    assert "Access is closed, as the allocation is not active; nothing was deleted." in said


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
            "The account is being made; the home directory is waiting for the account.",
        ),
        (
            [made("resolves", "due", kind="NotReady", message="jdoe: no such user at dc1")],
            "The account is waiting for another system, and goes on by itself.",
        ),
        (
            [made("fileset", "due", kind="Unavailable", message="fs1: mmlsfileset: timed out")],
            "The storage is waiting for a system that is away, and goes on by itself.",
        ),
        ([made("home", "waiting", "account")], "The home directory is waiting for the account."),
        ([made("home", "waiting")], "The home directory is not begun yet."),
        (
            [made("home", "failed", message="/home/jdoe is 4711's")],
            "The home directory could not be made, and the centre's staff see why.",
        ),
        ([made("home", "cancelled")], "The home directory was stopped by the centre's staff."),
        ([made("scratch_dir", "puzzled")], "Scratch dir is being made."),
        ([made("site", "done")], "The place is ready."),
        ([made("withdraw from slurm-a", "due")], "The end of former access is being made."),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_steps_are_said_in_words_that_name_no_server(parts: list[Part], said: str) -> None:
    assert words.sentence(parts, {"site": "the place"}) == said


# What is hostile, odd or missing.


@pytest.mark.database
def test_hostile_text_is_escaped_everywhere(site: Site, active: Allocation) -> None:
    project = active.project
    Project.objects.filter(pk=project.pk).update(title=HOSTILE)
    User.objects.filter(username="jjames").update(first_name=HOSTILE)
    row = asked(site)
    wrong = step(HOSTILE, "failed", "jjames", message=HOSTILE, advice=HOSTILE, type=HOSTILE)
    problem = {"message": HOSTILE, "expected": HOSTILE}
    stands(site, row, "failed", {**wrong, "handler": HOSTILE}, problems=[problem])
    Request.objects.filter(pk=row.pk).update(event=HOSTILE, by=HOSTILE, problems=[HOSTILE])
    pages = [PAGE, f"{PAGE}{row.number}/", f"/allocation/{active.pk}/", f"/project/{project.pk}/"]
    for path in pages:
        for user in ("admin", "cgray"):
            answer = site.client(user).get(path)
            if answer.status_code == 200:
                assert b"<script>alert" not in answer.content, path
    assert "&lt;script&gt;alert" in site.get(PAGE)


@pytest.mark.parametrize("page", ["allocation", "project"])
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_coldfronts_pages_outlive_this_apps_tables(
    site: Site, active: Allocation, page: str, atomic: bool
) -> None:
    about = active.pk if page == "allocation" else active.project_id
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE provisioner_coldfront_step")
    with site.atomic_requests(atomic):
        said = site.get(f"/{page}/{about}/", "cgray")
    assert "How things stand cannot be shown now" in said
    assert "Notifications" in said


@pytest.mark.parametrize(
    "changed",
    [
        {"body": "no json"},
        {"body": '{"allocation": {"users": null}}'},
        {"state": "puzzled"},
        {"state": "done", "answer": ["?"]},
        {"project": -1},
    ],
    ids=["body", "users", "state", "answer", "project"],
)
def test_odd_values_break_no_page(site: Site, active: Allocation, changed: dict[str, Any]) -> None:
    row = asked(site)
    Request.objects.filter(pk=row.pk).update(**changed)
    Standing.objects.all().delete()
    for path in (
        PAGE,
        f"{PAGE}{row.number}/",
        f"/allocation/{active.pk}/",
        f"/project/{active.project_id}/",
    ):
        site.get(path)


def test_a_name_that_no_backend_takes_is_shown_with_what_to_do(
    site: Site, active: Allocation
) -> None:
    strange = User.objects.create_user("Zoë D'Or <b>")
    active.add_user(strange)
    for path in (PAGE, f"/allocation/{active.pk}/"):
        page = site.get(path)
        assert "is left out" in page
        assert "rename the user in ColdFront" in page
        assert "<b>" not in page


def test_two_projects_of_one_title_are_told_apart(several: Site) -> None:
    Project.objects.filter(pk=2).update(title=Project.objects.get(pk=1).title)
    said = text(several.get(f"{PAGE}?state=attention"))
    assert "(project 1)" in said
    assert "(project 2)" in said


@pytest.mark.parametrize("path", [PAGE, "/allocation/2/", "/project/1/"])
def test_what_is_added_works_without_scripts_and_without_colour(
    site: Site, active: Allocation, path: str
) -> None:
    answered(site)
    page = site.get(path)
    ours = section(page).partition("<footer")[0] if path != PAGE else page.partition("<main")[2]
    ours = ours.partition("</main>")[0]
    for forbidden in ("<script", "onclick", "style=", "javascript:", "http://", "https://"):
        assert forbidden not in ours
    assert re.findall(r"<th(?! scope=)[^>]*>", ours.replace("<thead>", "")) == []
    controls = re.findall(r'<(?:input|select)[^>]* id="(\w+)"', ours)
    assert all(f'for="{one}"' in ours for one in controls)
    assert all(re.findall(r'<span class="badge [^>]*>([^<]*)</span>', ours))


# Taking it out.


@pytest.fixture
def without_the_app(tmp_path: Path) -> Iterator[dict[str, str]]:
    settings = tmp_path / "settings.py"
    settings.write_text('SECRET_KEY = "x"\n')
    yield {**os.environ, "COLDFRONT_CONFIG": str(settings)}


def test_coldfront_runs_where_the_app_was_taken_out_and_its_address_was_left(
    site: Site, without_the_app: dict[str, str]
) -> None:
    script = (
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "print(Client(headers={'host': 'localhost'}).get('/').status_code,"
        " Client(headers={'host': 'localhost'}).get('/provisioning/').status_code)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        env=without_the_app,
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["200", "404"], run.stderr


def test_what_buttons_write_is_right_by_the_format(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "held")
    press(site, row, "cancel", reason=HOSTILE * 100)
    [path] = [one for one in site.staging.iterdir() if b"request.cancel" in one.read_bytes()]
    assert parse_request(path.read_bytes()).on_behalf_of == "admin"
