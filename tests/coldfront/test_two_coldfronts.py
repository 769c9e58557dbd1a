"""A second ColdFront of one service has ids of its own for what its tables number as the first."""

from __future__ import annotations

import json

from django.core.management import call_command
from django.test import override_settings

from tests.coldfront.allocations import HPC
from tests.coldfront.site import Site

SECOND = override_settings(
    PROVISIONER_ALLOCATION_ID="b-{pk}", PROVISIONER_PROJECT_CODE="b{pk}", PROVISIONER_INSTANCE="b"
)


@SECOND
def test_events_and_manifests_name_allocations_and_projects_of_their_own(site: Site) -> None:
    active = site.approved(HPC, "a")
    site.decide(active, status="Revoked")
    site.decide(active, status="Active")
    call_command("provisioner_reconcile")
    lines = [json.loads(line) for line in next(site.staging.glob("*.jsonl")).open()]
    documents = [*site.files(), *lines]
    ids = {one["allocation"]["id"] for one in documents if "allocation" in one}
    codes = {
        one["allocation"]["project"]["code"]
        for one in documents
        if "project" in one.get("allocation", {})
    }
    assert f"b-{active.pk}" in ids
    assert {one.partition("-")[0] for one in ids} == {"b"}
    assert {code[0] for code in codes} == {"b"}
    assert {one["action"] for one in site.files()} >= {"allocation.suspend", "allocation.resume"}
    assert {row.subject for row in site.rows(allocation=active.pk)} == {f"allocation:b-{active.pk}"}
