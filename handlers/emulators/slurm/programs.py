"""Emulated Slurm: `sacctmgr`, `scontrol`, `squeue` and `scancel`, over one emulated slurmdbd.

Promises: the exit codes of slurm-wlm 22.05.8, and the parts of `scontrol` and `squeue` that the
slurm handler reads. Jobs are those that a test puts into the slurmdbd; one that runs is COMPLETING
for a moment after `scancel`. Leaves out: starting jobs, and users whom the host cannot resolve
(`scancel` would exit with 1, `squeue` would leave them out and exit with 0); an unknown command
exits with 1 and says so.
"""

# Importing pathlib would cost every command a third of its start.
# ruff: noqa: PTH100, PTH101, PTH103, PTH110, PTH118, PTH120

from __future__ import annotations

import os
import sys
import time

from handlers.emulators.slurm import interactive, sacctmgr
from handlers.emulators.slurm.sacctmgr import Refused, names_of, options_of
from handlers.emulators.slurm.slurmdbd import COMPLETING, OVER, Slurmdbd, create, job_state, opened

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FAILED = 4294967294
"""The uid that slurmctld stores for a user whom it could not look up."""

PROGRAMS = ("sacctmgr", "scontrol", "squeue", "scancel", "sacct")

_LAUNCHER = """\
#!{python} -IS
import sys
sys.path.insert(0, {root!r})
from handlers.emulators.slurm.programs import main
sys.exit(main({program!r}, sys.argv[1:], {state!r}))
"""


def install(directory: Path, clusters: Sequence[str] = ("a", "b")) -> Path:
    """Make the executables and an empty slurmdbd below a directory; return where the executables
    are."""
    base = os.path.abspath(directory)
    programs = os.path.join(base, "bin")
    os.makedirs(programs, exist_ok=True)
    state = os.path.join(base, "slurmdbd.json")
    if not os.path.exists(state):
        create(state, clusters)
    here = os.path.abspath(__file__)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(here))))
    for program in PROGRAMS:
        path = os.path.join(programs, program)
        values = {"python": sys.executable, "root": root, "program": program, "state": state}
        with open(path, "w", encoding="utf-8") as file:
            file.write(_LAUNCHER.format(**values))
        os.chmod(path, 0o755)
    return type(directory)(programs)


def main(program: str, arguments: Sequence[str], state: str) -> int:
    """Run one of the programs; return its exit code."""
    if program == "sacctmgr" and all(word.startswith("-") for word in arguments):
        return interactive.converse(state, immediate="-i" in arguments)
    run, writes = _command(program, arguments)
    try:
        with opened(state, write=writes) as data:
            run(data, arguments)
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    return 0


def _command(
    program: str, arguments: Sequence[str]
) -> tuple[Callable[[Slurmdbd, Sequence[str]], None], bool]:
    """Return what a program does, and whether it writes."""
    if program == "scontrol":
        return _scontrol, "reconfigure" in arguments
    if program == "squeue":
        return _squeue, False
    if program == "sacct":
        return _sacct, False
    if program == "scancel":
        return _scancel, True
    return sacctmgr.run, sacctmgr.writes(arguments)


def _scontrol(data: Slurmdbd, arguments: Sequence[str]) -> None:
    if list(arguments[:1]) == ["reconfigure"]:
        # It then has no default account of theirs until one is set (22.05.8).
        data.undefaulted = sorted({*data.undefaulted, *data.failed})
        data.failed = []
        data.failed_rows = []
        return
    if list(arguments[:2]) == ["show", "assoc_mgr"]:
        _show_assoc_mgr(data, options_of(arguments[2:]))
        return
    if [word for word in arguments if not word.startswith("-")] == ["show", "partition"]:
        for name in data.partitions:
            print(f"PartitionName={name} AllowGroups=ALL State=UP")
        return
    if list(arguments) == ["show", "config"]:
        print(f"AccountingStorageEnforce = {data.enforced}\nAccountingStorageHost   = localhost")
        return
    raise Refused(f"emulated scontrol: no command {' '.join(arguments)}")


