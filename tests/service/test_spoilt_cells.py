"""A journal with a cell that nobody wrote is refused at the start, as text, and rebuilt."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.journal.journal import Journal, JournalBroken
from provisioner.journal.schema import VERSION, metadata, objects, requests
from provisioner.journal.sqlite import cells
from provisioner.recovery import startup
from provisioner.recovery.rebuilding import rebuild
from tests.support.engine_site import Site, allocation, control, user
from tests.support.user_lists import listed

pytestmark = pytest.mark.sqlite

HIGH, LOW = 0x80, 0x01


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site that has a row in every table, and something in nearly every column."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.request(user("jdoe", uid=2000), "early.yaml")
    site.request(allocation(1, "ann, bob", head="id: own-1\n"), "one.yaml")
    site.request(allocation(1, "ann, bob", head="id: own-1\n"), "same.yaml")
    site.request(allocation(1, "ann, bob", files=6), "again.yaml")
    site.request(user("ann", "suspend"), "closed.yaml")
    site.first.poison = {"mallory"}
    site.request(allocation(3, "mallory"), "fails.yaml")
    site.first.missing = {"late"}
    site.request(allocation(4, "late"), "waits.yaml")
    site.request(listed(site, ["eve"], id="5"), "listed.yaml")
    site.request(control("lane.pause", "second"), "pause.yaml")
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("INSERT INTO companions VALUES ('R', X'7B7D0A')")
        conn.exec_driver_sql(
            "INSERT INTO messages VALUES ('i', 'mail', 'digest', 'ann', 'ann@a.b', 'user:ann', "
            "'{\"a\":1}', 'given up', 1.0, 1.0, 1, 1.0, 'away', 'j')"
        )
        conn.exec_driver_sql("INSERT INTO told VALUES ('ann', 'user:ann', 'f', 1, 1.0)")
        conn.exec_driver_sql(
            "INSERT INTO drift VALUES ('first', 1.0, 0.1, 1, '[\"a\"]', 0, 0, 'away', 1, 0, 1.0, "
            "'{}')"
        )
        conn.exec_driver_sql(
            "INSERT INTO idle VALUES ('ann', 1.0, 30, 1.0, 'i', 1, 'idle-ann-1', 1.0, 1.0)"
        )
        conn.exec_driver_sql(
            "INSERT INTO words VALUES ('user:ann', 'b', 0, '01J', 1.0, '01K', 9.0, '01L')"
        )
        conn.exec_driver_sql("INSERT INTO holds VALUES ('first', 1, 'host-a', 1.0)")
        conn.exec_driver_sql("INSERT INTO hosts VALUES ('host-a', 'first', '1', 1.0, 1.0, 0.0)")
        conn.exec_driver_sql("INSERT INTO handed VALUES ('01J', 'a.yaml', X'7B7D0A', 'host-a')")
        conn.exec_driver_sql("INSERT INTO spools VALUES ('s', 'host-a', '/spool', 'mark', 1.0)")
        told = '{"out":["ann"]}'
        conn.exec_driver_sql(f"INSERT INTO shutting VALUES (1, 4711, 1.0, '{told}', 'host-a')")
        conn.exec_driver_sql("INSERT INTO quota VALUES ('a', 'space', 80.0, 80.0, 1.0)")
        conn.exec_driver_sql("INSERT INTO quota_days VALUES ('a', 'space', 1, 5, 1.0)")
        conn.execute(objects.update().values(applied={"mail": {"before": None, "set": ["a@b"]}}))
        conn.execute(requests.update().values(replaces="01J", fixed_by="01K", ended_by="01L"))
        conn.execute(requests.update().values(follows="01M"))
        conn.execute(requests.update().values(spool="s"))
    site.system.journal.close()
    return site


@pytest.fixture
def journal(site: Site, tmp_path: Path) -> Iterator[Path]:
    """The site's journal, to be spoilt, beside its log."""
    path = tmp_path / "journal.db"
    shutil.copy(site.file, path)
    yield path


