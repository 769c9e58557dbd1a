"""An object that is as at the last look is not planned again. All that its plan hangs on counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provisioner.contract import Change, Key, State, Want
from provisioner.journal.schema import objects
from provisioner.manifests import reconcile as reconciling
from tests.support import engine_site
from tests.support.engine_site import Accounts, Site, control, user
from tests.support.manifest_site import POLICY, ask, entry, newest, put, reconcile
from tests.support.policy_site import send

ACCOUNT, ANN, BOB = "first/account/cf1", "first/member/cf1/ann", "first/member/cf1/bob"


class Programs(Accounts):
    """Accounts whose plans a program makes, which a site may exchange."""

    def replans(self) -> str:
        return "a program"


def look(site: Site) -> None:
    reconcile(site, entry(1, "ann", "bob"))


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """Give the objects that were planned."""
    keys: list[Key] = []
    plan = Accounts.plan

    def noted(self: Accounts, key: Key, want: Want, state: State) -> Sequence[Change]:
        keys.append(key)
        return plan(self, key, want, state)

    monkeypatch.setattr(Accounts, "plan", noted)
    return keys


@pytest.fixture
def site(tmp_path: Path, planned: list[Key]) -> Site:
    """Give a site that looked twice at what it has made."""
    site = Site(tmp_path, POLICY)
    for _ in range(3):
        look(site)
    planned.clear()
    return site


def rows(site: Site) -> Mapping[Key, Any]:
    with site.system.journal.reading() as conn:
        return {row.key: row for row in conn.execute(select(objects))}


def test_what_is_as_it_was_is_read_and_not_planned(site: Site, planned: list[Key]) -> None:
    before, questions = rows(site), site.first.questions
    look(site)
    assert (planned, site.first.questions) == ([], questions + 1)
    for key, row in rows(site).items():
        assert row.observed > before[key].observed
        assert row.converged == row.generation > before[key].generation
        assert (row.due, row.state) == (None, before[key].state)
    assert newest(site, "reconcile.json").state == "done"


def drifted(site: Site) -> None:
    site.first.rows[ANN]["limit"] = "9"


def gone(site: Site) -> None:
    del site.first.rows[ANN]


def suspended(site: Site) -> None:
    send(site, 0, user("ann", "suspend", cause="left"), "ann.yaml")


def suspended_and_resumed(site: Site) -> None:
    suspended(site)
    send(site, 0, user("ann", "resume", cause="left"), "ann.yaml")


def held_and_released(site: Site) -> None:
    site.first.away = True
    ask(site, entry(1, "ann", "bob", files=7))
    (waiting,) = site.open()
    site.drop(control("request.hold", waiting.id), "hold.yaml")
    site.back(site.first)
    site.drop(control("request.release", waiting.id), "release.yaml")
    site.drain()


def wanted_otherwise(site: Site) -> None:
    ask(site, entry(1, "ann", "bob", files=7))


def asked_for_again(site: Site) -> None:
    ask(site, entry(1, "ann", "bob"))


@pytest.mark.parametrize(
    ("between", "again"),
    [
        (drifted, {ANN}),
        (gone, {ANN}),
        (suspended, {ANN}),
        (suspended_and_resumed, {ANN}),
        (held_and_released, {ACCOUNT}),
        (wanted_otherwise, {ACCOUNT}),
        (asked_for_again, {ACCOUNT, ANN, BOB}),
        (Site.start, {ACCOUNT, ANN, BOB}),  # another process may be another program
    ],
)
def test_what_is_not_as_it_was_is_planned(
    site: Site, planned: list[Key], between: Callable[[Site], None], again: set[Key]
) -> None:
    between(site)
    look(site)
    assert again <= set(planned)


def test_drift_is_mended_at_the_same_look(site: Site) -> None:
    site.first.rows[ACCOUNT]["limit"] = "9"
    look(site)
    assert site.limit(ACCOUNT) == "5"


def test_what_comes_back_after_a_look_that_failed_is_planned_and_recorded(
    site: Site, planned: list[Key]
) -> None:
    site.first.rows[ACCOUNT]["limit"] = "9"
    site.first.poison = {"cf1"}
    look(site)
    assert rows(site)[ACCOUNT].state["limit"] == "9"
    assert rows(site)[ACCOUNT].error is not None
    site.first.rows[ACCOUNT]["limit"] = "5"
    planned.clear()
    look(site)
    row = rows(site)[ACCOUNT]
    assert (row.state["limit"], row.error, set(planned)) == ("5", None, {ACCOUNT})


def test_what_a_program_plans_is_planned_each_time(
    tmp_path: Path, planned: list[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_site, "Accounts", Programs)
    site = Site(tmp_path, POLICY)
    for _ in range(3):
        look(site)
    planned.clear()
    look(site)
    assert set(planned) == {ACCOUNT, ANN, BOB}


def test_a_want_that_changes_while_it_is_looked_at_is_not_taken_for_done(
    site: Site, planned: list[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = Accounts.observe
    asked: list[bool] = []

    def changes(self: Accounts, keys: Sequence[Key]) -> Any:
        if not asked:
            asked.append(True)
            site.drop(
                "provisioner: 1\naction: reconcile\nobjects: [first/account/cf1]\n", "more.yaml"
            )
        return observe(self, keys)

    monkeypatch.setattr(Accounts, "observe", changes)
    before = rows(site)[ACCOUNT].generation
    look(site)
    row = rows(site)[ACCOUNT]
    assert asked
    assert (row.generation, row.converged, row.due) == (before + 2, before + 2, None)


class OneByOne(Accounts):
    """Accounts that are made one by one, two in a batch."""

    def at_once(self) -> int:
        return 2


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a site of six objects that are made one by one."""
    monkeypatch.setattr(engine_site, "Accounts", OneByOne)
    site = Site(tmp_path, POLICY)
    reconcile(site, *FIVE)
    return site


