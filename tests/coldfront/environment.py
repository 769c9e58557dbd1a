"""How a ColdFront is set up for tests: by its environment, as at a centre."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def environment(database: str) -> Mapping[str, str]:
    """Say what ColdFront reads of its environment; database: an URL."""
    return {
        "DB_URL": database,
        "SECRET_KEY": "of the tests alone",
        "DEBUG": "False",
        "SESSION_COOKIE_SECURE": "False",
        "CSRF_COOKIE_SECURE": "False",
        "EMAIL_ENABLED": "False",
        "ALLOCATION_EULA_ENABLE": "True",
        "PROJECT_CODE": "CF",
        "PROJECT_CODE_PADDING": "4",
        "COLDFRONT_CONFIG": str(Path(__file__).with_name("local_settings.py")),
        "COLDFRONT_URLS": str(Path(__file__).with_name("local_urls.py")),
        "COLDFRONT_ENV": os.devnull,
        "DJANGO_SETTINGS_MODULE": "coldfront.config.settings",
    }
