"""A project that is made, edited or archived in ColdFront becomes a request."""

from __future__ import annotations

import pytest
from coldfront.core.allocation.models import (
    Allocation,
)
from coldfront.core.project.models import ProjectUserRoleChoice
from django.contrib.auth.models import User
from django.test import override_settings

from tests.coldfront.allocations import heard, join
from tests.coldfront.pages.looking import manager
from tests.coldfront.site import Site


@pytest.mark.database
def test_a_new_project_is_asked_for_with_its_pi(site: Site, atomic_requests: bool) -> None:
    form = {"title": "Tides", "description": "Of the sea, in and out", "field_of_science": 149}
    with site.atomic_requests(atomic_requests):
        site.post("/project/create/", form, "cgray")
    project = site.project("Tides")
    assert site.last("project.provision")["project"] == {
        "code": project.project_code,
        "title": "Tides",
        "pi": "cgray",
        "users": ["cgray"],
    }


def test_a_project_of_a_title_that_another_has_is_one_of_its_own(site: Site) -> None:
    for pi in ("cgray", "sfoster"):
        User.objects.get(username=pi).userprofile.__class__.objects.filter(
            user__username=pi
        ).update(is_pi=True)
        form = {"title": "Tides", "description": "Of the sea, in and out", "field_of_science": 149}
        site.post("/project/create/", form, pi)
    codes = {one["project"]["code"] for one in site.files() if "project" in one}
    assert len(codes) == 2


def test_a_project_that_is_edited_is_said_anew(site: Site) -> None:
    project = site.project()
    form = {
        "title": "Angular moments",
        "description": project.description,
        "field_of_science": project.field_of_science.pk,
    }
    site.post(f"/project/{project.pk}/update/", form, "cgray")
    assert site.last("project.provision")["project"]["title"] == "Angular moments"
    assert "project_update" in heard(f"project-{project.pk}")


def test_a_user_who_joins_a_project_is_a_member(site: Site) -> None:
    project = site.project()
    role = ProjectUserRoleChoice.objects.get(name="User")
    project.add_user(User.objects.get(username="jjames"), role)
    assert site.last("project.provision")["project"]["users"] == ["cgray", "jjames"]
    assert "project_activate_user" in heard(f"project-{project.pk}")


def test_managers_are_named_beside_the_pi_unless_they_take_no_notifications(site: Site) -> None:
    project = site.project()
    manager(site, "jjames")
    assert site.last("project.provision")["project"]["managers"] == ["jjames"]
    member = project.projectuser_set.get(user__username="jjames")
    member.enable_notifications = False
    member.save()
    assert "managers" not in site.last("project.provision")["project"]
    assert "ProjectUser saved" in heard(f"project-{project.pk}")


def test_who_becomes_a_manager_is_named_at_once(site: Site) -> None:
    project = site.project()
    site.join(project, "jjames")
    member = project.projectuser_set.get(user__username="jjames")
    member.role = ProjectUserRoleChoice.objects.get(name="Manager")
    member.save()
    assert site.last("project.provision")["project"]["managers"] == ["jjames"]


def test_an_archived_project_is_archived_and_its_allocations_are_closed(
    site: Site, active: Allocation
) -> None:
    project = site.project()
    join(site, project, "jjames")
    site.post(f"/project/{project.pk}/archive", {}, "cgray")
    asked = {one["action"] for one in site.files()}
    assert asked == {"project.archive", "allocation.suspend"}
    assert "project_archive" in heard(f"project-{project.pk}")


def test_who_joins_a_project_is_made_first(site: Site) -> None:
    site.join(site.project(), "jjames")
    assert [one["user"]["name"] for one in site.files() if "user" in one] == ["cgray", "jjames"]


def test_a_centre_may_ask_for_allocations_alone(site: Site) -> None:
    with override_settings(PROVISIONER_PROJECTS=False):
        site.join(site.project(), "jjames")
    assert site.rows() == []
