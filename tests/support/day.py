"""The page of an operator's day, run in a sandbox: `python -m tests.support.day [--write]`.

Promises: each `console` block of docs/day-in-the-life.md is typed in order, in one sandbox with a
running service; what is printed is compared with the page, after ids, times, numbers of processes
and places are made equal. `--write` puts what was printed into the page.
Leaves out: the time that passes. A comment `scene: NAME` in the page runs a function of `SCENES`.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioner.cli import site
from tests.support import behind
from tests.support.cli_site import call

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/day-in-the-life.md"
PLACE = "/site"
"""How the page writes the sandbox's directory."""

_PLACES = re.compile(r"/site\b")
_WIDTH = 120
_PATIENCE = 300.0
COURSE = 40.0
"""Seconds until the course ends."""

_SCENE = re.compile(r"<!-- scene: (\S+) -->")
_SAME = (
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b"), "ID"),
    (re.compile(r"^ +[0-9a-z]{6}(?=  )", re.M), "  ID"),
    (re.compile(r"(?<= edit )[0-9a-z]{6}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?"), "TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"\b[\d.]+ (ms|s|min|h|d)\b"), "AGE"),
    (re.compile(r"\bprocess \d+"), "process N"),
    # The service takes files in the order of their inodes: which one is the first may differ.
    (re.compile(r"\b(allocation:1|CF01|guest|student|course|gpu)\d*", re.I), r"\1N"),
    (re.compile(r"\b(oldest|backup|due|open|later)=[\d.]+"), r"\1=N"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" +$", re.M), ""),
)
_STEPS = re.compile(r"(?:^ [a-z-]+: .*\n)+", re.M)


@dataclass(frozen=True)
class Typed:
    """A command of the page, what the page says it prints, and what it printed."""

    command: str
    page: str
    printed: str

    @property
    def differs(self) -> bool:
        return same(self.page) != same(self.printed)


class Day:
    """A sandbox with its service, and the operator's shell."""

    def __init__(self, top: Path) -> None:
        self.root = top / "site"
        self.bin = top / "bin"
        self.bin.mkdir(parents=True)
        self.program("provisioner", "from provisioner.cli.main import main\nmain()\n")
        self.environment = {
            **os.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PROVISIONER_CONFIG": str(self.root / "provisioner.yaml"),
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }
        # An installation has its modules compiled; with this, each command would compile them.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.service: subprocess.Popen[bytes] | None = None
        self.shell(f"provisioner sandbox {self.root}")
        self.files = self.root / "requests"
        self.files.mkdir()
        (self.bin / "sacctmgr").symlink_to(self.root / "slurm/bin/sacctmgr")

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)

    def typed(self, command: str) -> str:
        """Type a command of the page; return what it prints as the page writes it."""
        there = self.shell(_PLACES.sub(str(self.root), command)).replace(str(self.root), PLACE)
        return "\n".join(map(_cut, there.strip("\n").splitlines()))

    def shell(self, command: str) -> str:
        """Run a command; return all that it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            env=self.environment,
            cwd=self.files if hasattr(self, "files") else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE * 2,
        )
        return done.stdout

    def start(self) -> None:
        """Start the service, and wait until it serves."""
        with (self.root / "log").open("ab") as log:
            self.service = subprocess.Popen(
                [self.bin / "provisioner", "run"], env=self.environment, stderr=log
            )
        self.until(lambda queue: queue["served_by"] is not None)

    def stop(self) -> None:
        if self.service:
            self.service.terminate()
            self.service.wait(_PATIENCE)
            self.service = None

    def queue(self) -> dict[str, Any]:
        """Ask in this process, which is faster than a program."""
        answer = call("queue", "--json", config=self.environment["PROVISIONER_CONFIG"])
        queue: dict[str, Any] = answer.json
        return queue

    def until(self, right: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the queue is as told."""
        deadline = time.monotonic() + _PATIENCE
        with site.kept():  # to read the configuration takes as long as all else of a look
            while not right(queue := self.queue()):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the day did not go on: {queue['counts']}")
                time.sleep(0.2)

    def send(self, name: str, *texts: str, wait: bool = False) -> None:
        """Submit requests, each in a file of its own. wait: until all are over."""
        files = [self.files / f"{name}{number or ''}.yaml" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        self.submit(*files, wait=wait)

    def submit(self, *files: Path, wait: bool = False) -> None:
        """Submit files, in this process. wait: until all are over, as an empty queue may be one
        from which nothing was taken yet."""
        words = ["submit", *(["--wait"] if wait else []), *map(str, files)]
        done = call(*words, config=self.environment["PROVISIONER_CONFIG"])
        assert done.code == 0, done


def _cut(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 4]} ..."


