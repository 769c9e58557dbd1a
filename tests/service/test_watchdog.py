"""The watchdog hears that the service is alive as long as every lane is, and no longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.admission.after_commit import Admitted
from provisioner.journal import facts, journal
from provisioner.spool.spool import Submission
from provisioner.spool.submit import drop
from provisioner.system.sd_notify import Notifier
from tests.support.engine_site import Site, allocation
from tests.support.waiting import until


def heard(manager: socket.socket) -> list[str]:
    """Take what was said since this was last asked."""
    found = []
    while True:
        try:
            found.append(manager.recv(100).decode())
        except BlockingIOError:
            return found


@contextmanager
def served(site: Site) -> Iterator[socket.socket]:
    """Serve a site during the block, and give the socket at which the service is heard."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(site.root / "notify"))
        manager.setblocking(False)
        told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000"}
        thread = threading.Thread(target=site.service.run, args=(Notifier(told),))
        thread.start()
        try:
            yield manager
        finally:
            site.service.stop()
            thread.join()
        assert heard(manager)[-1:] == ["STOPPING=1"]


def test_a_commit_that_takes_long_is_heard_as_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine one request of 10,000 users took longer than the watchdog waits."""
    monkeypatch.setattr(journal, "TELLING", 0.0)
    site = Site(tmp_path)
    admit, during = site.service.intake.admit, list[str]()
    with served(site) as manager:

        def long(submissions: Sequence[Submission]) -> Iterator[Admitted]:
            with site.system.journal.transaction() as conn:
                time.sleep(0.02)  # twice as long as the watchdog needs
                heard(manager)
                facts.put(conn, "a", "b")
                during.extend(heard(manager))
            yield from admit(submissions)

        monkeypatch.setattr(site.service.intake, "admit", long)
        pass_through(site, "one.yaml", 1)
    assert "WATCHDOG=1" in during


def test_a_start_asks_for_more_time_as_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The more requests are open, the longer it takes; systemd would kill it again and again."""
    monkeypatch.setattr(journal, "TELLING", 0.0)
    site = Site(tmp_path)
    said: list[str] = []

    def ready(manager: socket.socket) -> bool:
        said.extend(heard(manager))
        return "READY=1" in said

    with served(site) as manager:
        until(lambda: ready(manager), "it is ready")
    assert said[: said.index("READY=1")] == ["EXTEND_TIMEOUT_USEC=900000000"]


def test_a_start_that_is_stopped_asks_for_no_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "TELLING", 0.0)
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        site.service.stop()
        site.service.run(Notifier({"NOTIFY_SOCKET": manager.getsockname()}))
        assert heard(manager) == []


def test_a_lane_that_is_over_silences_the_service(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with served(site) as manager:
        said: list[str] = []
        while "WATCHDOG=1" not in said:
            said += heard(manager)
        assert "READY=1" in said
        lane = next(iter(site.service.lanes.values()))
        lane.stop()
        until(
            lambda: f"lane {lane.name}" not in {one.name for one in threading.enumerate()},
            "the lane has ended",
        )
        # What was said before that is taken away; the intake goes on, and is silent.
        pass_through(site, "before.yaml", 1)
        heard(manager)
        pass_through(site, "after.yaml", 2)
        assert heard(manager) == []
    assert list(site.spool.staging.iterdir()) == []


def pass_through(site: Site, name: str, number: int) -> None:
    """Drop a request, and wait until the intake has taken it."""
    drop(site.spool.staging, name, allocation(number).encode())
    until(lambda: not (site.spool.staging / name).exists(), f"{name} is taken")
