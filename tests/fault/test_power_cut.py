"""The power fails: what a writer was told is in, is in, on whatever the disk holds then.

Spool and journal are on a file system in a file. At a random moment all that runs is stopped, and
the file copied: what was not flushed is not in it. The machine then goes on with the copy. The log
of what writers were told is kept elsewhere. It models pages that were not written, not a disk that
lies. In CI a few cuts; PROVISIONER_FAULT=whole (`make fault`) makes many.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fault import invariant, writer
from tests.fault.points import ROOT, Nursery

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"
LIVES = 20 if WHOLE else 2
"""Sites, each of which loses its power twice: while it serves, and soon after it starts again."""

CONTROLS = 10
"""Cuts within which a service that does not flush has to have lost something."""

SIZE = 256 << 20
CONFIG = """\
service: plain
spool: spool
journal: journal/journal.db
handlers: {}
routes: {project.provision: []}
"""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Disk:
    """A file system in a file, mounted."""

    def __init__(self, top: Path, kind: str) -> None:
        self.root = top / "mounted"
        self._image = top / "0.img"
        self._cuts = 0
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        subprocess.run([f"mkfs.{kind}", "-q", self._image], check=True)
        self.root.mkdir()
        self._mount()

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self._image, self.root], check=True)

    def umount(self) -> None:
        """Take it out."""
        subprocess.run(["umount", self.root], check=True)

    def cut(self) -> Path:
        """Copy what the disk holds now; whoever uses it has to be stopped."""
        self._cuts += 1
        copy = self._image.with_name(f"{self._cuts}.img")
        # The kernel may be writing back just now: no disk loses its power in two moments.
        while True:
            before = self._image.stat().st_mtime_ns
            subprocess.run(["cp", "--sparse=always", self._image, copy], check=True)
            if self._image.stat().st_mtime_ns == before:
                return copy

    def go_on_with(self, copy: Path) -> None:
        """Have a copy for a disk from now on."""
        self.umount()
        self._image.unlink()
        self._image = copy
        self._mount()


@dataclass
class Figures:
    """What came of the cuts. redone: files that were not where their requests stood."""

    cuts: int = 0
    acked: int = 0
    lost: list[str] = field(default_factory=list)
    redone: int = 0
    back: int = 0
    amiss: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"cuts {self.cuts}, acked {self.acked}, lost {len(self.lost)}, "
            f"renames redone {self.redone}, of them claims {self.back}, amiss {len(self.amiss)}"
        )


class Life:
    """One site on one disk, its service and its writer."""

    def __init__(self, top: Path, nursery: Nursery, kind: str, *, careless: bool) -> None:
        self._top, self._nursery, self._careless = top, nursery, careless
        self.disk = Disk(top, kind)
        self.root = self.disk.root
        self.log = top / "told"
        (self.root / "provisioner.yaml").write_text(CONFIG)
        made = nursery.run(self.root, "init")
        assert made.code == 0, made.log
        subprocess.run(["sync", "-f", self.root], check=True)

    def told(self) -> list[int]:
        """List the requests that a writer was told are in."""
        return [int(line.split()[1]) for line in self.log.read_text().splitlines()]

    def serve_and_cut(self, first: int, seconds: float) -> None:
        """Serve a stream of requests for a while, and lose the power."""
        service = self._nursery.start(self.root, "run", careless=self._careless)
        words = ("-m", "tests.fault.writer", str(self.root), str(self.log), str(first))
        with subprocess.Popen([sys.executable, *words], cwd=ROOT) as writing:
            self._wait_for_writer(first, writing)
            time.sleep(seconds)
            for process in (writing.pid, service):
                os.kill(process, signal.SIGSTOP)
            copy = self.disk.cut()
            for process in (writing.pid, service):
                os.kill(process, signal.SIGKILL)
        assert self._nursery.end(self.root, service).killed
        self.disk.go_on_with(copy)

    def _wait_for_writer(self, first: int, writing: subprocess.Popen[bytes]) -> None:
        while not (self.log.exists() and any(number >= first for number in self.told())):
            assert writing.poll() is None, "the writer ended"
            time.sleep(0.01)

    def astray(self) -> tuple[int, int]:
        """Count requests whose file is elsewhere than they stand, and those whose claim is undone.

        By a copy of the journal: who reads it changes it.
        """
        look = self._top / "look"
        shutil.copytree(self.root / "journal", look / "journal", dirs_exist_ok=True)
        rows = invariant.rows(look) if (look / "journal/journal.db").stat().st_size else []
        shutil.rmtree(look)
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
        """Serve what there is until all is over; return what is amiss, lost requests aside."""
        ended = self._nursery.run(self.root, "run", "--drain", "--patience", "20")
        if ended.code != 0:
            return [f"the service ended with {ended.code}: {ended.log}"]
        ids = [f"p{number}" for number in self.told() if writer.named(number)]
        known = {row.writer_id for row in invariant.rows(self.root)}
        found = invariant.violations(self.root, [one for one in ids if one in known])
        # Who flushes nothing has no file after that, and all the rest.
        return [text for text in found if not text.endswith("its file is in []")]

    def lost(self) -> list[str]:
        """List the requests that a writer was told are in, and that are not."""
        names = Counter(row.name for row in invariant.rows(self.root))
        return [f"{number}.yaml" for number in self.told() if not names[f"{number}.yaml"]]

    def doubled(self) -> list[str]:
        """List the files that are two requests."""
        names = Counter(row.name for row in invariant.rows(self.root))
        return [f"{name} is {count} requests" for name, count in names.items() if count > 1]


@contextmanager
def life(nursery: Nursery, kind: str, *, careless: bool = False) -> Iterator[Life]:
    """Have a site for a while."""
    with tempfile.TemporaryDirectory(prefix="provisioner-power.") as top:
        made = Life(Path(top), nursery, kind, careless=careless)
        try:
            yield made
        finally:
            made.disk.umount()


def lose_power(nursery: Nursery, kind: str, lives: int, seed: int) -> Figures:
    """Cut the power of some sites twice each."""
    chance = random.Random(seed)
    figures = Figures()
    for _ in range(lives):
        with life(nursery, kind) as site:
            for first, most in ((1, 1.5), (100_001, 0.4)):
                site.serve_and_cut(first, chance.uniform(0, most))
                astray, back = site.astray()
                figures.cuts += 1
                figures.redone += astray
                figures.back += back
            figures.acked += len(site.told())
            figures.amiss += site.recover()
            figures.lost += site.lost()
            figures.amiss += site.doubled()
    return figures


@root_only
@pytest.mark.parametrize("kind", ["ext4"])
def test_a_power_cut_loses_nothing_that_a_writer_was_told_is_in(
    nursery: Nursery, kind: str
) -> None:
    figures = lose_power(nursery, kind, LIVES, seed=1)
    print(f"\n{kind}: {figures}")
    assert figures.acked > 0
    assert not figures.lost, figures.lost
    assert not figures.amiss, "\n".join(figures.amiss)


@root_only
def test_a_service_that_does_not_flush_loses_what_it_was_given(nursery: Nursery) -> None:
    """Without this the test above might hold because nothing is ever at stake."""
    chance = random.Random(2)
    for cut in range(1, CONTROLS + 1):
        with life(nursery, "ext4", careless=True) as site:
            site.serve_and_cut(1, chance.uniform(0.3, 1.5))
            amiss = site.recover()
            lost = site.lost()
            print(f"\nwithout flushes: cut {cut}, acked {len(site.told())}, lost {len(lost)}")
            if lost:
                return
            assert not amiss, amiss
    pytest.fail(f"{CONTROLS} cuts, and nothing was lost")
