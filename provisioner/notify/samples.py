"""Samples: facts of each event, to check and preview templates with.

Promises: every key that a template may use is there, as it is in a real message. Leaves out: real
people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.config.notify import Event
from provisioner.journal.outbox.messages import KEYS

_REQUEST = {
    "id": "01J9Z3NDEKTSV4RRFFQ69G5FAV",
    "action": "allocation.provision",
    "subject": "allocation:42",
    "file": "storage.yaml",
    "asker": "coldfront for asmith",
    "accepted": "2026-11-29T08:15:00.000Z",
}

_ACCOUNT = {
    "name": "jdoe",
    "full_name": "Jane Doe",
    "home": "/home/jdoe",
    "shell": "/bin/bash",
    "outputs": {"home": {"path": "/home/jdoe"}},
}

_ALLOCATION = {
    "id": "42",
    "resource": "hpc-storage",
    "project": {"code": "CF0003", "title": "Protein folding", "pi": "asmith", "gid": None},
    "path": "/gpfs/fs1/cf0003",
    "quota": "5 TiB",
    "files": 1_000_000,
    "slurm_account": None,
    "outputs": {"fileset": {"path": "/gpfs/fs1/cf0003", "fileset": "cf0003"}},
}

_COMPUTE = {
    **_ALLOCATION,
    "resource": "cluster-a",
    "path": None,
    "quota": None,
    "files": None,
    "slurm_account": "cf0003",
    "outputs": {"slurm_account": {"account": "cf0003", "user": None}},
}

_FAILURE = {
    "state": "refused",
    "problem": "'hpc-storge' is not a resource",
    "lines": [
        "Refused: nothing was done. allocation.provision of allocation:42, asked for by asmith.",
        "Line 5, allocation.resource: 'hpc-storge' is not a resource; did you mean hpc-storage?",
        "Fix the file and put it into staging again; to retry the same file:",
        "    provisioner retry 01J9Z3NDEKTSV4RRFFQ69G5FAV",
    ],
}

_DIGEST = {
    "since": "2026-11-28 07:00",
    "done": 128,
    "ended": {"done": 128, "failed": 2, "refused": 3},
    "open": {"deferred": 4, "held": 1},
    "oldest": {
        "id": "01J9Z3NDEKTSV4RRFFQ69G5FAV",
        "action": "allocation.provision",
        "subject": "allocation:42",
        "state": "deferred",
        "since": "2026-11-25T16:40:00.000Z",
        "age": "3 days",
    },
    "causes": [
        {
            "id": "3fa2c1",
            "kind": "wrong",
            "where": "allocation.resource",
            "count": 3,
            "message": "'hpc-storge' is not a resource",
            "advice": "",
            "oldest": "2026-11-28T10:02:00.000Z",
            "subjects": ["allocation:42", "allocation:43", "allocation:44"],
        }
    ],
    "drift": [
        {"handler": "hpc1", "found": 3, "repaired": 2, "differing": 1, "error": ""},
        {"handler": "fs1", "found": 0, "repaired": 0, "differing": 0, "error": "no answer in 60 s"},
    ],
    "given_up": 1,
}

_QUIET = {**_DIGEST, "oldest": None, "causes": [], "open": {}, "drift": [], "given_up": 0}

_QUOTA = {
    "object": "fs1/fileset/cf0003",
    "what": "space",
    "path": "",
    "percent": 92,
    "used": "4.6 TiB",
    "soft": "5 TiB",
    "hard": "5 TiB",
    "grace": None,
    "full": False,
    "days": 12,
    "project": "CF0003",
}

_IDLE = {
    "closes": "2026-12-29",
    "days": 30,
    "last": "2026-01-28",
    "after": 365,
    "problems": [],
}

_DOUBT = {
    **dict.fromkeys(("closes", "days", "last", "after")),
    "problems": ["ad: search below DC=campus,DC=test: no answer in 30 s"],
}

_ITEMS = [
    {"at": "2026-11-29T08:15:00.000Z", "text": "allocation:42: refused"},
    {"at": "2026-11-29T08:16:00.000Z", "text": "allocation:43: refused"},
]


def _facts(name: str, role: str, **facts: Any) -> dict[str, Any]:
    return {
        "event": name,
        "service": "hpc1",
        "at": "2026-11-29T08:15:04.000Z",
        "person": "jdoe" if role == "user" else "asmith",
        "role": role,
        "subject": "allocation:42",
        "request": _REQUEST,
        **dict.fromkeys(KEYS),
        "suspended": False,
        "again": False,
        **facts,
    }


def of(name: str) -> Sequence[Mapping[str, Any]]:
    """Return sample facts for a template: each kind of message that it is used for."""
    match name:
        case Event.ACCOUNT_READY:
            return [
                _facts(name, "user", account=_ACCOUNT),
                _facts(name, "pi", account=_ACCOUNT),
                _facts(name, "user", account={**_ACCOUNT, "home": None}, again=True),
            ]
        case Event.ALLOCATION_READY | Event.ALLOCATION_CHANGED:
            return [
                _facts(name, "pi", allocation=_ALLOCATION),
                _facts(name, "user", allocation=_COMPUTE),
                _facts(name, "user", allocation={**_COMPUTE, "project": None}, again=True),
            ]
        case Event.ACCESS_REMOVED:
            return [
                _facts(name, "user", allocation=_ALLOCATION),
                _facts(name, "user", account={"name": "jdoe"}, suspended=True),
                _facts(name, "user", allocation={**_ALLOCATION, "project": None}, suspended=True),
            ]
        case Event.ACCESS_ENDS:
            ends = {"at": "2026-12-06 18:00 UTC", "days": 7}
            return [
                _facts(name, "user", account={"name": "jdoe"}, ends=ends),
                _facts(name, "user", allocation=_COMPUTE, ends=ends),
                _facts(name, "user", allocation={**_ALLOCATION, "project": None}, ends=ends),
            ]
        case Event.REQUEST_FAILED:
            return [
                _facts(name, "asker", failure=_FAILURE),
                _facts(name, "operator", failure={**_FAILURE, "state": "failed"}),
            ]
        case Event.IDLE_WARNING:
            never = {**_IDLE, "last": None}
            return [_facts(name, "user", idle=one, request=None) for one in (_IDLE, never)]
        case Event.IDLE_STOPPED:
            return [_facts(name, "operator", idle=_DOUBT, request=None)]
        case Event.QUOTA_WARNING:
            grace = {**_QUOTA, "grace": "6 days", "hard": "6 TiB", "days": None}
            full = {**_QUOTA, "what": "files", "full": True, "used": "2,000,000", "soft": None}
            return [
                _facts(name, "pi", quota=_QUOTA, request=None),
                _facts(name, "pi", quota=grace, request=None),
                _facts(name, "user", quota={**full, "project": None}, request=None),
            ]
        case Event.DIGEST:
            return [_facts(name, "operator", digest=d, request=None) for d in (_DIGEST, _QUIET)]
        case _:
            return [_facts(name, "operator", items=_ITEMS, request=None)]
