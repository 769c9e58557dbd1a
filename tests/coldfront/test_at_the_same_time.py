"""What two processes do at the same time: on databases where one waits for the other's rows.

SQLite lets one write at a time, and there is nothing to see.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationUser,
    AllocationUserStatusChoice,
)
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import override_settings

from provisioner.coldfront.asking import manifest, outbox, sending
from provisioner.coldfront.models import Request, Standing
from provisioner.coldfront.statuses import unpend
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database

WAITS = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT cardinality(pg_blocking_pids(%s))"),
    "mysql": (
        "SELECT connection_id()",
        "SELECT count(*) FROM information_schema.innodb_trx"
        " WHERE trx_mysql_thread_id = %s AND trx_state = 'LOCK WAIT'",
    ),
}
"""How each database says who one is, and whether somebody waits for a lock."""


class Another:
    """A process beside this one: a thread with a connection of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.name = 0
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._connected = threading.Event()
        self._thread.start()
        self._connected.wait()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(WAITS[connection.vendor][0])
                [self.name] = cursor.fetchone()
            self._connected.set()
            work()
        except BaseException as error:
            self._failed.append(error)
        finally:
            self._connected.set()
            connections.close_all()

    def blocked(self) -> None:
        """Wait until it waits for somebody's lock."""
        while self._thread.is_alive():
            with connection.cursor() as cursor:
                cursor.execute(WAITS[connection.vendor][1], [self.name])
                if cursor.fetchone()[0]:
                    return
            time.sleep(0.2)  # MariaDB looks again only where nobody has asked for 0.1 s
        raise AssertionError(f"it waited for nobody: {self._failed}")

    def ends(self) -> None:
        self._thread.join()
        if self._failed:
            raise self._failed[0]


@pytest.fixture
def pending(site: Site) -> Iterator[Allocation]:
    """Give an allocation in which jjames is Pending, and everything is in place for him."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    with override_settings(PROVISIONER_PENDING=True):
        site.sync()
        allocation.add_user(User.objects.get(username="jjames"))
        site.sync()
        assert site.users(allocation)["jjames"] == "Pending"
        for row in Request.objects.filter(state="written"):
            site.answer(row, "done")
        yield allocation


def _removed(site: Site, allocation: Allocation) -> None:
    AllocationUser.objects.filter(allocation=allocation, user__username="jjames").update(
        status=AllocationUserStatusChoice.objects.get(name="Removed")
    )


def _expired(site: Site, allocation: Allocation) -> None:
    site.quietly(allocation, "Expired")


@pytest.mark.parametrize("shown", [True, False], ids=["opted in", "opted out since"])
@pytest.mark.parametrize(
    ("decide", "status"), [(_removed, "Removed"), (_expired, "Pending")], ids=["user", "allocation"]
)
def test_what_is_decided_while_a_sync_runs_stays(
    site: Site,
    pending: Allocation,
    decide: Callable[[Site, Allocation], None],
    status: str,
    shown: bool,
) -> None:
    with override_settings(PROVISIONER_PENDING=shown):
        with transaction.atomic():
            decide(site, pending)
            sync = Another(site.sync)
            sync.blocked()
        sync.ends()
    assert site.users(pending)["jjames"] == status


def test_who_is_removed_while_the_app_is_uninstalled_stays_so(
    site: Site, pending: Allocation
) -> None:
    with transaction.atomic():
        _removed(site, pending)
        uninstalling = Another(unpend)
        uninstalling.blocked()
    uninstalling.ends()
    assert site.users(pending)["jjames"] == "Removed"


def test_two_syncs_at_once_come_to_the_same_as_one(site: Site) -> None:
    site.says(HPC, slurm_cluster="a")
    site.decide(site.allocation(HPC), "approve")
    step = {"step": "account", "handler": "slurm-a", "state": "done"}
    for row in site.rows(state="written"):
        site.answer(row, "done", step)
    both = threading.Barrier(2)

    def together(run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith("DELETE") and "provisioner_coldfront_step" in sql:
            with contextlib.suppress(threading.BrokenBarrierError):  # as the other has to wait
                both.wait(1)
        return run(sql, *rest)

    def sync() -> None:
        with connection.execute_wrapper(together):
            site.sync()

    others = [Another(sync), Another(sync)]
    for other in others:
        other.ends()
    for row in Request.objects.filter(state="done"):
        assert [one.name for one in row.steps.all()] == ["account"]
    assert not Request.objects.filter(state="written").exists()
    assert set(Standing.objects.values_list("state", flat=True)) == {"ready"}


def test_of_two_snapshots_the_higher_number_is_the_newer(site: Site) -> None:
    """Whoever commits last has read last, or says what the other said."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    others = [Another(lambda: outbox.allocation(allocation.pk, "a test")) for _ in range(4)]
    site.fill_in(allocation, "slurm_specs", "Fairshare=7")
    for other in others:
        other.ends()
    sending.flush()
    asked = site.last("allocation.provision")
    assert asked["allocation"]["slurm"]["specs"].startswith("Fairshare=7")


