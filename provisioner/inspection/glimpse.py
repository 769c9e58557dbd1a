"""A glimpse: what a request is about, even if it was refused.

Promises: never raises, and believes nothing: what it returns is shown and searched, and nothing
follows from it. Leaves out: how a file is read for it (`subjects`).
"""

from __future__ import annotations

from provisioner.journal.records.request_rows import Record
from provisioner.request.subjects import Glimpse, glimpse


def of(record: Record) -> Glimpse:
    """Return what a request is about; of one that was refused, as far as it can be read."""
    seen = glimpse(record.body, record.listed)
    parts = [part.partition(":") for part in record.subject.split("/")]
    users = {name for kind, _, name in parts if kind == "user"}
    codes = [name for kind, _, name in parts[:1] if kind == "project"]
    return Glimpse(
        record.action or seen.action,
        record.subject if record.action else seen.subject,
        seen.users | users,
        next(iter(codes), seen.project),
    )
