"""A real ColdFront 1.1 on SQLite with its own test data, new for each test.

Its settings are read as a centre's are, from the file that $COLDFRONT_CONFIG names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_TOP = Path(tempfile.mkdtemp(prefix="provisioner-coldfront."))
_DATABASE = _TOP / "coldfront.db"

os.environ.update(
    DB_URL=f"sqlite:///{_DATABASE}",
    SECRET_KEY="of the tests alone",
    DEBUG="False",
    SESSION_COOKIE_SECURE="False",
    CSRF_COOKIE_SECURE="False",
    EMAIL_ENABLED="False",
    ALLOCATION_EULA_ENABLE="True",
    PROJECT_CODE="CF",
    PROJECT_CODE_PADDING="4",
    COLDFRONT_CONFIG=str(Path(__file__).with_name("local_settings.py")),
    COLDFRONT_URLS=str(Path(__file__).with_name("local_urls.py")),
    COLDFRONT_ENV=os.devnull,
    DJANGO_SETTINGS_MODULE="coldfront.config.settings",
)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from provisioner.coldfront.models import Request  # noqa: E402
from tests.coldfront.site import Site  # noqa: E402


@pytest.fixture(scope="session")
def _template() -> Iterator[Path]:
    """Make the database once."""
    setup_test_environment()
    call_command("initial_setup", "-f", verbosity=0)
    call_command("load_test_data", verbosity=0)
    Request.objects.all().delete()
    connection.close()
    template = _TOP / "template.db"
    shutil.copyfile(_DATABASE, template)
    yield template
    shutil.rmtree(_TOP, ignore_errors=True)


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic-requests"])
def atomic_requests(request: pytest.FixtureRequest) -> bool:
    """Let a test run as most centres have it, and with ATOMIC_REQUESTS."""
    return bool(request.param)


@pytest.fixture
def site(_template: Path, tmp_path: Path) -> Iterator[Site]:
    """Give a ColdFront as it is after `load_test_data`, and a staging directory."""
    connection.close()
    shutil.copyfile(_template, _DATABASE)
    with Site.at(tmp_path) as site:
        yield site
    connection.close()
