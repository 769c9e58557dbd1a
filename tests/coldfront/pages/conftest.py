"""What is there to be seen on the pages."""

from __future__ import annotations

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import User

from tests.coldfront.pages.looking import (
    HPC,
    asked,
    stands,
)
from tests.coldfront.site import Site


@pytest.fixture
def active(site: Site) -> Allocation:
    """Give an active allocation of cgray's project, that jjames is in, too."""
    allocation = site.approved(HPC, "a")
    User.objects.filter(username="jjames").update(first_name="Jane", last_name="James")
    User.objects.filter(username="hnelson").update(is_staff=True)
    return allocation


@pytest.fixture
def several(site: Site, active: Allocation) -> Site:
    """Give requests of two projects, each in another state."""
    other = site.allocation("University Cloud Storage")
    site.says("University Cloud Storage", provisioner_resource="store")
    site.fill_in(other, "Storage Quota (GB)", 10)
    stands(site, asked(site, allocation=active.pk), "failed")
    stands(site, asked(site, allocation=other.pk), "held")
    return site
