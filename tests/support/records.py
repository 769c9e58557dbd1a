"""A request as the journal has it."""

from __future__ import annotations

from typing import Any

from provisioner.journal.records.request_rows import Record
from provisioner.objects.states import RequestState


def a_request(**columns: Any) -> Record:
    """Return the record of a request that is done. columns: values that differ."""
    plain: dict[str, Any] = {
        "id": "i",
        "name": "n",
        "writer": "w",
        "uid": 0,
        "writer_id": None,
        "order_key": None,
        "order_number": None,
        "action": "a",
        "subject": "s",
        "digest": "d",
        "body": b"",
        "state": RequestState.DONE,
        "not_before": None,
        "accepted": 1.0,
        "ended": None,
        "problems": None,
    }
    return Record(**plain | columns)
