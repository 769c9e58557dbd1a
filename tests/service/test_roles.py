"""Roles on a journal in PostgreSQL: who may serve beside whom; each refusal names both."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.pq.abc import PGconn

from provisioner.cli import sharing
from provisioner.contract import ConfigError
from provisioner.hosts.drainer import Drainer
from provisioner.hosts.jobs import Jobs
from provisioner.hosts.member import CHANGED, DUE, Member
from provisioner.journal import stored
from provisioner.journal.hosts import presence
from provisioner.journal.hosts.presence import INTAKE, lanes_role
from provisioner.journal.journal import Journal
from provisioner.journal.postgresql import service
from provisioner.journal.postgresql.migrations import FIRST
from provisioner.journal.postgresql.server import WRITER
from provisioner.system import ulid
from provisioner.wiring import System
from tests.support import databases
from tests.support.cli_site import Desk
from tests.support.engine_site import CONFIG, Site
from tests.support.waiting import until

pytestmark = pytest.mark.lab

HERE = os.uname().nodename

WAITS = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"

OLD = "extract(epoch FROM clock_timestamp()) - 100"


@pytest.fixture
def address() -> str:
    return databases.cluster().make()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a start that is refused wait less for the locks of another one."""
    monkeypatch.setattr(service, "_GRACE", 0.3)


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def joined(address: str, roles: str, running: ExitStack, lease: float = 5.0) -> Member:
    """Join as a process of its own does."""
    book = Journal.open(address)
    running.callback(book.close)
    member = Member(book, roles, lease)
    running.callback(member.stop)
    member.join()
    return member


def waiting(address: str) -> int:
    """Return how many ask for a lock that others have."""
    with psycopg.connect(address) as conn:
        found = conn.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database WHERE "
            "locktype = 'advisory' AND NOT granted AND datname = current_database()"
        ).fetchone()
    return int(found[0]) if found else 0


def test_an_intake_and_any_number_of_lanes_serve_together(address: str, running: ExitStack) -> None:
    for roles in (INTAKE, lanes_role(["first"]), lanes_role(["second"])):
        joined(address, roles, running)
    book = Journal.open(address)
    running.callback(book.close)
    with book.reading() as conn:
        assert [host.name for host in presence.listed(conn)] == [HERE] * 3


@pytest.mark.usefixtures("brief")
def test_a_second_intake_is_refused(address: str, running: ExitStack) -> None:
    joined(address, INTAKE, running)
    refusal = rf"has an intake on {HERE} already: provisioner {HERE}.*{HERE}"
    with pytest.raises(ConfigError, match=refusal) as refused:
        joined(address, INTAKE, running)
    assert refused.value.passing  # the other one may be dead, and systemd tries again


def test_an_intake_that_ended_makes_room(address: str) -> None:
    for _ in range(2):
        with ExitStack() as running:
            joined(address, INTAKE, running)


