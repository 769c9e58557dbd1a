"""Four eyes are two people: who asked, by whatever account or portal, does not release.

The operators are `uid-4712` and `uid-4713`; ColdFront, as `uid-4711`, knows the first as `pi.one`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from provisioner.journal import audit
from provisioner.journal.records import changes
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import events
from tests.support.adopting import adopt
from tests.support.engine_site import Site, allocation, control, membership, release
from tests.support.manifest_site import entry, newest, put, reconcile
from tests.support.policy_site import OPERATOR, PORTAL, SECOND, STRANGER, now, send, spoken, why
from tests.support.signing_site import EXPIRES, allow, make_key, sign

POLICY = """\
policy:
  portals: [uid-4711]
  persons: {pi.one: uid-4712}
  rules:
  - {who: [uid-4711, uid-4712, uid-4714], actions: [allocation.*], files: 10}
  - {who: [uid-4711, uid-4712, uid-4714], actions: [allocation.*], review: true}
  - {who: [uid-4711, uid-4712, uid-4713], actions: ["*"], others: true}
"""
LARGE = allocation(1, "ann", files=50)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with a portal and two operators."""
    return Site(tmp_path, POLICY)


def tried(site: Site, uid: int, held: Record, person: str | None = None) -> Record:
    """Let somebody release what is held, having looked at it; return the release."""
    text = release(held)
    return send(site, uid, text if person is None else spoken(text, person), "release.yaml")


@pytest.mark.parametrize(
    ("asked", "released", "outcome"),
    [
        ((PORTAL, "uid-4712"), (OPERATOR, None), "held"),
        ((PORTAL, "UID-4712"), (OPERATOR, None), "held"),
        ((PORTAL, "pi.one"), (OPERATOR, None), "held"),
        ((PORTAL, "pi.two"), (OPERATOR, None), "done"),
        ((PORTAL, None), (OPERATOR, None), "done"),
        ((OPERATOR, None), (PORTAL, "uid-4712"), "held"),
        ((OPERATOR, None), (PORTAL, "Pi.One"), "held"),
        ((OPERATOR, None), (PORTAL, None), "held"),
        ((OPERATOR, None), (SECOND, None), "done"),
        ((OPERATOR, None), (0, None), "done"),
        ((PORTAL, "root"), (0, None), "held"),
        ((PORTAL, "pi.one"), (0, "uid-4712"), "held"),
    ],
)
def test_whoever_asked_by_whatever_account_or_portal_does_not_release(
    site: Site, asked: tuple[int, str | None], released: tuple[int, str | None], outcome: str
) -> None:
    uid, person = asked
    held = send(site, uid, LARGE if person is None else spoken(LARGE, person))
    assert held.for_review
    answer = tried(site, released[0], held, released[1])
    assert now(site, held).state == outcome
    assert answer.state == ("done" if outcome == "done" else "refused")
    assert site.first.rows == {} or outcome == "done"


def test_root_does_not_release_its_own_for_two_others_either(tmp_path: Path) -> None:
    site = Site(tmp_path, "policy: {mass: {users: 1}}\n")
    send(site, 0, allocation(1, "ann, bob"))
    held = send(site, 0, spoken(allocation(1, ""), "ann"), "all.yaml")
    refused = tried(site, 0, held, "bob")
    assert (refused.state, now(site, held).state) == ("refused", "held")
    assert "nobody releases their own" in why(refused)


def test_whom_a_program_without_a_persons_name_releases_for_is_asked(site: Site) -> None:
    held = send(site, OPERATOR, LARGE)
    assert "names no person" in why(tried(site, PORTAL, held))


def test_a_believed_person_counts_and_another_does_not(site: Site) -> None:
    held = send(site, STRANGER, spoken(LARGE, "uid-4712"))
    assert tried(site, OPERATOR, held).state == "done"


# What follows from a manifest.


def of_portal(site: Site, person: str) -> Record:
    """Let the portal reconcile for a person, with a line that is to be reviewed; return that."""
    body = json.dumps(entry(1, "ann", files=50)).encode() + b"\n"
    digest = hashlib.sha256(body).hexdigest()
    named = {"file": "all.jsonl", "size": len(body), "sha256": digest}
    request = {"provisioner": 1, "action": "reconcile", "manifest": named, "on_behalf_of": person}
    put(site, "all.jsonl", body)
    put(site, "person.json", json.dumps(request).encode())
    site.take()
    site.drain()
    assert newest(site, "person.json").state == "done"
    return newest(site, "all.jsonl-1.json")