def request(action: str, body: str) -> str:
    return f"provisioner: 1\naction: {action}\n{body}\n"


def storage(number: int, resource: str, space: str = "1TiB", *, title: str = "title") -> str:
    """Write a request for space of a project of its own."""
    project = f"{{code: CF{number:04}, {title}: Project {number}, pi: jdoe}}"
    return request(
        "allocation.provision",
        f"allocation:\n  id: {number}\n  resource: {resource}\n  project: {project}\n"
        f"  users: [jdoe]\n  quota: {{space: {space}}}",
    )


def compute(number: int, resource: str, qos: str = "normal") -> str:
    """Write a request for compute time of a project of its own."""
    return request(
        "allocation.provision",
        f"allocation:\n  id: {number}\n  resource: {resource}\n  project: {{code: CF{number:04}}}\n"
        f"  users: [jdoe]\n  slurm: {{qos: [{qos}]}}",
    )


def course(ends: float) -> str:
    """Write a request for a course of two people that ends at a time."""
    moment = datetime.fromtimestamp(ends, UTC)
    return request(
        "allocation.provision",
        f"ends: {moment:%Y-%m-%dT%H:%M:%SZ}\nallocation:\n  id: 44\n  resource: cluster-a\n"
        "  project: {code: CF0005, title: Parallel programming, pi: jdoe}\n"
        "  users: [student1, student2]",
    )


def yesterday(day: Day) -> None:
    """Serve what the site has before: two people, a project with space and compute time."""
    day.start()
    samples = ROOT / "templates/requests"
    for name in ("user-jdoe.yaml", "user-asmith.json"):  # in turn, as who is first has uid 20000
        day.submit(samples / name, wait=True)
    day.submit(samples / "storage.yaml", samples / "compute.yaml", wait=True)


def night(day: Day) -> None:
    """Take the AD away, and let 40 people be asked for. The emulated connection is a file that
    stays open, so that the service starts anew."""
    day.stop()
    (day.root / "ad.json").rename(day.root / "ad.away")
    day.start()
    texts = (request("user.provision", f"user: {{name: student{n}}}") for n in range(1, 41))
    day.send("course", *texts)
    day.until(lambda queue: queue["counts"].get("deferred") == 40)


def directory_back(day: Day) -> None:
    (day.root / "ad.away").rename(day.root / "ad.json")
    day.until(lambda queue: not queue["requests"])


def morning(day: Day) -> None:
    """Let 30 requests fail for five causes."""
    day.send("gpu", *(compute(n, "cluster-gpu") for n in range(101, 113)))
    day.send("archive", *(storage(n, "hpc-storage", "5TX") for n in range(121, 129)))
    day.send("support", *(compute(n, "cluster-a", "supporters") for n in range(131, 135)))
    guests = (request("user.provision", f"user: {{name: Guest{n}}}") for n in range(1, 6))
    day.send("guests", *guests)
    day.send("folding", storage(141, "hpc-storage", title="titel"))
    day.until(lambda queue: failures(queue) == 30)


def failures(queue: dict[str, Any]) -> int:
    counts = queue["counts"]
    return int(counts.get("failed", 0) + counts.get("refused", 0))


