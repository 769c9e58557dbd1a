"""A lane's own thread ends when it is told to, and its batches overlap: the results of one are
recorded while the next is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from provisioner.contract import Change, Fault, Key, State
from provisioner.convergence import beside, lanes, threads
from provisioner.convergence.next_try import Patience
from provisioner.journal.records import request_rows, waits
from tests.support import engine_site
from tests.support.engine_site import Backend, Killed, Site, allocation

ONE = engine_site.CONFIG.replace("first: {first: 0.01,", "first: {batch: 1, first: 0.01,")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose first lane takes one object at a time."""
    return Site(tmp_path, text=ONE)


def written(site: Site, then: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a function at each write to the first backend, with the number of writes before it."""
    calls = site.first.calls

    class Watched(list[list[Change]]):
        def append(self, changes: list[Change]) -> None:
            then(len(self))
            super().append(changes)

    monkeypatch.setattr(site.first, "calls", Watched(calls))


def done(site: Site) -> int:
    """Return how many requests are done by the journal."""
    with site.system.journal.reading() as conn:
        return request_rows.counts(conn).get("done", 0)


def names(backend: Backend) -> list[str]:
    """Return what was written, in order."""
    return [f"{one.verb} {one.key}" for call in backend.calls for one in call]


def test_a_stop_that_comes_as_a_wake_is_forgotten_ends_the_lane(tmp_path: Path) -> None:
    lane = Site(tmp_path).service.lanes["first"]

    class Late(threading.Event):
        def clear(self) -> None:
            lane.stop()
            super().clear()

    lane._woken = Late()
    thread = threading.Thread(target=lane.run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_the_results_of_a_batch_are_recorded_while_the_next_one_is_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    observe = engine_site.Accounts.observe

    def looked(self: engine_site.Accounts, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        looks.append(done(site))
        return observe(self, keys)

    def until_done(before: int) -> None:
        until = time.monotonic() + 30
        while done(site) < before and time.monotonic() < until:
            time.sleep(0.001)

    monkeypatch.setattr(beside, "MOMENT", 60.0)
    monkeypatch.setattr(engine_site.Accounts, "observe", looked)
    written(site, until_done, monkeypatch)
    for number, code in enumerate(("aa", "bb", "cc"), 1):
        site.drop(allocation(number, code=code), f"{code}.yaml")
    assert site.service.lanes["first"].drain() == 3
    assert looks == [0, 0, 0, 1, 1, 2]  # before and after each write
    assert done(site) == 3


def test_the_results_of_a_few_are_recorded_without_a_look_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    lane = site.service.lanes["first"]
    due, looks = lane._due, []

    def looked(now: float) -> list[waits.Due]:
        looks.append(done(site))
        return due(now)

    monkeypatch.setattr(lane, "_due", looked)
    site.drop(allocation(1, code="aa"))
    assert lane.drain() == 1
    assert (looks, done(site)) == ([0], 1)


def test_only_lanes_with_something_due_are_woken(tmp_path: Path) -> None:
    site = Site(tmp_path)
    lanes = site.service.lanes
    site.drop(allocation(1, code="aa"))
    assert [name for name, lane in lanes.items() if lane._woken.is_set()] == ["first"]
    site.first.away = True
    lanes["first"].drain()
    lanes["first"]._goes_on()  # it sleeps until its next try
    site.service.take()
    assert [name for name, lane in lanes.items() if lane._woken.is_set()] == ["first"]


USER = """\
provisioner: 1
action: user.provision
user: {name: ann, surname: Doe, uid: 4711, gid: 100}
"""
NEEDED = engine_site.CONFIG.replace(
    "  allocation.provision:",
    "    - {name: last, handler: first, needs: [late], with: {account: group}}\n"
    "  allocation.provision:",
)


@pytest.mark.parametrize(("text", "needed"), [(engine_site.CONFIG, False), (NEEDED, True)])
def test_a_drain_tells_what_is_due_now_and_whether_a_step_waits_for_it(
    tmp_path: Path, text: str, needed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, text=text)
    told: list[lanes.Drained] = []
    monkeypatch.setattr(site.service.lanes["first"], "_finish", told.append)
    site.drop(USER)
    site.service.lanes["first"].drain()
    assert [drained.begun for drained in told] == [{"second": needed}]


def test_a_drain_wakes_the_lanes_in_which_it_made_something_due_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, woken = (site := Site(tmp_path)).service, list[tuple[str, float]]()

    def wake(lane: lanes.Lane, later: float = 0.0) -> None:
        woken.append((lane.name, later))

    monkeypatch.setattr(lanes.Lane, "wake", wake)
    site.drop(USER)
    woken.clear()
    service.lanes["first"].drain()
    assert woken == [("second", 0.0)]
    site.drop(allocation(1, code="aa"))
    woken.clear()
    service.lanes["first"].drain()
    assert woken == [("first", 0.0)]  # its members, and not what has been due before


@pytest.mark.parametrize(
    ("begun", "woken", "back"),
    [
        ({}, [], []),
        ({"second": False}, ["second"], []),
        ({"first": False, "second": False}, ["first", "second"], []),
        ({"first": False, "second": True}, ["first", "second"], ["first"]),
        ({"gone": True, "second": False}, ["second"], []),
    ],
)
def test_lanes_that_nobody_waits_for_stand_back_for_those_that_a_step_waits_for(
    tmp_path: Path, begun: dict[str, bool], woken: list[str], back: list[str]
) -> None:
    all_lanes = Site(tmp_path).service.lanes
    threads.begin(all_lanes, begun)
    assert [name for name, lane in all_lanes.items() if lane._woken.is_set()] == woken
    assert [name for name, lane in all_lanes.items() if lane._stands_back] == back


def test_a_lane_stands_back_before_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane, slept = Site(tmp_path).service.lanes["first"], []

    class Woken(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            lane.wake(60.0)
            return super().wait(timeout)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        lane.stop()

    lane._woken = Woken()
    monkeypatch.setattr(time, "sleep", sleep)
    lane.run()
    assert [0 < seconds <= 60 for seconds in slept] == [True]


def test_a_wake_while_a_lane_drains_is_no_reason_to_look_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = site.service.lanes["first"]
    written(site, lambda _: lane.wake(), monkeypatch)
    site.drop(allocation(1, code="aa"))
    lane._goes_on()
    lane._drain_now()
    assert (done(site), lane._woken.is_set()) == (1, False)
    lane.wake()
    assert lane._woken.is_set()


def test_what_becomes_due_while_a_lane_drains_is_found_before_it_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    lane = site.service.lanes["first"]
    rest, rests = lane.rest, []

    def asks(before: int) -> None:
        if before == 0:
            site.drop(allocation(2, code="bb"), "more.yaml")

    def rested() -> float | None:
        rests.append(rest())
        if len(rests) == 2:
            lane.stop()
        return rests[-1]

    written(site, asks, monkeypatch)
    monkeypatch.setattr(lane, "rest", rested)
    site.drop(allocation(1, code="aa"))
    lane.run()
    assert (rests, done(site)) == ([0.0, None], 2)


def test_what_is_being_recorded_is_not_taken_a_second_time(site: Site) -> None:
    for number, code in enumerate(("aa", "bb", "cc"), 1):
        site.drop(allocation(number, code=code), f"{code}.yaml")
    questions = site.first.questions
    assert site.service.lanes["first"].drain() == 3
    assert names(site.first) == [f"add first/account/{code}" for code in ("aa", "bb", "cc")]
    assert site.first.questions == questions + 6


def test_what_is_asked_for_while_a_result_is_recorded_is_done_after_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(before: int) -> None:
        if before == 1:
            site.drop(allocation(1, code="aa", files=9), "more.yaml")

    # The result is recorded after the new request was accepted.
    monkeypatch.setattr(beside.Beside, "start", lambda _: None)
    written(site, asks, monkeypatch)
    for number, code in enumerate(("aa", "bb"), 1):
        site.drop(allocation(number, code=code), f"{code}.yaml")
    site.drain()
    assert site.limit("first/account/aa") == "9"
    assert sorted(site.states()["done"]) == ["aa.yaml", "bb.yaml", "more.yaml"]


def test_a_service_that_dies_with_results_unrecorded_reads_them_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, code in enumerate(("aa", "bb"), 1):
        site.drop(allocation(number, code=code), f"{code}.yaml")
    site.first.dies_after = 1
    with monkeypatch.context() as dead, pytest.raises(Killed):
        for name in ("start", "finish"):
            dead.setattr(beside.Beside, name, lambda _: None)
        site.service.lanes["first"].drain()
    assert (done(site), names(site.first)) == (0, ["add first/account/aa"])
    site.start()
    site.drain()
    assert site.states()["done"] == ["aa.yaml", "bb.yaml"]
    assert names(site.first) == ["add first/account/aa", "add first/account/bb"]


def test_a_journal_that_cannot_record_ends_the_drain_and_the_next_one_does_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = site.service.lanes["first"]
    record = lane._record
    errors = [OSError("full")]

    def once(*given: object) -> lanes.Drained:
        if errors:
            raise errors.pop()
        return record(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(lane, "_record", once)
    for number, code in enumerate(("aa", "bb"), 1):
        site.drop(allocation(number, code=code), f"{code}.yaml")
    with pytest.raises(OSError, match="full"):
        lane.drain()
    site.drain()
    assert site.states()["done"] == ["aa.yaml", "bb.yaml"]
    assert len(set(names(site.first))) == len(names(site.first)) == 2


def test_a_handler_that_writes_one_by_one_says_how_many_its_lane_takes() -> None:
    class Slow(engine_site.Accounts):
        def at_once(self) -> int:
            return 3

    def lane(*handlers: engine_site.Accounts, batch: int) -> int:
        some = {str(n): one for n, one in enumerate(handlers)}
        patience = Patience(batch=batch)
        return lanes.Lane("x", some, None, None, lambda _: None, patience).most  # type: ignore[arg-type]

    plain, slow = engine_site.Accounts("a", Backend()), Slow("b", Backend())
    taken = [lane(plain, batch=9), lane(slow, plain, batch=9), lane(slow, batch=2)]
    assert taken == [9, 3, 2]
