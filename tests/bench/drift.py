"""A look for drift at a sandbox of many users without any: its seconds, and calls for two sizes.

Run: python -m tests.bench.drift [--users N]. Five backends have all users: AD accounts, members of
groups, AD LDS, homes, and associations of Slurm. Calls to programs and searches in directories are
counted for a tenth of the users, and for all: they grow with the pages of a listing and no more.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldap3 import Connection

from handlers.emulators import site as sandbox
from provisioner.config import schema
from provisioner.contract import split_key
from provisioner.inspection.rounds import Rounds
from provisioner.journal.figures.drift import Look
from provisioner.journal.records import object_rows
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import build

BACKENDS = ("ad", "groups", "lds", "homes", "slurm-a")
AIM = 10.0
NOTIFY = """\
notify:
  mail:
    directory: mail
    sender: hpc@campus.test
    domain: campus.test
    operators: [operators@campus.test]
"""
OF_PROJECT = 100
"""Users of a project."""


@dataclass(frozen=True)
class Figures:
    """What a round took.

    seconds: by the clock; processor: of a processor, in the service and in the emulated programs
    that it runs: a busy machine changes it less; calls: to programs and directories, by what was
    called.
    """

    seconds: float
    processor: tuple[float, float]
    objects: int
    calls: Counter[str]
    looks: tuple[Look, ...]


def requests(staging: Path, users: int) -> None:
    """Put requests for all users into staging, and for allocations of some of them each."""
    names = [f"u{number:05}" for number in range(users)]
    for name in names:
        body = f"provisioner: 1\naction: user.provision\nuser: {{name: {name}}}\n"
        _put(staging / f"{name}.yaml", body)
    for start in range(0, users, OF_PROJECT):
        some = ", ".join(names[start : start + OF_PROJECT])
        code = f"CF{start // OF_PROJECT}"
        _put(
            staging / f"z{code}.yaml",
            "provisioner: 1\naction: allocation.provision\nallocation:\n"
            f"  id: {code}\n  resource: cluster-a\n  project: {{code: {code}, title: One, "
            f"pi: {names[start]}}}\n  users: [{some}]\n",
        )


def _put(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@contextmanager
def counting(calls: Counter[str]) -> Iterator[None]:
    """Count the programs that are run, and the searches in directories, during the block."""
    run, search = subprocess.Popen.__init__, Connection.search

    def popen(self: Any, words: Any, *more: Any, **options: Any) -> None:
        calls[Path(str(words[0])).name] += 1
        run(self, words, *more, **options)

    def searching(self: Any, *words: Any, **options: Any) -> Any:
        calls["search in a directory"] += 1
        return search(self, *words, **options)

    subprocess.Popen.__init__ = popen  # type: ignore[method-assign, assignment]
    Connection.search = searching  # type: ignore[method-assign]
    try:
        yield
    finally:
        subprocess.Popen.__init__ = run  # type: ignore[method-assign]
        Connection.search = search  # type: ignore[method-assign]


def processor() -> tuple[float, float]:
    """Return the seconds of a processor that this process and its programs have used."""
    programs = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), programs.ru_utime + programs.ru_stime


def look(root: Path, users: int) -> Figures:
    """Make a sandbox with users, and walk a round."""
    sandbox.make(root)
    path = root / "provisioner.yaml"
    path.write_text(path.read_text().replace(NOTIFY, ""))  # thousands of mails are another figure
    system = build(schema.load(path))
    spool = Spool.open(system.config.spool)
    requests(spool.staging, users)
    service = Service(system, spool)
    service.drain(600)
    spool.close()
    with system.journal.reading() as conn:
        settled = Counter(split_key(key)[0] for key in object_rows.settled(conn, BACKENDS))
    short = [name for name in BACKENDS if settled[name] < users]
    if short:
        raise SystemExit(f"not all users are in {', '.join(short)}: {dict(settled)}")
    calls: Counter[str] = Counter()
    rounds = Rounds(system)
    with counting(calls):
        began, before = time.perf_counter(), processor()
        looks = rounds.walk(time.time())
        took, after = time.perf_counter() - began, processor()
    system.journal.close()
    used = (after[0] - before[0], after[1] - before[1])
    return Figures(took, used, sum(one.looked for one in looks), calls, tuple(looks))


def main() -> None:
    """Print the figures beside their aims."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=10_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory() as where:
        small = look(Path(where) / "small", max(1, users // 10))
        large = look(Path(where) / "large", users)
    print(
        f"drift, {users} users in {len(BACKENDS)} backends: {large.seconds:.1f} s for "
        f"{large.objects} objects   (aim {AIM:g} s)"
    )
    own, programs = large.processor
    print(f"  of a processor: {own:.1f} s in the service, {programs:.1f} s in emulated programs")
    for one in large.looks:
        print(f"  {one.instance + ':':10} {one.looked:6} objects in {one.seconds:5.2f} s")
    print(f"  calls, for {max(1, users // 10)} users and for {users}   (aim: only pages grow)")
    for name in sorted(small.calls | large.calls):
        print(f"    {name + ':':24} {small.calls[name]:4} {large.calls[name]:4}")


if __name__ == "__main__":
    main()
