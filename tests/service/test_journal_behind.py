"""A journal that is behind its redo log is not served, and nothing of the log is overwritten."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.journal.journal import JournalBroken
from provisioner.journal.sqlite import copies
from provisioner.recovery import backup, lineage, redo_log
from provisioner.recovery.redo_log import RedoLog
from tests.support.cli_site import PROGRAM, Desk, Done, of_user, user
from tests.support.engine_site import Site, allocation
from tests.support.journal_files import table
from tests.support.waiting import until

pytestmark = pytest.mark.sqlite

KEPT = ("requests", "claims", "suspensions", "steps")


def journal(desk: Served) -> Path:
    return desk.root / "journal/journal.db"


def log_of(desk: Served) -> Path:
    return desk.root / "journal/backup"


class Served(Desk):
    """A sandbox whose verbs leave no database open, as ended processes do."""

    def __call__(self, *words: str, stdin: bytes = b"", code: int | None = 0) -> Done:
        done = super().__call__(*words, stdin=stdin, code=code)
        gc.collect()
        return done

    def serve_until_killed(self, text: str) -> None:
        """Serve a request, and kill the service without a word: its write-ahead log is left."""
        with subprocess.Popen([*PROGRAM, "run", "-q"], env=self._env()) as process:
            self("submit", "-", "--wait", stdin=text.encode())
            process.kill()


@pytest.fixture
def desk(tmp_path: Path) -> Served:
    """A sandbox that was copied, suspended mallory, and was killed; `kept.db` is the copy."""
    desk = Served(tmp_path / "box")
    desk.serve(user("mallory"))
    desk("run", "--drain")  # the first start that finds requests notes the clock
    desk("backup", str(tmp_path / "kept.db"))
    desk("backup")  # so that the service that is killed has no copy to make
    desk.serve_until_killed(of_user("suspend", "mallory"))
    return desk


def older(desk: Served) -> None:
    for path in journal(desk).parent.glob("journal.db*"):
        path.unlink()
    shutil.copy(desk.root.parent / "kept.db", journal(desk))


def without_its_wal(desk: Served) -> None:
    assert Path(f"{journal(desk)}-wal").stat().st_size
    Path(f"{journal(desk)}-wal").unlink()


def older_without_the_log(desk: Served) -> None:
    """A copy is newer, and says so."""
    desk("backup")
    older(desk)
    for path in log_of(desk).glob("log-*"):
        path.unlink()


def older_without_the_log_beside_a_damaged_copy(desk: Served) -> None:
    """The copy cannot be read any more, but its name says how far it went."""
    older_without_the_log(desk)
    backup.copies(log_of(desk))[-1].path.write_bytes(b"")


def older_beside_a_cut_log(desk: Served) -> None:
    """Of the log its first half is spoilt, and it still says how far it went."""
    older(desk)
    path = redo_log.files(log_of(desk))[-1].path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"0", b"1")
    path.write_bytes(b"".join(lines))


def all_older(desk: Served) -> None:
    """Journal and log were put back as they were at the copy: only the spool knows of more."""
    older(desk)
    position = copies.position_of(journal(desk))[1]
    for file in redo_log.files(log_of(desk)):
        redo_log.leave(file, position)


def suspended(desk: Served) -> list[object]:
    with closing(sqlite3.connect(journal(desk))) as db:
        return [row[0] for row in db.execute("SELECT subject FROM suspensions")]


BEHIND = [
    older,
    without_its_wal,
    older_without_the_log,
    older_without_the_log_beside_a_damaged_copy,
    older_beside_a_cut_log,
    all_older,
]


@pytest.mark.parametrize("spoil", BEHIND, ids=lambda value: value.__name__)
def test_a_journal_that_is_behind_is_refused_before_anything_is_written(
    desk: Served, spoil: Callable[[Served], None]
) -> None:
    spoil(desk)
    before = sorted(path.name for path in log_of(desk).iterdir())
    main = table(journal(desk), "marks")
    refused = desk("run", "--drain", code=4)
    beside = "requests in it came" if spoil is all_older else "its last transaction is number"
    assert beside in refused.err
    assert "provisioner journal rebuild" in refused.err
    assert sorted(path.name for path in log_of(desk).iterdir()) == before
    assert table(journal(desk), "marks") == main


@pytest.mark.parametrize("place", ["deferred", "held", "failed"])
def test_a_journal_that_lacks_a_request_of_any_place_of_the_spool_is_refused(
    desk: Served, place: str
) -> None:
    all_older(desk)
    ulid = max(path.name[:26] for path in (desk.spool / "done").iterdir())
    for path in (desk.spool / "done").glob(f"{ulid}*"):
        path.rename(desk.spool / place / path.name)
    assert f"the first is {place}/{ulid}" in desk("run", "--drain", code=4).err
    assert f"{desk.spool}/{place}/{ulid}" in desk("journal", "rebuild").out
    desk("run", "--drain")


@pytest.mark.parametrize("spoil", [older, without_its_wal], ids=lambda value: value.__name__)
def test_a_rebuild_brings_back_what_the_log_has(
    desk: Served, spoil: Callable[[Served], None]
) -> None:
    spoil(desk)
    assert suspended(desk) == []
    assert "older than" in desk("doctor", code=1).out
    desk("journal", "rebuild")
    assert suspended(desk) == ["user:mallory"]
    desk("run", "--drain")


def test_what_only_a_newer_spool_knows_is_told_by_the_rebuild_and_then_served(
    desk: Served,
) -> None:
    all_older(desk)
    said = desk("journal", "rebuild").out
    assert "the spool has 1 request that the journal does not know" in said
    desk("run", "--drain")


def test_a_journal_that_is_put_back_in_time_loses_nothing(desk: Served, tmp_path: Path) -> None:
    shutil.copytree(journal(desk).parent, tmp_path / "whole")
    without_its_wal(desk)
    desk("run", "--drain", code=4)
    for path in journal(desk).parent.glob("journal.db*"):
        path.unlink()
        shutil.copy(tmp_path / "whole" / path.name, path)
    shutil.copy(tmp_path / "whole/journal.db-wal", f"{journal(desk)}-wal")
    desk("run", "--drain")
    assert suspended(desk) == ["user:mallory"]


# What a crash leaves.


def one_ahead(desk: Served) -> None:
    """Have the journal as it was one transaction before the end of its log."""
    position = copies.position_of(journal(desk))[1]
    older(desk)
    with copies.redoing(journal(desk), portion=1000) as redo:
        for one in redo_log.read(log_of(desk), *copies.position_of(journal(desk))):
            if one.number < position:
                redo(one.number, one.did)
    assert copies.position_of(journal(desk))[1] == position - 1


def test_a_transaction_that_a_crash_left_in_the_log_alone_is_done_by_the_next_start(
    desk: Served,
) -> None:
    before = {name: table(journal(desk), name) for name in KEPT}
    one_ahead(desk)
    desk("run", "--drain")
    assert {name: table(journal(desk), name) for name in KEPT} == before
    desk("audit", "verify")


def test_that_transaction_is_no_reason_to_rebuild(desk: Served) -> None:
    one_ahead(desk)
    assert "is intact" in desk("journal", "rebuild", code=4).err


def test_one_that_is_torn_was_never_there(desk: Served) -> None:
    one_ahead(desk)
    path = redo_log.files(log_of(desk))[-1].path
    path.write_bytes(path.read_bytes()[:-7])
    desk("run", "--drain")
    desk("audit", "verify")


# A log that is behind its journal does no harm.


def no_log(desk: Served) -> None:
    for path in log_of(desk).glob("log-*"):
        path.unlink()


def a_cut_log(desk: Served) -> None:
    path = redo_log.files(log_of(desk))[-1].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))


@pytest.mark.parametrize("spoil", [no_log, a_cut_log], ids=lambda value: value.__name__)
def test_a_journal_without_the_end_of_its_log_is_served_and_copied_at_once(
    desk: Served, spoil: Callable[[Served], None]
) -> None:
    spoil(desk)
    position = copies.position_of(journal(desk))[1]
    with desk.service():
        until(lambda: backup.copies(log_of(desk))[-1].position >= position, "a newer copy")
    assert suspended(desk) == ["user:mallory"]


# What an earlier version made of it.


def served_by_an_earlier_version(desk: Served) -> None:
    """Serve the older journal while the log is away, as one did that never looked at it."""
    older(desk)
    away = desk.root / "log"
    away.mkdir()
    for path in log_of(desk).glob("log-*"):
        path.rename(away / path.name)
    ended = list((desk.spool / "done").iterdir())
    for path in ended:
        path.rename(away / path.name)
    desk.serve(user("asmith"), user("eve"))
    for path in ended:
        (away / path.name).rename(path)
    for path in away.glob("log-*"):
        path.rename(log_of(desk) / path.name)


def test_what_an_older_journal_did_in_place_of_a_newer_one_is_told_and_not_taken_for_it(
    desk: Served,
) -> None:
    before = {name: table(journal(desk), name) for name in KEPT}
    served_by_an_earlier_version(desk)
    assert "two lines" in desk("run", "--drain", code=4).err
    said = desk("journal", "rebuild").out
    assert "two lines" in said
    assert "the spool has 2 requests that the journal does not know" in said
    assert said.count("not used, and kept") == 1
    assert {name: table(journal(desk), name) for name in KEPT} == before
    desk("run", "--drain")
    assert suspended(desk) == ["user:mallory"]


def test_a_copy_of_the_older_one_that_is_named_takes_its_line(desk: Served, tmp_path: Path) -> None:
    served_by_an_earlier_version(desk)
    backup.copy_to(journal(desk), tmp_path / "branch.db")
    before = {name: table(journal(desk), name) for name in KEPT}
    desk("journal", "rebuild", "--copy", str(tmp_path / "branch.db"))
    assert {name: table(journal(desk), name) for name in KEPT} == before
    desk("run", "--drain")


def test_a_copy_that_was_made_of_the_older_one_is_not_taken_unasked(desk: Served) -> None:
    before = {name: table(journal(desk), name) for name in KEPT}
    served_by_an_earlier_version(desk)
    desk("backup")
    said = desk("journal", "rebuild").out
    assert "is a copy of the older journal that was served" in said
    assert {name: table(journal(desk), name) for name in KEPT} == before
    assert backup.copies(log_of(desk))[-1].path.stat().st_size


def test_while_the_log_has_two_lines_no_copy_of_the_first_is_removed(desk: Served) -> None:
    [copy] = backup.copies(log_of(desk))
    copy.path.rename(desk.root / copy.path.name)
    served_by_an_earlier_version(desk)
    (desk.root / copy.path.name).rename(copy.path)
    desk.set("journal: ", "backup: {keep: 1}\njournal: ")
    desk("backup")
    assert copy.path.exists()


def test_a_rebuild_over_a_hole_leaves_a_log_of_one_line(desk: Served) -> None:
    desk.serve(user("asmith"))
    desk.serve(user("eve"))
    older(desk)
    redo_log.files(log_of(desk))[-2].path.unlink()
    assert "after a gap" in desk("journal", "rebuild").out
    desk.begin(user("zoe"))
    found = lineage.trace(redo_log.files(log_of(desk)))
    assert found.branches == ()
    newest = backup.copies(log_of(desk))[-1].position
    assert found.covers(newest, copies.position_of(journal(desk))[1])


def test_the_journal_of_another_instance_is_not_measured_by_this_ones_log(tmp_path: Path) -> None:
    one, other = Served(tmp_path / "one"), Served(tmp_path / "other")
    one.serve(user("jdoe"))
    other.serve(user("asmith"), user("eve"))
    for path in log_of(other).glob("log-*"):
        shutil.copy(path, log_of(one))
    one.serve(user("zoe"))
    shutil.copy(journal(other), journal(one))
    assert "is not the one that" in one("run", "--drain", code=4).err


def test_a_log_can_be_begun_in_another_directory(desk: Served) -> None:
    desk.set("journal: ", "backup: {directory: elsewhere}\njournal: ")
    desk.serve(user("asmith"))
    assert [file.after > 0 for file in redo_log.files(desk.root / "elsewhere")] == [True]


def test_a_transaction_whose_commit_failed_is_taken_back(tmp_path: Path) -> None:
    made = RedoLog(tmp_path, "J", 2, "sqlite")
    made.append(1, [("INSERT INTO t VALUES (?)", (1,))])
    made.append(2, [("INSERT INTO t VALUES (?)", (2,))])
    made.take_back()
    assert [one.number for one in redo_log.read(tmp_path, "J", 0)] == [1]
    made.append(2, [("INSERT INTO t VALUES (?)", (3,))])
    assert [one.did[0][1] for one in redo_log.read(tmp_path, "J", 1)] == [[[3]]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: Path(shutil.copy(path, f"{path}-new")).replace(path), "another file was"),
        (lambda path: path.unlink(), "was removed while it was served"),
    ],
    ids=["exchanged", "removed"],
)
def test_a_journal_that_is_exchanged_while_it_is_served_takes_nothing_more(
    tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    site = Site(tmp_path)
    site.drop(allocation(1, "ann"), "one.yaml")
    change(site.file)
    with pytest.raises(JournalBroken, match=said):
        site.drop(allocation(2, "bob"), "two.yaml")
    assert site.service._stopping.is_set()


def test_no_thread_writes_a_traceback_over_a_journal_that_was_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    site.drop(allocation(1, "ann"), "one.yaml")
    [request] = site.open()
    site.file.unlink()
    with pytest.raises(JournalBroken):
        site.drop(allocation(2, "bob"), "two.yaml")
    service = site.service
    for lane in service.lanes.values():
        lane.run()
    service.clerk.settle([request.id])
    service.clerk.catch_up()
    service.keeper.pin()
    service.keeper.prune()
    service.keeper.revise_readers()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
