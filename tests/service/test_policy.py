"""Policy and review through the engine: files of several owners, from staging to their outcome."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from provisioner.admission.acceptance import Acceptance
from provisioner.config.schema import load
from tests.support.engine_site import Site, allocation, control, membership, release, user
from tests.support.policy_site import (
    OPERATOR,
    POLICY,
    PORTAL,
    SECOND,
    STRANGER,
    now,
    put,
    send,
    told,
    why,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with rules for a portal and two operators."""
    return Site(tmp_path, POLICY)


def lying_at(number: int, path: str) -> str:
    """Write a request for an allocation that says where its storage lies."""
    return f"{allocation(number, 'ann')}  storage: {{path: {path}}}\n"


def elsewhere(number: int) -> str:
    """Write a request for an allocation on the other resource."""
    return allocation(number, "ann").replace("resource: one", "resource: two")


# Refusing.


@pytest.mark.parametrize(
    ("uid", "text", "reason"),
    [
        (STRANGER, allocation(1), "uid-4714 may not ask for anything here"),
        (PORTAL, control("lane.unpause", "first"), "uid-4711 may not ask for lane.unpause"),
        (
            PORTAL,
            elsewhere(1),
            "may not ask for allocation.provision on two",
        ),
        (PORTAL, allocation(1, files=101), "a quota of 101 files is more than 10"),
        (PORTAL, user("boss"), "boss is protected"),
        (OPERATOR, user("boss"), "boss is protected"),
        (0, user("root"), "root is protected"),
        (0, user("root", "suspend"), "root is protected"),
        (0, allocation(1, "ann, daemon"), "daemon is protected"),
        (PORTAL, allocation(1, head="adopt: true\n"), "may not say `adopt: true`"),
        (PORTAL, lying_at(1, "/gpfs/x"), "may not say where storage is: `storage.path`"),
    ],
)
def test_what_no_rule_allows_is_refused_with_its_reason_an_alarm_and_an_event(
    site: Site, caplog: pytest.LogCaptureFixture, uid: int, text: str, reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        refused = send(site, uid, text)
    assert refused.state == "refused"
    assert reason in why(refused)
    assert [text for kind, text in told(site, refused, "alarm")] == [why(refused)]
    assert any(line.startswith("ALARM policy: r.yaml of ") for line in caplog.messages)
    [result] = site.results("failed")
    assert result["problems"][0]["expected"]
    assert site.first.rows == site.second.rows == {}


def test_the_owner_of_the_file_asks_whatever_the_file_says(site: Site) -> None:
    text = allocation(1, head="reason: from root\nid: root-1\n")
    assert send(site, STRANGER, text).state == "refused"
    assert send(site, PORTAL, text).state == "done"


def test_groups_of_the_owner_count(tmp_path: Path) -> None:
    rules = "policy: {rules: [{who: ['@nogroup'], actions: ['*']}]}\n"
    site = Site(tmp_path, rules)
    assert send(site, 65534, user("ann")).state == "done"
    assert send(site, STRANGER, user("ann"), "other.yaml").state == "refused"


def test_an_allocation_on_a_resource_is_not_taken_to_another_one_or_left_unnamed(
    site: Site,
) -> None:
    send(site, 0, elsewhere(7), "theirs.yaml")
    taken = send(site, PORTAL, allocation(7, "eve"))
    assert (taken.state, why(taken)) == (
        "refused",
        "uid-4711 may not ask for allocation.provision on two",
    )
    suspend = "provisioner: 1\naction: allocation.suspend\nallocation: {id: 7}\n"
    assert send(site, PORTAL, suspend, "s.yaml").state == "refused"
    send(site, PORTAL, allocation(8, "ann"), "own.yaml")
    assert send(site, PORTAL, suspend.replace("7", "8"), "t.yaml").state == "done"


def test_new_users_are_counted_by_the_hour_and_only_once(site: Site) -> None:
    assert send(site, PORTAL, allocation(1, "ann, bob")).state == "done"
    assert send(site, PORTAL, allocation(2, "ann, bob, eve")).state == "done"
    site.start()  # the count is the journal's
    more = send(site, PORTAL, membership(1, "dan", "add"))
    assert (more.state, why(more)) == ("refused", "4 new users within the hour; the limit is 3")
    assert send(site, PORTAL, membership(1, "eve", "add")).state == "done"


def test_new_users_of_one_batch_are_counted_together(site: Site) -> None:
    for number in range(5):
        put(site, PORTAL, membership(1, f"u{number}", "add"), f"{number}.yaml")
    site.take()
    site.drain()
    assert site.states() == {"done": ["0.yaml", "1.yaml", "2.yaml"], "failed": ["3.yaml", "4.yaml"]}


HOURLY = """\
policy:
  rules:
  - {who: [uid-4711, uid-4712], actions: ["*.suspend"], others: true}
  - {who: [uid-4711, uid-4712], actions: ["*"], hourly: 3}
  - {who: [uid-4711], actions: ["allocation.*"], review: true}
"""


def test_requests_are_counted_by_the_hour_for_each_submitter(tmp_path: Path) -> None:
    site = Site(tmp_path, HOURLY)
    for number in range(4):
        put(site, 4712, allocation(number, "ann"), f"{number}.yaml")
    site.take()
    site.drain()
    site.start()  # the count is the journal's
    assert send(site, PORTAL, allocation(7, "ann"), "other.yaml").state == "done"
    more = send(site, 4712, allocation(8, "ann"), "more.yaml")
    assert (more.state, why(more)) == (
        "refused",
        "4 requests of uid-4712 within the hour; the limit is 3",
    )
    assert site.states()["failed"] == ["3.yaml", "more.yaml"]


def test_a_request_that_is_judged_again_does_not_count_for_itself(tmp_path: Path) -> None:
    site = Site(tmp_path, HOURLY)
    for number in range(2):
        send(site, 4712, allocation(number, "ann"), f"{number}.yaml")
    later = "not_before: 2100-01-01T00:00:00Z\n"
    third = send(site, 4712, allocation(2, "ann", head=later), "2.yaml")
    site.request(control("request.hold", third.id))
    site.request(control("request.release", third.id))
    assert site.open()[0].state == "scheduled"


def test_what_is_more_than_the_hour_s_can_be_held_and_what_closes_is_done(tmp_path: Path) -> None:
    site = Site(tmp_path, HOURLY)
    states = [send(site, PORTAL, allocation(n, "ann"), f"{n}.yaml").state for n in range(4)]
    assert states == ["done", "done", "done", "held"]
    assert send(site, PORTAL, user("ann", "suspend"), "s.yaml").state == "done"


def test_users_whom_only_an_allocation_named_are_new_when_their_accounts_are_asked_for(
    tmp_path: Path,
) -> None:
    rules = (
        "policy:\n  rules:\n  - {who: [uid-4711], actions: [allocation.*]}\n"
        "  - {who: [uid-4711], actions: [user.provision], new_users: 2}\n"
    )
    site = Site(tmp_path, rules)
    assert send(site, PORTAL, allocation(1, "ann, bob, eve")).state == "done"
    states = [send(site, PORTAL, user(name)).state for name in ("ann", "bob", "eve", "ann")]
    assert states == ["done", "done", "refused", "done"]


def test_what_was_refused_is_judged_anew_when_it_comes_again(site: Site) -> None:
    refused = send(site, PORTAL, allocation(1, files=101))
    send(site, OPERATOR, control("request.retry", refused.id), "retry.yaml")
    site.take()
    site.drain()
    assert site.states()["done"] == ["retry.yaml"]
    assert site.states()["failed"] == ["r.yaml"]


# Steering.


def test_one_steers_ones_own_requests_and_an_operator_all(site: Site) -> None:
    site.first.away = True
    waiting = send(site, PORTAL, allocation(1, "ann"))
    theirs = send(site, 0, allocation(2, "bob"), "theirs.yaml")
    hold = control("request.hold", theirs.id)
    unknown = send(site, PORTAL, hold, "hold.yaml")
    assert why(unknown) == f"there is no request {theirs.id!r}"
    assert send(site, OPERATOR, hold, "hold.yaml").state == "done"
    assert send(site, PORTAL, control("request.cancel", waiting.id), "c.yaml").state == "done"
    assert now(site, waiting).state == "cancelled"
    assert now(site, theirs).state == "held"


# Review.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (allocation(1, "ann", files=50), "a quota of 50 files is more than 10"),
        (user("ann", "suspend"), "user.suspend by uid-4711 must be reviewed"),
        (control("lane.pause", "first"), "lane.pause by uid-4711 must be reviewed"),
    ],
    ids=["size", "action", "verb"],
)
def test_what_is_to_be_reviewed_waits_until_an_operator_releases_it(
    site: Site, text: str, reason: str
) -> None:
    held = send(site, PORTAL, text)
    assert (held.state, held.for_review) == ("held", True)
    assert reason in why(held)
    assert (site.config.spool / "held" / f"{held.id}-{held.name}").is_file()
    assert site.first.rows == {} and not site.service.lanes["first"].paused
    text = release(held) + "reason: ticket 9\n"
    assert send(site, OPERATOR, text, "release.yaml").state == "done"
    done = now(site, held)
    assert (done.state, done.approved_by) == ("done", "uid-4712")
    kinds = told(site, held, "held", "released")
    assert ("released", "by uid-4712: ticket 9") in kinds
    assert any(reason in text for kind, text in kinds if kind == "held")


