"""The plugin in ColdFront 2's own machinery: tables, jobs, check, and what works against it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from coldfront.core.jobs import system_jobs
from coldfront.core.models import Job
from coldfront.ras.models import Allocation, Resource
from coldfront.storage.models import StorageCluster
from django.core.management import CommandError, call_command
from django.test import override_settings

from provisioner.coldfront2.jobs import ReconcileJob, SyncJob
from provisioner.outcome import offer
from tests.coldfront2.site import CLUSTER, STORE, Site


def check(code: int = 0) -> str:
    said = StringIO()
    try:
        call_command("provisioner_check", stdout=said, no_color=True)
    except CommandError as error:
        assert code, error
        said.write(str(error))
    return said.getvalue()


def test_the_migrations_make_the_tables_that_both_versions_share(site: Site) -> None:
    call_command("makemigrations", "provisioner_coldfront", "--check", "--dry-run", verbosity=0)


def test_coldfronts_worker_syncs_each_minute_and_reconciles_each_hour() -> None:
    intervals: dict[Any, int] = {job: about["interval"] for job, about in system_jobs.items()}
    assert (intervals[SyncJob], intervals[ReconcileJob]) == (1, 60)


def test_coldfronts_worker_can_run_the_jobs(site: Site, allocation: Allocation) -> None:
    site.move(allocation, "approve")
    for job in (SyncJob, ReconcileJob):
        job.enqueue(immediate=True)
    assert [job.status for job in Job.objects.all()] == ["completed", "completed"]
    assert len(site.asked("reconcile")) == 1


def test_check_lists_resources_and_names_the_one_that_the_service_does_not_know(
    site: Site, allocation: Allocation
) -> None:
    Resource.objects.create(name="Licences", slug="licences")
    offer.publish(site.staging, [CLUSTER, STORE])
    assert check().splitlines() == [
        "cluster-a  cluster-a  known",
        "Licences   -          not provisioned",
    ]
    offer.publish(site.staging, ["cluster-b"])
    said = check(1)
    assert "did you mean cluster-b? Correct the resource's custom field" in said


def test_check_warns_of_coldfronts_own_storage_and_slurm_syncs(site: Site) -> None:
    offer.publish(site.staging, [])
    assert check() == ""
    StorageCluster.objects.create(
        name="vast1", backend_path="coldfront.storage.backends.dummy.DummyBackend"
    )
    StorageCluster.objects.create(name="plain")
    with override_settings(SLURMRESTD_CLUSTERS={"hpc": {"auto_sync_enabled": True}}):
        storage, slurm = check().splitlines()
    assert "'vast1'" in storage and "deletes each quota that ColdFront does not know" in storage
    assert "Slurm sync is on for hpc" in slurm


@pytest.mark.parametrize("given", ["-", ""])
def test_storage_without_a_name_for_the_service_is_not_provisioned(site: Site, given: str) -> None:
    allocation = site.on_storage(hard_limit_bytes=10**12)
    resource = allocation.resource_object
    resource.custom_field_data = {"provisioner_resource": given}
    resource.save()
    site.move(allocation, "approve")
    assert site.asked("allocation.provision") == []


def test_uninstalling_leaves_no_table(site: Site, active: Allocation) -> None:
    from django.db import connection

    call_command("provisioner_uninstall", "--yes", stdout=StringIO())
    names = connection.introspection.table_names()
    assert [name for name in names if name.startswith("provisioner_")] == []
