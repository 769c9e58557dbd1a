"""Trouble of a whole site: why files stay in staging, and why nothing is written to backends.

Promises: reads the spool and the journal, and writes nothing. Leaves out: how it is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.contract import ConfigError

if TYPE_CHECKING:
    from provisioner.config.schema import Config
    from provisioner.journal.journal import Journal


def misnamed(spool: Path) -> list[str]:
    """Return the files in staging that the service will never take; none if it cannot be read."""
    from provisioner.spool.scan import passed_over

    try:
        return passed_over(spool)
    except OSError:  # `of_staging` says so
        return []


def staged(spool: Path) -> int:
    """Return the number of files in staging that the service has not taken yet."""
    from provisioner.spool.scan import is_request

    try:
        names = [path.name for path in (spool / "staging").iterdir()]
    except OSError:  # `of_staging` says so
        return 0
    return sum(map(is_request, names))


def of_staging(settings: Config) -> str:
    """Return why the service takes nothing from staging; '' if it does."""
    from provisioner.spool.scan import check_staging

    spool = settings.spool
    try:
        check_staging(spool)
        shortage = full(settings)
        return (
            f"{shortage}: free space on it; the service then continues by itself"
            if shortage
            else ""
        )
    except ConfigError as error:
        return f"{error.message}: {error.advice}"
    except OSError as error:
        return f"{spool}: {error.strerror}: provisioner doctor"


def full(settings: Config) -> str:
    """Return which of the journal's disks has no room for new work; '' if all have room."""
    from provisioner.recovery import reserve

    there = [path for path in settings.journal_places if path.is_dir()]
    return reserve.trouble(there)


def observing(book: Journal) -> str:
    """Return why the service writes to no backend; '' if it does write."""
    from provisioner.journal import facts

    with book.reading() as conn:
        return facts.get(conn, facts.OBSERVING) or ""


def releasing(because: str) -> str:
    """Return how an operator lets the service write again. because: from `observing`."""
    from provisioner.journal import facts

    release = "run `provisioner drift`, review it, then run `provisioner journal release`"
    if because == facts.CONFIGURED:
        return f"set `mode: converge`, restart the service, {release}"
    return release
