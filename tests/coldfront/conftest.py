"""A real ColdFront 1.1 with its own test data, new for each test.

Its settings are read as a centre's are, from the file that $COLDFRONT_CONFIG names. $COLDFRONT_ON
says where it keeps its data: `sqlite`, `postgresql` or `mariadb`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coldfront.databases import Database, Mariadb, Postgresql, Sqlite
from tests.coldfront.environment import environment

_TOP = Path(tempfile.mkdtemp(prefix="provisioner-coldfront."))
_TOP.chmod(0o711)
_DATABASES: dict[str, Database] = {
    "sqlite": Sqlite(_TOP / "coldfront.db"),
    "postgresql": Postgresql(_TOP / "pg"),
    "mariadb": Mariadb(_TOP / "maria"),
}
_ON = _DATABASES[os.environ.get("COLDFRONT_ON", "sqlite")]

os.environ.update(environment(_ON.url))

import django  # noqa: E402

django.setup()

from coldfront.core.allocation.models import Allocation  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from provisioner.coldfront.models import Request  # noqa: E402
from tests.coldfront.allocations import HPC  # noqa: E402
from tests.coldfront.site import Site  # noqa: E402

collect_ignore = ["test_at_the_same_time.py"] if isinstance(_ON, Sqlite) else []


@pytest.fixture(scope="session")
def _kept() -> Iterator[Database]:
    """Make the database once."""
    setup_test_environment()
    with _ON.serving():
        call_command("initial_setup", "-f", verbosity=0)
        call_command("load_test_data", verbosity=0)
        Request.objects.all().delete()
        connection.close()
        _ON.keep()
        yield _ON
        connection.close()
    shutil.rmtree(_TOP, ignore_errors=True)


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic-requests"])
def atomic_requests(request: pytest.FixtureRequest) -> bool:
    """Let a test run as most centres have it, and with ATOMIC_REQUESTS."""
    return bool(request.param)


@pytest.fixture
def site(_kept: Database, tmp_path: Path) -> Iterator[Site]:
    """Give a ColdFront as it is after `load_test_data`, and a staging directory."""
    connection.close()
    _kept.restore()
    with Site.at(tmp_path) as site:
        yield site
    connection.close()


@pytest.fixture
def active(site: Site) -> Allocation:
    """Give an allocation that is active and was asked for."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    site.clear()
    return allocation
