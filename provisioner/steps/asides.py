"""Asides: remarks of handlers about the objects of requests that are done.

Promises: everything is read inside the caller's transaction, from the states last read. Only
handlers that have remarks (`abilities.Remarks`) are asked. Leaves out: the dry run, which shows
them too (`planning`).
"""

from __future__ import annotations

from provisioner.contract import Fault, Key
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, object_rows
from provisioner.steps.binding import Progress
from provisioner.steps.disputes import MOST, Claimed
from provisioner.system.ulid import RequestId


def of(conn: Connection, claimed: Claimed, progress: Progress) -> dict[RequestId, list[str]]:
    """Return the remarks on each request's objects, as texts.

    claimed: the objects that each request claims, with their instances.
    """
    instances = {
        key: instance
        for keys in claimed.values()
        for key, instance in keys.items()
        if instance in progress.remarking
    }
    if not instances:
        return {}
    states = object_rows.states(conn, instances)
    texts: dict[Key, list[str]] = {}
    for key, claims in ledger.claims_of(conn, instances).items():
        if not claims or key not in states:
            continue
        try:
            remarks = progress.remarks_of(instances[key], key, claims, states[key])
        except Fault:
            continue  # the step reports what is wrong
        texts[key] = [f"{key}: {remark}" for remark in remarks]
    return {
        request: [text for key in sorted(keys) for text in texts.get(key, ())][:MOST]
        for request, keys in claimed.items()
    }
