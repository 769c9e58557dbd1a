"""A disk whose power can be cut, and the journal on it: in a file, or in the data of a server.

Promises: what a process wrote and nobody flushed is not on the disk after a cut, unless the kernel
wrote it by itself. A server of these tests flushes no commit unless it is asked to. Leaves out: a
disk that lies.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.fault import invariant
from tests.support import clusters
from tests.support.waiting import until

SIZE = 256 << 20


class OfFile:
    """A journal in a file, by one process: the kernel alone writes it to the disk."""

    words: Sequence[str] = ("run",)

    def start(self, root: Path) -> str:
        """Return the journal's place."""
        return "journal/journal.db"

    def processes(self) -> list[int]:
        """Return the processes that write to the disk beside the service: none."""
        return []

    def die(self) -> None:
        """Do nothing."""

    def rows(self, root: Path, look: Path) -> list[invariant.Row]:
        """Return the requests, by a copy of the journal: who reads it changes it."""
        shutil.copytree(root / "journal", look / "journal")
        shutil.copy(root / "provisioner.yaml", look)
        rows = invariant.rows(look) if (look / "journal/journal.db").stat().st_size else []
        shutil.rmtree(look)
        return rows


class OfServer:
    """A journal on a server whose data are on the disk, and which does not flush by itself."""

    settings = ("synchronous_commit=off", "wal_writer_delay=10s", "max_wal_size=64MB")

    def __init__(self, *words: str) -> None:
        """words: how the service is run."""
        self.words: Sequence[str] = words
        self._server: subprocess.Popen[bytes] | None = None

    def start(self, root: Path) -> str:
        """Start the server; return the journal's place."""
        top = root / "server"
        if not top.exists():
            clusters.initialized(top)
        cluster, words = clusters.Cluster(top), ["-D", str(top / "data"), "-k", str(top)]
        for setting in ("listen_addresses=", *self.settings):
            words += ["-c", setting]
        with (top / "log").open("ab") as said:
            made = self._server = subprocess.Popen(
                clusters.command("postgres", words), stderr=said, stdin=subprocess.DEVNULL
            )
        until(lambda: made.poll() is not None or cluster.answers(), "the server to answer")
        assert made.poll() is None, (top / "log").read_text()
        return cluster.of("journal")

    def processes(self) -> list[int]:
        """Return the server's processes; the first makes the others."""
        assert self._server is not None
        first = self._server.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text()
        return [first, *map(int, children.split())]

    def die(self) -> None:
        """Kill them, and wait until they are gone."""
        if self._server is None or self._server.poll() is not None:
            return
        all_ = self.processes()
        for process in all_:
            with suppress(ProcessLookupError):  # each ends when the first is gone
                os.kill(process, signal.SIGKILL)
        self._server.wait()
        until(lambda: not any(map(_runs, all_)), "the server to be gone")

    def rows(self, root: Path, look: Path) -> list[invariant.Row]:
        """Return the requests."""
        return invariant.rows(root)


Kept = OfFile | OfServer


def _runs(process: int) -> bool:
    try:
        return not Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return False


class Disk:
    """An ext4 file system in a file, mounted."""

    def __init__(self, top: Path) -> None:
        self.root = top / "mounted"
        self._image = top / "0.img"
        self._cuts = 0
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", self._image], check=True)
        self.root.mkdir()
        self._mount()

    def _mount(self) -> None:
        options = "loop,errors=remount-ro"
        subprocess.run(["mount", "-o", options, self._image, self.root], check=True)

    def umount(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", self.root], check=True)

    def fail(self) -> None:
        """Make it fail, as ext4 does when it finds itself damaged: it becomes read-only."""
        words = ("findmnt", "-no", "SOURCE", self.root)
        found = subprocess.run(words, check=True, capture_output=True, text=True)
        device = Path(found.stdout.strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("for the test")

    def repair(self) -> None:
        """Repair it, as after a boot."""
        self.umount()
        subprocess.run(["e2fsck", "-fy", self._image], check=False, capture_output=True)
        self._mount()

    def cut(self) -> Path:
        """Copy what the disk holds now; everything that uses it must be stopped."""
        self._cuts += 1
        copy = self._image.with_name(f"{self._cuts}.img")
        # The kernel may be writing back just now: no disk loses its power in two moments.
        while True:
            before = self._image.stat().st_mtime_ns
            subprocess.run(["cp", "--sparse=always", self._image, copy], check=True)
            if self._image.stat().st_mtime_ns == before:
                return copy

    def go_on_with(self, copy: Path) -> None:
        """Use a copy as the disk from now on."""
        self.umount()
        self._image.unlink()
        self._image = copy
        self._mount()
