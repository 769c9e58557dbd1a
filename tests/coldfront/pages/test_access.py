"""Who sees the staff's pages, and who has the buttons."""

from __future__ import annotations

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.coldfront.pages.looking import (
    PAGE,
    asked,
    controls,
    manager,
    stands,
)
from tests.coldfront.site import Site


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
    pressed = client.post(f"{PAGE}{row.number}/cancel/").status_code
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
