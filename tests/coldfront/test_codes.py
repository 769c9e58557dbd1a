"""A project keeps the code of its first request, because the backends use that name."""

from __future__ import annotations

import importlib
import json

import pytest
from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import Project
from coldfront.core.resource.models import Resource
from django.apps import apps
from django.core.management import call_command

from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

STORAGE = "ProjectStorage"

pytestmark = pytest.mark.database


@pytest.fixture
def stored(site: Site) -> Allocation:
    """Give a storage allocation of a project without a code, asked for and made."""
    site.says(STORAGE, provisioner_resource="hpc-storage")
    allocation = site.allocation("University HPC")
    allocation.resources.set([Resource.objects.get(name=STORAGE)])
    site.fill_in(allocation, "Storage Quota (GB)", 500)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    assert Project.objects.get(pk=allocation.project.pk).project_code == ""
    return allocation


def describe(site: Site, project: Project) -> None:
    """Edit a project's description as its PI does: ColdFront then gives it a code."""
    form = {
        "title": project.title,
        "description": "Of the sea, in and out",
        "field_of_science": project.field_of_science.pk,
    }
    site.post(f"/project/{project.pk}/update/", form, "cgray")


def codes(site: Site) -> set[str]:
    """Reconcile; name the codes under which the project and its allocation stand there."""
    site.clear()
    call_command("provisioner_reconcile")
    [path] = site.staging.glob("*.jsonl")
    found = set()
    for line in map(json.loads, path.read_text().splitlines()):
        project = line.get("project") or line.get("allocation", {}).get("project", {})
        if project.get("title", "").startswith("Angular"):
            found.add(project["code"])
    return found


def test_a_project_that_gets_a_code_keeps_the_name_of_what_it_has(
    site: Site, stored: Allocation
) -> None:
    describe(site, stored.project)
    assert Project.objects.get(pk=stored.project.pk).project_code == "CF0001"
    assert site.last("project.provision")["project"]["code"] == "cf1"
    site.fill_in(stored, "Storage Quota (GB)", 600)
    assert site.last("allocation.provision")["allocation"]["project"]["code"] == "cf1"
    assert codes(site) == {"cf1"}


def test_staff_are_told_that_a_project_has_another_code_by_now(
    site: Site, stored: Allocation
) -> None:
    said = (
        "ColdFront now calls the project CF0001; its requests keep the name cf1, because the"
        " backends use it."
    )
    describe(site, stored.project)
    assert said in site.get(f"/allocation/{stored.pk}/")
    assert said not in site.get(f"/allocation/{stored.pk}/", "cgray")


def test_a_project_that_was_never_asked_for_has_its_own_code(site: Site) -> None:
    site.says(STORAGE, provisioner_resource="hpc-storage")
    describe(site, site.project())
    assert site.last("project.provision")["project"]["code"] == "CF0001"


def test_a_code_that_was_refused_is_not_kept(site: Site, stored: Allocation) -> None:
    for row in site.rows(state="written"):
        site.answer(row, "refused")
    site.sync()
    describe(site, stored.project)
    assert site.last("project.provision")["project"]["code"] == "CF0001"


def test_what_was_asked_for_before_there_were_codes_gets_them(
    site: Site, stored: Allocation
) -> None:
    Request.objects.update(code="")
    migration = importlib.import_module("provisioner.coldfront.migrations.0004_codes")
    migration.read_codes(apps, None)
    describe(site, stored.project)
    assert codes(site) == {"cf1"}
