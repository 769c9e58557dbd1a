"""A portal names the person for whom it asks, and is believed where the policy says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from provisioner.journal import audit
from provisioner.journal.schema import events, requests
from tests.support.engine_site import Site, allocation, release
from tests.support.policy_site import (
    POLICY,
    PORTAL,
    STRANGER,
    now,
    send,
    spoken,
    told,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with rules for a portal and two operators."""
    return Site(tmp_path, POLICY)


PORTALS = """\
policy:
  portals: [uid-4711]
  rules:
  - {who: [uid-4711, uid-4714], actions: [allocation.*], resources: [one], files: 100, review: true}
  - {who: [uid-4711, uid-4714], actions: [request.*]}
"""


@pytest.mark.parametrize(
    ("uid", "asker", "releaser", "outcome"),
    [
        (PORTAL, "ann", "bob", "done"),
        (PORTAL, "ann", "ann", "held"),
        (STRANGER, "ann", "bob", "held"),
    ],
    ids=["another person", "the same person", "no portal"],
)
def test_a_portals_person_releases_what_another_person_asked_for(
    tmp_path: Path, uid: int, asker: str, releaser: str, outcome: str
) -> None:
    site = Site(tmp_path, PORTALS)
    waits = send(site, uid, spoken(allocation(1, "ann", files=50), asker))
    text = spoken(release(waits), releaser)
    released = send(site, uid, text, "release.yaml")
    assert now(site, waits).state == outcome
    assert released.state == ("done" if outcome == "done" else "refused")


def test_the_person_is_told_in_journal_events_and_result(tmp_path: Path) -> None:
    site = Site(tmp_path, PORTALS)
    waits = send(site, PORTAL, spoken(allocation(1, "ann", files=50), "ann"))
    text = release(waits) + "reason: ticket 9\n"
    send(site, PORTAL, spoken(text, "bob"), "release.yaml")
    done = now(site, waits)
    assert (done.writer, done.on_behalf_of, done.approved_by) == (
        "uid-4711",
        "ann",
        "uid-4711 for bob",
    )
    assert ("released", "by uid-4711 for bob: ticket 9") in told(site, waits, "released")
    [result] = [one for one in site.results("done") if one["id"] == waits.id]
    assert (result["writer"], result["on_behalf_of"]) == ("uid-4711", "ann")
    with site.system.journal.reading() as conn:
        assert audit.verify(conn).problem == ""
        kept = select(events.c.facts).where(events.c.request == waits.id).order_by(events.c.seq)
        assert '"on_behalf_of":"ann"' in str(conn.scalars(kept).first())


def test_a_person_who_was_put_into_the_journal_by_hand_is_found(tmp_path: Path) -> None:
    site = Site(tmp_path, PORTALS)
    waits = send(site, PORTAL, spoken(allocation(1, "ann", files=50), "ann"))
    with site.system.journal.transaction() as conn:
        conn.execute(update(requests).values(on_behalf_of="eve"))
        assert f"request {waits.id} was altered" in audit.verify(conn).problem


def test_whom_no_portal_names_is_recorded_nowhere(tmp_path: Path) -> None:
    site = Site(tmp_path, PORTALS)
    waits = send(site, STRANGER, spoken(allocation(1, "ann", files=50), "boss"))
    assert (waits.state, waits.on_behalf_of) == ("held", None)