@pytest.mark.parametrize("before", ["an intake", "one that serves alone"])
def test_an_intake_waits_until_the_server_knows_that_the_last_process_died(
    address: str, running: ExitStack, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_GRACE", 10.0)
    member: list[Member] = []
    following = threading.Thread(target=lambda: member.append(joined(address, INTAKE, running)))
    with ExitStack() as last:
        if before == "an intake":
            joined(address, INTAKE, last)
        else:
            last.enter_context(stored.of(address).reserved())
        following.start()
        until(lambda: waiting(address) == 1, "the next one to ask")
    following.join()
    assert len(member) == 1


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("roles", [INTAKE, lanes_role(["first"])])
def test_nobody_serves_beside_one_who_serves_alone(
    address: str, running: ExitStack, roles: str
) -> None:
    running.enter_context(stored.of(address).reserved())
    with pytest.raises(ConfigError, match=f"served by another process: provisioner {HERE}"):
        joined(address, roles, running)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("roles", [INTAKE, lanes_role(["first"])])
def test_nobody_serves_alone_beside_others(address: str, running: ExitStack, roles: str) -> None:
    joined(address, roles, running)
    with (
        pytest.raises(ConfigError, match=f"served by another process: provisioner {HERE}"),
        stored.of(address).reserved(),
    ):
        pass


def starting(tmp_path: Path, address: str) -> System:
    """Return what a process has that is to serve a journal, which another one has served."""
    site = Site(tmp_path, text=CONFIG.replace("journal: journal.db", f"journal: {address}"))
    site.die()
    return site.built()


@pytest.mark.usefixtures("brief")
def test_a_journal_of_an_earlier_version_is_not_changed_while_others_serve_it(
    tmp_path: Path, address: str, running: ExitStack
) -> None:
    system = starting(tmp_path, address)
    joined(address, lanes_role(["first"]), running)
    with psycopg.connect(address) as conn:
        conn.execute("UPDATE marks SET value = %s WHERE name = 'version'", [str(FIRST)])
    with pytest.raises(ConfigError, match=f"by another process: provisioner {HERE}") as refused:
        sharing.make_ready(system)
    assert "earlier version" in refused.value.advice
    assert refused.value.passing  # the other one may be dead, and systemd tries again


def test_who_makes_a_journal_ready_waits_until_the_server_knows_that_the_last_process_died(
    address: str, running: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_GRACE", 10.0)
    done: list[bool] = []

    def make_ready() -> None:
        with stored.of(address).unserved():
            done.append(True)

    following = threading.Thread(target=make_ready)
    with ExitStack() as last:
        joined(address, lanes_role(["first"]), last)
        following.start()
        until(lambda: waiting(address) == 1, "the next one to ask")
        assert done == []
    following.join()
    assert done == [True]


def test_a_journal_that_needs_nothing_is_waited_for_by_nobody(
    tmp_path: Path, address: str, running: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_GRACE", 0.05)
    system = starting(tmp_path, address)
    joined(address, lanes_role(["first"]), running)
    sharing.make_ready(system)


def test_a_role_is_told_what_the_server_does_not_keep(
    tmp_path: Path, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    sharing.make_ready(starting(tmp_path, f"{address}%20-csynchronous_commit%3Doff"))
    for said in ("does not flush what it commits", "answers before it has flushed a commit"):
        assert said in caplog.text


def test_a_redo_log_of_one_process_ends_where_roles_begin(address: str, running: ExitStack) -> None:
    book = Journal.open(address)
    running.callback(book.close)
    before = book.position
    joined(address, lanes_role(["first"]), running)
    assert book.position == before + 1


def test_a_file_is_for_one_process(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with pytest.raises(ConfigError, match="which one process serves") as refused:
        sharing.lanes(site.system, ["first"])
    assert "postgresql:///" in refused.value.advice


def test_a_lane_that_is_not_configured_is_refused(tmp_path: Path, address: str) -> None:
    site = Site(tmp_path, text=CONFIG.replace("journal: journal.db", f"journal: {address}"))
    member = Member(site.system.journal, lanes_role(["third"]), 5.0)
    with pytest.raises(ConfigError, match=f"no handler on {HERE} has the lane third") as refused:
        Drainer(site.system, ["third"], member, Jobs(site.system.journal, address, member))
    assert "first, second" in refused.value.advice


def test_roles_exclude_each_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    said = desk("run", "--intake", "--lanes", "slurm", code=None)
    assert said.code == 2 and "exclude each other" in said.err


def test_news_are_heard_by_others(address: str, running: ExitStack) -> None:
    near, portal = (joined(address, r, running) for r in (lanes_role(["first"]), INTAKE))
    heard: list[tuple[str, list[str]]] = []
    portal.heard = lambda about, names: heard.append((about, names))
    portal.start()
    near.tell(DUE, [f"lane {number}" for number in range(3)])
    near.tell(DUE, [])
    until(lambda: len(heard) == 1, "the news")
    assert heard == [(DUE, ["lane 0", "lane 1", "lane 2"])]


def test_what_changes_is_told_with_the_commit_and_not_without(
    address: str, running: ExitStack
) -> None:
    portal = joined(address, INTAKE, running)
    heard: list[str] = []
    portal.heard = lambda about, names: heard.extend([about, *names])
    portal.start()
    book = Journal.open(address)
    running.callback(book.close)
    lost, kept = ulid.new(), ulid.new()
    with pytest.raises(RuntimeError), book.transaction() as conn:
        book.announce(conn, f"{CHANGED}\n{lost}")
        raise RuntimeError
    with book.transaction() as conn:
        book.announce(conn, f"{CHANGED}\n{kept}")
    until(lambda: heard, "the news")
    assert heard == [CHANGED, kept]


def test_who_loses_the_server_says_so_once_and_is_not_sure_any_more(
    address: str, running: ExitStack
) -> None:
    member = joined(address, lanes_role(["first"]), running, lease=0.5)
    lost: list[bool] = []
    member.lost = lambda: lost.append(True)
    member.start()
    with psycopg.connect(databases.cluster().address) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'provisioner %'"
        )
    until(lambda: lost, "the loss to be told")
    message = "the connection to the journal's server was lost"
    with pytest.raises(ConfigError, match=message) as ended:
        member.raise_lost()
    assert ended.value.passing  # systemd starts it again
    with pytest.raises(ConfigError):
        member.lease.renew()


def between_statements(frozen: PGconn) -> None:
    """Leave a transaction that rests."""


def between_rows(frozen: PGconn) -> None:
    """Leave a statement that goes on, as `executemany` sends it."""
    frozen.enter_pipeline_mode()
    frozen.send_query_params(b"SELECT 1", None)
    frozen.send_flush_request()
    frozen.flush()


def before_an_answer(frozen: PGconn) -> None:
    """Leave an answer that is more than the network holds."""
    frozen.send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
    frozen.flush()


@pytest.mark.parametrize("freeze", [between_statements, between_rows, before_an_answer])
def test_a_writer_that_froze_is_ended_by_the_beat_of_another(
    address: str, running: ExitStack, freeze: Callable[[PGconn], None]
) -> None:
    member = joined(address, INTAKE, running)
    with psycopg.connect(address) as frozen, psycopg.connect(address, autocommit=True) as asking:
        frozen.execute(f"SELECT pg_advisory_xact_lock({WRITER}, hashtext(current_schema()))")
        freeze(frozen.pgconn)
        its = [frozen.info.backend_pid]
        until(lambda: asking.execute(WAITS, its).fetchone() == ("Client",), "the server to wait")
        member.rest = 0.0

        def ended() -> bool:
            member.lease.renew()  # a beat may come while the server sends a little more
            return asking.execute(WAITS, its).fetchone() is None

        until(ended, "the server to end it")
        frozen.close()
    member.leave()  # writes


def test_a_writer_that_is_slow_is_left_alone(address: str, running: ExitStack) -> None:
    member = joined(address, INTAKE, running)
    with psycopg.connect(address) as slow:
        slow.execute(f"SELECT pg_advisory_xact_lock({WRITER}, hashtext(current_schema()))")
        member.lease.renew()
        slow.execute("SELECT 1")


def test_the_time_of_day_is_the_servers(
    address: str, running: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 300)
    portal, near = (joined(address, r, running) for r in (INTAKE, lanes_role(["first"])))
    for member in (portal, near):
        member.lease.renew()
        assert abs(member.now() - real()) < 60
        assert abs(member.look().wall - real()) < 60
    with psycopg.connect(address) as conn:
        ahead = [row[0] for row in conn.execute("SELECT ahead FROM hosts")]
    assert all(240 < seconds < 360 for seconds in ahead)  # which shows whose clock is wrong


def test_queue_and_status_show_who_serves_and_which_lane_nobody_drains(
    tmp_path: Path, address: str, running: ExitStack
) -> None:
    desk = Desk(tmp_path / "site")
    desk.set("journal: journal/journal.db", f"journal: {address}")
    (desk.spool / "journal").unlink(missing_ok=True)
    desk("init")
    assert desk("queue", "--json").json["hosts"] == []
    joined(address, INTAKE, running)
    with psycopg.connect(address) as conn:
        conn.execute(f"INSERT INTO hosts VALUES ('fs', 'lanes nss', '1', {OLD}, {OLD}, 0)".encode())
        conn.execute(f"INSERT INTO holds VALUES ('nss', 1, 'fs', {OLD})".encode())
    shown = desk("queue").out
    assert f"host {HERE}: intake, since " in shown
    assert "host fs (lanes nss) is missing: not heard for" in shown
    assert "no host drains: " in shown
    assert [host["missing"] for host in desk("queue", "--json").json["hosts"]] == [False, True]
    assert "host fs (lanes nss) is missing" in desk("status").out
