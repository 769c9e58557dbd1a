"""Specs are handed on as ColdFront's own Slurm plugin reads them, which splits nothing yet then."""

from __future__ import annotations

import pytest
from coldfront.core.allocation.models import AllocationAttribute, AllocationAttributeType
from coldfront.core.resource.models import Resource
from coldfront.plugins.slurm.associations import SlurmCluster

from provisioner.coldfront import snapshots
from provisioner.coldfront.asking import mapping, options
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database

Attributes = list[tuple[str, str]]

TABLE: dict[str, Attributes] = {
    "plain": [("slurm_specs", "Fairshare=7:GrpTRES=cpu=64")],
    "wall times": [("slurm_specs", "GrpWall=100:00:00"), ("slurm_specs", "MaxWall=1-00:30:00")],
    "several of users": [
        ("slurm_user_specs", "MaxJobs=1"),
        ("slurm_user_specs", "MaxWall=1:00:00"),
    ],
    "an attribute that is filled in": [
        ("slurm_specs", "Fairshare={Shares}:MaxWall={Wall}"),
        ("slurm_specs_attriblist", "Shares := 40\nWall := '24:00:00'"),
    ],
    "one that takes from another": [
        ("Core Usage (Hours)", "50"),
        ("slurm_specs", "GrpTRESMins=cpu={minutes}"),
        ("slurm_specs_attriblist", "minutes := :Core Usage (Hours)\nminutes *= 60"),
    ],
    "one that cannot be filled in": [
        ("slurm_specs", "Fairshare={Nothing}"),
        ("slurm_specs_attriblist", "Shares := 40"),
    ],
    "of users, filled in": [
        ("slurm_user_specs", "MaxWall={Wall}"),
        ("slurm_user_specs_attriblist", "Wall := '2:00:00'"),
    ],
}


@pytest.mark.parametrize("given", TABLE.values(), ids=TABLE)
def test_specs_are_those_of_coldfronts_own_plugin(site: Site, given: Attributes) -> None:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "Active")
    AllocationAttribute.objects.filter(
        allocation=allocation, allocation_attribute_type__name__contains="_specs"
    ).delete()
    for name, value in given:
        AllocationAttribute.objects.create(
            allocation=allocation,
            allocation_attribute_type=AllocationAttributeType.objects.get(name=name),
            value=value,
        )
    cluster = SlurmCluster.new_from_resource(Resource.objects.get(name=HPC))
    theirs = cluster.accounts["cgray"]
    [facts] = snapshots.allocations([allocation.pk])
    wanted = mapping.provision(facts, options.mapping())
    assert wanted is not None and wanted.document is not None
    ours = wanted.document["allocation"]["slurm"]

    def joined(specs: list[str]) -> str | None:
        return ":".join(dict.fromkeys(specs)) or None

    assert ours.get("specs") == joined(theirs.specs)
    assert ours.get("user_specs") == joined(theirs.users["cgray"].specs)
