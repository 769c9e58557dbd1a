"""The watchdog hears that the service is alive as long as every lane is, and no longer."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

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


def test_a_lane_that_is_over_silences_the_service(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1"}
        thread = threading.Thread(target=site.service.run, args=(Notifier(told),))
        thread.start()
        try:
            said: list[str] = []
            while "WATCHDOG=1" not in said:
                said += heard(manager)
            assert said[0] == "READY=1"
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
        finally:
            site.service.stop()
            thread.join()
        assert heard(manager) == ["STOPPING=1"]
    assert list(site.spool.staging.iterdir()) == []


def pass_through(site: Site, name: str, number: int) -> None:
    """Drop a request, and wait until the intake has taken it."""
    drop(site.spool.staging, name, allocation(number).encode())
    until(lambda: not (site.spool.staging / name).exists(), f"{name} is taken")
