"""What follows from a manifest is judged by itself; a release for a crowd is for that alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.config.schema import load
from provisioner.journal.journal import Connection
from provisioner.journal.queries import holdings
from provisioner.journal.records import changes
from provisioner.manifests import weighing
from provisioner.manifests.weighing import Toll
from provisioner.objects.losses import Shift
from tests.support.cli_site import call
from tests.support.engine_site import Site
from tests.support.manifest_site import entry, members, newest, reconcile, told
from tests.support.portions_site import (
    POLICY,
    crowd,
    finish,
    let_go,
    line_by_line,
    restart,
    send,
    state,
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return line_by_line(tmp_path, monkeypatch)


def test_a_release_for_a_crowd_releases_the_crowd_alone(site: Site) -> None:
    held = crowd(site, entry(2, "u2", files=50), entry(10, "boss", files=9))
    let_go(site, held)
    assert newest(site, "reconcile.json").state == "done"
    assert members(site) == {"cf1/u1", "cf2/u2", "cf10/boss"}
    large = newest(site, "all.jsonl-2.json")
    assert (large.state, large.for_review) == ("held", True)
    assert "a quota of 50 files is more than 10" in told(large)
    assert site.limit("first/account/cf2") == "5"
    let_go(site, large)
    assert site.limit("first/account/cf2") == "50"


def test_what_waits_for_a_release_is_not_asked_for_by_the_next_manifest(site: Site) -> None:
    for _ in range(3):
        reconcile(site, entry(1, "ann", files=50))
    assert [one.name for one in site.open()] == ["all.jsonl-1.json"]


def test_a_protected_name_is_refused_in_what_was_released_for_a_crowd(site: Site) -> None:
    let_go(site, crowd(site, entry(2, "u2", "daemon")))
    assert newest(site, "all.jsonl-2.json").state == "refused"
    assert "cf2/daemon" not in members(site)


def test_who_releases_a_crowd_is_shown_every_change(site: Site) -> None:
    held = crowd(site, entry(2, "u2", files=50), entry(3, "u3"))
    with site.system.journal.reading() as conn:
        shown = changes.shown(conn, held.id)
    assert shown is not None
    assert len(shown.people) == 6
    assert shown.lines() == [
        "allocation:2: requested",
        *(f"allocation:{number}: suspended" for number in range(4, 10)),
    ]
    said = call("show", held.id, config=str(site.root / "provisioner.yaml")).out
    assert "# When released: allocation:2: requested\n" in said
    assert "# When released: allocation:9: suspended\n" in said


@pytest.mark.parametrize(
    "shown", ['"user:u9"', '"allocation:9"'], ids=["another person", "another subject"]
)
@pytest.mark.sqlite
def test_a_release_is_for_nobody_but_who_was_shown(site: Site, shown: str) -> None:
    held = crowd(site, *(entry(number, f"u{number}") for number in range(2, 5)))
    # As many were shown, and one of them was another.
    with sqlite3.connect(site.file) as journal:
        other = shown.replace("9", "99")
        found = journal.execute(
            "update events set facts = replace(facts, ?, ?) where facts like ?",
            (shown, other, f"%{shown}%"),
        )
        assert found.rowcount == 1
    let_go(site, held)
    assert newest(site, "reconcile.json").state == "held"
    assert len(members(site)) == 9


@pytest.mark.sqlite
def test_a_release_of_what_is_to_be_reviewed_is_none_for_a_crowd(tmp_path: Path) -> None:
    rules = POLICY.replace(
        "  rules:\n", "  rules:\n  - {who: [uid-4711], actions: [reconcile], review: true}\n"
    )
    site = Site(tmp_path)
    reconcile(site, *(entry(number, f"u{number}") for number in range(1, 10)), uid=0)
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text() + rules)
    site.config = load(path)
    with sqlite3.connect(site.file) as journal:
        journal.execute("update claims set source = 'uid-4711'")
    restart(site)
    held = reconcile(site, entry(1, "u1"))
    assert "must be reviewed" in told(held)
    let_go(site, held)
    again = newest(site, "reconcile.json")
    assert (again.state, len(members(site))) == ("held", 9)
    assert "would take something away" in told(again)
    let_go(site, again)
    assert members(site) == {"cf1/u1"}


def test_a_line_of_an_adoption_that_is_to_be_reviewed_is_held_by_itself(tmp_path: Path) -> None:
    rules = POLICY.replace(
        '{who: [uid-4711], actions: ["*"]', '{who: [uid-4711], adopt: true, actions: ["*"]'
    )
    site = Site(tmp_path, f"mode: observe\n{rules}")
    site.first.rows["first/account/cf1"] = {"present": True, "limit": "50"}
    site.first.rows["first/account/cf2"] = {"present": True, "limit": "5"}
    send(site, entry(1, files=50), entry(2, files=5), action="adopt")
    found = finish(site)
    assert found.state == "done"
    assert "1 subject with 1 object taken over" in told(found)
    assert state(site, "all.jsonl-1.json") == "held"


@pytest.mark.parametrize(("files", "kept"), [(9, 0), (1, 3)])
def test_of_what_changes_only_what_can_shut_people_out_stays_in_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch, files: int, kept: int
) -> None:
    """The wants of a million lines took gigabytes."""
    reconcile(site, *(entry(number, f"u{number}") for number in range(3)))
    coming: list[int] = []
    weigh = Toll.weigh

    def noting(toll: Toll, *more: Any) -> Iterator[None]:
        coming.append(len(toll.coming))
        return weigh(toll, *more)

    monkeypatch.setattr(Toll, "weigh", noting)
    reconcile(site, *(entry(number, f"u{number}", files=files) for number in range(3)))
    assert coming == [kept]


def test_who_loses_something_by_a_manifest_is_found_in_portions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "TOGETHER", 2)
    held = crowd(site, entry(2, "u2", files=50), entry(3, "u3"))
    asked: list[int] = []
    losers = holdings.losers

    def noting(conn: Connection, shift: Shift, *words: Any, **more: Any) -> set[str]:
        asked.append(len(shift.going) + len(shift.coming))
        return losers(conn, shift, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(holdings, "losers", noting)
        again = crowd(site, entry(2, "u2", files=50), entry(3, "u3"))
    assert again.problems == held.problems
    assert len(asked) > 2
