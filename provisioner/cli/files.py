"""Where the file of a request lies in the spool.

Promises: nothing is opened. Leaves out: what is in it (`show`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record


def path_of(spool: Path, record: Record) -> Path:
    """Return where the file of a request belongs, whether it is there or not."""
    from provisioner.outcome.outcomes import place_of
    from provisioner.spool.submission import entry_of

    return spool / place_of(record) / entry_of(record.id, record.name)


def place(spool: Path, record: Record) -> str:
    """Return the path of a request's file; '' if it is gone, or the caller may not see it."""
    path = path_of(spool, record)
    try:
        return str(path) if path.exists() else ""
    except OSError:
        return ""