def test_what_is_to_be_reviewed_may_be_cancelled_and_comes_back_to_be_reviewed(
    site: Site,
) -> None:
    held = send(site, PORTAL, allocation(1, "ann", files=50))
    cancel = control("request.cancel", held.id) + "reason: too large\n"
    send(site, OPERATOR, cancel, "cancel.yaml")
    assert now(site, held).state == "cancelled"
    assert told(site, held, "cancelled") == [("cancelled", "by uid-4712: too large")]
    send(site, PORTAL, control("request.retry", held.id), "retry.yaml")
    assert (now(site, held).state, site.first.rows) == ("held", {})


@pytest.mark.parametrize("uid", [PORTAL, OPERATOR, 0])
def test_nobody_releases_their_own(tmp_path: Path, uid: int) -> None:
    site = Site(
        tmp_path,
        "policy: {mass: {users: 1}, rules: [{who: ['*'], actions: ['*'], others: true}]}\n",
    )
    send(site, 0, allocation(1, "ann, bob"))
    held = send(site, uid, allocation(1, ""), "all.yaml")
    assert (held.state, held.for_review) == ("held", True)
    refused = send(site, uid, release(held), "release.yaml")
    assert (refused.state, now(site, held).state) == ("refused", "held")
    assert "nobody releases their own" in why(refused)