def test_of_two_pages_at_once_the_later_decision_is_asked_for_last(
    site: Site, active: Allocation
) -> None:
    site.join(active.project, "jjames")
    for row in site.rows(state="written"):
        site.answer(row, "done")
    site.sync()
    asking, removed = threading.Event(), threading.Event()

    def slowly(run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and "provisioner_coldfront_request" in sql and "body" in sql:
            asking.set()
            assert removed.wait(60)
        return run(sql, *rest)

    def add() -> None:
        with connection.execute_wrapper(slowly):
            site.pick(f"/allocation/{active.pk}/add-users", "userform", "jjames")

    def remove() -> None:
        site.pick(f"/allocation/{active.pk}/remove-users", "userform", "jjames", user="cgray")

    adding = Another(add)
    assert asking.wait(60)
    removing = Another(remove)
    removing.blocked()
    removed.set()
    adding.ends()
    removing.ends()
    assert site.users(active) == {"cgray": "Active", "jjames": "Removed"}
    asked = [
        one["allocation"]["users"]
        for one in site.files()
        if one["action"] == "allocation.provision"
    ]
    assert asked[-2:] == [["cgray", "jjames"], ["cgray"]]


def test_two_flushes_at_once_write_every_row_and_nothing_else(site: Site) -> None:
    site.says(HPC, slurm_cluster="a")
    site.staging.rmdir()
    site.decide(site.allocation(HPC), "approve")
    waiting = {f"cf-{row.number}" for row in site.rows(state="new")}
    site.staging.mkdir()
    others = [Another(sending.flush) for _ in range(3)]
    for other in others:
        other.ends()
    assert {one["id"] for one in site.files()} == waiting != set()
    assert site.rows(state="new") == []
    assert all(path.stat().st_size for path in site.staging.iterdir())


def test_a_manifest_is_of_one_moment(site: Site) -> None:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.decide(allocation)
    james = User.objects.get(username="jjames")
    allocation.add_user(james)
    allocation.remove_user(james)
    found: list[manifest.Manifest] = []
    begun, changed = threading.Event(), threading.Event()

    def slowly(run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if "provisioner_coldfront_request" in sql:
            begun.set()
            assert changed.wait(60)
        return run(sql, *rest)

    def read() -> None:
        with connection.execute_wrapper(slowly):
            found.append(manifest.read())

    reader = Another(read)
    assert begun.wait(60)
    User.objects.update(last_name="Later")
    changed.set()
    reader.ends()
    listed = [line.wanted.document or {} for line in found[0].lines]
    people = [document["user"] for document in listed if "user" in document]
    assert "jjames" in {one["name"] for one in people}
    assert "Later" not in {one["surname"] for one in people}


def test_who_waited_for_a_note_that_is_gone_has_a_turn_for_which_others_wait(site: Site) -> None:
    key = "allocation-7"
    has_turn, over = threading.Event(), threading.Event()

    def turn() -> None:
        with transaction.atomic():
            outbox._take_turn(key)
            has_turn.set()
            assert over.wait(60)

    note = outbox._reserve("a page", key, "")
    with transaction.atomic():
        outbox._take_turn(key)
        second = Another(turn)
        second.blocked()
        outbox._reserve("its request", key, "")
        note.delete()
    assert has_turn.wait(60)
    third = Another(turn)
    third.blocked()
    over.set()
    second.ends()
    third.ends()
