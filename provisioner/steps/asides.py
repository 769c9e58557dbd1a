"""Asides: what handlers have to say of the objects of requests that are done.

Promises: inside the caller's transaction, by what was read last; only handlers that have remarks
(`abilities.Remarks`) are asked. Leaves out: the dry run, which tells them too (`planning`).
"""

from __future__ import annotations

from provisioner.contract import Fault, Key
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, object_rows
from provisioner.steps.binding import Progress
from provisioner.steps.disputes import MOST, Asked


def of(conn: Connection, asked: Asked, progress: Progress) -> dict[str, list[str]]:
    """Say what stays of requests' objects otherwise than one could expect.

    asked: by request the objects that it claims, with their instances.
    """
    instances = {
        key: instance
        for keys in asked.values()
        for key, instance in keys.items()
        if instance in progress.remarking
    }
    if not instances:
        return {}
    states = object_rows.states(conn, instances)
    told: dict[Key, list[str]] = {}
    for key, claims in ledger.claims_of(conn, instances).items():
        if not claims or key not in states:
            continue
        try:
            said = progress.remarks_of(instances[key], key, claims, states[key])
        except Fault:
            continue  # the step says what is wrong
        told[key] = [f"{key}: {text}" for text in said]
    return {
        request: [text for key in sorted(keys) for text in told.get(key, ())][:MOST]
        for request, keys in asked.items()
    }
