"""ColdFront and a service that serves: what is asked for comes true, and the pages say so.

Between pages and emulated backends nothing is played: requests go through staging, answers come by
receipts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from coldfront.core.allocation.models import Allocation
from django.core.management import call_command
from django.test import override_settings

from provisioner.coldfront.models import Request
from provisioner.system.users import user_name
from tests.coldfront.site import Site
from tests.support.cli_site import Desk

HPC = "University HPC"
PAGE = "/provisioning/"


@dataclass(frozen=True)
class Live:
    """A ColdFront with an active allocation, and the sandbox that it asks."""

    site: Site
    desk: Desk
    allocation: Allocation

    def serve(self, patience: int = 60) -> None:
        """Serve what was asked for, and bring the answers home, as the timer does.

        patience: seconds for which nothing may happen before what waits is left waiting.
        """
        self.desk("run", "--drain", "--patience", str(patience), code=None)
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

    def state(self, row: Request) -> str:
        """Say how a request stands, of which ColdFront and the service have to be of one mind."""
        row.refresh_from_db()
        assert row.state == self.desk.show(f"cf-{row.number}")["state"]
        return str(row.state)


@pytest.fixture
def live(site: Site, tmp_path: Path) -> Iterator[Live]:
    """Give an allocation that was approved, and not served yet."""
    desk = Desk(tmp_path / "box")
    receipts = desk.spool / "receipts" / user_name(os.geteuid())
    asking = Site(desk.spool / "staging", receipts)
    with override_settings(
        PROVISIONER_STAGING=str(asking.staging), PROVISIONER_RECEIPTS=str(receipts)
    ):
        yield Live(asking, desk, asking.approved(HPC, "cluster-a"))


def members(live: Live) -> set[str]:
    """List who has an association in the allocation's account."""
    sacctmgr = live.desk.root / "slurm/bin/sacctmgr"
    words = ("-nP", "show", "assoc", "cluster=a", "account=cgray", "format=user")
    shown = subprocess.run([sacctmgr, *words], check=True, capture_output=True, text=True)
    return set(shown.stdout.split())


def add_qos(live: Live) -> None:
    """Give Slurm the QOS that the allocation's specs name."""
    sacctmgr = live.desk.root / "slurm/bin/sacctmgr"
    subprocess.run([sacctmgr, "-i", "add", "qos", "supporters"], check=True, capture_output=True)


def test_what_failed_is_done_when_it_is_mended_and_tried_again(live: Live) -> None:
    live.serve()
    row = live.asked("allocation.provision")
    assert live.state(row) == "failed"
    assert "run `sacctmgr add qos supporters`, then retry" in live.page(row)
    add_qos(live)
    live.press(row, "Try again")
    assert live.state(row) == "done"
    assert members(live) == {"cgray", "jjames"}
    assert live.buttons(row) == {}
    assert "retry, asked by admin: done" in live.page(row)
    [steered] = live.site.rows(of=row.pk)
    result = live.desk.show(f"cf-{steered.number}")["result"]
    assert (result["outcome"], result["on_behalf_of"]) == ("done", "admin")


def test_what_is_there_and_differs_is_taken_over_as_the_page_says(live: Live) -> None:
    add_qos(live)
    live.site.fill_in(live.allocation, "slurm_parent", "root")
    for account in (("other",), ("cgray", "parent=other")):
        sacctmgr = live.desk.root / "slurm/bin/sacctmgr"
        words = ("-i", "add", "account", *account, "cluster=a")
        subprocess.run([sacctmgr, *words], check=True, capture_output=True)
    live.serve()
    row = live.asked("allocation.provision")
    assert live.state(row) == "failed"
    assert "removes `id` and `order`, adds `&quot;adopt&quot;: true`" in live.page(row)
    request = json.loads(row.body) | {"adopt": True}
    live.desk.serve(
        json.dumps({k: v for k, v in request.items() if k not in ("id", "order")}, indent=1)
    )
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    live.serve()
    assert live.state(live.asked("allocation.provision", key=row.key)) == "done"
    assert members(live) == {"cgray", "jjames"}


@pytest.mark.parametrize(
    ("stop", "stopped", "go_on"),
    [("Hold", "held", "Release"), ("Cancel", "cancelled", "Try again")],
)
def test_what_waits_is_stopped_and_goes_on(live: Live, stop: str, stopped: str, go_on: str) -> None:
    add_qos(live)
    slurm = live.desk.break_off("slurm")
    live.serve(patience=2)
    row = live.asked("allocation.provision")
    assert live.state(row) == "deferred"
    live.press(row, stop)
    slurm.rename(live.desk.root / "slurm")
    live.serve()
    assert live.state(row) == stopped
    assert members(live) == set()
    live.press(row, go_on)
    assert live.state(row) == "done"
    assert members(live) == {"cgray", "jjames"}


def test_a_manifest_asks_again_for_what_failed_and_tells_what_cannot_be(live: Live) -> None:
    live.serve()
    first = live.asked("allocation.provision")
    add_qos(live)
    call_command("provisioner_reconcile")
    live.serve()
    again = live.asked("allocation.provision", allocation=str(live.allocation.pk))
    assert again.number > first.number
    assert live.state(again) == "done"
    assert members(live) == {"cgray", "jjames"}
    assert live.asked("reconcile").state == "done"
    # The test data has allocations on clusters that the sandbox has not.
    [elsewhere] = [row for row in live.site.rows(state="refused") if "chemistry" in row.body]
    assert "there is no resource &#x27;chemistry&#x27;" in live.page(elsewhere)
