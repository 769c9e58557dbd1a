"""Projects with people, and what ColdFront said of them."""

from __future__ import annotations

from coldfront.core.project.models import Project, ProjectUserRoleChoice
from django.contrib.auth.models import User

from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

HPC = "University HPC"


def join(site: Site, project: Project, *names: str) -> None:
    for name in names:
        project.add_user(
            User.objects.get(username=name), ProjectUserRoleChoice.objects.get(name="User")
        )
    site.clear()


def heard(key: str) -> str:
    """Say which events the last request under a key stands for."""
    return str(Request.objects.filter(key=key).latest("number").event)