@pytest.mark.parametrize(
    ("uid", "person", "outcome"),
    [
        (OPERATOR, None, "held"),
        (PORTAL, "pi.one", "held"),
        (PORTAL, "uid-4712", "held"),
        (PORTAL, "pi.two", "done"),
        (SECOND, None, "done"),
    ],
)
def test_what_follows_from_a_manifest_is_whoever_asked_for_the_manifests(
    site: Site, uid: int, person: str | None, outcome: str
) -> None:
    held = of_portal(site, "pi.one")
    assert (held.state, held.on_behalf_of) == ("held", None)
    tried(site, uid, held, person)
    assert now(site, held).state == outcome


def test_who_adopts_for_a_writer_stands_behind_it(tmp_path: Path) -> None:
    site = Site(tmp_path, "mode: observe\n" + POLICY)
    assert adopt(site, entry(1, "ann"), writer="uid-4711").state == "done"
    made = newest(site, "all.jsonl-1.json")
    assert made.writer == "uid-4711"
    with site.system.journal.reading() as conn:
        behind = audit.behind(conn, made.id)
    assert behind is not None and {"root", "uid-0"} <= {*behind}


# What is said again. LARGE with another user, or from a timer, still has what the first asked for.


AGAIN = allocation(1, "ann, bob", files=50)


@pytest.mark.parametrize(
    ("person", "uid", "outcome"),
    [
        ("pi.one", PORTAL, "held"),
        (None, OPERATOR, "held"),
        ("uid-4712", PORTAL, "held"),
        ("pi.two", PORTAL, "done"),
        (None, SECOND, "done"),
    ],
)
@pytest.mark.parametrize(
    "second", ["a timer's", "another's", "after it was cancelled", "after a suspension"]
)
def test_who_asked_before_does_not_release_what_says_it_again(
    site: Site, second: str, person: str | None, uid: int, outcome: str
) -> None:
    first = send(site, PORTAL, spoken(LARGE, "pi.one"), "first.yaml")
    if second.startswith("after"):
        send(site, PORTAL, spoken(control("request.cancel", first.id), "pi.one"), "cancel.yaml")
        assert now(site, first).state == "cancelled"
    if second == "after a suspension":
        shut = send(site, PORTAL, spoken(allocation(1, verb="suspend"), "pi.one"), "shut.yaml")
        assert shut.state == "done"
    again = spoken(AGAIN, "pi.three") if second == "another's" else AGAIN
    held = send(site, PORTAL, again, "again.yaml")
    assert held.state == "held"
    tried(site, uid, held, person)
    assert now(site, held).state == outcome


CROWD = POLICY.replace("  rules:", "  mass: {users: 3, share: 20}\n  rules:")
USERS = [f"u{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        (allocation(1, verb="suspend"), "held"),
        (allocation(1, "u0"), "held"),
        (allocation(2, verb="suspend"), "done"),
    ],
    ids=["closed it", "emptied it", "closed another"],
)
def test_who_asked_for_what_a_manifest_says_again_does_not_release_it(
    tmp_path: Path, asked: str, outcome: str
) -> None:
    site = Site(tmp_path, CROWD)
    both = entry(1, *USERS), entry(2, *(f"v{name}" for name in USERS))
    other = entry(3, "zoe")
    assert reconcile(site, *both, other).state == "done"
    shut = send(site, PORTAL, spoken(asked, "pi.one"), "shut.yaml")
    assert shut.state == "held"
    send(site, PORTAL, spoken(control("request.cancel", shut.id), "pi.one"), "cancel.yaml")
    held = reconcile(site, both[1], other)
    assert held.state == "held"
    tried(site, PORTAL, held, "pi.one")
    assert now(site, held).state == outcome


def test_who_asked_for_what_was_done_since_releases_what_another_asks_for(site: Site) -> None:
    first = send(site, PORTAL, spoken(LARGE, "pi.one"), "first.yaml")
    tried(site, SECOND, first)
    assert now(site, first).state == "done"
    held = send(site, PORTAL, spoken(AGAIN, "pi.two"), "again.yaml")
    tried(site, PORTAL, held, "pi.one")
    assert now(site, held).state == "done"


