"""What receipts say after a start is what the journal says, also of what came while nobody filed:
who was closed or opened, and what became of requests without a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ends_site import SOON
from tests.support.engine_site import Site, allocation, user
from tests.support.intakes import Intake, Intakes
from tests.support.manifest_site import POLICY, entry, reconcile
from tests.support.policy_site import PORTAL
from tests.support.waiting import until


def done(intake: Intake, text: str, name: str = "r.yaml") -> None:
    """Drop a request at an intake, and have it done."""
    intake.drop(text, name)
    intake.take()
    for _ in range(3):
        intake.drain("first", "second")
    intake.service.clerk.catch_up()


MOVES: dict[str, tuple[list[str], list[str], Any]] = {
    "who is suspended": ([], [user("ann", "suspend")], {"ann": "request"}),
    "who is suspended as well": (
        [user("ben", "suspend")],
        [user("ann", "suspend")],
        {"ann": "request", "ben": "request"},
    ),
    "who is open again": ([user("ann", "suspend")], [user("ann", "resume")], None),
    "who was closed and opened": ([], [user("ann", "suspend"), user("ann", "resume")], None),
    "whose cause is another one": (
        [user("ann", "suspend", cause="leave")],
        [user("ann", "suspend", cause="security"), user("ann", "resume", cause="leave")],
        {"ann": "security"},
    ),
}
"""What is done while both are there, what while one is not, and whom that calls closed then."""


@pytest.mark.lab
@pytest.mark.root
@pytest.mark.parametrize("away", ["it is down", "it hears nothing"])
@pytest.mark.parametrize(("before", "then", "closed"), MOVES.values(), ids=MOVES)
def test_an_intake_tells_of(
    intakes: Intakes, before: list[str], then: list[str], closed: Any, away: str
) -> None:
    north, south = intakes.make("north"), intakes.make("south")
    done(north, allocation(1, "ann, ben", head="id: mine\n"), "mine.yaml")
    for text in before:
        done(south, text)
        north.hear()
    if away == "it is down":
        north.end()
    for text in then:
        done(south, text)
    if away == "it hears nothing":  # its server failed over, and it ends by that
        north.end()
    again = intakes.make("north")
    again.service.clerk.catch_up()
    assert again.receipt("mine").get("closed") == closed


@pytest.mark.lab
@pytest.mark.root
def test_an_intake_that_was_down_for_long_looks_as_far_back(
    intakes: Intakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south = intakes.make("north"), intakes.make("south")
    done(north, allocation(1, "ann", head="id: mine\n"), "mine.yaml")
    north.end()
    done(south, user("ann", "suspend"))
    done(south, user("zoe", uid=2009))  # what comes last is looked at in any case
    monkeypatch.setattr("provisioner.journal.records.event_rows.UNFLUSHED", 0.0)
    again = intakes.make("north")
    assert again.receipt("mine")["closed"] == {"ann": "request"}


def killed(site: Site) -> None:
    """Drain all lanes, and die before any file is written."""
    for _ in range(20):
        for lane in site.lanes.values():
            lane.drain()
    site.die()
    site.start()
    site.catch_up()


def receipts(site: Site, writer: str) -> list[Any]:
    """Return all receipts of a writer."""
    found = (site.config.spool / "receipts" / writer).glob("*.yaml")
    return [yaml.safe_load(path.read_text()) for path in found]


def test_who_was_closed_by_a_date_is_told_although_the_process_died(tmp_path: Path) -> None:
    site = Site(tmp_path)
    due = datetime.now(UTC) + timedelta(seconds=1 + SOON)
    site.request(user("ann", uid=2001).replace("action:", f"ends: {due.isoformat()}\naction:", 1))
    site.request(allocation(1, "ann, ben", head="id: mine\n"), "one.yaml")
    until(lambda: datetime.now(UTC) > due, "the date")
    site.service.house.intake._look_again = site.service.house.intake._look_at_ends = 0.0
    site.service.take()
    killed(site)
    [mine] = [one for one in receipts(site, "root") if one["request"] == "one.yaml"]
    assert mine["closed"] == {"ann": "ended"}


def listed(site: Site) -> None:
    """Send a manifest of two allocations, one of which fails, and have it followed."""
    site.first.poison.add("bob")
    lines = [{**entry(1, "ann"), "id": "one"}, {**entry(2, "bob"), "id": "two"}]
    reconcile(site, *lines)


def test_what_became_of_lines_of_a_manifest_is_told_although_the_process_died(
    tmp_path: Path,
) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole, cut = (Site(tmp_path / name, POLICY) for name in ("whole", "cut"))
    listed(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "catch_up", lambda: None)
        patch.setattr(cut.service.clerk, "catch_up", lambda: None)
        listed(cut)
    killed(cut)
    assert told(cut) == told(whole)


def told(site: Site) -> Any:
    """Return what a portal's receipts say, and which files and results there are."""
    top = site.config.spool
    said = {
        path.name: yaml.safe_load(path.read_text())["state"]
        for path in (top / f"receipts/uid-{PORTAL}").glob("[a-z]*.yaml")
    }
    results = [
        (place, path.name.split("-", 1)[1])
        for place in ("done", "failed")
        for path in (top / place).glob("*.result.yaml")
    ]
    return said, site.states(), sorted(results)
