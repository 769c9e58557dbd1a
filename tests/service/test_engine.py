"""The engine, from a file in staging to its outcome: first the cases that it was designed by."""

from __future__ import annotations

from pathlib import Path
from typing import Never

import pytest
from sqlalchemy import select, update

from provisioner.coldfront.answering import answers
from provisioner.journal import audit
from provisioner.journal.schema import events, objects
from tests.support.engine_site import Site, allocation, control, membership, user


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


# The cases of the design. The kill before each write is in test_restarts.py.


def test_two_allocations_share_an_account_and_a_second_run_writes_nothing(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    site.request(allocation(2, "bob, eve"))
    assert {key.rpartition("/")[2] for key in site.first.rows} == {"cf", "ann", "bob", "eve"}
    calls = len(site.first.calls)
    assert calls <= 5
    site.request(allocation(1, "ann, bob"))
    site.request(allocation(2, "bob, eve"))
    assert len(site.first.calls) == calls


def test_who_leaves_one_allocation_keeps_what_the_other_entitles(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    site.request(allocation(2, "bob"))
    site.request(membership(1, "bob", "remove"))
    assert "first/member/cf/bob" in site.first.rows
    site.request(membership(2, "bob", "remove"))
    assert "first/member/cf/bob" not in site.first.rows
    assert "first/member/cf/ann" in site.first.rows


def test_of_a_thousand_users_one_poisoned_name_fails_alone(site: Site) -> None:
    site.first.poison = {"u500"}
    site.request(allocation(1))
    before = len(site.first.calls)
    for number in range(1000):
        (site.spool.staging / f"m{number:04}.yaml").write_text(membership(1, f"u{number}", "add"))
    for path in site.spool.staging.iterdir():
        path.chmod(0o600)
    while site.service.take():
        pass
    site.drain()
    assert len([key for key in site.first.rows if "/member/" in key]) == 999
    assert len(site.first.calls) - before <= 23
    assert len(site.states()["done"]) == 1000
    assert site.states()["failed"] == ["m0500.yaml"]


def test_a_suspension_counts_while_a_provision_still_waits(site: Site) -> None:
    site.second.away = True
    site.request(user("ann", uid=7))
    assert site.limit("first/account/ann") == "7"
    site.request(user("ann", "suspend", cause="security"))
    site.request(user("ann", "suspend", cause="unpaid"))
    assert site.limit("first/account/ann") == "0"
    site.back(site.second)
    assert site.limit("second/account/ann", "second") is None
    site.request(user("ann", "resume", cause="unpaid"))
    assert site.limit("first/account/ann") == "0"
    site.request(user("ann", "resume", cause="security"))
    assert site.limit("first/account/ann") == "7"
    assert site.limit("second/account/ann", "second") == "7"
    assert site.open() == []


def test_a_stale_retry_converges_to_what_is_wanted_now(site: Site) -> None:
    site.first.poison = {"ann"}
    site.request(user("ann", uid=5), "old.yaml")
    old = site.results("failed")[0]["id"]
    site.first.poison = set()
    site.request(user("ann", uid=9), "new.yaml")
    site.request(control("request.retry", old))
    assert site.limit("first/account/ann") == "9"
    assert site.states()["failed"] == []


def test_a_late_file_is_superseded(site: Site) -> None:
    site.request(allocation(1, files=9, head="order: {key: a, number: 2}\n"), "new.yaml")
    site.request(allocation(1, files=5, head="order: {key: a, number: 1}\n"), "late.yaml")
    assert site.limit("first/account/cf") == "9"
    assert [one["outcome"] for one in site.results("done")] == ["done", "superseded"]


def test_the_receipt_of_a_late_request_says_which_order_came_before(site: Site) -> None:
    site.request(allocation(1, head="order: {key: a, number: 20}\n"), "new.yaml")
    site.request(allocation(1, head="id: late\norder: {key: a, number: 3}\n"), "late.yaml")
    [receipt] = (site.config.spool / "receipts").glob("*/late.yaml")
    answer = answers.read(receipt.read_bytes())
    assert answer is not None
    assert (answer.state, answer.overtaken_by) == ("superseded", 20)


def test_a_value_moves_and_moves_back(site: Site) -> None:
    for files in (5, 9, 5):
        site.request(allocation(1, files=files), f"q{files}.yaml")
        assert site.limit("first/account/cf") == str(files)


# Steps.


def test_a_step_takes_what_an_earlier_one_gave(site: Site) -> None:
    site.request(user("ann", uid=42))
    assert site.limit("second/account/ann", "second") == "42"


def test_a_step_whose_need_failed_is_left_out_and_done_by_a_retry(site: Site) -> None:
    site.first.poison = {"ann"}
    site.request(user("ann", uid=1))
    result = site.results("failed")[0]
    assert [step["state"] for step in result["steps"]] == ["failed", "skipped"]
    site.first.poison = set()
    site.request(control("request.retry", result["id"]))
    assert site.limit("second/account/ann", "second") == "1"
    assert site.states()["failed"] == []


def test_what_a_new_provision_leaves_out_is_taken_back_before_it_is_done(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    site.request(allocation(1, "ann"))
    assert "first/member/cf/bob" not in site.first.rows
    names = [step["step"] for step in site.results("done")[-1]["steps"]]
    assert "withdraw from first" in names


# Waiting.


def test_a_backend_that_is_away_uses_up_no_tries_and_goes_on_when_it_is_back(site: Site) -> None:
    site.first.away = True
    site.drop(allocation(1, "ann"))
    for _ in range(4):
        site.service.lanes["first"]._breakers.until.clear()
        site.service.lanes["first"].drain()
    assert [record.state for record in site.open()] == ["deferred"]
    site.back(site.first)
    assert site.states()["done"] == ["r.yaml"]


def test_what_is_not_ready_is_due_again(site: Site) -> None:
    site.first.missing = {"ann"}
    site.drop(allocation(1, "ann"))
    site.service.lanes["first"].drain()
    site.service.lanes["first"].drain()
    assert [record.state for record in site.open()] == ["deferred"]
    site.first.missing = set()
    site.drain()
    assert site.states()["done"] == ["r.yaml"]


def test_a_paused_lane_waits_and_an_unpaused_one_goes_on(site: Site) -> None:
    site.request(control("lane.pause", "first"))
    site.request(allocation(1, "ann"))
    assert site.first.rows == {}
    site.start()
    site.drain()
    assert site.first.rows == {}
    site.request(control("lane.unpause", "first"))
    assert "first/member/cf/ann" in site.first.rows


def test_a_held_request_goes_on_when_it_is_released(site: Site) -> None:
    site.first.away = True
    site.drop(allocation(1, "ann"))
    who = site.open()[0].id
    site.request(control("request.hold", who))
    assert [record.state for record in site.open()] == ["held"]
    site.back(site.first)
    assert site.first.rows == {}
    site.request(control("request.release", who))
    assert site.open() == []
    assert "first/member/cf/ann" in site.first.rows


def test_a_cancelled_request_wants_nothing_any_more(site: Site) -> None:
    site.first.away = True
    site.drop(allocation(1, "ann"), "lost.yaml")
    site.request(control("request.cancel", site.open()[0].id))
    site.back(site.first)
    assert site.first.rows == {}
    assert site.states()["failed"] == ["lost.yaml"]


def test_a_request_for_later_waits_until_then(site: Site) -> None:
    site.request(allocation(1, "ann", head="not_before: 2999-01-01T00:00:00Z\n"))
    assert [record.state for record in site.open()] == ["scheduled"]
    assert site.first.rows == {}


# Refusals.


def test_a_wrong_file_is_refused_with_every_reason_and_stops_nobody(site: Site) -> None:
    site.drop("provisioner: 1\naction: user.provison\nuser: {nam: x}\n", "wrong.yaml")
    site.drop("\x00\x01", "binary.yaml")
    site.drop("", "empty.yaml")
    site.request(user("ann", uid=1), "right.yaml")
    assert site.states() == {
        "done": ["right.yaml"],
        "failed": ["binary.yaml", "empty.yaml", "wrong.yaml"],
    }
    wrong = site.results("failed")[0]
    assert [problem["line"] for problem in wrong["problems"]] == [2, 3, 3]
    assert wrong["problems"][0]["nearest"] == "user.provision"


def test_an_unknown_resource_is_named_with_the_nearest(site: Site) -> None:
    site.request(allocation(1).replace("resource: one", "resource: onne"))
    problem = site.results("failed")[0]["problems"][0]
    assert (problem["key"], problem["nearest"]) == ("allocation.resource", "one")
    assert (
        "resource: onne"
        in allocation(1)
        .replace("resource: one", "resource: onne")
        .splitlines()[problem["line"] - 1]
    )


def test_a_name_that_the_handler_refuses_reaches_no_backend(site: Site) -> None:
    site.request(allocation(1, code="Not-Plain"))
    assert site.states()["failed"] == ["r.yaml"]
    assert (site.first.rows, site.first.calls) == ({}, [])


def test_a_retry_of_nothing_says_so(site: Site) -> None:
    site.request(control("request.retry", "nothing"))
    assert "no request 'nothing'" in site.results("failed")[0]["problems"][0]["message"]


def test_two_requests_that_contradict_each_other_are_both_answered(site: Site) -> None:
    site.drop(allocation(1, files=5), "a.yaml")
    site.drop(allocation(1, files=9), "b.yaml")
    site.drain()
    assert site.states()["done"] == ["a.yaml", "b.yaml"]
    assert site.limit("first/account/cf") == "9"


def test_a_receipt_tells_its_writer_how_the_request_stands(site: Site) -> None:
    site.first.away = True
    site.drop(allocation(1, head="id: c-7\n"))
    receipt = next(site.spool.receipts.rglob("c-7*"))
    assert "state: accepted" in receipt.read_text()
    site.back(site.first)
    assert "state: done" in receipt.read_text()


def test_reconcile_mends_what_somebody_changed_by_hand(site: Site) -> None:
    site.request(allocation(1, "ann"))
    del site.first.rows["first/member/cf/ann"]
    site.request("provisioner: 1\naction: reconcile\n")
    assert "first/member/cf/ann" in site.first.rows


def test_what_a_reconcile_finds_as_wanted_is_listed_and_no_more(site: Site) -> None:
    site.request(allocation(1, "ann"))
    del site.first.rows["first/member/cf/ann"]
    site.request("provisioner: 1\naction: reconcile\n", "all.yaml")
    [result] = [one for one in site.results("done") if one["request"] == "all.yaml"]
    [step] = [one for one in result["steps"] if one["handler"] == "first"]
    assert list(step["read_back"]) == ["first/member/cf/ann"]
    assert "first/member/cf/ann" not in step["already"]
    assert step["already"]
    with site.system.journal.reading() as conn:
        told = conn.scalars(
            select(events.c.subject).where(
                events.c.request == result["id"], events.c.kind == audit.OBJECT
            )
        ).all()
    assert len(told) == 1


def test_archiving_takes_back_what_only_the_project_claimed(site: Site) -> None:
    site.request("provisioner: 1\naction: project.archive\nproject: {code: cf}\n")
    assert "nothing was claimed" in site.results("done")[0]["problems"][0]["message"]


def test_what_was_another_s_from_the_start_stays_when_the_claim_is_taken_back(site: Site) -> None:
    site.request(allocation(1))
    site.first.foreign = {"eve"}
    site.first.rows["first/member/cf/eve"] = {"present": True, "limit": "7"}
    site.request(membership(1, "eve", "add"))
    site.request(membership(1, "eve", "remove"))
    assert site.first.rows["first/member/cf/eve"] == {"present": True, "limit": "7"}
    assert site.open() == []


def a_week_passes(site: Site) -> None:
    """Let what objects wait for be a week older."""
    with site.system.journal.transaction() as conn:
        conn.execute(update(objects).values(waiting_since=objects.c.waiting_since - 8 * 86400))


def test_what_is_not_ready_for_a_week_fails(site: Site) -> None:
    site.first.missing = {"cf"}
    site.drop(allocation(1))
    site.service.lanes["first"].drain()
    a_week_passes(site)
    site.drain()
    assert "waited 7 days" in site.results("failed")[0]["steps"][0]["error"]["message"]


def test_a_backend_that_was_away_for_a_week_uses_up_no_patience(site: Site) -> None:
    site.first.away = True
    site.drop(allocation(1))
    site.service.lanes["first"].drain()
    a_week_passes(site)
    site.first.missing = {"cf"}
    site.back(site.first)
    assert [record.state for record in site.open()] == ["deferred"]


@pytest.mark.parametrize("method", ["outputs", "claims"])
def test_a_handler_that_fails_unexpectedly_fails_a_step_and_stops_no_lane(
    site: Site, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> Never:
        raise KeyError("what nobody thought of")

    site.drop(user("ann", uid=5))
    handler = site.system.handlers["first" if method == "outputs" else "second"]
    monkeypatch.setattr(handler, method, fails)
    site.drain()
    monkeypatch.undo()
    late = site.results("failed")[0]["steps"][1]
    assert "what nobody thought of" in late["error"]["message"]
    site.request(user("bob", uid=6))
    assert site.limit("second/account/bob", "second") == "6"


def test_a_state_that_is_no_json_fails_its_object_alone(site: Site) -> None:
    site.first.rows["first/account/ann"] = {"present": True, "limit": "5", "sid": b"\x01"}
    site.drop(user("ann", uid=5))
    site.drop(user("bob", uid=5), "bob.yaml")
    site.drain()
    assert [site.limit(f"second/account/{name}", "second") for name in ("ann", "bob")] == [
        None,
        "5",
    ]
    assert "is not JSON" in site.results("failed")[0]["steps"][0]["error"]["message"]
