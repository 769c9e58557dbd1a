"""Staging under a running service: gone, exchanged, mounted over, unreadable, flooded, unheard of.

Each test has the real command line in a process of its own, on a site whose requests need no
backend, and ends with everything accepted that was dropped.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.request.documents import DEPTH
from provisioner.spool.submit import drop
from tests.fault.plain import PATIENCE, Plain, project

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_every_event_dropped(plain: Plain) -> None:
    plain.start(hints=0)
    for _ in range(3):
        plain.put(20)


def test_every_event_doubled(plain: Plain) -> None:
    plain.start(hints=2)
    for _ in range(20):
        plain.put(5)
    assert plain.accepted() == plain.dropped


def test_twenty_thousand_files_while_the_service_is_paused(plain: Plain) -> None:
    service = plain.start()
    os.kill(service, signal.SIGSTOP)
    aside = plain.root / "aside"
    aside.mkdir()
    for number in range(2, 20_002):
        file = os.open(aside / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, project(number))
        os.close(file)
        (aside / "new").rename(plain.staging / f"{number}.yaml")
    plain.dropped += 20_000
    os.kill(service, signal.SIGCONT)
    plain.wait()
    assert list(plain.staging.iterdir()) == []


def _remade(plain: Plain) -> None:
    plain.staging.rmdir()
    time.sleep(0.1)
    plain.staging.mkdir(mode=0o700)


def _renamed(plain: Plain) -> None:
    away = plain.staging.rename(plain.root / "away")
    plain.staging.mkdir(mode=0o700)
    time.sleep(2.5)  # a sweep, which sees that it is another
    # What is dropped into the old one was told to nobody but its writer: it is not staging's.
    (away / "lost.yaml").write_bytes(project(0))


def _renamed_and_back(plain: Plain) -> None:
    away = plain.staging.rename(plain.root / "away")
    plain.drop(3, away)
    time.sleep(0.1)
    away.rename(plain.staging)


def _exchanged(plain: Plain) -> None:
    (plain.root / "spool/other").mkdir(mode=0o700)
    plain.drop(3, plain.root / "spool/other")
    plain.staging.rename(plain.root / "away")
    (plain.root / "spool/other").rename(plain.staging)


@pytest.mark.parametrize("change", [_remade, _renamed, _renamed_and_back, _exchanged])
def test_staging_is_another_directory(plain: Plain, change: Callable[[Plain], None]) -> None:
    plain.start()
    change(plain)
    plain.put(5)
    plain.put(5)


@root_only
def test_staging_is_mounted_over(plain: Plain) -> None:
    plain.start()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "none", plain.staging], check=True)
    try:
        drop(plain.staging, "elsewhere.yaml", project(0))
        time.sleep(2.5)  # a sweep
    finally:
        subprocess.run(["umount", plain.staging], check=True)
    plain.put(5)
    assert "umount" in plain.stop(), "the log says what to do"


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def _hard_link(path: Path) -> None:
    other = path.parent / ".other"
    other.write_bytes(project(0))
    other.chmod(0o600)
    path.hardlink_to(other)


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _directory(path: Path) -> None:
    path.mkdir()
    (path / "inside.yaml").write_bytes(project(0))


def _of_mode(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(project(0))
        path.chmod(mode)

    return make


def _of_body(body: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(body)
        path.chmod(0o600)

    return make


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    path.chmod(0o600)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "symlink": (_symlink, "quarantine"),
    "loop": (_loop, "quarantine"),
    "hardlink": (_hard_link, "quarantine"),
    "fifo": (_fifo, "quarantine"),
    "socket": (_socket, "quarantine"),
    "directory": (_directory, "quarantine"),
    "setuid": (_of_mode(0o4600), "quarantine"),
    "setgid": (_of_mode(0o2610), "quarantine"),
    "group": (_of_mode(0o620), "failed"),
    "world": (_of_mode(0o602), "failed"),
    "sparse": (_sparse, "failed"),
    "empty": (_of_body(b""), "failed"),
    "nul": (_of_body(b"\0" * 4096), "failed"),
    "deep": (_of_body(b"[" * (DEPTH + 1)), "failed"),
    "new\nline": (_of_mode(0o620), "failed"),
    "\x1b[2J": (_fifo, "quarantine"),
    "x" * 250: (_of_mode(0o620), "failed"),
    "\udcff\udcfe": (_directory, "quarantine"),
}
"""What may lie in staging, by its name, and where it ends."""


def test_hostile_files_are_set_aside_and_hold_up_nobody(plain: Plain) -> None:
    service = plain.start()
    os.kill(service, signal.SIGSTOP)
    for name, (make, _) in HOSTILE.items():
        make(plain.staging / f"{name}.yaml")
    plain.drop(3)
    os.kill(service, signal.SIGCONT)
    plain.wait()
    wanted = Counter(place for _, place in HOSTILE.values())
    deadline = time.monotonic() + PATIENCE
    while (found := _aside(plain)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    plain.put()
    log = plain.stop()
    assert all(line.isprintable() for line in log.splitlines())
    assert "\\x1b[2J.yaml" in log and "new\\x0aline.yaml" in log
    assert "root:" not in "".join(_texts(plain.root / "spool")), "a link was followed"


def _aside(plain: Plain) -> dict[str, int]:
    return {
        place: sum(
            not path.name.endswith(".result.yaml")
            for path in (plain.root / "spool" / place).iterdir()
        )
        for place in ("quarantine", "failed")
    }


def _texts(spool: Path) -> Iterator[str]:
    for path in spool.rglob("*.result.yaml"):
        yield path.read_text()