def resource_added(day: Day) -> None:
    """Add the resource to the configuration, and restart the service.

    Before that a course is asked for that ends soon: the service looks whom to warn as it starts.
    """
    day.send("course-ends", course(time.time() + COURSE), wait=True)
    with (day.root / "provisioner.yaml").open("a") as file:
        file.write("  cluster-gpu: {handlers: [slurm-a]}\n")
    day.stop()
    day.start()


def date_comes(day: Day) -> None:
    """Wait until the course has ended, and its people were told."""
    told = "student1@campus.test: access removed"
    config = day.environment["PROVISIONER_CONFIG"]
    day.until(lambda _: told in call("mail", "queue", "--sent", config=config).out)


def filled(day: Day) -> None:
    """Let the project use 4.9 of its 5 TiB."""
    used = {"cf0003": {"blockUsage": str(int(4.9 * 2**30))}}
    (day.root / "gpfs/faults.json").write_text(json.dumps({"usage": used}))


def by_hand(day: Day) -> None:
    """Let somebody give a limit in Slurm by hand."""
    behind.slurm_limit(day.root, "jdoe", "cf0003", "MaxJobs=99")


SCENES: dict[str, Callable[[Day], None]] = {
    "yesterday": yesterday,
    "night": night,
    "directory-back": directory_back,
    "morning": morning,
    "resource-added": resource_added,
    "filled": filled,
    "date-comes": date_comes,
    "by-hand": by_hand,
}


def same(text: str) -> str:
    """Make equal what is another at each run."""
    for pattern, word in _SAME:
        text = pattern.sub(word, text)
    # Steps that end together are printed in any order.
    return _STEPS.sub(lambda steps: "".join(sorted(steps[0].splitlines(True))), text).strip("\n")


def pieces(page: str) -> Iterator[str | tuple[str, str]]:
    """Yield the lines of a page, and each command of its console blocks with its output."""
    lines = iter(page.splitlines())
    for line in lines:
        yield line
        if line != "```console":
            continue
        command, output = "", list[str]()
        for inside in lines:
            if inside == "```" or inside.startswith("$ "):
                if command:
                    yield command, "\n".join(output)
                command, output = inside[2:], []
                if inside == "```":
                    yield inside
                    break
            else:
                output.append(inside)


def walk(day: Day, page: str) -> Iterator[str | Typed]:
    """Play a page; yield its lines, and each command with what it printed."""
    for piece in pieces(page):
        if isinstance(piece, tuple):
            yield Typed(*piece, day.typed(piece[0]))
            continue
        if scene := _SCENE.fullmatch(piece):
            SCENES[scene[1]](day)
        yield piece


def played(top: Path, page: str) -> list[str | Typed]:
    """Play a page in a new sandbox."""
    day = Day(top)
    with contextlib.ExitStack() as stack:
        stack.callback(day.stop)
        return list(walk(day, page))


def written(parts: list[str | Typed]) -> str:
    """Return the page with what was printed."""
    lines = list[str]()
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
        else:
            lines += [f"$ {part.command}", *part.printed.splitlines()]
    return "\n".join(lines) + "\n"


def differences(parts: list[str | Typed]) -> str:
    """Return where the page does not say what was printed."""
    told = list[str]()
    for part in parts:
        if isinstance(part, Typed) and part.differs:
            old, new = same(part.page).splitlines(), same(part.printed).splitlines()
            told += [
                f"$ {part.command}",
                *difflib.unified_diff(old, new, "page", "printed", "", "", 1),
            ]
    return "\n".join(told)


def main(words: list[str]) -> int:
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory(prefix="day.") as top:
        parts = played(Path(top), page)
    found = differences(parts)
    print(found or "the page says what is printed")
    if found and "--write" in words:
        PAGE.write_text(written(parts))
    return int(bool(found) and "--write" not in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
