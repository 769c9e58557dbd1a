"""Each of ColdFront's events becomes a request, through ColdFront's own views."""

from __future__ import annotations

from tests.coldfront.site import Site


def test_an_allocation_that_is_approved_is_asked_for_as_a_whole(
    site: Site, atomic_requests: bool
) -> None:
    site.says("University HPC", slurm_cluster="a")
    allocation = site.allocation("University HPC")
    site.quietly(allocation, "New")
    with site.atomic_requests(atomic_requests):
        site.decide(allocation, "approve")
    asked = site.last("allocation.provision")
    assert asked["allocation"] == {
        "id": str(allocation.pk),
        "resource": "a",
        "project": {"code": "cf1", "title": "Angular momentum in QGP holography", "pi": "cgray"},
        "users": ["cgray"],
        "slurm": {
            "account": "cgray",
            "specs": "Fairshare=100:QOS+=supporters",
            "user_specs": "Fairshare=parent",
        },
    }
