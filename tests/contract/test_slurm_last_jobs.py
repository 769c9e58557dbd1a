"""When people last had a job, by Slurm: emulated, and the real one of the lab."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.jobs import Records, last_jobs
from handlers.slurm.programs import Programs
from provisioner.contract import Completed, Fault, Permanent, Unavailable
from tests.support import slurm_sites
from tests.support.slurm_sites import Cluster, past

DAY = 86400.0


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return slurm_sites.emulated(tmp_path)


def used(cluster: Cluster, days: float = 180) -> dict[str, int]:
    """Return how many days ago each person last had a job."""
    now = time.time()
    last = cluster.handler().last_used(now - days * DAY, now).last
    return {name: round((now - at) / DAY) for name, at in last.items()}


def test_the_last_job_of_each_counts_in_whatever_month_it_was(cluster: Cluster) -> None:
    past(cluster, ann=170, bob=31, cat=1, dan=400)
    assert used(cluster) == {"ann": 170, "bob": 31, "cat": 1}


def test_a_job_that_runs_counts_as_now(cluster: Cluster) -> None:
    past(cluster, jobs=["ann"], bob=31)
    assert used(cluster) == {"ann": 0, "bob": 31}


@pytest.mark.parametrize("purged", ["12 months", "4320 hours", "181 days", "NONE"])
def test_records_that_go_back_far_enough_count(cluster: Cluster, purged: str) -> None:
    past(cluster, purged=purged, ann=1, bob=2)
    assert used(cluster) == {"ann": 1, "bob": 2}


@pytest.mark.parametrize("purged", ["6 months", "30 days", "100 hours", "", "for ever"])
def test_records_that_are_forgotten_earlier_do_not_count(cluster: Cluster, purged: str) -> None:
    past(cluster, purged=purged, ann=1, bob=2)
    with pytest.raises(Fault):
        used(cluster)


@pytest.mark.parametrize("days", [{}, {"ann": 3}], ids=["nobody", "one person"])
def test_jobs_of_fewer_than_two_people_are_not_the_whole(
    cluster: Cluster, days: dict[str, float]
) -> None:
    past(cluster, purged="NONE", jobs=(), **days)
    with pytest.raises(Unavailable, match=r"jobs of \d people"):
        used(cluster)


@pytest.mark.lab
@pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab")
def test_the_real_one_tells_in_seconds_when_a_job_ended() -> None:
    cluster = slurm_sites.real()
    records = cluster.handler()._tools.records
    assert "PurgeJobAfter          = NONE" in records.config()
    environment = {**os.environ, "SLURM_CONF": str(cluster.settings["slurm_conf"])}
    job = [slurm_sites.program("sbatch"), "--account=root", "--output=/dev/null", "--wrap=true"]
    began = int(time.time())
    subprocess.run(job, env=environment, check=True, capture_output=True)
    deadline = time.monotonic() + 60
    ends: list[str] = []
    while not any(end.isdigit() and int(end) >= began for end in ends):
        assert time.monotonic() < deadline, ends
        time.sleep(0.5)
        ends = [end for first in (30, 60) for user, end in records.ended(first, first - 30) if user]
    assert all(end.isdigit() or end == "Unknown" for end in ends)


ANSWERS: dict[str, tuple[Completed, type[Fault]]] = {
    "it fails": (Completed((), 1, "", "sacct: error: no dbd", False), Unavailable),
    "it hangs": (Completed((), 0, "", "", True), Unavailable),
    "a line that was cut off": (Completed((), 0, "ann|17", "", False), Unavailable),
    "times as people read them": (
        Completed((), 0, "ann|2026-11-29T12:00:00\n", "", False),
        Unavailable,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_whole_does_not_count(name: str) -> None:
    answer, kind = ANSWERS[name]

    def run(argv: Sequence[str], **_: Any) -> Completed:
        config = "PurgeJobAfter = NONE\n"
        return answer if argv[0] == "sacct" else Completed((), 0, config, "", False)

    with pytest.raises(kind):
        last_jobs(Records(Programs(run), "a"), 0.0, 100 * DAY)


def test_a_call_is_a_month_and_names_nobody() -> None:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str], **more: Any) -> Completed:
        if argv[0] != "sacct":
            return Completed((), 0, "PurgeJobAfter = NONE\n", "", False)
        calls.append(argv)
        assert more["env"]["SLURM_TIME_FORMAT"] == "%s"
        return Completed((), 0, "ann|100\nbob|200\n|300\n", "", False)

    assert last_jobs(Records(Programs(run), "a"), 0.0, 100 * DAY).last == {
        "ann": 100.0,
        "bob": 200.0,
    }
    assert [[word for word in call if "time=" in word] for call in calls] == [
        ["--starttime=now-30days"],
        ["--starttime=now-60days", "--endtime=now-30days"],
        ["--starttime=now-90days", "--endtime=now-60days"],
        ["--starttime=now-100days", "--endtime=now-90days"],
    ]


def test_forgetting_is_told_with_what_to_do(cluster: Cluster) -> None:
    past(cluster, purged="30 days", ann=1, bob=2)
    with pytest.raises(Permanent, match="forgets jobs after 30 days, and 180 days are asked for"):
        used(cluster)
