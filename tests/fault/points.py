"""Failpoints: the service, killed where it may hurt, without a line in the product for it.

Promises: every commit, every rename, removal and write of a file of the engine's, every call of a
handler and every round of the clerk is a point, named by the function that makes it, or by the
handler's name in the configuration; a new one is a point by itself. `Nursery.serve` runs the real
command line in a process of its own, forked from one that has everything imported, and kills it
with SIGKILL at the hit it is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]

WRITERS = "writers"
"""The file of a site in which its processes note when they write to a backend."""

_NEW_NAME = 0x04000000
"""`CLONE_NEWUTS` of sched.h."""


@dataclass(frozen=True)
class Aim:
    """Where a process is killed. part: of the service, which it is; hit: of the point."""

    part: str
    point: str
    hit: int = 1


NOWHERE = Aim("", "")


@dataclass(frozen=True)
class Ended:
    """How a service ended. code: as `subprocess` gives it; hits: how often each point came."""

    code: int
    hits: Mapping[str, int]
    log: str

    @property
    def killed(self) -> bool:
        """Return True if it died at the point."""
        return self.code == -signal.SIGKILL


class Nursery:
    """A process that has the engine imported, and forks services from itself."""

    def __init__(self) -> None:
        self._top = tempfile.TemporaryDirectory(prefix="provisioner-nursery.")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.points"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._top.cleanup()

    def log(self, process: int) -> Path:
        """Return the path of a service's log, which is not on its disk."""
        return Path(self._top.name) / f"log.{process}"

    def start(
        self,
        root: Path,
        *words: str,
        aim: Aim = NOWHERE,
        stopped: bool = False,
        hints: int = 1,
        careless: bool = False,
        host: str = "",
    ) -> int:
        """Start a verb on the sandbox in `root`; return its process, to be given to `end`.

        aim: where it kills itself; stopped: it waits for a SIGCONT; hints:
        how often each event of staging reaches it; careless: its journal flushes nothing; host: the
        name of a host of its own, '' being this one.
        """
        asked = {"root": str(root), "words": words, "point": aim.point, "hit": aim.hit}
        how = {"stopped": stopped, "hints": hints, "careless": careless, "host": host}
        process = int(self._ask({"top": self._top.name, **asked, **how}))
        self.log(process).touch()  # it may be killed before it says anything
        return process

    def is_over(self, process: int) -> bool:
        """Return True if a verb has ended, and waits for `end`."""
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2]
        return state.startswith("Z")

    def end(self, process: int) -> Ended:
        """Wait until a verb has ended."""
        code = int(self._ask({"wait": process}))
        file = Path(self._top.name) / f"hits.{process}"
        hits = json.loads(file.read_text()) if file.exists() else {}
        return Ended(code, hits, self.log(process).read_text())

    def run(self, root: Path, *words: str, aim: Aim = NOWHERE) -> Ended:
        """Run a verb until it ends."""
        return self.end(self.start(root, *words, aim=aim))

    def _ask(self, asked: Mapping[str, object]) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


class Points:
    """Counts the hits of each point, and dies at the one that is armed."""

    def __init__(self, point: str = "", hit: int = 1) -> None:
        self.hits: Counter[str] = Counter()
        self._armed, self._hit = point, hit
        self._turn = threading.Lock()

    def arm(self, point: str, hit: int) -> None:
        """Die at the given hit of a point."""
        self._armed, self._hit = point, hit

    def __call__(self, name: str) -> None:
        """Count the point, and die if it is armed."""
        with self._turn:
            self.hits[name] += 1
            if name == self._armed and self.hits[name] == self._hit:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
        """Put points before and after a function; without a name: where the engine calls it."""

        @functools.wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            place = name or _place(sys._getframe(1), function.__name__)
            if not place:
                return function(*arguments, **named)
            self(f"before {place}")
            given = function(*arguments, **named)
            self(f"after {place}")
            return given

        return called


def _place(frame: FrameType, what: str) -> str:
    """Return the name of the engine's function that calls; '' if somebody else calls."""
    module = frame.f_globals.get("__name__", "")
    if not module.startswith("provisioner.") or module == "provisioner.spool.submit":
        return ""
    return f"{what} in {frame.f_code.co_qualname}"


