"""The power fails: what a writer was told is in, is in, on whatever the disk holds then.

Spool and journal, or the data of its server, are on a file system in a file. At a random moment all
that runs is stopped, and the file copied: what was not flushed is not in it. The machine then goes
on with the copy. The log of what writers were told is kept elsewhere. It models pages that were not
written, not a disk that lies. In CI a few cuts; PROVISIONER_FAULT=whole (`make fault`) makes many.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fault import invariant, writer
from tests.fault.disks import Disk, Kept, OfFile, OfServer
from tests.fault.plain import CONFIG
from tests.fault.points import ROOT, Ended, Nursery
from tests.support.waiting import LONGEST, until

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"
LIVES = 20 if WHOLE else 2
"""Sites, each of which loses its power twice: while it serves, and soon after it starts again."""

CONTROLS = 10
"""Cuts within which a service that does not flush has to have lost something."""

WORN = 1500
"""Requests after which SQLite's log is written from its beginning again, so that a commit flushes
no more than its pages, and none of the renames before it."""

LATER = 10
"""Seconds after which a request is due that was there before the disk failed."""

ELSEWHERE = """\
backup: {{directory: {backup}}}
"""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


ALONE, INTAKE = (
    pytest.param(OfServer(*words), marks=pytest.mark.lab, id=words[-1])
    for words in (("run",), ("run", "--intake"))
)
FILE = pytest.param(OfFile(), id="a file")


@dataclass
class Figures:
    """The results of the cuts. redone: files that were not where their requests stood."""

    cuts: int = 0
    acked: int = 0
    lost: list[str] = field(default_factory=list)
    redone: int = 0
    back: int = 0
    amiss: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"cuts {self.cuts}, acked {self.acked}, lost {len(self.lost)}, "
            f"renames redone {self.redone}, of them taken back {self.back}, amiss {len(self.amiss)}"
        )


class Life:
    """One site on one disk, its service and its writer."""

    def __init__(
        self, top: Path, nursery: Nursery, kept: Kept, *, careless: bool, elsewhere: bool
    ) -> None:
        self._top, self._nursery, self._careless = top, nursery, careless
        self._kept = kept
        self.disk = Disk(top)
        self.root = self.disk.root
        self.log = top / "told"
        text = CONFIG.replace("journal/journal.db", kept.start(self.root))
        more = ELSEWHERE.format(backup=top / "backup") if elsewhere else ""
        (self.root / "provisioner.yaml").write_text(text + more)
        made = nursery.run(self.root, "init")
        assert made.code == 0, made.log
        subprocess.run(["sync", "-f", self.root], check=True)

    def wear(self) -> None:
        """Serve so many requests that the journal's files stop growing."""
        for number in range(1, WORN + 1):
            writer.plain(self.root / "spool/staging", f"w{number}.yaml", writer.body(-number))
        service = self._nursery.start(self.root, "run")
        done = self.root / "spool/done"
        until(lambda: sum(1 for path in done.iterdir()) >= 2 * WORN, "all are done")
        os.kill(service, signal.SIGKILL)
        self._nursery.end(service)
        subprocess.run(["sync", "-f", self.root], check=True)

    def events(self, what: str = "") -> list[int]:
        """Return the requests that a writer was told are in; what: `drop` or `receipt`."""
        lines = self.log.read_text().splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith(what)]

    def _write(self, first: int) -> subprocess.Popen[bytes]:
        words = ("-m", "tests.fault.writer", str(self.root), str(self.log), str(first))
        return subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL)

    def serve_and_fail(self) -> Ended:
        """Serve a stream of requests until the disk fails; return how the service ended."""
        # One is due later: else all that was accepted may be over, and nothing be written any more.
        due = time.time() + LATER
        when = datetime.fromtimestamp(due, UTC).isoformat().encode()
        body = writer.body(0).replace(b"action", b"not_before: " + when + b"\naction")
        writer.plain(self.root / "spool/staging", "later.yaml", body)
        service = self._nursery.start(self.root, "run")
        with self._write(1) as writing:
            self._wait_for("receipt", 1, writing)
            self.disk.fail()
            ended = self._nursery.end(service)
        self.disk.repair()
        time.sleep(max(0.0, due - time.time()))
        return ended

    def serve_and_cut(self, since: str, first: int, seconds: float) -> None:
        """Serve a stream of requests, and lose the power.

        since: what the writer was told first; seconds: after that.
        """
        service = self._nursery.start(self.root, *self._kept.words, careless=self._careless)
        with self._write(first) as writing:
            self._wait_for(since, first, writing)
            time.sleep(seconds)
            # A server makes processes: whoever does is stopped before those are listed.
            for process in (writing.pid, service, *self._kept.processes()[:1]):
                os.kill(process, signal.SIGSTOP)
            for process in self._kept.processes()[1:]:
                os.kill(process, signal.SIGSTOP)
            copy = self.disk.cut()
            for process in (writing.pid, service):
                os.kill(process, signal.SIGKILL)
        assert self._nursery.end(service).killed
        self._kept.die()
        self.disk.go_on_with(copy)
        self._kept.start(self.root)

    def _wait_for(self, what: str, first: int, writing: subprocess.Popen[bytes]) -> None:
        """Wait until the writer was told something about one of these requests."""
        while not (self.log.exists() and any(n >= first for n in self.events(what))):
            assert writing.poll() is None, "the writer ended"
            time.sleep(0.01)

    def astray(self) -> tuple[int, int]:
        """Count requests whose file is elsewhere than they stand, and those whose taking is
        undone."""
        rows = self._kept.rows(self.root, self._top / "look")
        entries = invariant.files(self.root)
        where = {
            name[:26]: place
            for place, names in entries.items()
            for name in names
            if not name.endswith(invariant.RESULT)
        }
        astray = [row for row in rows if where.get(row.id) != invariant.PLACES[row.state]]
        return len(astray), sum(row.name in entries["staging"] for row in astray)

    def recover(self) -> list[str]:
        """Serve until all is over; return what is wrong, except lost requests."""
        ended = self._drain()
        if ended.code != 0:
            return [f"the service ended with {ended.code}: {ended.log}"]
        ids = [f"p{number}" for number in self.events() if writer.named(number)]
        known = {row.writer_id for row in invariant.rows(self.root)}
        return self._amiss([one for one in ids if one in known])

    def _drain(self) -> Ended:
        """Serve until all is over."""
        if "--intake" not in self._kept.words:
            return self._nursery.run(self.root, *self._kept.words, "--drain", "--patience", "20")
        service = self._nursery.start(self.root, *self._kept.words)
        deadline = time.monotonic() + LONGEST  # after which what is amiss then is told
        try:
            while not self._nursery.is_over(service) and self._amiss(()):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        finally:
            if not self._nursery.is_over(service):
                os.kill(service, signal.SIGTERM)
            ended = self._nursery.end(service)
        return ended

    def _amiss(self, ids: Collection[str]) -> list[str]:
        """List what is not over, or is not in its place. ids: as in `violations`."""
        found = invariant.violations(self.root, ids)
        # Who flushes nothing has no file after that, and all the rest.
        return [text for text in found if not text.endswith("its file is in []")]

    def end(self) -> None:
        """End whatever uses the disk, and unmount it."""
        self._kept.die()
        self.disk.umount()

    def lost(self) -> list[str]:
        """List the requests that a writer was told are in, and that are not."""
        digests = {row.digest for row in invariant.rows(self.root)}
        return [
            f"{number}.yaml"
            for number in self.events()
            if hashlib.sha256(writer.body(number)).hexdigest() not in digests
        ]

    def doubled(self) -> list[str]:
        """List the files that are two requests."""
        names = Counter(row.name for row in invariant.rows(self.root))
        return [f"{name} is {count} requests" for name, count in names.items() if count > 1]