FIVE = [entry(1, "ann", "bob", "eve", "kim", "zoe")]


def test_what_is_made_one_by_one_is_looked_at_together(slow: Site) -> None:
    before = slow.first.questions
    reconcile(slow, *FIVE)
    assert slow.first.questions == before + 1


def test_of_what_differs_at_such_a_look_as_many_are_written_at_once_as_are_made(
    slow: Site,
) -> None:
    for name in ("ann", "bob", "eve", "kim", "zoe"):
        del slow.first.rows[f"first/member/cf1/{name}"]
    slow.first.calls.clear()
    reconcile(slow, *FIVE)
    assert [len(call) for call in slow.first.calls] == [2, 2, 1]
    assert len(slow.first.rows) == 6
    assert not any(row.due for row in rows(slow).values())


# What a large manifest makes due.


@pytest.fixture
def woken(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give how many objects were due each time a lane was woken; portions are of one subject."""
    monkeypatch.setattr(reconciling, "AWAITED", 0)
    monkeypatch.setattr(reconciling, "_AT_ONCE", 1)
    counts: list[int] = []
    for lane in site.service.lanes.values():
        monkeypatch.setattr(lane, "wake", lambda *_: counts.append(due(site)))
    return counts


def due(site: Site) -> int:
    return sum(row.due is not None for row in rows(site).values())


def test_lanes_begin_to_look_once_all_is_due(site: Site, woken: list[int]) -> None:
    reconcile(site, entry(1, "ann", "bob"), entry(2, "eve"))
    woken.clear()
    reconcile(site, entry(1, "ann", "bob"), entry(2, "eve"))
    assert woken and set(woken) == {5}


def test_who_asks_meanwhile_does_not_wait_for_that(site: Site, woken: list[int]) -> None:
    reconcile(site, entry(1, "ann", "bob"), entry(2, "eve"))
    site.service.take = partial(dropping, site, site.service.take)  # type: ignore[method-assign]
    woken.clear()
    reconcile(site, entry(1, "ann", "bob"), entry(2, "eve"))
    assert woken[0] < 5
    assert newest(site, "one.json").state == "done"


def dropping(site: Site, take: Callable[[], int]) -> int:
    """Take; as soon as something is due for a look, somebody asks for something."""
    if due(site) and not (site.root / "asked").exists():
        (site.root / "asked").touch()
        put(site, "one.json", json.dumps({"provisioner": 1, **entry(3, "kim")}).encode())
    return take()