def test_who_held_their_own_request_releases_it(site: Site) -> None:
    site.first.away = True
    waiting = send(site, OPERATOR, allocation(1, "ann"))
    send(site, OPERATOR, control("request.hold", waiting.id), "hold.yaml")
    assert now(site, waiting).held_by == "uid-4712"
    send(site, OPERATOR, release(waiting), "release.yaml")
    site.back(site.first)
    assert now(site, waiting).state == "done"


def test_what_another_held_is_not_released_by_its_writer(site: Site) -> None:
    site.first.away = True
    waiting = send(site, OPERATOR, allocation(1, "ann"))
    send(site, SECOND, control("request.hold", waiting.id), "hold.yaml")
    refused = send(site, OPERATOR, release(waiting), "release.yaml")
    assert (refused.state, now(site, waiting).state) == ("refused", "held")


def test_a_release_finds_that_a_newer_request_was_accepted_meanwhile(site: Site) -> None:
    def head(number: int) -> str:
        return f"order: {{key: a, number: {number}}}\n"

    held = send(site, PORTAL, allocation(1, "ann", files=50, head=head(1)))
    send(site, PORTAL, allocation(1, "bob", files=9, head=head(2)), "newer.yaml")
    send(site, OPERATOR, release(held), "release.yaml")
    assert now(site, held).state == "superseded"
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/bob"}


def test_a_release_finds_that_the_request_has_expired(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "expires: 2126-01-01T00:00:00Z\n"
    held = send(site, PORTAL, allocation(1, "ann", files=50, head=head))
    put(site, OPERATOR, release(held), "release.yaml")
    monkeypatch.setattr("provisioner.admission.intake.time.time", lambda: 4.95e9)  # in 2126
    site.take()
    assert (now(site, held).state, now(site, held).ended) == ("refused", 4.95e9)


def test_a_release_of_what_policy_no_longer_allows_refuses_it(site: Site) -> None:
    held = send(site, PORTAL, allocation(1, "ann", files=50))
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace("files: 100,", "files: 40,"))
    site.config = load(path)
    site.start()
    send(site, OPERATOR, release(held), "release.yaml")
    assert (now(site, held).state, site.first.rows) == ("refused", {})


def test_what_was_released_before_its_time_is_not_held_again_when_that_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "not_before: 2126-01-01T00:00:00Z\n"
    held = send(site, PORTAL, allocation(1, "ann", files=50, head=head))
    assert held.state == "held"
    send(site, OPERATOR, release(held), "release.yaml")
    assert now(site, held).state == "scheduled"
    monkeypatch.setattr("provisioner.admission.intake.time.time", lambda: 4.95e9)
    site.service.house.intake.readmit(site.service.house.intake.due_later())
    monkeypatch.undo()
    assert now(site, held).state == "accepted"


# Crashes.


def test_a_release_is_done_with_its_acceptance_or_not_at_all(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = send(site, PORTAL, allocation(1, "ann", files=50))
    with monkeypatch.context() as patch:

        def dies(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Acceptance, "_claim", dies)
        put(site, OPERATOR, release(held), "release.yaml")
        with pytest.raises(KeyboardInterrupt):
            site.take()
    assert now(site, held).state == "held"
    site.start()
    site.take()
    site.drain()
    assert now(site, held).state == "done"
    assert "first/member/cf/ann" in site.first.rows
