"""A journal moves into another database, whole or not at all, and the old one is not served."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.hosts.handing.handing import hand_on
from provisioner.journal import audit, stored
from provisioner.journal.database import Place
from provisioner.journal.journal import Journal
from provisioner.journal.schema import handed, metadata
from provisioner.recovery.rebuilding import move as moving
from provisioner.recovery.rebuilding.move import move
from tests.support import databases
from tests.support.cli_site import Desk, storage, user


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a place that has nothing yet."""
    return tmp_path / "new/journal.db" if request.param == "sqlite" else databases.cluster().make()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a site that has done some requests and refused one."""
    made = Desk(tmp_path / "box")
    made.serve(user("jdoe"), storage(), user("jdoe").replace("user.provision", "user.provisoin"))
    return made


@pytest.fixture
def place(desk: Desk) -> Path:
    return desk.root / "journal/journal.db"


def counts(place: Place) -> dict[str, int]:
    book = Journal.open(place)
    with book.reading() as conn:
        assert audit.verify(conn).problem == ""
        found = {
            name: len(conn.execute(table.select()).all())
            for name, table in metadata.tables.items()
            if name != "marks"
        }
    book.close()
    return found


def served(desk: Desk, target: Place, place: object = "journal/journal.db") -> None:
    """Have the configuration name the new place, and serve one more request."""
    desk.set(f"journal: {place}", f"journal: {target}")
    assert desk.show(desk.serve(user("asmith")))["state"] == "done"


@pytest.mark.lab
@pytest.mark.parametrize("taker", [None, " portal", "ANOTHER spools"])
def test_what_hosts_had_handed_on_is_served_by_the_one_process_that_is_left(
    desk: Desk, tmp_path: Path, taker: str | None
) -> None:
    server, target = databases.cluster().make(), tmp_path / "new/journal.db"
    desk("journal", "move", str(server))
    desk.set("journal: journal/journal.db", f"journal: {server}")
    book = Journal.open(server)
    name = hand_on(book, "bjones.yaml", user("bjones").encode())
    with book.transaction() as conn:
        conn.execute(handed.update().values(taker=taker))
    book.close()
    desk("journal", "move", str(target))
    served(desk, target, server)
    assert desk.show(name)["state"] == "done"
    assert counts(target)["handed"] == 0


def test_all_requests_are_there_and_the_service_goes_on(
    desk: Desk, place: Path, target: Place
) -> None:
    before = counts(place)
    assert before["requests"] == 3 and before["claims"] and before["step_objects"]
    said = desk("journal", "move", str(target)).out
    assert f"moved 3 requests and {before['events']} events" in said
    assert f"what to do: set `journal: {target}`" in said
    assert not place.exists() and place.with_name("journal.db.moved").exists()
    assert counts(target) == before
    served(desk, target)
    assert desk("audit", "verify").out
    assert counts(target)["requests"] == 4


@pytest.mark.lab
def test_it_moves_there_and_back_and_there_again(desk: Desk, place: Path) -> None:
    server, before = databases.cluster().make(), counts(place)
    for old, new in ((place, server), (server, place), (place, server)):
        desk("journal", "move", str(new))
        desk.set(f"journal: {_named(desk)}", f"journal: {new}")
        assert counts(new) == before, old
    served_again = desk.serve(user("asmith"))
    assert desk.show(served_again)["state"] == "done"


def _named(desk: Desk) -> str:
    [line] = [x for x in desk.config.read_text().splitlines() if x.startswith("journal: ")]
    return line.removeprefix("journal: ")


@pytest.mark.lab
def test_one_on_a_server_that_was_moved_away_is_not_served(desk: Desk, place: Path) -> None:
    server = databases.cluster().make()
    desk("journal", "move", server)
    desk.set("journal: journal/journal.db", f"journal: {server}")
    desk("journal", "move", str(place))
    said = desk("run", "--drain", code=4).err
    assert f"was moved to {place}" in said and f"set `journal: {place}`" in said


def test_it_is_refused_while_the_service_runs(desk: Desk, tmp_path: Path) -> None:
    with desk.service():
        said = desk("journal", "move", str(tmp_path / "new.db"), code=None)
    assert said.code != 0 and "served by another process" in said.err
    assert not (tmp_path / "new.db").exists()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Give the journal of another site."""
    made = Desk(tmp_path / "other")
    made.serve(user("jdoe"))
    return made.root / "journal/journal.db"


def test_it_is_refused_where_another_journal_is(desk: Desk, place: Path, other: Path) -> None:
    before = counts(other)
    said = desk("journal", "move", str(other), code=4).err
    assert f"{other} has another journal" in said
    assert place.exists() and counts(other) == before


def test_an_address_with_a_password_is_refused_and_not_repeated(desk: Desk) -> None:
    said = desk("journal", "move", "postgresql:///x?host=h&password=secret", code=4).err
    assert "has a password" in said and "secret" not in said


