"""A journal of any former version becomes one of today's, and is kept as it was beside."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.journal import audit, facts
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from provisioner.journal.schema import VERSION
from provisioner.journal.sqlite import migrations
from provisioner.journal.sqlite.migrations import migrate
from provisioner.journal.sqlite.steps import Step

FORMER = sorted(
    (Path(__file__).parents[3] / "support/journals").glob("v*.sql"),
    key=lambda path: int(path.stem.removeprefix("v")),
)
"""Real journals as each former version of the program wrote them, dumped."""

Schema = dict[str, set[tuple[str, str, int, int]]]


def former(tmp_path: Path, dump: Path = FORMER[0]) -> Path:
    """Make the file that a former version left."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text())
        if dump.stem != "v1":  # which knew no versions
            db.execute(f"PRAGMA user_version={dump.stem.removeprefix('v')}")
            db.commit()
    return path


def schema(path: Path) -> Schema:
    """Return the tables with their columns: name, type, not null, primary key."""
    with closing(sqlite3.connect(path)) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: {
                (row[1], row[2], row[3], row[5]) for row in db.execute(f"PRAGMA table_info({name})")
            }
            for (name,) in names
        }


def indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return migrations.version_of(db)


def test_every_former_version_has_a_journal_to_try() -> None:
    """Whoever adds a step dumps a journal of the version before: `sqlite3 journal.db .dump`."""
    assert [path.stem for path in FORMER] == [f"v{n}" for n in range(1, VERSION)]


@pytest.mark.parametrize("dump", FORMER, ids=lambda path: path.stem)
def test_a_migrated_journal_is_as_a_new_one(tmp_path: Path, dump: Path) -> None:
    """Where this fails, `schema` was changed without a step in `steps.STEPS`."""
    path = former(tmp_path, dump)
    migrate(path)
    new = tmp_path / "new.db"
    Journal.open(new).close()
    assert schema(path) == schema(new)
    assert indexes(path) == indexes(new)
    Journal.open(path).close()


@pytest.mark.parametrize("dump", FORMER, ids=lambda path: path.stem)
def test_a_migrated_journal_has_all_requests_and_its_chain_verifies(
    tmp_path: Path, dump: Path
) -> None:
    path = former(tmp_path, dump)
    migrate(path)
    book = Journal.open(path)
    with book.reading() as conn:
        assert request_rows.counts(conn) == {"done": 2, "deferred": 1, "refused": 1}
        assert audit.verify(conn).problem == ""
        assert len(facts.get(conn, facts.JOURNAL) or "") == 26
    book.close()


A, B = "01J00000000000000000000000", "01J00000000000000000000001"

