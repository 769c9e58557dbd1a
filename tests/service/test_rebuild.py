"""A lost or damaged journal is made anew from copy and log, and writes nothing until released."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.journal import audit, facts
from provisioner.journal.records import step_rows
from provisioner.recovery import backup, redo_log
from provisioner.recovery.rebuilding.rebuild import rebuild
from provisioner.recovery.rebuilding.rebuilt import Rebuilt
from tests.support.cli_site import Desk, user
from tests.support.engine_site import Site, allocation, control
from tests.support.journal_files import table

pytestmark = pytest.mark.sqlite

RELEASE = "provisioner: 1\naction: journal.release\n"


def lose(site: Site) -> None:
    """Take the journal away, as a disk does."""
    site.system.journal.close()
    for path in site.root.glob("journal.db*"):
        path.unlink()


def again(site: Site, *, copy: Path | None = None, empty: bool = False) -> Rebuilt:
    """Rebuild, and start the service."""
    made = rebuild(site.config, site.spool, copy=copy, empty=empty)
    site.start()
    return made


KEPT = ("requests", "steps", "step_objects", "claims", "suspensions", "lanes")


def served(tmp_path: Path) -> Site:
    """Have a site that was copied, and went on: with a suspension, a failure and one that waits."""
    site = Site(tmp_path)
    site.request(allocation(1, "ann, bob"), "one.yaml")
    site.service.house.copier.copy()
    site.request(allocation(2, "bob, eve", code="other"), "two.yaml")
    site.request(allocation(2, verb="suspend", code="other"), "closed.yaml")
    site.first.poison = {"mallory"}
    site.request(allocation(3, "mallory"), "fails.yaml")
    site.first.missing = {"late"}
    site.request(allocation(4, "late"), "waits.yaml")
    site.request(control("lane.pause", "second"), "pause.yaml")
    return site


def test_a_rebuilt_journal_knows_what_the_lost_one_knew(tmp_path: Path) -> None:
    site = served(tmp_path)
    before = {name: table(site.file, name) for name in KEPT}
    states = table(site.file, "objects", "due attempts waiting_since")
    lose(site)
    made = rebuild(site.config, site.spool, copy=None, empty=False)
    assert {name: table(site.file, name) for name in KEPT} == before
    assert table(site.file, "objects", "due attempts waiting_since") == states
    assert made.redone > 5
    assert made.lost == 0
    assert made.unknown == ()


def test_the_audit_trail_goes_on_and_says_that_the_journal_was_rebuilt(tmp_path: Path) -> None:
    site = served(tmp_path)
    with site.system.journal.reading() as conn:
        head = audit.head(conn)
    lose(site)
    again(site)
    with site.system.journal.reading() as conn:
        assert audit.verify(conn, head).problem == ""
        assert [entry.kind for entry in audit.trail(conn)][head.seq] == "rebuilt"


def test_nothing_is_written_to_a_backend_before_the_release(tmp_path: Path) -> None:
    site = served(tmp_path)
    lose(site)
    site.first.rows["first/account/cf"] = {"present": True, "limit": "77"}
    calls = len(site.first.calls)
    again(site)
    site.request(allocation(5, "new", code="fresh"), "new.yaml")
    assert len(site.first.calls) == calls
    assert site.limit("first/account/cf") == "77"
    assert site.limit("first/account/fresh") is None
    site.request(RELEASE, "release.yaml")
    assert site.limit("first/account/cf") == "5"
    assert site.limit("first/account/fresh") == "5"
    assert "new.yaml" in site.states()["done"]


def test_what_is_as_it_was_wanted_gets_done_while_it_is_observed(tmp_path: Path) -> None:
    """The backend has it, the outcome was lost with the last lines of the log."""
    site = Site(tmp_path)
    site.service.house.copier.copy()
    site.drop(allocation(1, "ann"), "one.yaml")
    position = site.system.journal.position
    site.drain()
    lose(site)
    log = redo_log.files(site.config.backup_directory)[-1]
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[: 1 + position - log.after]))
    again(site)
    assert len(site.open()) == 1
    calls = len(site.first.calls)
    site.drain()
    assert site.open() == []
    assert len(site.first.calls) == calls
    assert site.states()["done"] == ["one.yaml"]


def test_an_observed_object_waits_with_the_changes_as_its_reason(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.service.house.copier.copy()
    lose(site)
    again(site)
    site.request(allocation(1, "ann"), "one.yaml")
    [record] = site.open()
    with site.system.journal.reading() as conn:
        [waits] = step_rows.waiting_for(conn, [record.id])[record.id]
    assert waits["error"]["type"] == "Withheld"
    assert "add first/account/cf" in waits["error"]["message"]
    assert "journal release" in waits["error"]["advice"]


def test_a_restart_leaves_an_observed_journal_observed(tmp_path: Path) -> None:
    site = served(tmp_path)
    lose(site)
    again(site)
    site.start()
    assert all(lane.observing for lane in site.service.lanes.values())
    site.request(RELEASE, "release.yaml")
    site.start()
    assert not any(lane.observing for lane in site.service.lanes.values())


def test_a_request_that_the_log_lost_is_accepted_again_from_its_file(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann"), "one.yaml")
    site.service.house.copier.copy()
    site.first.missing = {"cf", "late"}
    site.drop(allocation(2, "late"), "waits.yaml")
    [lost] = site.open()
    lose(site)
    last = redo_log.files(site.config.backup_directory)[-1]
    last.path.write_bytes(last.path.read_bytes()[:-5])
    again(site)
    site.take()
    [record] = site.open()
    assert record.body == lost.body
    assert record.id != lost.id
    site.first.missing = set()
    site.request(RELEASE, "release.yaml")
    site.drain()
    assert site.open() == []


def test_without_a_copy_the_log_is_enough_where_it_has_all(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann"), "one.yaml")
    before = {name: table(site.file, name) for name in KEPT}
    lose(site)
    made = rebuild(site.config, site.spool, copy=None, empty=False)
    assert made.base is None
    assert {name: table(site.file, name) for name in KEPT} == before


def test_a_damaged_copy_is_told_and_the_one_before_it_is_used(tmp_path: Path) -> None:
    site = served(tmp_path)
    site.service.house.copier.copy()
    first, second = backup.copies(site.config.backup_directory)
    body = second.path.read_bytes()
    second.path.write_bytes(body[:8192] + b"\xa5" * (len(body) - 8192))
    before = {name: table(site.file, name) for name in KEPT}
    lose(site)
    made = rebuild(site.config, site.spool, copy=None, empty=False)
    assert made.base == first.path
    assert second.path.name in made.damaged[0]
    assert {name: table(site.file, name) for name in KEPT} == before


def test_a_chosen_copy_is_taken(tmp_path: Path) -> None:
    site = served(tmp_path)
    chosen = tmp_path / "mine.db"
    backup.copy_to(site.file, chosen)
    lose(site)
    assert rebuild(site.config, site.spool, copy=chosen, empty=False).base == chosen


def test_what_lies_behind_a_gap_is_told_and_left_out(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann"), "one.yaml")
    site.service.house.copier.copy()
    site.request(allocation(2, "bob"), "two.yaml")
    site.start()
    site.request(allocation(3, "eve"), "three.yaml")
    lose(site)
    redo_log.files(site.config.backup_directory)[1].path.unlink()
    made = again(site)
    assert made.lost > 0
    assert made.redone == 0
    names = sorted(path.name for path in made.unknown)
    assert len(names) == 2
    assert made.counts == {"done": 1}


def test_where_nothing_is_left_it_is_said_and_an_empty_one_is_made_when_asked(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann"), "one.yaml")
    lose(site)
    for path in site.config.backup_directory.iterdir():
        path.unlink()
    with pytest.raises(ConfigError) as refused:
        rebuild(site.config, site.spool, copy=None, empty=False)
    assert "--empty" in refused.value.advice
    made = again(site, empty=True)
    assert made.counts == {}
    assert len(made.unknown) == 1
    assert all(lane.observing for lane in site.service.lanes.values())


def test_a_whole_journal_is_not_rebuilt(tmp_path: Path) -> None:
    site = served(tmp_path)
    before = table(site.file, "requests")
    with pytest.raises(ConfigError, match="is intact"):
        rebuild(site.config, site.spool, copy=None, empty=False)
    assert table(site.file, "requests") == before


def test_a_rebuild_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    site = served(tmp_path)
    before = {name: table(site.file, name) for name in KEPT}
    lose(site)
    rebuild(site.config, site.spool, copy=None, empty=False)
    site.file.rename(tmp_path / "journal.db.rebuilding")  # as before its last step
    (tmp_path / "journal.db.rebuilding-wal").write_bytes(b"left over")
    rebuild(site.config, site.spool, copy=None, empty=False)
    assert {name: table(site.file, name) for name in KEPT} == before
    site.start()
    with site.system.journal.reading() as conn:
        assert facts.get(conn, facts.OBSERVING) is not None


def test_a_rebuilt_and_released_journal_can_be_lost_again(tmp_path: Path) -> None:
    site = served(tmp_path)
    lose(site)
    again(site)
    site.request(RELEASE, "release.yaml")
    site.request(allocation(9, "zoe", code="last"), "last.yaml")
    before = {name: table(site.file, name) for name in KEPT}
    lose(site)
    rebuild(site.config, site.spool, copy=None, empty=False)
    assert {name: table(site.file, name) for name in KEPT} == before


# The command line.


def test_an_operator_comes_from_a_damaged_journal_to_a_released_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    journal = desk.root / "journal/journal.db"
    desk.serve(user("jdoe"))
    desk("backup")
    desk.serve(user("asmith"))
    # What SQLite still had in the write-ahead log would go into the file when it is opened.
    for beside in journal.parent.glob("journal.db-*"):
        beside.unlink()
    journal.unlink()
    journal.write_bytes(b"\xa5" * 50000)
    assert "provisioner journal rebuild" in desk("run", "--drain", code=4).err

    said = desk("journal", "rebuild").out
    assert "transactions of the redo log" in said
    assert "journal.db.damaged-" in said
    kept = min(journal.parent.glob("journal.db.damaged-*"))
    assert kept.read_bytes() == b"\xa5" * 50000

    desk("submit", desk.file("eve.yaml", user("eve")))
    desk("run", "--drain", "--patience", "1", code=5)
    assert "the service only observes" in desk("doctor", code=None).out
    queue = desk("queue")
    assert "the service writes to no backend: the journal was rebuilt" in queue.out
    assert desk("queue", "--json").json["observing"].startswith("the journal was rebuilt")

    changed = desk("drift", "--json", code=1).json["changes"]
    assert {one["object"].rpartition("/")[2] for one in changed} == {"eve"}
    assert "1 object would be changed" in desk("drift", code=1).out
    assert len(changed) == 1
    wrong = desk("journal", "release", "--changes", str(len(changed) + 1), code=3)
    assert f"the service would change {len(changed)} object" in wrong.err

    desk("journal", "release", "--changes", str(len(changed)), "--reason", "seen by me")
    desk("run", "--drain")
    assert desk("drift").out.startswith("0 objects")
    assert desk("queue", "--json").json["counts"]["done"] == 4
    assert "nothing to release" in desk("journal", "release", "--changes", "0", code=3).err


def test_a_journal_that_is_served_is_not_rebuilt(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    with desk.service():
        assert "is served by another process" in desk("journal", "rebuild", code=4).err
