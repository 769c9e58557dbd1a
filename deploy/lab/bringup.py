"""Bringing a lab up, taking it down, and running a command in it."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from deploy.lab import accounting, directories, inside, report, suites
from deploy.lab.place import Lab, LabError, check_directory, choose, known, settled_suite

DAEMONS = (
    "samba", "slapd-adlds", "slapd-rfc2307", "nslcd",
    "munge", "mariadb", "slurmdbd", "slurmctld", "slurmd",
)  # fmt: skip

OUTSIDE = ("openssl", "nsenter", "unshare", "setpriv", "setsid")
"""Programs of the machine that every lab needs."""

INSIDE = (
    "samba", "samba-tool", "slapd", "slapadd", "ldapsearch", "nslcd", "munged", "mariadbd",
    "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacctmgr",
)  # fmt: skip
"""Programs that a lab needs of the Debian that it runs."""


def up(directory: Path, suite: str | None = None) -> None:
    """Bring the lab up, or say that it is up.

    suite: a Debian to run it on, `trixie`; None for the machine's own, or for that of a lab that
    was there before. Raises LabError; nothing is then left running.
    """
    if os.geteuid() != 0:
        raise LabError("the lab needs root: its daemons serve many users, on ports below 1024")
    os.environ["PATH"] = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin:/sbin"
    check_directory(directory)
    suite = settled_suite(directory, suite)
    _installed(OUTSIDE if suite else OUTSIDE + INSIDE)
    tree = suites.tree(suite) if suite else None
    os.umask(0o022)  # Users of the lab pass through its directories.
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    with _alone(directory):
        if inside.holder(directory) is not None:
            _confirm(directory)
            return
        began = time.monotonic()
        with choose(directory, suite) as lab:
            try:
                _prepare(lab)
                inside.hold(lab.directory, tree)
                _start(lab, began)
            except BaseException:
                inside.end(directory)
                raise


def down(directory: Path) -> None:
    """Take the lab down; what it keeps under its directory stays, for the next time."""
    lab = known(directory)
    with _alone(directory):
        lab.path("lab.json").unlink(missing_ok=True)
        if inside.holder(directory) is None:
            print(f"lab: {directory} is down")
            return
        accounting.end_jobs(lab)
        # slurmctld tells slurmdbd what it has not told yet, slurmdbd MariaDB.
        for wave in (("slurmctld", "slurmd"), ("slurmdbd",), None):
            inside.stop(directory, wave)
        inside.end(directory)
        shutil.rmtree(lab.path("run"))
        print(f"lab: {directory} is down now")


def enter(directory: Path, command: list[str]) -> None:
    """Become a command that runs in the lab's namespaces, in the current directory."""
    # nsenter waits for the command outside; when it is ended, the command must be told.
    told = ["setpriv", "--pdeathsig", "TERM", "env", f"--chdir={Path.cwd()}", "--"]
    words = [*inside.entering(directory), *told, *command]
    os.execvp(words[0], words)


def main_up() -> None:
    """Run `up DIR [--suite SUITE]`."""
    reader = argparse.ArgumentParser(prog="up", description="Bring a lab up; see README.md.")
    reader.add_argument("directory", type=Path, help="where the lab keeps everything")
    reader.add_argument("--suite", help="the Debian to run it on, as trixie; else the machine's")
    told = reader.parse_args()
    _carried_out(lambda: up(told.directory.resolve(), told.suite))


def main_down() -> None:
    """Run `down DIR`."""
    reader = argparse.ArgumentParser(prog="down", description="Take a lab down; see README.md.")
    reader.add_argument("directory", type=Path, help="where the lab keeps everything")
    told = reader.parse_args()
    _carried_out(lambda: down(told.directory.resolve()))