TOLD = {
    "a repetition": (f"the same request as {A}, which is done", "id", A),
    "the same id, other content": (f"id 'x' is {A}, held, with other content", "id", A),
    "an id that looks like another's": (f"id '{B}' is {A}, done, with other content", "id", A),
    "an id that is wrong": ("it has a space", "id", None),
    "signed bytes again": (f"the same request as {A}, which is done", "", None),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_a_request_repeats_is_read_out_of_its_problems_once(tmp_path: Path, name: str) -> None:
    message, key, earlier = TOLD[name]
    row = _after("problems", [{"line": None, "key": key, "message": message}], tmp_path)
    assert row["duplicate_of"] == earlier


def test_who_holds_and_what_was_set_aside_are_read_out_of_texts_once(tmp_path: Path) -> None:
    problem = {"line": None, "key": "", "message": "m", "place": "quarantine"}
    assert _after("problems", [problem], tmp_path / "a")["set_aside"] == 1
    assert _after("held_by", "the policy", tmp_path / "b")["for_review"] == 1
    assert _after("held_by", "root", tmp_path / "c")["for_review"] is None


def _after(column: str, value: object, tmp_path: Path) -> sqlite3.Row:
    """Return a request of the last former version, in which a column was set, as it is now."""
    tmp_path.mkdir(exist_ok=True)
    path = former(tmp_path, FORMER[6])
    cell = value if isinstance(value, str) else json.dumps(value)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE requests SET {column} = ?", [cell])
        db.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        row: sqlite3.Row = db.execute("SELECT * FROM requests").fetchone()
        return row


def test_steps_that_withdraw_are_known_by_more_than_their_names(tmp_path: Path) -> None:
    path = former(tmp_path, FORMER[6])
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE steps SET name = 'withdraw from x', routed = 0 WHERE rowid = 1")
        db.execute("UPDATE steps SET name = 'withdraw from y', routed = 1 WHERE rowid = 2")
        db.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        names = db.execute("SELECT routed FROM steps WHERE withdraws").fetchall()
    assert names == [(0,)]


def test_the_summary_of_a_message_is_read_out_of_its_text_once(tmp_path: Path) -> None:
    path = former(tmp_path, FORMER[15])
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT state, summary FROM messages").fetchall()
    summary = "summary-0123456789"
    assert sorted(rows) == [("merged", summary), ("merged", summary), ("sent", None)]


def test_a_writers_name_means_who_asked_last_and_was_not_refused(tmp_path: Path) -> None:
    path = former(tmp_path, FORMER[16])
    with closing(sqlite3.connect(path)) as db:
        ids = [i for (i,) in db.execute("SELECT id FROM requests ORDER BY id")]
        writers = [("root", 0), ("alice", 4711), ("alice", 4713), ("alice", 4714)]
        assert len(ids) == len(writers)
        for request, (name, uid) in zip(ids, writers, strict=True):
            db.execute("UPDATE requests SET writer = ?, uid = ? WHERE id = ?", [name, uid, request])
        db.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, uid FROM writers ORDER BY name").fetchall()
    assert rows == [("alice", 4713), ("root", 0)]


def test_the_file_as_it_was_is_kept_beside(tmp_path: Path) -> None:
    path = former(tmp_path)
    before = schema(path)
    kept = migrate(path)
    assert kept == tmp_path / "journal.db.v1"
    assert schema(kept) == before
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_program_that_does_not_migrate_refuses_a_former_version(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        Journal.open(former(tmp_path))
    assert "older version 1" in refused.value.message
    assert "start the service" in refused.value.advice


def test_a_journal_of_today_is_left_alone(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal.db").close()
    before = (tmp_path / "journal.db").read_bytes()
    assert migrate(tmp_path / "journal.db") is None
    assert (tmp_path / "journal.db").read_bytes() == before


# The mechanism, with steps of the test's own.


def add(table: str) -> Step:
    def step(db: sqlite3.Connection) -> None:
        db.execute(f"CREATE TABLE {table} (x)")

    return step


def fail(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE half (x)")
    raise RuntimeError("killed")


def test_steps_are_taken_in_order_from_the_version_that_is_there(tmp_path: Path) -> None:
    path = former(tmp_path)
    migrate(path, [add("two")])
    assert version(path) == 2
    migrate(path, [fail, add("three"), add("four")])
    assert version(path) == 4
    assert {"two", "three", "four"} <= set(schema(path))
    assert "half" not in schema(path)


def test_a_step_that_fails_leaves_the_version_before_it_and_is_taken_again(tmp_path: Path) -> None:
    path = former(tmp_path)
    with pytest.raises(RuntimeError):
        migrate(path, [add("two"), fail])
    assert version(path) == 2
    assert "half" not in schema(path)
    migrate(path, [fail, add("three")])
    assert version(path) == 3
    assert "two" not in schema(tmp_path / "journal.db.v1"), "the first file is the one to keep"


def test_a_newer_journal_is_not_touched(tmp_path: Path) -> None:
    path = former(tmp_path)
    migrate(path, [add("two"), add("three")])
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="a newer program wrote it"):
        migrate(path, [add("two")])
    assert path.read_bytes() == before


def test_the_numbers_of_accounts_and_groups_are_read_out_of_objects_once(tmp_path: Path) -> None:
    path = former(tmp_path, FORMER[8])
    had = {
        "ad/account/own": ('{"uid":20000,"gid":20000}', "{}"),
        "ad/account/shared": ('{"uid":20001,"gid":100}', "{}"),
        "ad/account/archived": (None, '{"present":true,"uid":20002,"gid":100}'),
        "g/group/cf1": ('{"gid":30000}', "{}"),
        "homes/home/own": (None, '{"present":true,"uid":20000,"gid":20000}'),
    }
    with closing(sqlite3.connect(path)) as db:
        for key, (identity, state) in had.items():
            db.execute(
                "INSERT INTO objects (key, instance, lane, generation, converged, attempts, "
                "identity, state) VALUES (?, 'x', 'x', 1, 1, 0, ?, ?)",
                [key, identity, state],
            )
        db.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT kind, number, key FROM numbers ORDER BY kind, number").fetchall()
    assert rows == [
        ("gid", 20000, "ad/account/own"),
        ("gid", 30000, "g/group/cf1"),
        ("uid", 20000, "ad/account/own"),
        ("uid", 20001, "ad/account/shared"),
        ("uid", 20002, "ad/account/archived"),
    ]
