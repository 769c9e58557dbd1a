"""A real ColdFront 2, from its source, with its tables new for each test.

Its settings are read as a centre's are: from the environment, and the file that $COLDFRONT_CONFIG
names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coldfront.databases import Sqlite

_TOP = Path(tempfile.mkdtemp(prefix="provisioner-coldfront2."))
_ON = Sqlite(_TOP / "coldfront.db")

os.environ.update(
    {
        "DB_URL": _ON.url,
        "SECRET_KEY": "of the tests alone",
        "API_TOKEN_PEPPERS": "1=" + "of the tests alone " * 3,
        "ALLOWED_HOSTS": "*",
        "DEBUG": "True",
        "PLUGINS": "provisioner.coldfront2",
        "COLDFRONT_CONFIG": str(Path(__file__).with_name("local_settings.py")),
        "COLDFRONT_ENV": os.devnull,
        "DJANGO_SETTINGS_MODULE": "coldfront.config.settings",
    }
)

import django  # noqa: E402

django.setup()

from coldfront.ras.models import Allocation  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from tests.coldfront2.site import Site  # noqa: E402


@pytest.fixture(scope="session")
def _kept() -> Iterator[Sqlite]:
    """Make the database once."""
    setup_test_environment()
    call_command("migrate", verbosity=0)
    connection.close()
    _ON.keep()
    yield _ON
    connection.close()
    shutil.rmtree(_TOP, ignore_errors=True)


@pytest.fixture
def site(_kept: Sqlite, tmp_path: Path) -> Iterator[Site]:
    """Give a ColdFront with a project of pi's, that anna is in, and a staging directory."""
    connection.close()
    _kept.restore()
    with Site.at(tmp_path) as site:
        yield site
    connection.close()


@pytest.fixture
def allocation(site: Site) -> Allocation:
    """Give an allocation on a cluster, that was requested."""
    return site.on_cluster()


@pytest.fixture
def active(site: Site, allocation: Allocation) -> Allocation:
    """Give an allocation that was approved, set up, and so made active."""
    site.move(allocation, "approve")
    site.done()
    allocation.refresh_from_db()
    assert allocation.status == "active"
    site.clear()
    return allocation
