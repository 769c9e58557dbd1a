"""The service does not start on a journal that is damaged, lost or another's."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.journal.schema import VERSION
from tests.support.cli_site import Desk, user


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A sandbox that has served somebody."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    return desk


def journal(desk: Desk) -> Path:
    """Return the journal, with all that it has in the one file."""
    path = desk.root / "journal/journal.db"
    if path.exists() and path.read_bytes()[:6] == b"SQLite":
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def overwritten(path: Path) -> None:
    path.write_bytes(b"no database, but long enough to be looked at\n" * 1000)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rotten(path: Path) -> None:
    """Leave the head as it is, and spoil every page behind it."""
    body = path.read_bytes()
    path.write_bytes(body[:8192] + b"\xa5" * (len(body) - 8192))


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (title)")


def without_a_column(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE lanes DROP COLUMN breaker_reason")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def another(path: Path) -> None:
    made = Desk(path.parents[1] / "other")
    path.unlink()
    shutil.copy(journal(made), path)


@pytest.mark.parametrize(
    ("spoil", "said", "advice"),
    [
        (overwritten, "damaged: file is not a database", "provisioner journal rebuild"),
        (truncated, "damaged", "provisioner journal rebuild"),
        (rotten, "damaged", "provisioner journal rebuild"),
        (foreign, "not a journal: it has other tables", "is it the right file?"),
        (without_a_column, "its table lanes has no breaker_reason", "is it the right file?"),
        (newer, "a newer program wrote it", "install that program again"),
        (emptied, "it is lost", "provisioner journal rebuild"),
        (gone, "it is lost", "provisioner journal rebuild"),
        (another, "is not the one that", "put that one back"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_service_refuses_the_journal_and_leaves_it_as_it_is(
    desk: Desk, spoil: Callable[[Path], None], said: str, advice: str
) -> None:
    path = journal(desk)
    spoil(path)
    before = path.read_bytes() if path.exists() else None
    desk("submit", desk.file("later.yaml", user("asmith")))
    refused = desk("run", "--drain", code=4)
    assert said in refused.err
    assert advice in refused.err
    assert (path.read_bytes() if path.exists() else None) == before
    assert [path.name for path in (desk.spool / "staging").iterdir()] == ["later.yaml"]


@pytest.mark.parametrize("spoil", [gone, emptied], ids=lambda value: value.__name__)
def test_init_makes_no_new_journal_in_place_of_a_lost_one(
    desk: Desk, spoil: Callable[[Path], None]
) -> None:
    spoil(journal(desk))
    assert "it is lost" in desk("init", code=4).err


def test_a_new_journal_is_refused_where_the_spool_has_requests_of_before_there_were_names(
    desk: Desk,
) -> None:
    (desk.spool / "journal").unlink()
    journal(desk).unlink()
    refused = desk("run", "--drain", code=4)
    assert "holds requests of another" in refused.err


def test_a_new_spool_does_not_take_the_journal_of_another_service(desk: Desk) -> None:
    other = Desk(desk.root.parent / "other")
    other.set("service: sandbox", "service: other")
    other.set("journal: journal/journal.db", f"journal: {journal(desk)}")
    refused = other("run", "--drain", code=4)
    assert "is the one of service sandbox, and this is other" in refused.err
    assert "a journal of its own" in refused.err
    assert not (other.spool / "journal").exists()


def test_a_journal_of_a_former_version_is_migrated_by_the_service(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    path = journal(desk)
    path.unlink()
    dump = Path(__file__).parents[1] / "support/journals/v1.sql"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text())
    assert "start the service" in desk("queue", code=4).err
    desk("run", "--drain", "--patience", "0.1", code=None)
    assert desk("queue", "--json").json["counts"]["done"] == 2
    assert path.with_name("journal.db.v1").exists()
