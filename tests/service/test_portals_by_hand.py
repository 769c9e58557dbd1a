"""Whom a person closed by hand, and named the cause of manifests: no other portal opens them, and
who leaves them out meanwhile is not forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete

from provisioner.journal import audit
from provisioner.journal.schema import events, suspensions, words
from provisioner.objects.states import RUNNING
from tests.support.engine_site import Site, control, user
from tests.support.manifest_site import ask, newest
from tests.support.policy_site import put, send
from tests.support.portals import POLICY, ROOT, A, B, C, forget, is_open, left_out, person


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with three portals."""
    return Site(tmp_path, POLICY)


def play(site: Site, *story: str) -> None:
    """Let portals and people do one thing after the other, such as `A leaves`."""
    for part in story:
        who, _, does = part.partition(" ")
        _do(site, {"A": A, "B": B, "C": C, "root": ROOT}[who], does)


def _do(site: Site, portal: int, does: str) -> None:
    closing = user("ann", "suspend", cause="reconcile")
    if does == "asks":
        ask(site, person(), portal)
    elif does == "leaves":
        left_out(site, portal)
    elif does == "lists":
        left_out(site, portal, person())
    elif does == "closes":
        assert send(site, portal, closing, "hand.yaml").state == "done"
    elif does == "opens":
        send(site, portal, user("ann", "resume", cause="reconcile"), "back.yaml")
    elif does == "begins to close":
        site.second.away = True
        put(site, portal, closing, "hand.yaml")
        site.take()
        site.drain("first")
    else:
        assert does == "cancels"
        hand = newest(site, "hand.yaml")
        assert hand.state in RUNNING
        send(site, portal, control("request.cancel", hand.id), "cancel.yaml")
        site.back(site.second)


STORIES: Sequence[tuple[str, bool]] = [
    # By hand after the manifest, by the same writer.
    ("A asks, A leaves, A closes, B asks", False),
    ("A asks, A leaves, A closes, B lists", False),
    ("A asks, A leaves, A closes, B asks, A opens", True),
    ("A asks, A leaves, A closes, A lists", True),
    # By hand before it, and by others.
    ("A asks, A closes, A leaves, B asks", False),
    ("A asks, A closes, A leaves, B asks, A opens", True),
    ("A asks, A leaves, root closes, B asks", False),
    ("A asks, A leaves, root closes, B asks, root opens", True),
    # What is taken back of what a person did leaves what the manifests say.
    ("A asks, A leaves, A begins to close, A cancels", False),
    ("A asks, A leaves, A begins to close, A cancels, B asks", True),
    ("A asks, A leaves, A begins to close, B asks, A cancels", True),
    ("A asks, A leaves, B asks, A begins to close, A cancels", True),
    ("A asks, A begins to close, A cancels", True),
    # Who leaves a person out is recorded although somebody has closed them.
    ("A asks, B asks, C closes, A leaves, B leaves, C opens", False),
    ("A asks, B asks, C closes, A leaves, C opens", True),
    ("A asks, B asks, C closes, B leaves, A leaves, C opens", False),
    ("A asks, C closes, A leaves, C opens", False),
    ("A asks, B asks, A closes, A leaves, B leaves, A opens", False),
    ("A asks, B asks, A closes, B leaves, A opens", True),
    ("A asks, C closes, A leaves, B asks, C opens", True),
]


@pytest.mark.parametrize(("story", "ends_open"), STORIES, ids=[story for story, _ in STORIES])
def test_a_persons_suspension_and_what_manifests_say_stand_beside_each_other(
    site: Site, story: str, ends_open: bool
) -> None:
    play(site, *story.split(", "))
    assert is_open(site) is ends_open


def test_who_is_left_out_while_closed_by_hand_is_closed_if_that_is_cancelled(site: Site) -> None:
    play(site, "A asks", "A begins to close", "A leaves", "A cancels")
    assert not is_open(site)
    play(site, "B asks")
    assert is_open(site)


def test_whom_a_request_does_not_open_is_asked_for_once(site: Site) -> None:
    play(site, "A asks", "A leaves", "A closes")
    assert "1 requested" in left_out(site, B, person())
    assert "0 requested" in left_out(site, B, person())
    assert not is_open(site)


def test_who_is_left_out_while_closed_by_hand_is_told_once(site: Site) -> None:
    play(site, "A asks", "A closes")
    assert "1 suspended" in left_out(site, A)
    assert "0 suspended" in left_out(site, A)


def prune(site: Site) -> None:
    """Remove all events, as retention does of old ones, and every row that it removes at all."""
    with site.system.journal.transaction() as conn:
        audit.prune(conn, 1e12, 10_000, 1e12)
        assert audit.verify(conn).problem == ""
    forget(site)


@pytest.mark.parametrize("story", ["A leaves, A closes", "A closes, A leaves", "C closes"])
def test_whom_a_person_closed_stays_closed_however_long_ago_that_was(
    site: Site, story: str
) -> None:
    play(site, "A asks", *story.split(", "))
    prune(site)
    play(site, "B asks")
    assert not is_open(site)


def test_whom_a_manifest_closed_is_opened_however_long_ago_that_was(site: Site) -> None:
    play(site, "A asks", "A leaves")
    prune(site)
    play(site, "B asks")
    assert is_open(site)


@pytest.mark.parametrize(
    ("story", "ends_open"),
    [("B asks", True), ("A closes, B asks", False), ("A lists", True), ("A leaves", False)],
)
def test_whom_the_version_before_had_closed_is_told_from_the_trail(
    site: Site, story: str, ends_open: bool
) -> None:
    play(site, "A asks", "A leaves")
    with site.system.journal.transaction() as conn:
        conn.execute(delete(words))  # which it did not have of them
        assert conn.execute(suspensions.select()).all()
        assert conn.execute(events.select()).all()
    play(site, *story.split(", "))
    assert is_open(site) is ends_open