@contextmanager
def life(
    nursery: Nursery, kept: Kept, *, careless: bool = False, elsewhere: bool = False
) -> Iterator[Life]:
    """Yield a site. elsewhere: its redo log is on another disk, and so flushes nothing else of this
    one."""
    with tempfile.TemporaryDirectory(prefix="provisioner-power.") as top:
        Path(top).chmod(0o755)
        made = Life(Path(top), nursery, kept, careless=careless, elsewhere=elsewhere)
        try:
            yield made
        finally:
            made.end()


def lose_power(nursery: Nursery, kept: Kept, lives: int, seed: int) -> Figures:
    """Cut the power of some sites twice each."""
    chance = random.Random(seed)
    figures = Figures()
    for number in range(lives):
        with life(nursery, kept, elsewhere=number % 2 == 1) as site:
            if number % 2 == 1 and isinstance(kept, OfFile):
                site.wear()
            for since, first, most in (("receipt", 1, 1.5), ("drop", 100_001, 0.4)):
                site.serve_and_cut(since, first, chance.uniform(0, most))
                astray, back = site.astray()
                figures.cuts += 1
                figures.redone += astray
                figures.back += back
            figures.acked += len(site.events())
            figures.amiss += site.recover()
            figures.lost += site.lost()
            figures.amiss += site.doubled()
    return figures


@root_only
@pytest.mark.parametrize("kept", [FILE, INTAKE, *([ALONE] if WHOLE else [])])
def test_a_power_cut_loses_nothing_that_a_writer_was_told_is_in(
    nursery: Nursery, kept: Kept
) -> None:
    lives = LIVES if WHOLE or isinstance(kept, OfFile) else 1
    figures = lose_power(nursery, kept, lives, seed=1)
    print(f"\n{figures}")
    assert figures.acked > 0
    assert not figures.lost, figures.lost
    assert not figures.amiss, "\n".join(figures.amiss)


@root_only
@pytest.mark.parametrize("kept", [FILE, INTAKE])
def test_a_service_that_does_not_flush_loses_what_it_was_given(
    nursery: Nursery, kept: Kept
) -> None:
    """Without this the test above might hold because nothing is ever at stake."""
    chance = random.Random(2)
    for cut in range(1, CONTROLS + 1):
        with life(nursery, kept, careless=True) as site:
            site.serve_and_cut("receipt", 1, chance.uniform(0.3, 1.5))
            amiss = site.recover()
            lost = site.lost()
            print(f"\nwithout flushes: cut {cut}, acked {len(site.events())}, lost {len(lost)}")
            if lost:
                return
            assert not amiss, amiss
    pytest.fail(f"{CONTROLS} cuts, and nothing was lost")


@root_only
def test_a_disk_that_turns_read_only_ends_the_service_and_loses_nothing(nursery: Nursery) -> None:
    with life(nursery, OfFile()) as site:
        ended = site.serve_and_fail()
        assert ended.code == 1, ended.log
        assert "start the service again" in ended.log
        assert site.events()
        assert site.recover() == []
        assert site.lost() == site.doubled() == []
