"""Copies are whole, whoever writes meanwhile; with the log they make the journal that was."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.journal.sqlite import copies
from provisioner.recovery import backup, redo_log
from tests.support.cli_site import Desk, user
from tests.support.engine_site import Site, allocation, control
from tests.support.journal_files import dump, replayed
from tests.support.waiting import until

pytestmark = pytest.mark.sqlite


def test_a_copy_and_the_log_give_the_journal_to_the_last_byte(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann, bob"), "one.yaml")
    copy = tmp_path / "copy.db"
    backup.copy_to(site.file, copy)
    site.request(allocation(1, "bob"), "less.yaml")
    site.request(allocation(1, verb="suspend"), "closed.yaml")
    site.first.away = True
    site.drop(allocation(2, "eve"), "waits.yaml")
    site.drop(control("lane.pause", "second"), "pause.yaml")
    site.drop("action: [nonsense", "wrong.yaml")
    site.drain()
    before = dump(copy)
    assert replayed(copy, site.config.backup_directory) == dump(site.file)
    assert dump(copy) != before


def test_what_was_only_rehearsed_is_in_neither_log_nor_journal(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.drop(allocation(1, "ann, bob"), "one.yaml")
    copy = tmp_path / "copy.db"
    backup.copy_to(site.file, copy)
    [waits] = site.open()
    for verb in ("hold", "release", "cancel"):
        site.drop(control(f"request.{verb}", waits.id), f"{verb}.yaml")
    assert site.states()["done"] == ["cancel.yaml", "hold.yaml", "release.yaml"]
    assert replayed(copy, site.config.backup_directory) == dump(site.file)
    site.system.journal.check()


def test_the_log_alone_gives_the_journal_where_it_was_there_from_the_start(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    copy = tmp_path / "copy.db"
    backup.copy_to(site.file, copy)
    assert copies.position_of(copy)[1] == 2  # the first reading of the clock, and what is served
    site.request(allocation(1, "ann"), "one.yaml")
    assert replayed(copy, site.config.backup_directory) == dump(site.file)


def test_a_copy_made_while_the_service_writes_is_whole(tmp_path: Path) -> None:
    site = Site(tmp_path)
    over = threading.Event()

    def write() -> None:
        for number in range(1, 1000):
            site.request(allocation(number, "ann"), f"{number}.yaml")
            if over.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: site.system.journal.position >= 3, "something is written")
        for number in range(5):
            backup.copy_to(site.file, tmp_path / f"{number}.db")
    finally:
        over.set()
        writer.join()
    last = dump(site.file)
    for number in range(5):
        assert replayed(tmp_path / f"{number}.db", site.config.backup_directory) == last


def test_a_damaged_journal_gives_no_copy(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann, bob"))
    site.system.journal.close()
    body = site.file.read_bytes()
    site.file.write_bytes(body[:16384] + b"\xa5" * (len(body) - 16384))
    with pytest.raises(ConfigError, match=r"damaged|malformed"):
        backup.copy_to(site.file, tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy.db*"))


def test_old_copies_go_and_with_them_the_log_that_only_they_need(tmp_path: Path) -> None:
    site = Site(tmp_path)
    directory = site.config.backup_directory
    oldest = tmp_path / "oldest.db"
    for number in range(1, 6):
        site.request(allocation(number, "ann"), f"{number}.yaml")
        site.service.house.copier.copy()
        if number == 1:
            [first] = backup.copies(directory)
            os.link(first.path, oldest)
    begun = {file.after for file in redo_log.files(directory)}
    backup.prune(directory, site.system.journal.identity, 2)
    left = backup.copies(directory)
    assert len(left) == 2
    assert {file.after for file in redo_log.files(directory)} < begun
    site.request(allocation(9, "ann"), "9.yaml")
    want = dump(site.file)
    for copy in left:
        assert replayed(copy.path, directory) == want
    assert replayed(oldest, directory) != want


def test_the_service_copies_when_there_is_no_copy_or_an_old_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    directory = desk.root / "journal/backup"
    with desk.service():
        until(lambda: backup.copies(directory), "the first copy")
    [copy] = backup.copies(directory)
    desk("run", "--drain")
    assert backup.copies(directory) == [copy], "the next is not due"
    os.utime(copy.path, (1, 1))
    with desk.service():
        # One that is made within the same second has the same name.
        until(lambda: backup.copies(directory)[-1].at > copy.at, "a newer copy")


def test_backup_writes_a_file_while_the_service_runs(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    target = tmp_path / "mine.db"
    with desk.service():
        desk("submit", "-", "--wait", stdin=user("jdoe").encode())
        said = desk("backup", str(target)).out
    assert "complete and on disk" in said
    backup.check(target)
    assert "exists already" in desk("backup", str(target), code=4).err


def test_backup_without_a_file_writes_into_the_configured_directory(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.set("journal: ", "backup: {directory: kept, keep: 2}\njournal: ")
    for name in ("jdoe", "asmith", "eve"):
        desk.serve(user(name))
        desk("backup")
    assert len(backup.copies(desk.root / "kept")) == 2


def test_a_backup_directory_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    (desk.root / "journal/backup").mkdir(mode=0o755)
    assert "chmod 700" in desk("run", "--drain", code=4).err
