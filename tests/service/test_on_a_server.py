"""A service whose journal is in PostgreSQL: served by one process, and brought back from its copies
and its redo log."""

from __future__ import annotations

import gc
import logging
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from provisioner.cli import sharing
from provisioner.cli.progress import following
from provisioner.contract import ConfigError
from provisioner.journal import facts, stored
from provisioner.journal.journal import JournalBroken, is_of_rows
from provisioner.journal.postgresql import server, service
from provisioner.recovery import backup, level, redo_log
from provisioner.recovery.rebuilding.rebuild import rebuild
from tests.support import databases
from tests.support.cli_site import Desk
from tests.support.clusters import Cluster
from tests.support.engine_site import CONFIG, Site, user
from tests.support.waiting import until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'prov%'"


@pytest.fixture
def cluster() -> Cluster:
    return databases.cluster()


@pytest.fixture
def address(cluster: Cluster) -> str:
    return cluster.make()


@pytest.fixture
def site(tmp_path: Path, address: str) -> Site:
    return Site(tmp_path, text=CONFIG.replace("journal: journal.db", f"journal: {address}"))


@pytest.fixture
def desk(tmp_path: Path, address: str) -> Desk:
    made = Desk(tmp_path / "site")
    made.set("journal: journal/journal.db", f"journal: {address}")
    (made.spool / "journal").unlink(missing_ok=True)
    return made


