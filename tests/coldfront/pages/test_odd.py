"""What is hostile, odd or missing breaks no page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import Project
from django.contrib.auth.models import User
from django.db import connection

from provisioner.coldfront.models import Request, Standing
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
    assert "This page cannot show the provisioning state now" in said
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
    # The one script reads again what is shown, and nothing needs it.
    ours, scripts = re.subn("<script>.*?</script>", "", ours.partition("</main>")[0], flags=re.S)
    assert scripts == 1
    for forbidden in ("<script", "onclick", "style=", "javascript:", "http://", "https://"):
        assert forbidden not in ours
    assert re.findall(r"<th(?! scope=)[^>]*>", ours.replace("<thead>", "")) == []
    controls = re.findall(r'<(?:input|select)[^>]* id="(\w+)"', ours)
    assert all(f'for="{one}"' in ours for one in controls)
    assert all(re.findall(r'<span class="badge [^>]*>([^<]*)</span>', ours))


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
