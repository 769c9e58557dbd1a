"""A kept connection: made once, and after any error as good as new."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool

from provisioner.journal import facts
from provisioner.journal.journal import Journal
from provisioner.journal.kept import Kept
from provisioner.journal.sqlite.file import _begin
from provisioner.recovery.redo_log import RedoLog

TABLES = (
    "CREATE TABLE parents (name TEXT PRIMARY KEY)",
    "CREATE TABLE children (name TEXT REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
)
ORPHAN = "INSERT INTO children VALUES ('lost')"
PARENT = "INSERT INTO parents VALUES ('one')"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a database in memory, in which a row is refused at the commit."""
    made = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(made, "connect", lambda driver, _: setattr(driver, "isolation_level", None))
    event.listen(made, "connect", lambda driver, _: driver.execute("PRAGMA foreign_keys=ON"))
    event.listen(made, "begin", _begin)
    with made.begin() as conn:
        for table in TABLES:
            conn.exec_driver_sql(table)
    yield made
    made.dispose()


def rows(kept: Kept, table: str) -> int:
    """Count the rows of a table."""
    with kept.transaction(reading=True) as conn:
        return int(conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_transactions_and_looks_share_one_connection(engine: Engine) -> None:
    made: list[object] = []
    event.listen(engine, "checkout", lambda *each: made.append(each))
    kept = Kept(engine)
    for _ in range(3):
        with kept.transaction(reading=False) as conn:
            conn.exec_driver_sql("DELETE FROM parents")
            conn.exec_driver_sql(PARENT)
        assert rows(kept, "parents") == 1
    kept.close()
    assert len(made) == 1


def test_a_block_that_raises_leaves_nothing(engine: Engine) -> None:
    kept = Kept(engine)
    with pytest.raises(KeyboardInterrupt), kept.transaction(reading=False) as conn:
        conn.exec_driver_sql(PARENT)
        raise KeyboardInterrupt
    assert rows(kept, "parents") == 0
    kept.close()


def test_a_commit_that_fails_leaves_nothing_and_the_next_one_is_written(engine: Engine) -> None:
    kept = Kept(engine)
    with pytest.raises(IntegrityError), kept.transaction(reading=False) as conn:
        conn.exec_driver_sql(ORPHAN)
    with kept.transaction(reading=False) as conn:
        conn.exec_driver_sql(PARENT)
    assert (rows(kept, "children"), rows(kept, "parents")) == (0, 1)
    kept.close()


def test_a_look_begins_without_the_right_to_write(engine: Engine) -> None:
    begun: list[str] = []
    event.listen(
        engine,
        "begin",
        lambda conn: begun.append(str(conn.get_execution_options().get("reading", False))),
    )
    kept = Kept(engine)
    for reading in (True, False, True):
        with kept.transaction(reading=reading):
            pass
    kept.close()
    assert begun == ["True", "False", "True"]


def test_a_journal_that_nobody_has_leaves_no_file_open(tmp_path: Path) -> None:
    book = Journal.open(tmp_path / "journal.db")
    book.record_into(RedoLog(tmp_path, book.identity, 1, "sqlite"))
    book.when_broken(book.close)  # so that only the collector finds it, as a service's
    with book.transaction() as conn:
        facts.put(conn, "fact", "noted")
    book._log.rotate()  # type: ignore[union-attr]
    del book, conn
    gc.collect()
    opened = {os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()}
    assert not {path for path in opened if path.startswith(str(tmp_path))}
