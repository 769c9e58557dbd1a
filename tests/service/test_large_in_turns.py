"""Small files that steer, close or take back very much are accepted in short commits.

One commit for all of them kept the service from everybody until its watchdog killed it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from provisioner.admission import intake
from provisioner.config.keeping import RetentionConfig
from provisioner.journal.figures import weights
from provisioner.journal.journal import Connection
from provisioner.journal.records import request_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.recovery.retention import Keeper
from provisioner.steps import binding
from tests.support.engine_site import Site, allocation, control, user
from tests.support.manifest_site import entry, reconcile
from tests.support.portions_site import send, state

MANY = 4

PORTAL = """\
policy: {rules: [{who: [uid-4711], actions: ["*"], others: true, numbers: true}]}
"""


def large(root: Path) -> Site:
    """Return a site with some allocations, each of which has more than is done at once."""
    site = Site(root)
    for number in range(MANY):
        site.drop(allocation(number, "ann, bob, eve"), f"made{number}.yaml")
    return site


def left(site: Site) -> int:
    """Count the files that were not accepted or refused yet."""
    return sum(state(site, f"{number}.yaml") is None for number in range(MANY))


def known(site: Site) -> int:
    """Count the requests that the journal has."""
    with site.system.journal.reading() as conn:
        return len(request_rows.all_ids(conn))


def accepting(site: Site) -> list[int]:
    """Let the service take what is in staging; return what was left at each sign of life."""
    alive: list[int] = []
    site.service._alive = lambda: alive.append(left(site))
    site.service.take()
    return alive


STEERING: dict[str, Callable[[int], str]] = {
    "suspend": lambda number: allocation(number, verb="suspend"),
    "cancel": lambda number: control("request.cancel", f"made{number}.yaml"),
    "look again": lambda number: "provisioner: 1\naction: reconcile\n",
}


@pytest.mark.parametrize("what", STEERING)
def test_each_verb_that_takes_a_moment_has_a_commit_of_its_own(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = large(tmp_path)
    monkeypatch.setattr(intake, "MOMENT", 0.0)
    for number in range(MANY):
        (site.spool.staging / f"{number}.yaml").write_text(STEERING[what](number))
    assert accepting(site) == [3, 2, 1, 0]


def written(patch: pytest.MonkeyPatch) -> list[int]:
    """Note how many requests are judged and written together."""
    sizes: list[int] = []
    insert = request_rows.insert_requests

    def noting(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
        sizes.append(len(records))
        insert(conn, records)

    patch.setattr(request_rows, "insert_requests", noting)
    return sizes


@pytest.mark.parametrize(("most", "sizes"), [(4, [1, 1, 1, 1]), (100, [4])])
def test_requests_that_take_back_very_much_are_not_one_wave(
    most: int, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = large(tmp_path)
    monkeypatch.setattr(weights, "MOST", most)
    for number in range(MANY):
        (site.spool.staging / f"{number}.yaml").write_text(allocation(number))
    together = written(monkeypatch)
    site.take()
    assert together == sizes


def test_requests_that_take_long_to_judge_have_commits_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20,000 allocations of a project, policy looks at the claims of all before each."""
    site = Site(tmp_path)
    monkeypatch.setattr(intake, "MOMENT", 0.0)
    for number in range(MANY):
        text = "provisioner: 1" if number == 1 else allocation(number)
        (site.spool.staging / f"{number}.yaml").write_text(text)
    alive = accepting(site)
    assert len(alive) >= MANY - 1 and alive[-1] == 0
    assert len(site.open()) == MANY - 1
    assert state(site, "1.yaml") == "refused"


@pytest.mark.parametrize("left", ["shrunk", "left out"])
def test_a_manifest_takes_very_much_back_in_portions(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, PORTAL)
    reconcile(site, *(entry(number, "ann", "bob", "eve") for number in range(MANY)))
    monkeypatch.setattr(weights, "MOST", 3)
    stays = [entry(9, "dan")] if left == "left out" else [entry(n, "ann") for n in range(MANY)]
    send(site, *stays)
    before = known(site)
    followed = [0]
    while site.service.take():
        followed.append(known(site) - before - 1)
    assert followed[-1] == MANY + (left == "left out")
    assert max(after - before for before, after in pairwise(followed)) == 1


def test_old_requests_with_many_objects_are_forgotten_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    for name in "abc":
        site.request(user("same"), f"{name}.yaml")
    monkeypatch.setattr(step_rows, "PARTS", 1)
    limits = RetentionConfig(journal_days=30, journal_floor=1)
    portions = Keeper(site.spool, site.system.journal, limits).portions(time.time() + 31 * 86400)
    left = [known(site) for _ in portions]
    assert [number for number in left if number < 3][:2] == [2, 1]


def test_what_a_newer_request_took_over_of_very_many_is_found_out_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of 10,000 users was bound again for each of them: for an hour, in one commit."""
    site = Site(tmp_path)
    site.drop(allocation(1, "ann, bob, dan, eve", files=5), "first.yaml")
    site.service.lanes["first"].drain()
    site.drop(allocation(1, "ann, bob, dan, eve", files=6), "second.yaml")
    bound: list[str] = []
    wants_of = binding.wants_of

    def noting(states: Any, record: Record, listed: Any, name: str, progress: Any) -> Any:
        bound.append(f"{record.name} {name}")
        return wants_of(states, record, listed, name, progress)

    monkeypatch.setattr(binding, "wants_of", noting)
    site.drain()
    assert sorted(set(bound)) == ["first.yaml account", "first.yaml members"]
    assert len(bound) == 2
