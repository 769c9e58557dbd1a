"""Jobs of an emulated and of a real Slurm: submitted by their users, listed, and taken away.

The users are some that every Debian has, and so the lab: slurmctld takes jobs only of users whom it
can look up. Those that wait would begin in an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence

from handlers.emulators.slurm.slurmdbd import OVER, job_state
from tests.support import slurm_sites
from tests.support.slurm_sites import Cluster

ONE, TWO = "games", "news"
_PATIENCE = 300.0

Listed = Counter[tuple[str, str]]
"""The number of jobs, by user and state."""


def submit(cluster: Cluster, account: str, user: str, *, array: int = 0) -> None:
    """Submit a job that waits. array: the number of its elements, if it is one."""
    if cluster.state is None:
        elements = [f"--array=1-{array}"] if array else []
        _sbatch(account, user, "--begin=now+1hour", *elements)
        return
    _put(cluster, account, user, "PENDING", array)


def run(cluster: Cluster, account: str, user: str) -> None:
    """Submit a job, and wait until it runs."""
    if cluster.state is not None:
        _put(cluster, account, user, "RUNNING", 0)
        return
    before = jobs(cluster, account)[user, "RUNNING"]
    _sbatch(account, user)
    _until(lambda: jobs(cluster, account)[user, "RUNNING"] > before, "the job does not run")


def jobs(cluster: Cluster, account: str) -> Listed:
    """Return the jobs in an account, each element of an array by itself, without those that are
    only being ended."""
    if cluster.state is None:
        words = ["squeue", "--noheader", "--array", f"--account={account}", "--format=%u %T"]
        listed = Counter((line.split()[0], line.split()[1]) for line in _ask(words).splitlines())
    else:
        listed = Counter()
        for job in json.loads(cluster.state.read_text())["jobs"]:
            if job["account"] == account and job_state(job) != OVER:
                listed[job["user"], job_state(job)] += int(job.get("array", 0)) or 1
    return Counter({key: count for key, count in listed.items() if key[1] != "COMPLETING"})


def clear(cluster: Cluster, accounts: Sequence[str]) -> None:
    """End all jobs of accounts, so that a real slurmdbd gives these up."""
    if cluster.state is not None:
        return
    for account in accounts:
        _ask(["scancel", f"--account={account}"])
    words = ["squeue", "--noheader", f"--account={','.join(accounts)}"]
    _until(lambda: not _ask(words).strip(), "jobs do not end")


def _put(cluster: Cluster, account: str, user: str, state: str, array: int) -> None:
    assert cluster.state is not None
    kept = json.loads(cluster.state.read_text())
    job = {"account": account, "user": user, "state": state}
    kept["jobs"].append({**job, "array": str(array)} if array else job)
    cluster.state.write_text(json.dumps(kept))


def _sbatch(account: str, user: str, *more: str) -> None:
    lab = slurm_sites.lab()
    become = ["setpriv", "--reuid", user, "--regid", "games", "--clear-groups"]
    words = ["sbatch", "--parsable", "-A", account, "-D", "/", "-o", "/dev/null", *more]
    conf = ["env", f"SLURM_CONF={lab['slurm']['conf']}"]
    _run([*lab["enter"], *become, *conf, *words, "--wrap", "sleep 600"])


def _ask(words: Sequence[str]) -> str:
    """Run a client as the handler does: outside."""
    return _run([slurm_sites.program(words[0]), *words[1:]])


def _run(words: Sequence[str]) -> str:
    environment = {**os.environ, "SLURM_CONF": slurm_sites.lab()["slurm"]["conf"]}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def _until(right: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not right():
        assert time.monotonic() < deadline, why
        time.sleep(0.2)
