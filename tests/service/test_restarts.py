"""What a kill or a crash left behind is taken up at the next start."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from provisioner.convergence import threads
from provisioner.spool.submit import drop
from tests.support import few_threads
from tests.support.engine_site import Killed, Site, allocation


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


@pytest.mark.parametrize("writes", range(4))
def test_a_kill_before_each_write_loses_nothing(site: Site, writes: int) -> None:
    site.first.dies_after = writes
    try:
        site.request(allocation(1, "ann, bob"))
        site.request(allocation(1, "ann", files=9))
    except Killed:
        site.start()
        site.drain()
        site.request(allocation(1, "ann", files=9))
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/ann"}
    assert site.limit("first/account/cf") == "9"
    assert site.open() == []


def test_a_file_that_was_dropped_while_nobody_served_is_taken_at_the_start(site: Site) -> None:
    (site.spool.staging / "x.yaml").write_text(allocation(1))
    (site.spool.staging / "x.yaml").chmod(0o600)
    site.start()
    site.service.take()
    site.drain()
    assert site.states()["done"] == ["x.yaml"]


def test_a_file_that_was_taken_and_not_accepted_is_taken_again(site: Site) -> None:
    (site.spool.staging / "x.yaml").write_text(allocation(1))
    (site.spool.staging / "x.yaml").chmod(0o600)
    site.spool.take("x.yaml")
    site.start()
    site.service.take()
    site.drain()
    assert len(site.states()["done"]) == 1


def test_a_move_that_a_crash_lost_is_made_again(site: Site) -> None:
    site.request(allocation(1))
    ulid = site.results("done")[0]["id"]
    assert site.spool.move(ulid, "done", "active", "r.yaml")
    site.start()
    assert site.states()["done"] == ["r.yaml"]


def test_what_a_crash_left_half_written_is_gone_after_the_next_start(site: Site) -> None:
    left = site.config.spool / "done/.01JGT0V9Q3M4R5S6T7V8W9X0Y1.result"
    left.write_text("half a")
    os.utime(left, (0, 0))
    site.start()
    assert not left.exists()


def test_a_start_without_room_for_threads_waits_and_then_serves(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = site.service
    runs = threading.Thread(target=service.run)

    monkeypatch.setattr(threads, "_PAUSE", 0.001)
    few_threads.refuse(monkeypatch, 12, lambda: threading.current_thread() is runs)
    drop(site.spool.staging, "x.yaml", allocation(1).encode())
    runs.start()
    while site.states()["done"] != ["x.yaml"]:
        assert runs.is_alive()
        time.sleep(0.01)
    service.stop()
    runs.join()