def test_the_place_where_it_is_is_refused(desk: Desk, place: Path) -> None:
    assert f"the journal is in {place} already" in desk("journal", "move", str(place), code=3).err


class Killed(Exception):
    """The process died."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let a move die before a step that the test names."""
    at: list[str] = []

    def wrap(name: str) -> None:
        real = getattr(moving, name)

        def step(*words: object) -> object:
            if name in at:
                raise Killed
            return real(*words)

        monkeypatch.setattr(moving, name, step)

    for name in ("_fill", "_compare", "leave_all"):
        wrap(name)
    yield at


@pytest.mark.parametrize("step", ["_fill", "_compare", "leave_all"])
def test_a_move_that_died_goes_on(
    desk: Desk, place: Path, target: Place, dying: list[str], step: str
) -> None:
    before = counts(place)
    dying.append(step)
    with pytest.raises(Killed):
        move(place, target, desk.spool, desk.root / "journal/backup")
    assert place.exists()
    dying.clear()
    made = move(place, target, desk.spool, desk.root / "journal/backup")
    assert made.requests == 3
    assert counts(target) == before
    assert not place.exists()


@pytest.mark.parametrize("step", ["settle_again", "retire"])
def test_one_that_died_at_its_end_goes_on_and_is_served(
    desk: Desk, place: Path, target: Place, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counts(place)
    desk("journal", "move", str(target))  # it was there once
    desk.set("journal: journal/journal.db", f"journal: {target}")
    desk("journal", "move", str(place))
    desk.set(f"journal: {target}", f"journal: {place}")

    def dying(*_: object) -> None:
        raise Killed

    for kind in (type(stored.of(place)), type(stored.of(target))):
        monkeypatch.setattr(kind, step, dying)
    with pytest.raises(Killed):
        move(place, target, desk.spool, desk.root / "journal/backup")
    monkeypatch.undo()
    desk("journal", "move", str(target))
    assert counts(target) == before
    served(desk, target, place)


def test_asked_for_again_after_its_end_it_says_where_the_journal_is(
    desk: Desk, place: Path, target: Place
) -> None:
    desk("journal", "move", str(target))
    for verb in (("journal", "move", str(target)), ("run", "--drain")):
        said = desk(*verb, code=4).err
        assert f"was moved to {target}" in said and f"set `journal: {target}`" in said


def test_what_else_lies_beside_under_such_a_name_changes_nothing(
    desk: Desk, place: Path, target: Place
) -> None:
    for end in ("", "2", ".note"):
        place.with_name(f"journal.db.moved{end}").write_text("no journal")
    desk("journal", "move", str(target))
    assert f"was moved to {target}" in desk("run", "--drain", code=4).err
    desk.set("journal: journal/journal.db", f"journal: {target}")
    desk("journal", "move", str(place))


def test_one_that_came_back_and_is_lost_was_not_moved(desk: Desk, place: Path) -> None:
    away = desk.root / "journal/away.db"
    desk("journal", "move", str(away))
    desk.set("journal: journal/journal.db", f"journal: {away}")
    desk("journal", "move", str(place))
    desk.set(f"journal: {away}", f"journal: {place}")
    place.unlink()
    said = desk("run", "--drain", code=4).err
    assert "it is lost, or its disk is not mounted" in said


def test_a_row_that_is_not_as_it_was_undoes_the_move(
    desk: Desk, place: Path, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = moving._fill

    def lossy(reading: object, writing: object, position: int) -> None:
        real(reading, writing, position)  # type: ignore[arg-type]
        writing.exec_driver_sql("UPDATE objects SET lane = 'x'")  # type: ignore[attr-defined]

    monkeypatch.setattr(moving, "_fill", lossy)
    with pytest.raises(ConfigError, match=r"table .* is not what was written to it"):
        move(place, target, desk.spool, desk.root / "journal/backup")
    assert place.exists()
    assert counts(target)["requests"] == 0


def test_the_log_and_the_copies_of_the_old_place_are_set_aside(
    desk: Desk, place: Path, target: Place
) -> None:
    desk("backup")
    copies = place.parent / "backup"
    before = {path.name for path in copies.iterdir() if not path.name.endswith(".left")}
    assert any(name.startswith("log-") for name in before)
    said = desk("journal", "move", str(target)).out
    assert {path.name for path in copies.iterdir()} >= {f"{name}.left" for name in before}
    assert all(f"not used any more, and kept: {copies / name}.left" in said for name in before)


def test_a_file_keeps_the_rights_of_a_journal(desk: Desk, tmp_path: Path) -> None:
    new = tmp_path / "new/journal.db"
    desk("journal", "move", str(new))
    assert new.stat().st_mode & 0o077 == 0
    assert stored.of(new).exists()
    with closing(sqlite3.connect(new)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
