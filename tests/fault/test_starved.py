"""The service without what it needs of the host: descriptors, processes, space.

Each test takes it away from the running service, gives it back, and ends with everything accepted
and done that was dropped. `test_strace` has failing calls, `tests/service/test_disk.py` the journal
on a full disk, `test_power_cut` a disk that becomes read-only.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import invariant
from tests.fault.plain import Plain
from tests.fault.points import Nursery
from tests.fault.scenario import Stage, compute, user
from tests.support.waiting import until

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def wait_for(log: Path, text: str) -> None:
    """Wait until a service has logged a text."""
    until(lambda: text in log.read_text(), text)


def test_a_service_out_of_descriptors_takes_everything_once_it_has_some(
    plain: Plain, nursery: Nursery
) -> None:
    service = plain.start()
    limits = resource.prlimit(service, resource.RLIMIT_NOFILE)
    # What is open stays so; of numbers for what is opened from now on there are 0 to 2, all taken.
    resource.prlimit(service, resource.RLIMIT_NOFILE, (3, limits[1]))
    plain.drop(30)
    wait_for(nursery.log(service), "Too many open files")
    resource.prlimit(service, resource.RLIMIT_NOFILE, limits)
    plain.wait()
    plain.put(5)
    plain.stop()
    assert list(plain.staging.iterdir()) == []


@pytest.fixture
def disk(plain: Plain) -> Iterator[Path]:
    """Put the site on a small disk of its own."""
    options = ("-t", "tmpfs", "-o", "size=48m", "none")
    subprocess.run(["mount", *options, plain.root], check=True)
    plain.root.chmod(0o755)
    plain.configure()
    yield plain.root
    plain.kill()
    subprocess.run(["umount", "--lazy", plain.root], check=True)


@root_only
def test_staging_on_a_full_disk_is_served_when_there_is_room(plain: Plain, disk: Path) -> None:
    plain.start()
    plain.drop(20)
    plain.wait()
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
    with pytest.raises(OSError, match="No space left"):
        for _ in range(1000):
            plain.drop()
    plain.dropped -= 1  # nobody was told that this one is in
    ballast.unlink()
    plain.put(5)
    plain.stop()
    assert set(plain.states("project.provision")) == {"done"}


@root_only
def test_a_fork_that_fails_puts_off_what_needs_it(stage: Stage, nursery: Nursery) -> None:
    stage.set_back("start")
    stage.drop({"a.yaml": user("alice"), "b.yaml": compute(7, "alice", "compute")})
    process = nursery.start(stage.root, "run", "--drain", "--patience", "2", stopped=True)
    status = Path(f"/proc/{process}/status")
    until(lambda: "T (stopped)" in status.read_text(), "the process is stopped")
    words = ("-f", "-p", str(process), "-o", str(stage.root / "trace"))
    calls = ("-e", "trace=vfork,clone", "-e", "inject=vfork,clone:error=EAGAIN")
    with subprocess.Popen(["strace", *words, *calls], stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        os.kill(process, signal.SIGCONT)
        strace.communicate()
    ended = nursery.end(process)
    assert "(INJECTED)" in (stage.root / "trace").read_text()
    assert ended.code == 5, ended.log
    assert "Resource temporarily unavailable" in ended.log
    assert "deferred" in [row.state for row in invariant.rows(stage.root)]
    stage.play("second")
    found = invariant.violations(stage.root, ["provision-alice", "compute"])
    assert found == []
    assert {row.state for row in invariant.rows(stage.root)} == {"done"}
