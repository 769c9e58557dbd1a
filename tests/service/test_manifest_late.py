"""What a writer asked for after their manifest was read counts more than the manifest."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.journal.figures import idle
from tests.support import portions_site
from tests.support.clocks import Clocks
from tests.support.ends_site import DAY, look
from tests.support.engine_site import CONFIG, Site, control, membership, user
from tests.support.manifest_site import POLICY, Line, ask, entry, members, reconcile, told
from tests.support.policy_site import PORTAL, now, send

ANN: Line = {"action": "user.provision", "user": {"name": "ann"}}

WITH_PROJECTS = CONFIG.replace(
    "  project.provision: []\n",
    """\
  project.provision:
    - {name: group, handler: first, with: {account: "g{{ project.code }}", limit: "7"}}
    - {name: member, handler: first, each: user, needs: [group], with: {account: "g{{ project.code
       }}", user: "{{ user }}"}}
""",
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a portal, which has listed an allocation and its user."""
    site = Site(tmp_path, POLICY)
    reconcile(site, entry(1, "ann"), ANN)
    return site


def say(site: Site, subject: str, verb: str, cause: str = "reconcile") -> str:
    """Let the portal close or open a subject; return the request's id."""
    part = {"allocation": "allocation: {id: 1}", "user": "user: {name: ann}"}[subject]
    text = f"provisioner: 1\naction: {subject}.{verb}\ncause: {cause}\n{part}\n"
    if verb == "suspend":
        text += f"reason: said at {time.time()}\n"
    record = send(site, PORTAL, text, "said.yaml")
    assert record.state == "done", record.problems
    return record.id


def read() -> datetime:
    """Return a moment at which a portal reads its manifest: what follows is later."""
    moment = datetime.now(UTC)
    time.sleep(0.002)
    return moment


@pytest.mark.parametrize("line", [entry(1, "ann"), entry(1, "ann", files=6)])
def test_an_allocation_that_was_closed_again_after_the_manifest_stays_closed(
    site: Site, line: Line
) -> None:
    say(site, "allocation", "suspend")
    moment = read()
    say(site, "allocation", "suspend")
    found = told(reconcile(site, line, ANN, as_of=moment))
    assert "0 resumed" in found and "1 claimed later" in found
    assert members(site) == set()
    assert "1 resumed" in told(reconcile(site, line, ANN))
    assert members(site) == {"cf1/ann"}


def test_a_person_who_was_closed_again_after_the_manifest_stays_closed(site: Site) -> None:
    say(site, "user", "suspend")
    moment = read()
    say(site, "user", "suspend")
    assert "0 resumed" in told(reconcile(site, entry(1, "ann"), ANN, as_of=moment))
    assert "1 resumed" in told(reconcile(site, entry(1, "ann"), ANN))


def test_what_was_resumed_after_the_manifest_that_leaves_it_out_stays_open(site: Site) -> None:
    say(site, "allocation", "suspend", "unpaid")
    moment = read()
    say(site, "allocation", "resume", "unpaid")
    found = told(reconcile(site, ANN, kinds=["allocation"], as_of=moment))
    assert "0 suspended" in found and "1 claimed later" in found
    assert members(site) == {"cf1/ann"}
    assert "1 suspended" in told(reconcile(site, ANN, kinds=["allocation"]))


@pytest.mark.parametrize("name", ["left.yaml", "ended-5.yaml", "ended-user-bob.json"])
def test_a_member_who_was_removed_after_the_manifest_stays_out(site: Site, name: str) -> None:
    reconcile(site, entry(1, "ann", "bob"), ANN)
    moment = read()
    remove = membership(1, "bob", "remove").replace("code: cf}", "code: cf1}")
    assert send(site, PORTAL, remove, name).state == "done"
    found = told(reconcile(site, entry(1, "ann", "bob"), ANN, as_of=moment))
    assert "0 requested" in found and "1 claimed later" in found
    assert members(site) == {"cf1/ann"}
    reconcile(site, entry(1, "ann", "bob"), ANN)
    assert members(site) == {"cf1/ann", "cf1/bob"}


def test_a_date_that_came_after_the_manifest_is_nothing_that_its_writer_asked_for(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, POLICY)
    reconcile(site, {**entry(1, "ann"), "ends": f"{datetime.now(UTC) + timedelta(days=1)}"})
    moment = read()
    clocks.go(2 * DAY)
    look(site)
    assert members(site) == set()
    found = told(reconcile(site, entry(1, "ann"), as_of=moment))
    assert "1 requested" in found and "0 claimed later" in found