def _noted(function: Callable[..., Any], lane: str) -> Callable[..., Any]:
    """Note who calls a function that writes for a lane, before each call and after it."""

    def note(moment: str) -> None:
        with (Path(os.environ["PROVISIONER_CONFIG"]).parent / WRITERS).open("a") as file:
            file.write(f"{lane} {os.getpid()} {moment}\n")

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        note("begins")
        try:
            return function(*arguments, **named)
        finally:
            note("ends")

    return called


def install(points: Points) -> None:
    """Put the points in. Call this before anything else of the engine is imported."""
    from provisioner.spool import submission
    from provisioner.system import entry

    for name in ("rename", "unlink", "write"):
        setattr(os, name, points.around(getattr(os, name)))
    for name in ("rename_new", "rename_own"):
        vars(entry)[name] = points.around(getattr(entry, name))
    for name in ("open_unwritten", "read"):
        vars(submission)[name] = points.around(getattr(submission, name), name)

    from provisioner import service
    from provisioner.convergence import lanes
    from provisioner.hosts import drainer
    from provisioner.hosts.handing import laid
    from provisioner.journal import journal
    from provisioner.outcome.filing import Finisher

    for name in ("lay", "show"):
        vars(laid)[name] = points.around(getattr(laid, name))
    for name in ("settle", "announce", "resubmit", "reject", "redo"):
        setattr(Finisher, name, points.around(getattr(Finisher, name), f"Finisher.{name}"))

    transaction = journal.Journal.transaction

    def committing(book: journal.Journal, **options: Any) -> Any:
        place = sys._getframe(1).f_code.co_qualname

        @contextlib.contextmanager
        def whole() -> Iterator[Any]:
            with transaction(book, **options) as conn:
                yield conn
                points(f"before commit in {place}")
            points(f"after commit in {place}")

        return whole()

    setattr(journal.Journal, "transaction", committing)  # noqa: B010 - mypy knows it as a method

    def with_points(handlers: Mapping[str, Any]) -> Any:
        for instance, handler in handlers.items():
            writing = _noted(handler.apply, handler.lane)
            for name, call in (("observe", handler.observe), ("apply", writing)):
                setattr(handler, name, points.around(call, f"{instance}.{name}"))
        return lanes.lanes_of(handlers)

    for module in (service, drainer):
        vars(module)["lanes_of"] = with_points


def _hint(times: int) -> None:
    """Deliver each event of staging to the service so many times."""
    from provisioner.spool.watch import Watcher

    hint = Watcher._hint

    def hints(watcher: Watcher) -> None:
        for _ in range(times):
            hint(watcher)

    setattr(Watcher, "_hint", hints)  # noqa: B010 - mypy knows it as a method


def _be_on(host: str) -> None:
    """Be on a host with a name of its own. Needs root."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NAME):
        raise OSError(ctypes.get_errno(), "unshare")
    socket.sethostname(host)


def _flush_nothing() -> None:
    """Make the journal as fast as if power never failed."""
    from provisioner.journal.postgresql import server
    from provisioner.journal.sqlite import file

    vars(server)["_SESSION"] = "SET synchronous_commit = off"

    prepare = file._prepare

    def careless(connection: Any, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    vars(file)["_prepare"] = careless


def _child(order: Mapping[str, Any], points: Points) -> None:
    from provisioner.cli.main import main

    root, top = Path(order["root"]), Path(order["top"])
    with contextlib.suppress(ChildProcessError):
        os.setpgid(0, 0)
    log = os.open(top / f"log.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(log, number)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.environ["PROVISIONER_CONFIG"] = str(root / "provisioner.yaml")
    points.arm(order["point"], order["hit"])
    _hint(order["hints"])
    if order["careless"]:
        _flush_nothing()
    if order["host"]:
        _be_on(order["host"])
    if order["stopped"]:
        os.kill(os.getpid(), signal.SIGSTOP)
    try:
        main(order["words"])
        code: object = 0
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    (top / f"hits.{os.getpid()}").write_text(json.dumps(points.hits))
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def _nursery() -> None:
    """Serve `Nursery`."""
    points = Points()
    install(points)
    import provisioner.cli.control
    import provisioner.cli.progress
    import provisioner.cli.sharing
    import provisioner.hosts.jobs
    import provisioner.service
    import provisioner.wiring  # noqa: F401 - all that a service will want

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if child == 0:
            try:
                _child(order, points)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(70)
        print(child, flush=True)


if __name__ == "__main__":
    _nursery()
