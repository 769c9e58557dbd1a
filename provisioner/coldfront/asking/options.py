"""The settings of the app, each with a default that suits one host."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from django.conf import settings

from provisioner.coldfront.asking.mapping import Options
from provisioner.system.users import user_name


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, f"PROVISIONER_{name}", default)


def mapping() -> Options:
    """Read what a centre chose for its requests."""
    default = Options()
    return Options(
        instance=_setting("INSTANCE", default.instance),
        project_code=_setting("PROJECT_CODE", default.project_code),
        projects=_setting("PROJECTS", default.projects),
        quota_unit=_setting("QUOTA_UNIT", default.quota_unit),
        attributes={**default.attributes, **_setting("ATTRIBUTES", {})},
    )


def staging() -> Path:
    """Say where requests are put."""
    return Path(_setting("STAGING", "/var/spool/provisioner/staging"))


def receipts() -> Path:
    """Say where the receipts of this process's user lie."""
    import os

    beside = staging().parent / "receipts" / user_name(os.geteuid())
    return Path(_setting("RECEIPTS", beside))


def pending() -> bool:
    """Return True if allocation users are `Pending` until everything is in place."""
    return cast(bool, _setting("PENDING", False))


def words() -> dict[str, str]:
    """Read what a centre calls what its steps make, for PIs and users."""
    return {str(name): str(said) for name, said in dict(_setting("WORDS", {})).items()}


def pages() -> bool:
    """Return True if ColdFront's own pages show how users stand."""
    return cast(bool, _setting("PAGES", True))


def help_address() -> str:
    """Say where people ask about what is not ready: ColdFront's CENTER_HELP_URL, or a mail address.

    '' where ColdFront has neither.
    """
    ticket = getattr(settings, "EMAIL_TICKET_SYSTEM_ADDRESS", "")
    page = getattr(settings, "CENTER_HELP_URL", "")
    return str(page or (f"mailto:{ticket}" if ticket else ""))


def at_once() -> int:
    """Say how many files one event writes at most; the rest is written by the next or the timer."""
    return cast(int, _setting("AT_ONCE", 50))
