"""The watcher: everything that may mean a new file wakes the sweep."""

import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants

from provisioner.spool.watch import MASK, Watcher, _masks, network_file_system

PATIENCE = 20.0


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    path = tmp_path / "staging"
    path.mkdir()
    return path


class Woken:
    """Counts wakes, and waits for one."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self) -> None:
        self.event.set()

    def within(self, seconds: float = PATIENCE) -> bool:
        woken = self.event.wait(seconds)
        self.event.clear()
        return woken


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def watcher(staging: Path, woken: Woken) -> Iterator[Watcher]:
    made = Watcher(staging, woken)
    made.start()
    assert woken.within()
    yield made
    made.stop()


def _rename_in(staging: Path) -> None:
    (staging.parent / "a.yaml").write_text("x")
    (staging.parent / "a.yaml").rename(staging / "a.yaml")


def _write_in_place(staging: Path) -> None:
    (staging / "a.yaml").write_text("x")


def _rename_within(staging: Path) -> None:
    os.close(os.open(staging / ".a", os.O_RDONLY | os.O_CREAT))
    (staging / ".a").rename(staging / "a.yaml")


@pytest.mark.parametrize("arrive", [_rename_in, _write_in_place, _rename_within])
def test_a_file_that_arrives_wakes(
    watcher: Watcher, staging: Path, woken: Woken, arrive: Callable[[Path], None]
) -> None:
    arrive(staging)
    assert woken.within()
    assert watcher.healthy()


def test_a_rename_out_of_it_wakes_nobody(watcher: Watcher, staging: Path, woken: Woken) -> None:
    _rename_in(staging)
    assert woken.within()
    (staging / "a.yaml").rename(staging.parent / "taken")
    assert not woken.within(0.2)
    # Renames out are not asked for at all: watchdog would wait half a second for their other half.
    assert not MASK & InotifyConstants.IN_MOVED_FROM


def test_an_overflow_of_the_kernels_queue_wakes(
    watcher: Watcher, staging: Path, woken: Woken
) -> None:
    # As the kernel tells it: of no watch (-1), without a name, among other events.
    arrival = struct.pack("iIII16s", 1, InotifyConstants.IN_CLOSE_WRITE, 0, 16, b"a.yaml")
    overflow = struct.pack("iIII", -1, InotifyConstants.IN_Q_OVERFLOW, 0, 0)
    watcher._events(_masks(arrival + overflow))
    assert woken.within()
    assert watcher.overflows == 1
    assert watcher.healthy()


def test_a_burst_larger_than_the_kernels_queue_ends_in_a_wake(staging: Path, woken: Woken) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip(f"the queue holds {limit} events here")
    gate = threading.Event()
    gate.set()

    def wake() -> None:
        gate.wait()
        woken()

    watcher = Watcher(staging, wake)
    watcher.start()
    assert woken.within()
    gate.clear()
    first, second = staging / "a.yaml", staging / "b.yaml"
    first.write_text("x")
    for _ in range(limit // 2 + 2000):
        first.rename(second)
        second.rename(first)
    gate.set()
    deadline = time.monotonic() + PATIENCE
    while not watcher.overflows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert watcher.overflows == 1
    assert woken.within()
    assert watcher.healthy()
    watcher.stop()


def test_a_directory_that_is_made_anew_is_watched_again(
    watcher: Watcher, staging: Path, woken: Woken
) -> None:
    staging.rmdir()
    assert woken.within()
    assert not watcher.healthy()
    staging.mkdir()
    assert watcher.healthy()
    assert woken.within()
    _rename_in(staging)
    assert woken.within()


def test_a_directory_that_is_exchanged_for_another_is_watched_again(
    watcher: Watcher, staging: Path, woken: Woken
) -> None:
    staging.rename(staging.parent / "away")
    staging.mkdir()
    assert watcher.healthy()
    assert woken.within()
    _rename_in(staging)
    assert woken.within()


def test_a_dead_thread_is_replaced(watcher: Watcher, staging: Path, woken: Woken) -> None:
    assert watcher._reader is not None
    os.eventfd_write(watcher._reader._end, 1)
    watcher._reader.join(PATIENCE)
    assert watcher.healthy()
    assert woken.within()
    _rename_in(staging)
    assert woken.within()


def test_a_wake_that_fails_ends_nothing(staging: Path) -> None:
    calls: list[int] = []
    twice = threading.Event()

    def wake() -> None:
        calls.append(1)
        if len(calls) >= 3:
            twice.set()
        raise RuntimeError("wake")

    watcher = Watcher(staging, wake)
    watcher.start()
    deadline = time.monotonic() + PATIENCE
    while not twice.is_set() and time.monotonic() < deadline:
        _write_in_place(staging)
        twice.wait(0.05)
    assert twice.is_set()
    assert watcher.healthy()
    watcher.stop()


def test_a_directory_that_is_not_there_is_watched_once_it_is(tmp_path: Path, woken: Woken) -> None:
    watcher = Watcher(tmp_path / "staging", woken)
    watcher.start()
    assert not watcher.healthy()
    (tmp_path / "staging").mkdir()
    assert watcher.healthy()
    assert woken.within()
    watcher.stop()


def test_no_watch_on_a_network_file_system(
    staging: Path, woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.spool.watch.network_file_system", lambda path: "nfs")
    watcher = Watcher(staging, woken)
    watcher.start()
    assert not watcher.healthy()
    _rename_in(staging)
    assert not woken.within(0.1)
    watcher.stop()


def test_a_local_file_system_is_none_of_the_network(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) == ""
    assert network_file_system(Path("/proc")) == ""
    with pytest.raises(FileNotFoundError):
        network_file_system(tmp_path / "nowhere")


def test_stop_ends_threads_and_descriptors(staging: Path, woken: Woken) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    threads = threading.active_count()
    for _ in range(3):
        watcher = Watcher(staging, woken)
        watcher.start()
        watcher.stop()
        watcher.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert threading.active_count() == threads


def test_an_idle_watcher_uses_no_processor_time(tmp_path: Path) -> None:
    code = (
        "import time, sys; from pathlib import Path\n"
        "from provisioner.spool.watch import MASK, Watcher\n"
        "w = Watcher(Path(sys.argv[1]), lambda: None); w.start(); time.sleep(0.1)\n"
        "before = time.process_time()\n"
        "for _ in range(5):\n"
        "    time.sleep(0.1); assert w.healthy()\n"
        "print(time.process_time() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 0.05