# What is signed.


@pytest.mark.parametrize(("uid", "outcome"), [(OPERATOR, "held"), (SECOND, "done"), (0, "done")])
def test_who_sent_what_another_signed_does_not_release_it(
    tmp_path: Path, uid: int, outcome: str
) -> None:
    key = make_key(tmp_path, "key")
    allow(tmp_path, games=key)
    more = "  signatures: {allowed_signers: signers, required: false}\n"
    rules = POLICY.replace("uid-4714]", "uid-4714, games]")
    site = Site(tmp_path, f"retention: {{journal_days: 40000}}\n{rules}{more}")
    path = tmp_path / "r.yaml"
    path.write_text(allocation(1, "ann", files=50, head=EXPIRES))
    for file in (sign(path, key), path):
        put(site, file.name, file.read_bytes(), OPERATOR)
    site.take()
    held = newest(site, "r.yaml")
    assert (held.state, held.writer) == ("held", "games")
    tried(site, uid, held)
    assert now(site, held).state == outcome


def test_who_stands_behind_a_request_cannot_be_taken_out_of_the_trail_unseen(site: Site) -> None:
    held = of_portal(site, "pi.one")
    with site.system.journal.transaction() as conn:
        first = select(func.min(events.c.seq)).where(events.c.request == held.id)
        conn.execute(delete(events).where(events.c.seq == first.scalar_subquery()))
        assert audit.verify(conn).problem
    refused = tried(site, SECOND, held)
    assert (refused.state, now(site, held).state) == ("refused", "held")
    assert "no longer tells who asked" in why(refused)


# What was looked at.


@pytest.mark.parametrize("uid", [SECOND, 0], ids=["operator", "root"])
@pytest.mark.parametrize(
    ("digest", "told"),
    [("", "the release has no digest"), (f"digest: {'b' * 64}\n", f"for the digest {'b' * 64}")],
    ids=["none", "another"],
)
def test_what_is_released_is_what_was_looked_at(
    site: Site, uid: int, digest: str, told: str
) -> None:
    held = send(site, OPERATOR, LARGE)
    refused = send(site, uid, control("request.release", held.id) + digest, "release.yaml")
    assert (refused.state, now(site, held).state) == ("refused", "held")
    assert told in why(refused)
    assert (held.digest in why(refused)) is bool(digest)


def test_the_digest_of_a_reconcile_is_that_of_its_manifest_too(tmp_path: Path) -> None:
    rules = "policy: {mass: {users: 3}, rules: [{who: [uid-4711], actions: ['*']}]}\n"
    site = Site(tmp_path, rules)
    reconcile(site, *(entry(n, f"u{n}") for n in range(1, 10)))
    first = reconcile(site, entry(1, "u1"))
    second = reconcile(site, entry(2, "u2"))
    assert (first.state, second.state) == ("held", "held")
    mixed = f"{control('request.release', second.id)}digest: {first.digest}\n"
    assert send(site, 0, mixed, "release.yaml").state == "refused"
    assert tried(site, 0, second).state == "done"


SMALL = allocation(1, "ann")


@pytest.mark.parametrize(("holder", "outcome"), [("pi.two", "refused"), ("pi.one", "done")])
@pytest.mark.parametrize("verb", ["release", "retry", "the same again"])
def test_a_portal_holds_for_a_person_and_not_for_all_of_its_persons(
    site: Site, verb: str, holder: str, outcome: str
) -> None:
    send(site, SECOND, control("lane.pause", "first"), "pause.yaml")
    text = spoken(SMALL, "pi.one") + "id: cf-1\n"
    waiting = send(site, PORTAL, text, "own.yaml")
    send(site, PORTAL, spoken(control("request.hold", waiting.id), holder), "hold.yaml")
    assert now(site, waiting).state == "held"
    if verb != "release":
        cancelled = spoken(control("request.cancel", waiting.id), "pi.one")
        assert send(site, PORTAL, cancelled, "cancel.yaml").state == "done"
    if verb == "the same again":
        again = send(site, PORTAL, text, "again.yaml")
        assert (again.state == "held") is (outcome == "refused")
        return
    asked = release(waiting) if verb == "release" else control("request.retry", waiting.id)
    assert send(site, PORTAL, spoken(asked, "pi.one"), "steer.yaml").state == outcome


