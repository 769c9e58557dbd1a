"""Who may adopt what: policy, protected names, other writers, crowds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.journal.records import changes, event_rows
from tests.support.adopting import MORE, adopt, child, claims, found, observing, portals, thing
from tests.support.engine_site import Site, allocation
from tests.support.engine_site import release as released
from tests.support.manifest_site import Line, entry, newest, put, told
from tests.support.policy_site import PORTAL


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return observing(tmp_path)


def test_policy_refuses_who_may_not_adopt_with_an_alarm(site: Site) -> None:
    done = adopt(site, entry(1, "ann"), uid=PORTAL)
    assert done.state == "refused"
    assert "may not ask for adopt" in told(done)
    with site.system.journal.reading() as conn:
        assert "alarm" in [kind for _, kind, _ in event_rows.events_of(conn, done.id)]
    assert claims(site) == set()


REFUSED: dict[str, tuple[Line, dict[str, Any], str]] = {
    "for another": (
        entry(1, "ann"),
        {"uid": 4712, "writer": "uid-4711"},
        "may adopt only for themselves",
    ),
    "to change": (entry(1, "ann"), {"uid": 4712, "differing": True}, "adopt: true"),
    "for nobody": (entry(1, "ann"), {"writer": "no-such-user"}, "there is no user"),
    "a wrong line": (entry(1, "Ann!"), {}, "not a user name"),
    "no object": ({"object": "first/../x"}, {}, "cannot name an object"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_not_be_adopted_is_refused_whole(site: Site, what: str) -> None:
    line, more, why = REFUSED[what]
    done = adopt(site, entry(3, "ann"), line, **more)
    assert done.state == "refused"
    assert why in told(done)
    assert claims(site) == set()


WRONG = {"first/account/root": "is protected", "third/account/x": "no handler serves"}


@pytest.mark.parametrize("key", WRONG)
def test_an_object_that_is_nobody_s_to_touch_fails_the_whole(site: Site, key: str) -> None:
    done = adopt(site, thing("first/account/old"), thing(key))
    assert done.state == "failed"
    assert WRONG[key] in told(done)
    assert found(site, "first/account/old") is None


def test_who_adopts_answers_for_limits_that_the_portal_has(site: Site) -> None:
    """The portal may bring one new user an hour, and root confirmed three."""
    portals(site, entry(1, "ann", "bob", "eve"))
    assert child(site).state in ("done", "deferred")


def test_what_another_writer_asked_for_stays_theirs(site: Site) -> None:
    site.request(allocation(1, "ann, bob", code="cf1"))
    done = portals(site, entry(1, "ann"))
    assert "0 claimed later and 1 of other writers left alone" in told(done)
    assert {source for *_, source in claims(site)} == {"root"}


RELEASER = 4713


MAY_RELEASE = "  - {who: [uid-4713], actions: [request.release], others: true}\n"


@pytest.fixture
def crowded(tmp_path: Path) -> Site:
    """Give a service that observes, and five allocations that were adopted with two users each."""
    site = Site(tmp_path, MORE + MAY_RELEASE)
    for number in range(1, 6):
        for name in (
            f"account/cf{number}",
            f"member/cf{number}/ann",
            f"member/cf{number}/u{number}",
        ):
            site.first.rows[f"first/{name}"] = {"present": True, "limit": "5"}
    assert portals(site, *(entry(n, "ann", f"u{n}") for n in range(1, 6))).state == "done"
    return site


def test_lines_that_leave_out_a_crowd_one_each_are_held_whole(crowded: Site) -> None:
    held = portals(crowded, *(entry(number, "ann") for number in range(1, 6)))
    assert held.state == "held"
    assert "away from 5 users" in told(held)
    assert "5 subjects would be taken over as listed" in told(held)
    assert ("first/member/cf1/u1", "allocation:1/user:u1", "uid-4711") in claims(crowded)
    with crowded.system.journal.reading() as conn:
        seen = changes.shown(conn, held.id)
    assert seen is not None
    assert "allocation:3: taken over" in seen.lines()


def test_a_release_lets_such_lines_take_it_away(crowded: Site) -> None:
    held = portals(crowded, *(entry(number, "ann") for number in range(1, 6)))
    put(crowded, "let.yaml", released(held).encode(), RELEASER)
    crowded.take()
    crowded.drain()
    assert newest(crowded, "adopt.json").state == "done"
    assert {one for one in claims(crowded) if "/u" in one[0]} == set()


def test_lines_that_leave_out_few_are_adopted(crowded: Site) -> None:
    few = [entry(n, *(["ann"] if n < 4 else ["ann", f"u{n}"])) for n in range(1, 6)]
    assert portals(crowded, *few).state == "done"
