"""What tests do with pages: let requests stand in some way, press buttons, read what is said."""

from __future__ import annotations

import re
from typing import Any

from coldfront.core.project.models import ProjectUserRoleChoice
from django.contrib.auth.models import User

from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

HPC = "University HPC"
PAGE = "/provisioning/"
HOSTILE = '<script>alert("x")</script>'
ULID = "01JGT0V9Q3M4R5S6T7V8W9X0Y1"


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