def test_what_one_held_oneself_is_let_go_on_without_a_digest(site: Site) -> None:
    later = "not_before: 2126-01-01T00:00:00Z\n"
    waiting = send(site, OPERATOR, allocation(1, "ann", head=later))
    send(site, OPERATOR, control("request.hold", waiting.id), "hold.yaml")
    text = control("request.release", waiting.id)
    assert send(site, OPERATOR, text, "release.yaml").state == "done"


SAME = "id: same\n"


def held_and_cancelled(site: Site, holder: int) -> Record:
    """Let a portal's waiting request be held, and let the portal cancel it; return it."""
    site.first.away = True
    send(site, PORTAL, allocation(1, "ann", head=SAME))
    [waiting] = site.open()
    send(site, holder, control("request.hold", waiting.id), "hold.yaml")
    send(site, PORTAL, control("request.cancel", waiting.id), "cancel.yaml")
    site.back(site.first)
    return waiting


def test_who_cancels_what_another_held_and_sends_it_again_is_held_again(site: Site) -> None:
    earlier = held_and_cancelled(site, OPERATOR)
    again = send(site, PORTAL, allocation(1, "ann, bob", head=SAME), "again.yaml")
    assert (again.state, again.held_by) == ("held", "uid-4712")
    assert f"uid-4712 held {earlier.id}" in why(again)
    assert site.first.rows == {}
    assert tried(site, PORTAL, again).state == "refused"
    assert tried(site, OPERATOR, again).state == "done"
    site.drain()
    assert "first/member/cf/bob" in site.first.rows


def test_who_held_and_cancelled_an_own_request_sends_it_again_as_a_new_one(site: Site) -> None:
    held_and_cancelled(site, PORTAL)
    again = send(site, PORTAL, allocation(1, "ann", head=SAME), "again.yaml")
    site.drain()
    assert now(site, again).state == "done"


def test_who_releases_what_is_not_held_is_told_so_without_an_alarm(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    ended = send(site, OPERATOR, allocation(2, "ann"))
    refused = tried(site, OPERATOR, ended)
    assert why(refused) == f"{ended.id} is not held: it is done"
    assert not any("ALARM" in line for line in caplog.messages)


def test_a_release_leaves_no_data_that_nobody_was_shown(site: Site) -> None:
    held = send(site, PORTAL, allocation(1, "ann", files=50, code="other"), "held.yaml")
    send(site, OPERATOR, allocation(1, "ann, bob", code="data"), "data.yaml")
    for shown, state in (([], "held"), (["first/account/data for first/account/other"], "done")):
        with site.system.journal.reading() as conn:
            seen = changes.shown(conn, held.id)
        assert [*(seen.left if seen is not None else ())] == shown
        tried(site, SECOND, held)
        assert now(site, held).state == state
    assert "first/member/other/ann" in site.first.rows


def test_who_asked_for_what_an_operator_held_does_not_release_the_portals_repetition(
    site: Site,
) -> None:
    site.service.lanes["first"].paused = True
    asked = send(site, PORTAL, spoken(allocation(1, "ann"), "mia"), "asked.yaml")
    send(site, OPERATOR, control("request.hold", asked.id), "hold.yaml")
    send(site, PORTAL, spoken(control("request.cancel", asked.id), "mia"), "cancel.yaml")
    again = send(site, PORTAL, allocation(1, "ann"), "timer.yaml")
    assert (again.state, again.held_by) == ("held", "uid-4712")
    assert tried(site, PORTAL, again, "mia").state == "refused"
    assert tried(site, PORTAL, again, "eve").state == "done"


def test_who_asked_for_a_member_does_not_release_the_portals_repetition_of_the_whole(
    tmp_path: Path,
) -> None:
    reviewed = "[allocation.*, membership.*], review: true, others: true}"
    site = Site(tmp_path, POLICY.replace("[allocation.*], files: 10}", reviewed))
    asked = send(site, PORTAL, spoken(membership(1, "ann", "add"), "mia"), "asked.yaml")
    again = send(site, PORTAL, allocation(1, "ann"), "timer.yaml")
    assert (asked.state, again.state) == ("held", "held")
    assert tried(site, PORTAL, again, "mia").state == "refused"
    assert tried(site, PORTAL, again, "eve").state == "done"
