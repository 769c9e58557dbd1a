"""Files: what a row of the outbox is in staging.

Promises: a request that has too many users for its body names them in a file beside it, whose name
nobody foresees, as anybody may put files into staging; the same row makes the same files, so that
what a kill leaves undone is written again as it was. Leaves out: which rows are written, and when
(`outbox`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from provisioner.spool.submission import LIMIT
from provisioner.spool.submit import drop, drop_companion


@dataclass(frozen=True, slots=True)
class Files:
    """A request's body, and the list of users that it names; None: they stand in the body."""

    body: bytes
    users: bytes | None = None


def files_of(listed: str, said: str) -> Files:
    """Make the files of what a row says.

    listed: the name of the list of users, if it needs one; said: a request in JSON, with its users.
    """
    body = said.encode()
    if len(body) <= LIMIT:
        return Files(body)
    document = json.loads(said)
    part = document["action"].partition(".")[0]
    whole = document[part]
    if "users" not in whole:
        return Files(body)
    users = "".join(f"{user}\n" for user in whole["users"]).encode()
    named = {
        "file": listed,
        "size": len(users),
        "sha256": hashlib.sha256(users).hexdigest(),
    }
    rest = {key: value for key, value in whole.items() if key != "users"}
    document[part] = {**rest, "users_file": named}
    return Files(json.dumps(document, ensure_ascii=False).encode(), users)


def too_large(listed: str, said: str) -> bool:
    """Return True if a request is too large for staging without its users, even."""
    return len(files_of(listed, said).body) > LIMIT


def put(staging: Path, name: str, listed: str, said: str) -> None:
    """Put the files of what a row says into staging, the list first.

    name: the request's, without an ending; listed, said: as for `files_of`. Raises ConfigError or
    OSError when staging does not take them.
    """
    files = files_of(listed, said)
    if files.users is not None:
        got = drop_companion(staging, listed, files.users)
        if got != listed:
            # A process that was killed before the request has left the same there.
            (staging / got).unlink(missing_ok=True)
    drop(staging, f"{name}.json", files.body)