def flip(path: Path, table: str, column: str, bit: int) -> bool:
    """Flip a bit of the last byte of a cell, past SQLite's own ways; False: no row has one."""
    cell = f'CAST("{column}" AS BLOB)'
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        found = db.execute(
            f'SELECT rowid, {cell}, typeof("{column}") FROM {table} WHERE length({cell}) > 0 '
            "ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        if found is None:
            return False
        row, was, kind = found
        spoilt = was[:-1] + bytes([was[-1] ^ bit])
        as_it_was = "?" if kind == b"blob" else "CAST(? AS TEXT)"
        db.execute(f'UPDATE {table} SET "{column}" = {as_it_was} WHERE rowid = ?', [spoilt, row])
        db.commit()
    return True


WORDS = [
    (table.name, column.name)
    for table in metadata.sorted_tables
    for column in table.columns
    if str(column.type) in ("TEXT", "JSON", "BLOB")
]


@pytest.mark.parametrize("bit", [HIGH, LOW], ids=["unreadable", "readable"])
@pytest.mark.parametrize(("table", "column"), WORDS, ids=map(".".join, WORDS))
def test_a_flipped_bit_in_any_text_is_refused(
    site: Site, journal: Path, table: str, column: str, bit: int
) -> None:
    if not flip(journal, table, column, bit):
        assert (table, column) in UNUSED
        return
    with pytest.raises(ConfigError) as refused:
        startup.make_ready(site.config.spool, journal, site.config.backup_directory)
    told = f"{refused.value.message} {refused.value.advice}"
    assert "journal rebuild" in told or "order_number" in told
    assert str(journal) in refused.value.message


UNUSED = {
    ("requests", "order_key"),
    ("requests", "held_by"),
    ("requests", "approved_by"),
    ("requests", "on_behalf_of"),
    ("step_objects", "item"),
    ("lanes", "breaker_reason"),
    ("objects", "adoption"),
    ("objects", "identity"),
    ("objects", "error"),
    ("suspensions", "cause"),
    ("steps", "error"),
    ("requests", "problems"),
    ("numbers", "kind"),
    ("numbers", "key"),
}
"""Columns that the site of these tests may leave empty."""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE requests SET uid = uid + 1 WHERE rowid = 1",
            "its rows are not those that were written",
        ),
        ("UPDATE requests SET uid = 'x' WHERE rowid = 1", "table requests, row 1: uid is"),
        ("UPDATE requests SET state = 'dome' WHERE rowid = 1", "table requests, row 1: state is"),
        ("UPDATE requests SET body = body || 'x' WHERE rowid = 1", "not what was accepted"),
        ("UPDATE claims SET want = '{' WHERE rowid = 1", "table claims, row 1: want is"),
        (
            "UPDATE objects SET generation = generation + 1",
            "its rows are not those that were written",
        ),
        ("UPDATE objects SET due = 'soon' WHERE rowid = 1", "table objects, row 1: due is"),
        ("DELETE FROM suspensions", "its rows are not those that were written"),
        ("DELETE FROM claims WHERE rowid = 1", "its rows are not those that were written"),
        ("UPDATE events SET at = at + 1 WHERE seq = 2", "event 2 is not what was written"),
        ("DELETE FROM events WHERE seq = 2", "event 3 does not follow"),
        ("DELETE FROM marks WHERE name = 'journal'", "its table marks has no journal"),
        ("DELETE FROM marks WHERE name = 'position'", "its table marks has no position"),
        ("UPDATE marks SET value = '1x' WHERE name = 'position'", "its position is '1x'"),
        ("INSERT INTO marks VALUES ('observing', 'x')", "its rows are not those that were written"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(site: Site, journal: Path, statement: str, said: str) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute(statement)
        db.commit()
    with pytest.raises(ConfigError, match="damaged") as refused:
        startup.make_ready(site.config.spool, journal, site.config.backup_directory)
    assert said in refused.value.message
    assert "journal rebuild" in refused.value.advice


def test_an_index_that_does_not_fit_its_rows_is_refused(site: Site, journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '(state)', '(action)') "
            "WHERE name = 'requests_state'"
        )
        db.commit()
    with pytest.raises(ConfigError, match="damaged"):
        startup.make_ready(site.config.spool, journal, site.config.backup_directory)


def test_a_whole_journal_is_served(site: Site, journal: Path) -> None:
    startup.make_ready(site.config.spool, journal, site.config.backup_directory)
    kept, total = cells.read(journal, VERSION)
    assert kept == total


def test_a_journal_that_an_older_program_went_on_with_is_summed_anew(
    site: Site, journal: Path
) -> None:
    """It writes the position, and knows of no sum."""
    with closing(sqlite3.connect(journal)) as db:
        db.execute("UPDATE requests SET uid = uid + 1")
        db.execute("UPDATE marks SET value = value + 1 WHERE name = 'position'")
        db.commit()
    assert cells.read(journal, VERSION)[0] is None
    startup.make_ready(site.config.spool, journal, site.config.backup_directory)


@pytest.mark.parametrize(
    ("column", "cell"), [("name", "CAST(X'ff' AS TEXT)"), ("problems", "'{'")], ids=str
)
def test_a_cell_that_is_spoilt_while_the_journal_is_open_ends_the_service(
    journal: Path, column: str, cell: str
) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute(f"UPDATE requests SET {column} = {cell}")
        db.commit()
    book = Journal.open(journal)
    try:
        with pytest.raises(JournalBroken, match="is damaged") as broken, book.reading() as conn:
            conn.execute(requests.select()).all()
        assert "journal rebuild" in broken.value.advice
    finally:
        book.close()


def test_a_spoilt_journal_is_rebuilt_to_what_was_written(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request(user("ann", "suspend"), "closed.yaml")
    site.system.journal.close()
    flip(site.file, "suspensions", "subject", LOW)
    made = rebuild.rebuild(site.config, site.spool, copy=None, empty=False)
    assert made.redone > 0
    with closing(sqlite3.connect(site.file)) as db:
        assert db.execute("SELECT subject FROM suspensions").fetchall() == [("user:ann",)]
    site.start()


def test_a_copy_with_a_spoilt_cell_is_told_and_not_used(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.service.house.copier.copy()
    site.request(user("ann", "suspend"), "closed.yaml")
    kept = site.service.house.copier.copy()
    site.system.journal.close()
    flip(kept, "suspensions", "subject", LOW)
    for path in tmp_path.glob("journal.db*"):
        path.unlink()
    made = rebuild.rebuild(site.config, site.spool, copy=None, empty=False)
    assert kept.name in made.damaged[0]
    with closing(sqlite3.connect(site.file)) as db:
        assert db.execute("SELECT subject FROM suspensions").fetchall() == [("user:ann",)]