def ask(cluster: Cluster, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(cluster.address) as conn:
        return conn.execute(statement.encode()).fetchall()


def newest(site: Site) -> str | None:
    with site.system.journal.reading() as conn:
        return facts.get(conn, facts.NEWEST)


def put(site: Site, value: str) -> None:
    with site.system.journal.transaction() as conn:
        facts.put(conn, facts.NEWEST, value)


def cut_off(cluster: Cluster, patch: pytest.MonkeyPatch) -> None:
    """Let the server be lost whenever the log has a transaction, and the database not yet."""
    append = redo_log.RedoLog.append

    def appended(log: redo_log.RedoLog, *words: Any) -> None:
        append(log, *words)
        ask(cluster, OURS)

    patch.setattr(redo_log.RedoLog, "append", appended)


def restart(site: Site, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Start the service as `run` does, after it ended."""
    site.system.journal.close()
    meanwhile()
    with stored.of(site.config.journal).reserved():
        level.catch_up(site.config.journal, site.config.backup_directory)
        site.start()


def test_the_verbs_know_it(desk: Desk, address: str) -> None:
    desk("status", code=4)
    desk("init")
    desk("init")
    desk("run", "--drain")
    desk("queue")
    desk("status")
    assert "the server does not flush what it commits" in desk("doctor", code=1).out
    assert "position" in desk("backup").out
    desk("audit", "verify")


def test_one_process_serves_it_and_another_learns_which(desk: Desk, address: str) -> None:
    desk("init")
    with stored.of(address).reserved():
        said = desk("run", "--drain", code=None)
    assert said.code == 1  # not 4, which systemd never repeats: the other one may be dead
    assert f"{address} is served by another process: provisioner" in said.err
    desk("run", "--drain")


def test_the_next_service_waits_until_the_server_knows_that_the_last_one_died(
    cluster: Cluster, address: str
) -> None:
    def serve() -> None:
        with stored.of(address).reserved():
            served.append(address)

    served: list[str] = []
    following = threading.Thread(target=serve)
    with stored.of(address).reserved():
        following.start()
        until(lambda: ask(cluster, WAITING) == [(1,)], "the next one to ask")
    following.join()
    assert served == [address]


def test_one_that_asks_in_vain_does_not_stop_the_start_of_the_one_that_serves(
    address: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_GRACE", 0.5)
    refused: list[str] = []

    def ask_for_it() -> None:
        try:
            with stored.of(address).reserved():
                pass
        except ConfigError as error:
            refused.append(str(error))

    other = threading.Thread(target=ask_for_it)
    with stored.of(address).reserved(), server.connected(address) as conn:
        other.start()
        until(lambda: ask(cluster, WAITING) == [(1,)], "the other one to ask")
        service.claim(conn, address)
        other.join()
    assert len(refused) == 1


def test_a_service_does_not_take_the_database_of_another(desk: Desk, address: str) -> None:
    desk("init")
    desk("run", "--drain")
    gc.collect()  # as if the process had ended
    other = Desk(desk.root.parent / "other")
    other.set("journal: journal/journal.db", f"journal: {address}")
    other.set("service: sandbox", "service: other")
    assert "is the one of service sandbox" in other("run", "--drain", code=4).err


def test_the_connection_that_writes_keeps_others_out(site: Site, address: str) -> None:
    other = stored.of(address)
    site.service.house.copier.open()  # nobody has reserved it here
    with pytest.raises(ConfigError, match="served by another process"), other.reserved():
        pass
    site.system.journal.close()
    with other.reserved():
        pass


def test_a_service_that_lost_its_server_writes_nothing_more_and_the_next_goes_on(
    site: Site, cluster: Cluster
) -> None:
    site.drop(user("u1", uid=1001))
    ask(cluster, OURS)
    with pytest.raises(JournalBroken):
        put(site, "lost")
    restart(site)
    site.drain()
    assert len(site.first.rows) == 1


def test_a_transaction_that_only_the_log_has_is_done_by_the_next_start(
    site: Site, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.service.house.copier.open()
    with monkeypatch.context() as patch, pytest.raises(JournalBroken):
        cut_off(cluster, patch)
        put(site, "only in the log")
    restart(site)
    assert newest(site) == "only in the log"


def test_run_adds_what_only_the_log_has(
    desk: Desk, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk("init")
    with monkeypatch.context() as patch:
        cut_off(cluster, patch)
        assert "nothing more is written" in desk("run", "--drain", code=None).err
    gc.collect()  # as if the process had ended
    with caplog.at_level(logging.INFO, level.__name__):
        desk("run", "--drain")
    assert "was missing in the journal; added" in caplog.text
    desk("audit", "verify")


def test_whoever_prints_what_happens_stops_when_the_server_is_lost(
    desk: Desk, address: str, cluster: Cluster
) -> None:
    desk("init")
    with following(address):
        ask(cluster, OURS)
        until(lambda: "progress" not in {t.name for t in threading.enumerate()}, "it to stop")


def test_the_first_role_after_it_adds_what_only_the_log_has(
    site: Site, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.service.house.copier.open()
    with monkeypatch.context() as patch, pytest.raises(JournalBroken):
        cut_off(cluster, patch)
        put(site, "only in the log")
    site.die()
    site.system = site.built()
    sharing.make_ready(site.system)
    assert newest(site) == "only in the log"


def test_a_start_says_what_the_server_does_not_keep(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk("init")
    desk("run", "--drain")
    assert "does not flush what it commits" in caplog.text
    assert "set fsync = on in postgresql.conf" in caplog.text


def test_doctor_sees_a_server_that_answers_before_it_flushes(address: str) -> None:
    stored_there = stored.of(f"{address}%20-csynchronous_commit%3Doff")
    said = [found.advice for found in stored_there.findings()]
    assert [advice for advice in said if "set synchronous_commit = on" in advice]


def test_the_service_has_each_commit_flushed_whatever_the_server_says(address: str) -> None:
    with server.connected(f"{address}%20-csynchronous_commit%3Doff") as conn:
        assert conn.execute("SHOW synchronous_commit").fetchall() == [("on",)]


def test_the_log_of_another_kind_of_database_is_refused(site: Site) -> None:
    site.service.house.copier.open()
    put(site, "x")
    site.system.journal.close()
    *_, file = redo_log.files(site.config.backup_directory)
    made = redo_log.RedoLog(file.path.parent, file.journal, file.version, "sqlite")
    made.append(file.last + 1, [("INSERT INTO marks VALUES (?, ?)", ("a", "b"))])
    with pytest.raises(ConfigError, match="is the redo log of a journal in sqlite"):
        level.check(site.config.journal, file.path.parent)


def test_a_dump_is_a_copy_and_one_that_was_cut_is_not(site: Site) -> None:
    site.service.house.copier.open()
    put(site, "x")
    copy = backup.look(site.service.house.copier.copy())
    assert (copy.whole, copy.journal) == (True, site.system.journal.identity)
    assert copy.position == site.system.journal.position
    backup.check(copy.path)
    copy.path.write_bytes(copy.path.read_bytes()[:-2000])
    with pytest.raises(ConfigError, match="is damaged"):
        backup.check(copy.path)


def test_a_rebuild_adds_the_log_to_what_was_restored(
    site: Site, address: str, cluster: Cluster
) -> None:
    site.service.house.copier.open()
    copy = site.service.house.copier.copy()
    for value in ("after the copy", "later"):
        put(site, value)
    site.system.journal.close()
    with psycopg.connect(cluster.address) as conn:
        conn.execute(f"DROP SCHEMA {address.rpartition('%3D')[2]} CASCADE".encode())
    subprocess.run(["pg_restore", f"--dbname={cluster.address}", str(copy)], check=True)
    with pytest.raises(ConfigError, match="is older than the files beside it"):
        level.check(address, site.config.backup_directory)
    made = rebuild(site.config, site.spool, copy=None, empty=False)
    assert (made.redone, made.lost, made.left) == (2, 0, ())
    site.start()
    with site.system.journal.reading() as conn:
        assert "rebuilt" in (facts.get(conn, facts.OBSERVING) or "")


@pytest.mark.parametrize(
    "how", [{"copy": Path("x"), "empty": False}, {"copy": None, "empty": True}]
)
def test_a_rebuild_makes_nothing_of_a_file(site: Site, how: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="what was restored there"):
        rebuild(site.config, site.spool, **how)


def test_a_text_that_the_server_cannot_have_is_the_fault_of_what_was_to_be_written(
    site: Site,
) -> None:
    with pytest.raises(Exception, match="NUL") as refused:
        put(site, "a\x00b")
    assert is_of_rows(refused.value)
    put(site, "ab")
    assert newest(site) == "ab"


def test_a_start_while_the_server_is_away_is_tried_again(tmp_path: Path) -> None:
    """systemd never repeats what ends with 4."""
    desk = Desk(tmp_path / "site")
    away = f"postgresql:///provisioner?host={tmp_path}"
    desk.set("journal: journal/journal.db", f"journal: {away}")
    done = desk("run", "--drain", code=1)
    assert f"the journal {away} cannot be opened" in done.err