@pytest.mark.parametrize("together", [False, True], ids=["read before", "accepted before"])
def test_a_project_that_was_archived_after_the_manifest_stays_archived(
    tmp_path: Path, together: bool
) -> None:
    site = Site(tmp_path, POLICY, text=WITH_PROJECTS)
    line: Line = {"action": "project.provision", "project": {"code": "cf1", "users": ["ann"]}}
    reconcile(site, line)
    assert members(site) == {"gcf1/ann"}
    if together:
        portions_site.send(site, line)
        archive = send(site, PORTAL, ARCHIVE, "z-archive.yaml")
    else:
        moment = read()
        archive = send(site, PORTAL, ARCHIVE, "z-archive.yaml")
        reconcile(site, line, as_of=moment)
    assert now(site, archive).state == "done"
    assert members(site) == set()


def test_a_suspension_that_was_cancelled_does_not_count_as_later(site: Site) -> None:
    site.first.away = True
    send(site, PORTAL, _CLOSE, "first.yaml")
    moment = read()
    again = send(site, PORTAL, _CLOSE, "again.yaml")
    assert again.state in ("accepted", "deferred")
    send(site, 0, control("request.cancel", again.id), "cancel.yaml")
    site.first.away = False
    assert "1 resumed" in told(reconcile(site, entry(1, "ann"), ANN, as_of=moment))


def test_a_removal_that_was_cancelled_after_its_acceptance_counts_as_later(site: Site) -> None:
    reconcile(site, entry(1, "ann", "bob"), ANN)
    site.first.away = True
    moment = read()
    left = send(site, PORTAL, _LEAVE, "left.yaml")
    assert left.state in ("accepted", "deferred")
    send(site, 0, control("request.cancel", left.id), "cancel.yaml")
    site.first.away = False
    found = told(reconcile(site, entry(1, "ann", "bob"), ANN, as_of=moment))
    assert "0 requested" in found and "1 claimed later" in found
    assert members(site) == {"cf1/ann"}


def test_a_resume_that_was_cancelled_after_its_acceptance_counts_as_later(site: Site) -> None:
    say(site, "allocation", "suspend", "unpaid")
    site.first.away = True
    moment = read()
    opened = send(site, PORTAL, _OPEN, "opened.yaml")
    assert opened.state in ("accepted", "deferred")
    send(site, 0, control("request.cancel", opened.id), "cancel.yaml")
    site.first.away = False
    found = told(reconcile(site, ANN, kinds=["allocation"], as_of=moment))
    assert "0 suspended" in found and "1 claimed later" in found


def test_a_removal_that_was_cancelled_while_it_waited_for_its_time_does_not_count_as_later(
    site: Site,
) -> None:
    reconcile(site, entry(1, "ann"), ANN)
    moment = read()
    left = send(site, PORTAL, f"not_before: 2199-01-01T00:00:00Z\n{_LEAVE}", "left.yaml")
    assert left.state == "scheduled"
    send(site, 0, control("request.cancel", left.id), "cancel.yaml")
    assert "1 requested" in told(reconcile(site, entry(1, "ann", "bob"), ANN, as_of=moment))
    assert members(site) == {"cf1/ann", "cf1/bob"}


def test_after_the_clock_was_ahead_once_a_manifest_counts_from_when_it_was_read(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, POLICY)
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    clocks.jump(400 * DAY)
    send(site, 0, user("zoe", uid=9), "zoe.yaml")  # its id is ahead, and all that follow continue
    clocks.jump(-400 * DAY)
    clocks.go(600)
    ask(site, entry(1, "ann", "cem"))
    clocks.go(DAY)
    moment = datetime.fromtimestamp(time.time(), UTC)
    assert "1 suspended" in told(reconcile(site, entry(2, "bob"), as_of=moment))
    assert members(site) == {"cf2/bob"}


@pytest.mark.parametrize("jump", [0.0, 400 * DAY])
def test_a_person_is_served_since_their_request_although_its_id_is_ahead(
    tmp_path: Path, clocks: Clocks, jump: float
) -> None:
    site = Site(tmp_path, POLICY)
    clocks.jump(jump)
    send(site, 0, user("zoe", uid=9), "zoe.yaml")
    clocks.jump(-jump)
    send(site, 0, user("ann", uid=10), "ann.yaml")
    with site.system.journal.reading() as conn:
        since = idle.people(conn)["ann"]
    assert abs(since - time.time()) < DAY


_LEAVE = membership(1, "bob", "remove").replace("code: cf}", "code: cf1}")
_OPEN = "provisioner: 1\naction: allocation.resume\ncause: unpaid\nallocation: {id: 1}\n"
_CLOSE = "provisioner: 1\naction: allocation.suspend\ncause: reconcile\nallocation: {id: 1}\n"
ARCHIVE = "provisioner: 1\naction: project.archive\nproject: {code: cf1}\n"
