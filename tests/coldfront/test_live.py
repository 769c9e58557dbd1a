"""ColdFront and a service that serves: what is pressed on a page comes true, and the page says so.

Between pages and emulated backends nothing is played: requests go through staging, answers come by
receipts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import User
from django.test import override_settings

from provisioner.coldfront.models import Request
from provisioner.requestfile import user_name
from tests.coldfront.site import Site
from tests.service.cli_site import Desk

HPC = "University HPC"
PAGE = "/provisioning/"


@dataclass(frozen=True)
class Live:
    """A ColdFront with an active allocation, and the sandbox that it asks."""

    site: Site
    desk: Desk
    allocation: Allocation

    def serve(self) -> None:
        """Serve what was asked for, and bring the answers home, as the timer does."""
        self.desk("run", "--drain", "--patience", "1", code=None)
        self.site.sync()

    def asked(self, action: str, **about: str) -> Request:
        """Give the last request for something."""
        return self.site.rows(action=action, **about)[-1]

    def page(self, row: Request) -> str:
        return self.site.get(f"{PAGE}{row.number}/")

    def buttons(self, row: Request) -> dict[str, str]:
        """List a page's buttons, each with where it sends."""
        found = re.findall(r'formaction="([^"]+)">([^<]+)</button>', self.page(row))
        return {label: address for address, label in found}

    def press(self, row: Request, button: str) -> None:
        """Press a button, and serve what it asks."""
        self.site.post(self.buttons(row)[button], {"reason": "ticket 9"})
        self.serve()

    def state(self, row: Request) -> tuple[str, str]:
        """Say how a request stands: in the list of the pages, and in the service."""
        row.refresh_from_db()
        return row.state, str(self.desk.show(f"cf-{row.number}")["state"])


@pytest.fixture
def live(site: Site, tmp_path: Path) -> Iterator[Live]:
    """Give an allocation that was approved, and not served yet."""
    desk = Desk(tmp_path / "box")
    receipts = desk.spool / "receipts" / user_name(os.geteuid())
    asking = Site(desk.spool / "staging", receipts)
    with override_settings(
        PROVISIONER_STAGING=str(asking.staging), PROVISIONER_RECEIPTS=str(receipts)
    ):
        asking.says(HPC, slurm_cluster="cluster-a")
        allocation = asking.allocation(HPC)
        asking.join(allocation.project, "jjames")
        allocation.add_user(User.objects.get(username="jjames"))
        asking.quietly(allocation, "New")
        asking.decide(allocation, "approve")
        yield Live(asking, desk, allocation)


def test_it(live: Live) -> None:
    live.serve()
    row = live.asked("allocation.provision")
    print(live.page(row).split("<h2>")[1][:3000])
    print(row.body)
    print(live.desk("status", f"allocation:{live.allocation.pk}", code=None).out)
    assert 0