def _show_assoc_mgr(data: Slurmdbd, options: dict[str, str]) -> None:
    users, accounts = (names_of(options.get(name, "")) for name in ("users", "accounts"))
    flags = names_of(options.get("flags", ""))
    uids = {user: number for number, user in enumerate(data.users, 1000)}
    print("Current Association Manager state\n")
    if "users" in flags:
        print("User Records\n")
        for user, number in uids.items():
            if not users or user in users:
                default = next(iter(data.users[user]["default"].values()), "(null)")
                if user in data.failed or user in data.undefaulted:
                    default = "(null)"
                uid = FAILED if user in data.failed else number
                print(f"UserName={user}({uid}) DefAccount={default}")
    if "assoc" in flags:
        print("\nAssociation Records\n")
        for row in data.matching(cluster=data.clusters[:1], account=accounts):
            user = row["user"]
            if user and (not users or user in users):
                failed = [row["account"], user] in data.failed_rows
                uid = FAILED if failed else uids.get(user, 999)
                print(
                    f"ClusterName={row['cluster']} Account={row['account']} UserName={user}({uid}) "
                    f"Partition={row['partition']} Priority=0"
                )


def _squeue(data: Slurmdbd, arguments: Sequence[str]) -> None:
    options = options_of([word.lstrip("-") for word in arguments])
    accounts, users = (names_of(options.get(name, "")) for name in ("account", "users"))
    for number, job in enumerate(data.jobs, 1):
        if (accounts and job["account"] not in accounts) or (users and job["user"] not in users):
            continue
        for one in _elements(number, job, apart="--array" in arguments):
            shown = {"%i": one, "%a": job["account"], "%u": job["user"], "%T": job_state(job)}
            print("|".join(shown[field] for field in options["format"].split("|")))


def _elements(number: int, job: Mapping[str, str], *, apart: bool) -> list[str]:
    """Return the numbers that squeue shows of a job; none of one that is over.

    apart: `--array`, without which the elements of an array that wait are one line.
    """
    if job_state(job) == OVER:
        return []
    size = int(job.get("array", "0"))
    if not size:
        return [str(number)]
    if job_state(job) == "PENDING" and not apart:
        return [f"{number}_[1-{size}]"]
    return [f"{number}_{element}" for element in range(1, size + 1)]


def _scancel(data: Slurmdbd, arguments: Sequence[str]) -> None:
    options = options_of([word.lstrip("-") for word in arguments])
    if list(arguments) == ["--version"]:
        print("slurm-wlm 22.05.8")
        return
    whose = {name: options[name] for name in ("account", "user") if name in options}
    if not whose:
        raise Refused("scancel: error: No job identification provided")
    kept = []
    for job in data.jobs:
        if any(job[name] != value for name, value in whose.items()):
            kept.append(job)
        elif job_state(job) == "RUNNING":
            kept.append({**job, "ends": str(time.time() + COMPLETING)})
        elif job_state(job) == "COMPLETING":
            kept.append(job)
    data.jobs = kept


def _sacct(data: Slurmdbd, arguments: Sequence[str]) -> None:
    """Print jobs of all users as `--format=User,End` does, with SLURM_TIME_FORMAT=%s in seconds."""
    options = options_of([word.lstrip("-") for word in arguments])
    if options["clusters"] not in data.clusters:
        return  # as 22.05.8, which exits with 0
    since, until = (_ago(options.get(name, "now")) for name in ("starttime", "endtime"))
    for job in data.jobs if options.get("endtime", "now") == "now" else ():
        print(f"{job['user']}|Unknown")
    for job in data.past:
        if since <= float(job["end"]) <= until:
            print(f"{job['user']}|{_end(job['end'])}")


def _end(seconds: str) -> str:
    if os.environ.get("SLURM_TIME_FORMAT") == "%s":
        return seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(float(seconds)))


def _ago(text: str) -> float:
    days = text.removeprefix("now").removeprefix("-").removesuffix("days")
    return time.time() - 86400.0 * int(days or "0")