def _carried_out(verb: Callable[[], None]) -> None:
    # Ended from outside, clean up as for an interrupt.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        verb()
    except KeyboardInterrupt:
        sys.exit("lab: interrupted")
    except LabError as error:
        sys.exit(f"lab: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"lab: {Path(error.cmd[0]).name} failed:\n{error.output}")


def main_enter() -> None:
    """Run `enter DIR COMMAND...`."""
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        sys.exit("usage: enter DIR COMMAND...")
    try:
        enter(Path(sys.argv[1]).resolve(), sys.argv[2:])
    except LabError as error:
        sys.exit(f"lab: {error}")


def _installed(programs: Sequence[str]) -> None:
    away = [program for program in programs if shutil.which(program) is None]
    if away:
        raise LabError(f"not installed: {', '.join(away)}; run deploy/lab/install")


def _prepare(lab: Lab) -> None:
    """Write what the daemons read."""
    shutil.rmtree(lab.path("run"), ignore_errors=True)
    for name in ("etc", "data", "log", "run", "run/sessions", "run/tmp", "tls", "home", "gpfs"):
        lab.path(name).mkdir(exist_ok=True)
    lab.path("secrets").mkdir(mode=0o700, exist_ok=True)
    directories.make_secrets(lab)
    directories.cover_etc(lab)
    accounting.configure(lab)


def _start(lab: Lab, began: float) -> None:
    """Start everything, side by side where nothing has to wait."""

    def timed(what: str, step: Callable[[], None]) -> None:
        begin = time.monotonic()
        step()
        print(f"lab: {what:<13} answers after {time.monotonic() - begin:4.1f} s", flush=True)

    def domain() -> None:
        timed("samba", lambda: directories.start_samba(lab))
        timed("nslcd", lambda: directories.start_nslcd(lab))

    def others() -> None:
        for server in (directories.adlds(lab), directories.rfc2307(lab)):
            start = functools.partial(directories.start_slapd, lab, server)
            timed(f"slapd-{server.name}", start)
        report.start_gpfs(lab)

    def database() -> None:
        timed("munge", lambda: accounting.start_munge(lab))
        timed("mariadb", lambda: accounting.start_mariadb(lab))

    # Slurm's daemons resolve every user of their database when they start, so names come first.
    directories.certify(lab)
    accounting.disown_cgroups(lab)
    accounting.allow_tokens(lab)
    _side_by_side(lab, domain, others, database)
    timed("slurmdbd", lambda: accounting.start_slurmdbd(lab))
    _side_by_side(
        lab,
        lambda: timed("slurmctld", lambda: accounting.start_slurmctld(lab)),
        lambda: timed("slurmd", lambda: accounting.start_slurmd(lab)),
    )
    if accounting.has_slurmrestd(lab):
        timed("slurmrestd", lambda: accounting.start_slurmrestd(lab))
    seconds = time.monotonic() - began
    report.write(lab, seconds)
    print(f"lab: {lab.directory} is up on {lab.address} after {seconds:.1f} s")
    print(f"lab: see {lab.path('lab.json')} and {lab.path('provisioner.yaml')}")


def _confirm(directory: Path) -> None:
    running = set(inside.processes(directory).values())
    more = ("slurmrestd",) if accounting.has_slurmrestd(known(directory)) else ()
    dead = [name for name in (*DAEMONS, *more) if name not in running]
    if dead:
        raise LabError(f"{directory} is up without {', '.join(dead)}; take it down, then up again")
    if not (directory / "lab.json").exists():
        raise LabError(f"{directory} was left half up; take it down, then up again")
    for path in inside.cover_again(directory):
        print(f"lab: {path} was replaced by the machine's; it is the lab's again")
    print(f"lab: {directory} is already up on {known(directory).address}")


def _side_by_side(lab: Lab, *steps: Callable[[], None]) -> None:
    """Take steps at the same time; when one fails the lab ends, and so do the others."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        tasks = [pool.submit(step) for step in steps]
        try:
            for task in concurrent.futures.as_completed(tasks):
                task.result()
        except BaseException:
            inside.end(lab.directory)
            raise


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one `up` or `down` at a time work on a lab."""
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
