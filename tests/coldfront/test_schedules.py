"""Where a centre runs qcluster, that does what the timers would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django_q.models import Schedule

from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

HPC = "University HPC"
NAMES = {"provisioner_sync", "provisioner_reconcile"}


def scheduled(*words: str) -> set[str]:
    """Run the command; name what is scheduled then, each of which has to be there once."""
    call_command("provisioner_schedule", *words, stdout=StringIO())
    names = list(Schedule.objects.filter(name__in=NAMES).values_list("name", flat=True))
    assert len(names) == len(set(names))
    return set(names)


def test_the_schedules_are_there_once_and_go(site: Site) -> None:
    before = Schedule.objects.count()
    assert scheduled() == scheduled() == NAMES
    assert scheduled("--remove") == set()
    assert Schedule.objects.count() == before


def test_a_qcluster_writes_what_staging_did_not_take(site: Site) -> None:
    site.says(HPC, slurm_cluster="a")
    site.staging.rmdir()
    site.decide(site.allocation(HPC), "approve")
    assert Request.objects.filter(state="new").exists()
    site.staging.mkdir()
    scheduled()
    # In a session of its own: its processes do not all end when it is told to.
    cluster = subprocess.Popen(
        [Path(sys.executable).with_name("coldfront"), "qcluster"],
        env={**os.environ, "PROVISIONER_STAGING": str(site.staging)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while Request.objects.filter(state="new").exists():
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        os.killpg(cluster.pid, signal.SIGKILL)
        cluster.wait()
    assert "allocation.provision" in {one["action"] for one in site.files()}
