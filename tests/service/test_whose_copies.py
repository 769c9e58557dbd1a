"""A journal has its own copies and redo log: others' and damaged ones neither count nor go."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.journal.sqlite import copies
from provisioner.recovery import backup, redo_log
from provisioner.recovery.rebuilding.rebuild import rebuild
from tests.support.cli_site import Desk, user
from tests.support.engine_site import Site, allocation
from tests.support.journal_files import dump, replayed, table
from tests.support.waiting import until

pytestmark = pytest.mark.sqlite

KEPT = ("requests", "steps", "step_objects", "claims", "suspensions")


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


def copied(site: Site, *numbers: int) -> list[backup.Copy]:
    """Serve a request and copy, for each number; return the copies of the site."""
    for number in numbers:
        site.request(allocation(number, "ann"), f"{number}.yaml")
        site.service.house.copier.copy()
    return backup.copies(site.config.backup_directory, site.system.journal.identity)


def lose(site: Site) -> None:
    site.system.journal.close()
    for path in site.root.glob("journal.db*"):
        path.unlink()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Site, Site]:
    """Two services of one backup directory; the first has a longer history."""
    sites = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sites.append(Site(tmp_path / name, "backup: {directory: ../kept, keep: 2}\n"))
    copied(sites[0], 1, 2, 3)
    return sites[0], sites[1]


# Several journals in one directory.


def test_a_service_removes_no_copy_and_no_log_of_another(pair: tuple[Site, Site]) -> None:
    one, two = pair
    identity = one.system.journal.identity
    own = [copy.path for copy in copied(one)]
    own += [file.path for file in redo_log.files(one.config.backup_directory, identity)]
    assert len(own) > 2
    copied(two, *range(1, 7))
    assert two.system.journal.position > one.system.journal.position
    assert all(path.exists() for path in own)


def test_a_service_keeps_its_own_copies_beside_newer_ones_of_another(
    pair: tuple[Site, Site],
) -> None:
    one, two = pair
    kept = copied(two, 1, 2)
    assert len(kept) == 2
    assert kept[-1].position < one.system.journal.position
    for copy in kept:
        assert replayed(copy.path, two.config.backup_directory) == dump(two.file)


def test_only_its_own_copies_tell_a_service_when_the_next_is_due(pair: tuple[Site, Site]) -> None:
    one, two = pair
    assert one.service.house.copier.due_in() > 0
    assert two.service.house.copier.due_in() == 0
    copied(two, 1)
    assert two.service.house.copier.due_in() > 0
    for copy in backup.copies(one.config.backup_directory, one.system.journal.identity):
        os.utime(copy.path, (1, 1))
    assert one.service.house.copier.due_in() < 0 < two.service.house.copier.due_in()


def test_each_of_both_journals_is_rebuilt_from_its_own(pair: tuple[Site, Site]) -> None:
    copied(pair[1], 7, 8)
    for site in pair:
        site.request(allocation(9, "eve"), "late.yaml")
        before = {name: table(site.file, name) for name in KEPT}
        lose(site)
        made = rebuild(site.config, site.spool, copy=None, empty=False)
        assert {name: table(site.file, name) for name in KEPT} == before
        assert (made.damaged, made.left) == ((), ())


def test_of_several_journals_one_is_rebuilt_only_if_the_spool_or_the_operator_names_it(
    pair: tuple[Site, Site],
) -> None:
    one, two = pair
    copied(two, 1)
    lose(one)
    (one.config.spool / "journal").unlink()
    with pytest.raises(ConfigError, match="copies of several journals") as refused:
        rebuild(one.config, one.spool, copy=None, empty=False)
    assert "--copy" in refused.value.advice
    own = next(
        copy
        for copy in backup.copies(one.config.backup_directory)
        if copy.journal != two.system.journal.identity
    )
    assert rebuild(one.config, one.spool, copy=own.path, empty=False).base == own.path


def test_init_and_doctor_name_the_journals_of_a_shared_directory(tmp_path: Path) -> None:
    one, two = Desk(tmp_path / "one"), Desk(tmp_path / "two")
    for desk in (one, two):
        desk.set("journal: ", "backup: {directory: ../kept}\njournal: ")
    one.serve(user("jdoe"))
    one("backup")
    assert "also has copies" not in one("doctor").out
    for verb in ("init", "doctor"):
        said = two(verb).out
        assert "also has copies of" in said
        assert all(copies.position_of(d.root / "journal/journal.db")[0] in said for d in (one, two))
    assert "kept: no copy yet" in two("doctor").out
    assert two("health", code=None).out.count("backup=") == 0


# A rebuild from nothing.


def zeroed(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 4096)


def test_an_empty_journal_has_a_copy_and_a_log_of_its_own_from_the_start(
    pair: tuple[Site, Site],
) -> None:
    site, other = pair
    others = {copy.path.name for copy in copied(other, 1)}
    directory = site.config.backup_directory
    lost = {copy.path.name for copy in copied(site, 4)}
    for name in lost:
        zeroed(directory / name)
    lose(site)
    made = rebuild(site.config, site.spool, copy=None, empty=True)
    assert {path.name for path in made.left} >= {f"{name}.left" for name in lost}
    assert others <= names(directory)
    site.start()
    identity = site.system.journal.identity
    assert len(backup.copies(directory, identity)) == 1
    assert site.service.house.copier.due_in() > 0
    site.request(allocation(7, "eve"), "late.yaml")
    before = {name: table(site.file, name) for name in KEPT}
    lose(site)
    rebuild(site.config, site.spool, copy=None, empty=False)
    assert {name: table(site.file, name) for name in KEPT} == before


def test_an_intact_copy_of_the_lost_journal_stays_when_the_new_one_is_empty(tmp_path: Path) -> None:
    site = Site(tmp_path)
    [copy] = copied(site, 1)
    lose(site)
    rebuild(site.config, site.spool, copy=None, empty=True)
    backup.check(Path(f"{copy.path}.left"))
    assert redo_log.files(site.config.backup_directory, copy.journal) == []


# Damage.


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def spoilt_within(path: Path) -> None:
    """Spoil a page that no look reads."""
    with closing(sqlite3.connect(path)) as db:
        [size] = db.execute("PRAGMA page_size").fetchone()
        [page] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'steps'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize("spoil", [zeroed, cut, emptied], ids=lambda value: value.__name__)
def test_a_copy_that_shows_damage_at_a_look_does_not_count(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    site = Site(tmp_path, "backup: {keep: 2}\n")
    older, newer = copied(site, 1, 2)
    spoil(newer.path)
    os.utime(older.path, (older.at - 9000, older.at - 9000))
    assert site.service.house.copier.due_in() < 0
    assert copied(site, 3)[0] == backup.look(older.path)
    assert newer.path.exists(), "it is younger than the oldest one that is kept"
    copied(site, 4, 5)
    assert not newer.path.exists()


def test_a_page_that_was_spoilt_is_found_before_the_older_copies_go(tmp_path: Path) -> None:
    site = Site(tmp_path, "backup: {keep: 2}\n")
    older, newer = copied(site, 1, 2)
    spoilt_within(newer.path)
    assert backup.look(newer.path).whole
    left = copied(site, 3)
    assert left[0].path == older.path
    assert len(left) == 2
    assert Path(f"{newer.path}.damaged").exists()
    assert replayed(older.path, site.config.backup_directory) == dump(site.file)


def test_a_service_whose_newest_copy_is_spoilt_makes_one_at_its_start(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    desk("backup")
    directory = desk.root / "journal/backup"
    [spoilt] = backup.copies(directory)
    spoilt_within(spoilt.path)
    with desk.service():
        # A copy that is made within the same second has the same name.
        until(Path(f"{spoilt.path}.damaged").exists, "the damage is found")
        until(lambda: backup.copies(directory), "a copy in place of the damaged one")
    said = desk("doctor").out
    assert "damaged, and not counted: 1 of the copies" in said
    assert f"rm {spoilt.path}.damaged" in said


def test_a_rebuild_sets_aside_the_copies_that_it_found_damaged(tmp_path: Path) -> None:
    site = Site(tmp_path)
    _, newer = copied(site, 1, 2)
    spoilt_within(newer.path)
    lose(site)
    made = rebuild(site.config, site.spool, copy=None, empty=False)
    assert made.left == (Path(f"{newer.path}.left"),)


def test_the_copy_that_was_just_made_stays_also_beside_those_of_a_later_time(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, "backup: {keep: 1}\n")
    old = tmp_path / "old.db"
    backup.copy_to(site.file, old)
    [newest] = copied(site, 1)
    made = backup.back_up(old, site.config.backup_directory, 1)
    assert [copy.path for copy in backup.copies(made.path.parent)] == [made.path, newest.path]


def test_what_stands_in_the_way_of_a_copy_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path, "backup: {keep: 1}\n")
    [copy] = copied(site, 1)
    (copy.path.parent / f"journal-x-{copy.journal}-000000000000.db").mkdir()
    with pytest.raises(ConfigError, match="was changed while a copy was made") as refused:
        backup.back_up(site.file, copy.path.parent, 1)
    assert "ls -la" in refused.value.advice


# Names.


def test_a_copy_of_an_earlier_version_gets_a_name_that_says_whose_it_is(tmp_path: Path) -> None:
    site = Site(tmp_path)
    [copy] = copied(site, 1)
    former = copy.path.rename(copy.path.with_name(copy.path.name.replace(f"-{copy.journal}-", "-")))
    assert backup.copies(former.parent, copy.journal)[0].path == former
    site.start()
    assert backup.copies(former.parent) == [copy]
    other = tmp_path / "other"
    other.mkdir()
    Site(other, "backup: {directory: ../backup}\n")
    assert backup.copies(former.parent) == [copy], "only its own service does that"


def test_a_copy_under_the_name_of_another_journal_counts_for_neither(
    pair: tuple[Site, Site],
) -> None:
    one, two = pair
    [copy, _] = copied(one)
    mine = two.system.journal.identity
    shutil.copy(copy.path, copy.path.with_name(f"journal-x-{mine}-000000000999.db"))
    assert copied(two) == []
    assert len(copied(one)) == 2
